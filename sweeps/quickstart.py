"""A first look in a few minutes on two cores: small VAE-STNs on the embedded Quick, Draw!."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What does beta do to drawings of concepts seen once?",
    model="vae_stn",
    variant="small",
    points=grid(beta=[0.0, 0.25, 0.5, 1.0, 2.0, 4.0]),
    fixed=dict(dataset="quickdraw", split="fixed", image_size=28, epochs=4),
    critics=dict(
        simclr=dict(epochs=4, batch_size=64, batches_per_epoch=60),
        protonet=dict(epochs=5, episodes_per_epoch=60, train_queries=1, halve_every=2),
    ),
)
