"""The main table of Giannone and Winther (2022), SCHA-VAE: six models on Omniglot 28 x 28.

Needs MNIST (docs/own_data.md). At a budget for two processor cores: `set_vae_small`.
"""

from oneshot.sweep import Sweep, points

sweep = Sweep(
    question="What do a context, maps, a hierarchy and learned pooling buy in nats?",
    model="set_vae",
    points=points(
        [
            dict(variant="vae", pooling="mean"),
            dict(variant="ns", pooling="mean"),
            dict(variant="cns", pooling="mean"),
            dict(variant="ctns", pooling="attention"),
            dict(variant="chfsgm_multiscale", pooling="mean"),
            dict(variant="chfsgm_multiscale", pooling="attention"),
        ]
    ),
    fixed=dict(
        split="random",
        image_size=28,
        drawings_per_class=0,
        binarisation="stochastic",
        likelihood="nll",
        transfer="mnist",
    ),
    seeds=3,
    references=(),
)
