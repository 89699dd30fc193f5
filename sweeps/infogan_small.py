"""`infogan` at a budget of a few minutes of two processor cores.

Narrow, 6 epochs of 700 images a class, 10 points.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Which digits does a small InfoGAN draw that it never saw?",
    model="infogan",
    variant="small",
    points=grid(split=[f"without_{i}" for i in range(10)]),
    fixed=dict(
        dataset="mnist", image_size=28, images_per_class=700, epochs=6, drawings_per_class=100
    ),
    references=(),
)
