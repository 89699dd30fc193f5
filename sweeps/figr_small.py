"""The question of `figr` at a budget of under half an hour of two processor cores.

Narrow, 1,000 meta-steps on the embedded clusters of Quick, Draw!: 8 points of 4 trainings. The
published ones have 50,000 and more.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Do steps, supports and the loss already matter to a small FIGR?",
    model="figr",
    points=grid(inner_steps=[2, 5], loss=["wgan_gp", "bce"], shots=[1, 4]),
    fixed=dict(
        dataset="quickdraw_clusters",
        split="fixed",
        image_size=32,
        hidden=8,
        inner_rate=1e-2,
        learning_rate=1e-3,
        epochs=1,
        epoch_steps=1000,
        drawings_per_class=10,
        diversity_drawings=10,
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=64, batches_per_epoch=50, strength="light"),
        protonet=dict(epochs=4, episodes_per_epoch=60, train_queries=1, halve_every=1),
    ),
)
