"""The grid of `ns` for ten sizes of the latent, on Omniglot.

Set size 2 .. 20 x beta 0 .. 5 x z 10 .. 100, 3,990 points. The published axis begins at z = 0,
which is no model.
"""

from oneshot.sweep import Sweep, grid, steps

sweep = Sweep(
    question="Which set size, beta and z bring the Neural Statistician nearest to people?",
    model="set_vae",
    variant="ns_50",
    points=grid(set_size=range(2, 21), beta=steps(0, 5, 0.25), z=steps(10, 100, 10)),
    order="spread",
    fixed=dict(likelihood="none"),
)
