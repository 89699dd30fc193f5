"""A class removed from a VAE's training, or given back as a few shots: does it come back?

After a semester project of 2019, which looked at one or two classes by eye. Here every class of two
data sets is removed in turn: 3 sizes of z x 4 numbers of shots x 10 classes x 2 data sets x 3
seeds, 720 points.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question=(
        "Does a VAE draw, or reconstruct, a class that it never saw, and what do one to five"
        " examples of it change?"
    ),
    model="mlp_vae",
    points=grid(
        dataset=["mnist", "fashion_mnist"],
        split=[f"without_{i}" for i in range(10)],
        z=[2, 3, 20],
        shots=[0, 1, 4, 5],
    ),
    fixed=dict(image_size=28, drawings_per_class=100),
    seeds=3,
    references=(),
)
