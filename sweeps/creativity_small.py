"""`creativity` at a budget of a few minutes of two processor cores: 48 points of 1,500 steps."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does a GAN that is rewarded for creativity draw a mode that it never saw?",
    model="toy_gan",
    points=grid(
        lambda_g=[0.0, 0.2, 0.5],
        split=[f"without_{mode}" for mode in range(8)],
    ),
    fixed=dict(
        dataset="gaussians",
        creativity="mce",
        lambda_d=0.5,
        epochs=15,
        batch_size=128,
        drawings_per_class=250,
    ),
    seeds=2,
    references=("ring", "chords", "kept"),
)
