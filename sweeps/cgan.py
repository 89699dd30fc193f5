"""A GAN asked by a class, and what it draws for the class that it never saw.

2 codes of a class, 2 ways to label drawn points in training, 8 removed modes, 5 seeds: 160 points.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What does a class-conditional GAN draw for a label that it never saw?",
    model="toy_gan",
    points=grid(
        condition=["class", "angle"],
        fake_labels=["all", "kept"],
        split=[f"without_{mode}" for mode in range(8)],
    ),
    fixed=dict(dataset="gaussians", drawings_per_class=250),
    seeds=5,
    references=("ring", "chords", "kept"),
)
