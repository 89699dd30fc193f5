"""FIGR (Clouatre and Demers 2019) on Omniglot: what steps, supports and losses do to its drawings.

9 trainings a loss and seed, each drawn with three numbers of supports: 162 points.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question=(
        "Do generators that adapt to a few images of a class vary what they saw, or copy it, and"
        " what do steps, supports, step sizes and losses do to that?"
    ),
    model="figr",
    points=grid(
        inner_steps=[5, 10, 20],
        inner_rate=[3e-4, 1e-3, 3e-3],
        loss=["wgan_gp", "bce"],
        shots=[1, 4, 8],
    ),
    fixed=dict(image_size=32, epochs=8),
    seeds=3,
)
