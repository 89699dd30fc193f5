"""How many steps a diffusion model needs to draw: 5 to 100 steps of DDIM against all 500.

One small training, that of `joint_diffusion` at gamma 0. Two drawings a class: the full process
takes ten times as long as 50 steps.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Do 50 steps of the deterministic sampler draw like the full 500?",
    model="diffusion",
    variant="small_cfgdm",
    points=grid(ddim_steps=[5, 10, 20, 50, 100, 0]),
    fixed=dict(split="weak", image_size=28, gamma=0.0, drawings_per_class=2, diversity_drawings=2),
    critics=dict(
        simclr=dict(epochs=3, batch_size=128, learning_rate=5e-4),
        protonet=dict(epochs=8, episodes_per_epoch=75, train_queries=1, halve_every=3),
    ),
)
