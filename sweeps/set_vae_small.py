"""The table of `set_vae_table` at a budget of about an hour and a half of two processor cores.

Narrow, 5 epochs, 2 seeds. All models see the same images and make the same number of steps.
`benchmarks/RESULTS.md` shows the outcome beside the published table.
"""

from oneshot.sweep import Sweep, points

sweep = Sweep(
    question="Do a context, maps, a hierarchy and learned pooling already pay for small models?",
    model="set_vae",
    points=points(
        [
            dict(variant="small_vae", pooling="mean"),
            dict(variant="small_ns", pooling="mean"),
            dict(variant="small_cns", pooling="mean"),
            dict(variant="small_ctns", pooling="attention"),
            dict(variant="small_chfsgm_multiscale", pooling="mean"),
            dict(variant="small_chfsgm_multiscale", pooling="attention"),
        ]
    ),
    fixed=dict(
        split="random",
        image_size=28,
        drawings_per_class=0,
        binarisation="stochastic",
        likelihood="nll",
        test_sets=400,
        nll_sets=16,
        nll_size=5,
        transfer="mnist",
    ),
    seeds=2,
    references=(),
)
