"""Which parts of a class-conditional GAN are best tuned on few shots.

3 modes of the generator x 3 of the discriminator x 4 numbers of shots x 5 class splits of EMNIST:
180 tunings of 5 pre-trainings.
"""

from oneshot.sweep import Sweep, grid

MODES = ["embed", "linear", "all"]

sweep = Sweep(
    question="Which parts of a GAN should move for classes of which there are few examples?",
    model="class_gan",
    points=grid(
        g_mode=MODES,
        d_mode=MODES,
        shots=[5, 10, 15, 25],
        split=[f"classes_{seed}" for seed in range(5)],
    ),
    fixed=dict(dataset="emnist", image_size=32, drawings_per_class=100, generated_per_class=100),
    references=("real",),
)
