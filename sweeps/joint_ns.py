"""All families on one plane (see `joint_vae_stn`): small Neural Statisticians, three set sizes."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane do small Neural Statisticians lie?",
    model="set_vae",
    variant="small_ns",
    points=grid(set_size=[2, 5, 10]),
    fixed=dict(
        split="weak", image_size=28, drawings_per_class=10, diversity_drawings=10, likelihood="none"
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, learning_rate=5e-4),
        protonet=dict(epochs=8, episodes_per_epoch=75, train_queries=1, halve_every=3),
    ),
)
