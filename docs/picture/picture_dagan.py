"""A small DAGAN for the picture of the README, see `picture_vae_stn`."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane does a small DAGAN lie?",
    model="dagan",
    points=grid(channels=[8]),
    fixed=dict(
        dataset="quickdraw_clusters",
        split="fixed",
        image_size=28,
        epochs=3,
        learning_rate=5e-4,
        critic_rounds=2,
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=64, batches_per_epoch=50, strength="light"),
        protonet=dict(epochs=4, episodes_per_epoch=60, train_queries=1, halve_every=1),
    ),
)
