"""A digit removed from InfoGAN's training: does any category or code lead to it?

2 numbers of categories x 2 of codes x 2 weights of their recovery x 10 removed digits x 3 seeds,
240 points.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does an InfoGAN draw a digit that it never saw, along its categories and codes?",
    model="infogan",
    points=grid(
        split=[f"without_{i}" for i in range(10)],
        categories=[9, 10],
        codes=[1, 2],
        lambda_info=[0.1, 1.0],
    ),
    fixed=dict(dataset="mnist", image_size=28, drawings_per_class=100),
    seeds=3,
    references=(),
)
