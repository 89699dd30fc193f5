"""The beta curve of VAE-STN with its uncertainty, at a budget of an hour of two processor cores.

Small VAE-STNs on Omniglot in the published split at 50x50, three seeds each, scored by two pairs of
critics. `benchmarks/RESULTS.md` shows the outcome beside the published curve.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does beta move VAE-STN along the published curve, beyond seeds and critics?",
    model="vae_stn",
    points=grid(beta=[0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0], critic_seed=[0, 1]),
    seeds=3,
    fixed=dict(time_steps=8, z=40, lstm_size=160, hidden=128, batch_size=64, epochs=4),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, batches_per_epoch=100, learning_rate=5e-4),
        protonet=dict(epochs=6, episodes_per_epoch=75, train_queries=1, halve_every=2),
    ),
)
