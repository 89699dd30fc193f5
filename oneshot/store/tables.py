"""The tables of a sweep: every column with its type and what it holds. No torch, no Ray, no Arrow.

RESULTS/<sweep>/<table>.parquet is one of TABLES. The table of points has a column for each setting
besides, whose help texts stand with the families.
"""

from __future__ import annotations

from oneshot.store import left_out_tables as left_out
from oneshot.store.columns import POINT_ID, Column, Table
from oneshot.store.critics_table import CRITICS
from oneshot.store.curves_table import CURVES
from oneshot.store.few_shot_columns import FEW_SHOT as _FEW_SHOT

_IDENTITY = (
    POINT_ID,
    Column("status", "str", "how the point ended: done, diverged or failed"),
    Column("model", "str", "family: the name of its file in oneshot/models"),
    Column("seed", "int", "seed of all random numbers of the point"),
)
_METRICS = (
    Column(
        "diversity",
        "float",
        "standard deviation of the SimCLR features of the drawings of a class, mean of the classes",
    ),
    Column("diversity_se", "float", "standard error of diversity, as drawings are finitely many"),
    Column(
        "recognizability",
        "float",
        "drawings that ProtoNet recognises, 20-way one-shot, mean of the classes, in per cent",
    ),
    Column("recognizability_se", "float", "standard error of recognizability, in per cent"),
    Column(
        "originality",
        "float",
        "distance of a drawing to its exemplar in SimCLR features, in units of people's spread",
    ),
    Column("originality_se", "float", "standard error of originality, in the same units"),
    Column("human_diversity", "float", "diversity of people's drawings on the same data"),
    Column("human_recognizability", "float", "recognizability of people's drawings, in per cent"),
    Column("human_originality", "float", "originality of people's drawings, in the same units"),
    Column(
        "human_distance",
        "float",
        "distance to people on the plane, in units of 0.603 times their diversity, 13.5 per cent",
    ),
    Column("diversity_ratio", "float", "diversity over that of people's drawings"),
    Column(
        "generalization_area",
        "float",
        "area between the generalization curves of model and people, in per cent x originality",
    ),
    Column(
        "generalization_coverage",
        "float",
        "share of people's range of originality that the model's curve covers, 0 to 1",
    ),
)
_PANEL = (
    Column(
        "fid",
        "float",
        "Frechet distance to people's drawings in SimCLR features; few shots: to test images",
    ),
    Column("kid", "float", "kernel distance to people's drawings, unbiased, may be below 0"),
    Column(
        "sample_precision",
        "float",
        "share of drawings that lie among people's, 5 neighbours, 0 to 1",
    ),
    Column(
        "sample_recall", "float", "share of people's drawings that lie among the model's, 0 to 1"
    ),
    Column(
        "density", "float", "how densely people's drawings lie round a drawing; people's own: 1"
    ),
    Column("coverage", "float", "share of people's drawings with one of the model's near, 0 to 1"),
    Column("vendi", "float", "Vendi score: effective number of different drawings, over all"),
    Column("vendi_classes", "float", "Vendi score of the drawings of a class, mean of the classes"),
    Column(
        "nearest_train",
        "float",
        "distance of a drawing to the nearest training drawing, over the same of people's",
    ),
)
_DINO = (
    Column("dino_fid", "float", "Frechet distance to people's drawings in DINOv2 features"),
    Column("dino_kid", "float", "kernel distance in DINOv2 features, unbiased, may be below 0"),
    Column(
        "dino_precision", "float", "share of drawings that lie among people's, in DINOv2 features"
    ),
    Column(
        "dino_recall", "float", "share of people's drawings among the model's, in DINOv2 features"
    ),
    Column(
        "dino_density", "float", "density of people's drawings round a drawing, in DINOv2 features"
    ),
    Column(
        "dino_coverage",
        "float",
        "share of people's drawings with one of the model's near, in DINOv2 features",
    ),
)
_LIKELIHOODS = (
    Column("nelbo", "float", "negative bound of the log-likelihood of test sets, nats an image"),
    Column("nll", "float", "importance-sampled negative log-likelihood, nats an image"),
    Column("reconstruction", "float", "reconstruction term of nelbo, nats an image"),
    Column("kl_c", "float", "divergence of all levels of the context in nelbo, nats an image"),
    Column("kl_z", "float", "divergence of all levels of image latents in nelbo, nats an image"),
    Column("mnist_nelbo", "float", "nelbo of sets of MNIST digits, nats an image"),
    Column("classified_kl", "float", "MNIST digits classified right by their contexts, per cent"),
    Column("classified_elbo", "float", "MNIST digits classified right by their bounds, per cent"),
    Column(
        "classified_reconstruction",
        "float",
        "MNIST digits classified right by the reconstructions of the supports, per cent",
    ),
)
_CLASS_LIKELIHOODS = (
    Column(
        "removed_nelbo",
        "float",
        "negative bound of held-out images of the classes left out of training, nats an image",
    ),
    Column("kept_nelbo", "float", "the same of the classes that were trained on, nats an image"),
)
_IMPORTANCE = (
    Column(
        "importance_sparsity",
        "float",
        "fraction of the pixels that holds half of an importance map, mean of the classes",
    ),
)
_COUNTS = (
    Column("drawings", "int", "number of drawings of all test classes"),
    Column("constant_drawings", "int", "number of drawings of one flat colour"),
    Column("parameters", "int", "number of trained parameters of the model"),
    Column("epochs_done", "int", "epochs of training that were done"),
)
_COST = (
    Column("train_seconds", "float", "seconds of training; of a stack, the share of this point"),
    Column("tune_seconds", "float", "seconds of tuning; of a stack, the share of this point"),
    Column("draw_seconds", "float", "seconds of drawing"),
    Column("score_seconds", "float", "seconds of scoring"),
    Column("peak_memory_mb", "float", "peak memory of the GPU, or of the process on a CPU, in MiB"),
)
_PROVENANCE = (
    Column("sweep", "str", "name of the sweep that computed the row"),
    Column("train_id", "str", "id of the training: points that share it share their weights"),
    Column("tune_id", "str", "id of the tuning, which nests under train_id; empty without one"),
    Column("sample_id", "str", "id of the drawings: points that share it share their drawings"),
    Column("simclr_id", "str", "id of the SimCLR critic"),
    Column("protonet_id", "str", "id of the ProtoNet critic"),
    Column("classifier_id", "str", "id of the classifier, of greys or of base classes; else empty"),
    Column("data_fingerprint", "str", "checksum of the images of the data set"),
    Column("family_version", "int", "version of the family's code"),
    Column("metric_versions", "str", "versions of the code of the metrics"),
    Column("git_revision", "str", "revision of the code, where it is a git checkout"),
    Column("python", "str", "version of Python"),
    Column("torch", "str", "version of PyTorch"),
    Column("host", "str", "name of the machine"),
    Column("device", "str", "name of the GPU or processor"),
    Column("trained_as", "str", "how it was trained, as in: stack of 8, graph"),
    Column("tuned_as", "str", "how it was tuned, in the same words"),
    Column("finished_at", "time", "when the point ended, UTC"),
    Column("error_type", "str", "class of the exception that ended the point"),
    Column("error", "str", "message of that exception, at most 2,000 characters"),
    Column("log", "str", "path of the file with its traceback"),
)
_CLASS_NAME = Column("class_name", "str", "name of the test class")

