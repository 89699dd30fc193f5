"""Few-shot tuning of class-conditional GANs, supervised and with unlabelled images, as published.

EMNIST: 5 class splits x 4 numbers of shots x 2 = 40 tunings. Omniglot: 5 splits x 5 shots x 2 = 10,
of networks 16 times as wide. 10 pre-trainings carry them all.
"""

from oneshot.sweep import Sweep, points

SPLITS = [f"classes_{seed}" for seed in range(5)]
WAYS = [dict(semi=False, tune_alpha=0.0), dict(semi=True, tune_alpha=1.0)]

EMNIST = dict(
    dataset="emnist",
    classes=47,
    channels=1,
    width=64,
    drawings_per_class=100,
    generated_per_class=100,
)
OMNIGLOT = dict(
    dataset="omniglot_rgb",
    classes=1623,
    channels=3,
    width=1024,
    drawings_per_class=10,
    generated_per_class=10,
)

sweep = Sweep(
    question="What do shots and unlabelled images do for a GAN asked for classes new to it?",
    model="class_gan",
    points=points(
        [
            dict(**data, split=split, shots=k, **way)
            for data, shots in ((EMNIST, (5, 10, 15, 25)), (OMNIGLOT, (5,)))
            for split in SPLITS
            for k in shots
            for way in WAYS
        ]
    ),
    # unlabelled images reach the discriminator where it moves beyond its table of classes
    fixed=dict(image_size=32, g_mode="linear", d_mode="linear"),
    references=("real",),
)
