"""A small VAE-STN for the picture of the README: embedded drawings, two minutes of one core."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane do small VAE-STNs lie?",
    model="vae_stn",
    variant="small",
    points=grid(beta=[0.5, 2.0]),
    fixed=dict(
        dataset="quickdraw",
        split="fixed",
        image_size=28,
        drawings_per_class=10,
        diversity_drawings=10,
        epochs=4,
    ),
    critics=dict(
        simclr=dict(epochs=4, batch_size=64, batches_per_epoch=60),
        protonet=dict(epochs=5, episodes_per_epoch=60, train_queries=1, halve_every=2),
    ),
)
