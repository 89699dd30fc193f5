"""The Neural Statistician grid of Boutin et al. (2022), Diversity vs. recognizability, on Omniglot.

19 set sizes x 21 betas, 399 points.
"""

from oneshot.sweep import Sweep, grid, steps

sweep = Sweep(
    question=(
        "How many images of a class should a Neural Statistician learn from at once, and at which"
        " beta?"
    ),
    model="set_vae",
    variant="ns_50",
    points=grid(set_size=range(2, 21), beta=steps(0, 5, 0.25)),
    order="spread",
    fixed=dict(likelihood="none"),
)
