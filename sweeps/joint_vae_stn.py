"""All families on one plane, at the budget of two processor cores: small VAE-STNs.

Five betas on Omniglot at 28 x 28. With `joint_ns`, `joint_dagan` and `joint_diffusion`, whose
images, critics and drawings a class are the same; `analyze.py` takes all four.
`benchmarks/RESULTS.md` shows the outcome.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where on the plane do small VAE-STNs lie?",
    model="vae_stn",
    variant="small",
    points=grid(beta=[0.25, 0.5, 1.0, 2.0, 4.0]),
    fixed=dict(
        split="weak", image_size=28, drawings_per_class=10, diversity_drawings=10, time_steps=10
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, learning_rate=5e-4),
        protonet=dict(epochs=8, episodes_per_epoch=75, train_queries=1, halve_every=3),
    ),
)
