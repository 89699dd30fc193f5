"""One axis of VAE-STN at a time, through the published base, on Omniglot.

The base: z 80, 100 time steps, beta 1. 17 + 8 + 16 = 41 points.
"""

from oneshot.sweep import Sweep, line, steps

sweep = Sweep(
    question="What does each setting of VAE-STN do on its own?",
    model="vae_stn",
    points=line(
        base=dict(beta=1.0, time_steps=100, z=80),
        beta=steps(0, 4, 0.25),
        time_steps=steps(20, 90, 10),
        z=steps(10, 400, 25),
    ),
)
