"""The Neural Statistician of `ns` at a budget of about half an hour of two processor cores.

Narrow, 3 epochs, 8 points. Critics as in `vae_stn_beta`, so that both lie on one plane.
`benchmarks/RESULTS.md` shows the outcome.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What do set size and beta do to the drawings of a small Neural Statistician?",
    model="set_vae",
    variant="ns_50",
    points=grid(set_size=[2, 5, 10, 20], beta=[0.5, 2.0]),
    fixed=dict(
        channels=4, hidden=64, c=64, batch_size=20, epochs=3, augmented_copies=0, likelihood="none"
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, learning_rate=5e-4),
        protonet=dict(epochs=8, episodes_per_epoch=75, train_queries=1, halve_every=3),
    ),
)
