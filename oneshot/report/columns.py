"""What the columns of a sweep's tables hold: metrics, keys, whole numbers, digits shown."""

from __future__ import annotations

from oneshot.store.tables import (
    CLASS_LIKELIHOODS,
    DINO,
    FEW_SHOT,
    IMPORTANCE,
    LIKELIHOODS,
    MODES,
    PANEL,
    REMOVED,
    WHOLE,
)

# of the models' rows, in the order in which a table shows them
METRICS = (
    "human_distance",
    "diversity",
    "recognizability",
    "originality",
    "generalization_area",
    "generalization_coverage",
    "diversity_ratio",
)
# axes that say how often something was tried, not what: means are over them
NUISANCES = ("seed", "critic_seed")
# of some families only, averaged over seeds where a table has them
EXTRA_METRICS = tuple(
    dict.fromkeys(
        (*PANEL, *DINO, *LIKELIHOODS, *CLASS_LIKELIHOODS, *IMPORTANCE, *REMOVED, *MODES, *FEW_SHOT)
    )
)
# whole numbers, also in tables that are made of others
COUNTS = frozenset({*WHOLE, "seeds", "critics", "classes", "n", "trained_size"})

# every row of the points has these
POINT_TEXTS = ("point_id", "status", "model")
POINT_NUMBERS = ("diversity", "recognizability", "human_distance")

# the columns that each table beside that of the points must have: texts, then numbers
DETAIL_COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "classes": ((), ()),
    "curves": ((), ("epoch",)),
    "generalization": ((), ("bin", "originality", "recognizability")),
    "importance": (("class_name",), ("sparsity",)),
    "likelihood": (
        ("dataset",),
        (
            "set_size",
            "sets",
            "nelbo",
            "nelbo_se",
            "reconstruction",
            "kl_c",
            "kl_z",
            "nll",
            "nll_se",
        ),
    ),
    "class_nelbo": (("class_name",), ("removed", "nelbo", "nelbo_se", "reconstruction", "kl")),
    "layers": (("latent",), ("level", "kl")),
    "attention": (("class_name", "level"), ("set", "head", "member", "weight")),
    "confusion": (("scorer",), ("digit", "predicted", "count")),
    "predicted": (
        ("class_name",),
        ("left_out", "share", "share_90", "real_share", "real_share_90", "real_images"),
    ),
    "modes": (
        ("mode",),
        ("removed", "x", "y", "sigma", "hits", "hits_4", "share", "least_distance"),
    ),
}
# a row of those tables in which one of these is empty does not say of what it is
KEYS = frozenset({*WHOLE, "class_name", "dataset", "latent", "scorer", "mode"})

# digits after the point in a printed table
DECIMALS = {
    "diversity": 3,
    "recognizability": 1,
    "originality": 3,
    "distance": 2,
    "generalization_area": 2,
    "generalization_coverage": 2,
    **{name: 1 if name.startswith("classified") else 2 for name in LIKELIHOODS},
    **{name: 2 for name in CLASS_LIKELIHOODS},
    "vendi": 1,
    "vendi_classes": 2,
    **{name: 3 for name in ("diversity_ratio", "fid", "kid", "nearest_train")},
    **dict.fromkeys(DINO, 3),
    **{name: 3 for name in ("sample_precision", "sample_recall", "density", "coverage")},
    **{name: 3 for name in (*IMPORTANCE, "sparsity", "spearman")},
    **{name: 1 if name == "classes_covered" else 3 for name in REMOVED},
    **{name: 4 for name in MODES},
    "modes_covered": 1,
    "nearest_ratio": 2,
    **{name: 1 if name.startswith("classified") else 3 for name in FEW_SHOT},
    "generated_images": 0,
}
