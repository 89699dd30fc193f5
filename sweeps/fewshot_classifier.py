"""Stage 1 of few-shot augmentation: classifiers of base classes, and what real images are worth.

Five class splits of EMNIST and of Omniglot, one of CIFAR-100: 11 classifiers. Real images take the
place of drawings, so that the gain is what a perfect generator could bring.
"""

from oneshot.sweep import Sweep, points

SPLITS = [f"classes_{seed}" for seed in range(5)]

sweep = Sweep(
    question="How well are novel classes told apart by few shots, and by many real images?",
    model="real",
    points=points(
        [
            *[dict(dataset="emnist", split=split) for split in SPLITS],
            *[dict(dataset="omniglot_rgb", split=split) for split in SPLITS],
            dict(dataset="cifar100", split="classes_0"),
        ]
    ),
    fixed=dict(image_size=32, drawings_per_class=100, generated_per_class=100, shots=5),
    references=(),
)