TABLES = {
    table.name: table
    for table in (
        Table(
            "points",
            "one row a point: identity, settings, metrics, cost and provenance",
            (
                *_IDENTITY,
                *_METRICS,
                *_PANEL,
                *_DINO,
                *_LIKELIHOODS,
                *_CLASS_LIKELIHOODS,
                *_IMPORTANCE,
                *left_out.MISSING,
                *left_out.REMOVED,
                *left_out.MODES,
                *_FEW_SHOT,
                *_COUNTS,
                *_COST,
                *_PROVENANCE,
            ),
        ),
        Table(
            "classes",
            "one row a point and test class",
            (
                POINT_ID,
                _CLASS_NAME,
                Column("drawings", "int", "number of drawings of the class"),
                Column("diversity", "float", "diversity of the drawings of the class"),
                Column("recognizability", "float", "recognizability of the class, in per cent"),
                Column("originality", "float", "originality of the class, in people's spread"),
            ),
        ),
        CURVES,
        Table(
            "generalization",
            "one row a point and bin of originality; bins hold equally many drawings of a class",
            (
                POINT_ID,
                Column("bin", "int", "bin, from 1 (least original) to 10"),
                Column("originality", "float", "mean originality of the bin, in people's spread"),
                Column("recognizability", "float", "mean recognizability of the bin, in per cent"),
            ),
        ),
        Table(
            "importance",
            "one row a point and test class, of families with importance maps",
            (
                POINT_ID,
                _CLASS_NAME,
                Column("sparsity", "float", "fraction of the pixels that holds half of the map"),
            ),
        ),
        Table(
            "likelihood",
            "one row a point, data set and size of the test sets, of families of sets",
            (
                POINT_ID,
                Column("dataset", "str", "data set of the sets; mnist2: images of two digits"),
                Column("set_size", "int", "images in a set"),
                Column("sets", "int", "number of test sets"),
                Column("nelbo", "float", "negative bound, mean of the sets, nats an image"),
                Column("nelbo_se", "float", "its standard error over sets"),
                Column("reconstruction", "float", "reconstruction term, nats an image"),
                Column("kl_c", "float", "divergence of all levels of the context, nats an image"),
                Column("kl_z", "float", "divergence of all levels of image latents, nats an image"),
                Column("nll", "float", "importance-sampled negative log-likelihood, nats an image"),
                Column("nll_se", "float", "its standard error over sets"),
            ),
        ),
        Table(
            "class_nelbo",
            "one row a point and class, of VAEs that bound held-out images class by class",
            (
                POINT_ID,
                Column("class_name", "str", "name of the class"),
                Column("removed", "int", "1: the class was left out of training; 0: it was not"),
                Column("images", "int", "number of held-out images"),
                Column("nelbo", "float", "negative bound, one sample, mean of them, nats an image"),
                Column("nelbo_se", "float", "its standard error over images"),
                Column("reconstruction", "float", "cross entropy of the pixels, nats an image"),
                Column("kl", "float", "divergence of the latents, nats an image"),
            ),
        ),
        Table(
            "layers",
            "one row a point and level of latents, at the set size of training",
            (
                POINT_ID,
                Column("latent", "str", "c: of the context of a set; z: of an image"),
                Column("level", "int", "level, from 1 (the top)"),
                Column("kl", "float", "divergence of the level, nats an image"),
            ),
        ),
        Table(
            "attention",
            "one row a point, test set, level, head and member of the set, of learned pooling",
            (
                POINT_ID,
                Column("set", "int", "number of the test set, from 0"),
                _CLASS_NAME,
                Column("level", "str", "level of the context, as c1 (the top)"),
                Column("head", "int", "attention head, from 0"),
                Column("member", "int", "place of the image in the set, from 0"),
                Column("weight", "float", "weight of the image; those of a set and head sum to 1"),
            ),
        ),
        Table(
            "confusion",
            "one row a point, scorer, digit and predicted digit, of MNIST digits classified",
            (
                POINT_ID,
                Column("scorer", "str", "how supports are compared: kl, elbo or reconstruction"),
                Column("digit", "int", "the digit that is shown"),
                Column("predicted", "int", "the digit that is predicted"),
                Column("count", "int", "number of images"),
            ),
        ),
        left_out.PREDICTED,
        left_out.MODES_TABLE,
        CRITICS,
    )
}


