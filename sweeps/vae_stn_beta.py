"""Beta alone, at a budget of about an hour and a half of two processor cores.

12 small VAE-STNs on Omniglot, published splits and scoring. Sizes, epochs and the critics' training
are reduced; `benchmarks/RESULTS.md` shows the outcome beside the published curve.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does beta move a small VAE-STN along the published curve?",
    model="vae_stn",
    points=grid(beta=[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]),
    fixed=dict(time_steps=8, z=40, lstm_size=200, hidden=256, batch_size=64, epochs=7),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, learning_rate=5e-4),
        protonet=dict(epochs=8, episodes_per_epoch=75, train_queries=1, halve_every=3),
    ),
)
