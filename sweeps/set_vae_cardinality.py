"""What a model of sets gains from more images.

Trained on sets of 1, 2, 5 and 10, tested on sets of 1 .. 20; 16 points on Omniglot.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does a model use more images than it was trained with?",
    model="set_vae",
    points=grid(variant=["ns", "cns", "ctns", "chfsgm_multiscale"], set_size=[1, 2, 5, 10]),
    fixed=dict(split="random", image_size=28, drawings_per_class=0, binarisation="stochastic"),
    references=(),
)
