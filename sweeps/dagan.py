"""The DAGAN grid of Boutin et al. (2022), Diversity vs. recognizability, on Omniglot.

Two generators x 100 sizes of z, 200 points.
"""

from oneshot.sweep import Sweep, grid, steps

sweep = Sweep(
    question=(
        "What does the size of the noise do to the drawings of a generator with skip connections,"
        " and of one without?"
    ),
    model="dagan",
    points=grid(generator=["uresnet", "resnet"], z=steps(10, 1000, 10)),
    order="spread",
)
