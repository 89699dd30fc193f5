"""What a diffusion model needs: width x time steps x the way its exemplar enters.

36 points on Omniglot at 48 x 48.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What do width, time steps and conditioning do to a diffusion model?",
    model="diffusion",
    points=grid(
        n_feat=[24, 36, 48, 60],
        time_steps=[100, 300, 500],
        conditioning=["stack", "film", "cross_attention"],
    ),
    fixed=dict(image_size=48),
)
