"""A small Neural Statistician for the picture of the README, see `picture_vae_stn`."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane does a small Neural Statistician lie?",
    model="set_vae",
    variant="small_ns",
    points=grid(set_size=[5]),
    fixed=dict(
        dataset="quickdraw",
        split="fixed",
        image_size=28,
        drawings_per_class=10,
        diversity_drawings=10,
        likelihood="none",
        epochs=3,
    ),
    critics=dict(
        simclr=dict(epochs=4, batch_size=64, batches_per_epoch=60),
        protonet=dict(epochs=5, episodes_per_epoch=60, train_queries=1, halve_every=2),
    ),
)
