"""All families on one plane (see `joint_vae_stn`): both small DAGANs.

So few steps leave the generator few moves: they are larger than published, and come at every second
batch instead of every fifth.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane do small DAGANs lie?",
    model="dagan",
    variant="small",
    points=grid(generator=["uresnet", "resnet"]),
    fixed=dict(
        split="weak",
        image_size=28,
        drawings_per_class=10,
        diversity_drawings=10,
        epochs=2,
        learning_rate=5e-4,
        critic_rounds=2,
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, learning_rate=5e-4),
        protonet=dict(epochs=8, episodes_per_epoch=75, train_queries=1, halve_every=3),
    ),
)