def _names(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


METRICS = _names(_METRICS)
PANEL = _names(_PANEL)  # of points whose drawings are scored
DINO = _names(_DINO)  # the same in the features of DINOv2, of points with `dino_weights`
LIKELIHOODS = _names(_LIKELIHOODS)  # of families of sets
CLASS_LIKELIHOODS = _names(_CLASS_LIKELIHOODS)  # of families with `class_likelihood`
REMOVED = _names((*left_out.MISSING, *left_out.REMOVED))  # of greys
IMPORTANCE = _names(_IMPORTANCE)  # of families with importance maps
# of which more is better, where rows are ordered by them
LARGEST_FIRST = ("hits_missing", "classified_gain")
MODES = _names((*left_out.MISSING, *left_out.MODES))  # of points of the plane
FEW_SHOT = _names(_FEW_SHOT)  # of families that are taught a few examples
COUNTS, COST, PROVENANCE = _names(_COUNTS), _names(_COST), _names(_PROVENANCE)
DETAILS = tuple(name for name in TABLES if name not in ("points", "critics"))  # rows of records
WHOLE = {c.name for name in DETAILS for c in TABLES[name].columns if c.type == "int"}


def column_names() -> set[str]:
    """Every column of the points table that is not a setting; no setting may have its name."""
    return set(_names(TABLES["points"].columns))


def column_type(table: str, name: str) -> str:
    """The type of a column of a detail table; float for one that this version does not know.

    Args:
        table: name of the table.
        name: name of the column.

    Returns:
        One of int, float, str.
    """
    return next((c.type for c in TABLES[table].columns if c.name == name), "float")
