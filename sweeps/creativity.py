"""The creative GAN on eight Gaussians: each mode left out once, for every weight of either loss.

27 settings, 8 removed modes, 5 seeds: 1,080 points, which train in stacks of 27.
"""

from oneshot.sweep import Sweep, grid

SPLITS = [f"without_{mode}" for mode in range(8)]

sweep = Sweep(
    question="Does a GAN that is rewarded for creativity draw a mode that it never saw?",
    model="toy_gan",
    points=[
        grid(
            lambda_d=[0.2, 0.5, 1.0],
            lambda_g=[0.0],
            creativity=["none"],
            split=SPLITS,
        ),
        grid(
            lambda_d=[0.2, 0.5, 1.0],
            lambda_g=[0.1, 0.2, 0.5, 1.0],
            creativity=["mce", "can"],
            split=SPLITS,
        ),
    ],
    fixed=dict(dataset="gaussians", drawings_per_class=250),
    seeds=5,
    references=("ring", "chords", "kept"),
)
