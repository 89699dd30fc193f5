"""All families on one plane (see `joint_vae_stn`): small diffusion models.

A CFGDM at the eight published gammas, and an FSDM.
"""

from oneshot.sweep import Sweep, grid, points

sweep = Sweep(
    question="Where on the plane do small diffusion models lie, and where does gamma move them?",
    model="diffusion",
    points=[
        grid(variant=["small_cfgdm"], gamma=[0, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2]),
        points([dict(variant="small_fsdm")]),
    ],
    fixed=dict(split="weak", image_size=28, drawings_per_class=10, diversity_drawings=10),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, learning_rate=5e-4),
        protonet=dict(epochs=8, episodes_per_epoch=75, train_queries=1, halve_every=3),
    ),
)
