"""A small VAE-STN for the picture of the README: embedded drawings, minutes of one core."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane do small VAE-STNs lie?",
    model="vae_stn",
    points=grid(beta=[0.1, 1.0]),
    fixed=dict(
        dataset="quickdraw_clusters",
        split="fixed",
        image_size=28,
        time_steps=3,
        glimpse=28,
        z=24,
        lstm_size=128,
        hidden=96,
        epochs=5,
        batch_size=32,
        learning_rate=2e-3,
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=64, batches_per_epoch=50, strength="light"),
        protonet=dict(epochs=4, episodes_per_epoch=60, train_queries=1, halve_every=1),
    ),
)
