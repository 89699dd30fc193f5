"""The guidance of Boutin et al. (2023), Diffusion models as artists, on Omniglot.

One training of CFGDM, drawn at their eight gammas.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Which guidance brings a diffusion model nearest to people?",
    model="diffusion",
    variant="cfgdm",
    points=grid(gamma=[0, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2]),
    fixed=dict(image_size=48),
)
