"""A small Neural Statistician for the picture of the README, see `picture_vae_stn`."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane does a small Neural Statistician lie?",
    model="set_vae",
    variant="small_ns",
    points=grid(set_size=[5]),
    fixed=dict(
        dataset="quickdraw_clusters",
        split="fixed",
        image_size=28,
        likelihood="none",
        epochs=8,
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=64, batches_per_epoch=50, strength="light"),
        protonet=dict(epochs=4, episodes_per_epoch=60, train_queries=1, halve_every=1),
    ),
)
