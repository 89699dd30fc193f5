"""The full VAE-STN grid of Boutin et al. (2022), Diversity vs. recognizability, on Omniglot.

17 x 8 x 16 = 2,176 points.
"""

from oneshot.sweep import Sweep, grid, steps

sweep = Sweep(
    question="Which beta, time steps and z bring VAE-STN nearest to people?",
    model="vae_stn",
    points=grid(beta=steps(0, 4, 0.25), time_steps=steps(20, 90, 10), z=steps(10, 400, 25)),
    order="spread",
)
