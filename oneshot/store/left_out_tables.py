"""Columns and tables of classes and modes that were left out of training."""

from __future__ import annotations

from oneshot.store.columns import POINT_ID, Column, Table

# of greys and of points
MISSING = (
    Column(
        "hits_missing",
        "float",
        "share of drawings (if asked by a class, of those asked for it) in what was left out",
    ),
)
# of greys
REMOVED = (
    Column("hits_missing_90", "float", "the same of greys at a confidence of 0.9 in place of 0.5"),
    Column(
        "false_hits",
        "float",
        "hits_missing of real test images of the kept classes: the classifier's mistakes",
    ),
    Column("false_hits_90", "float", "the same at a confidence of 0.9"),
    Column("class_entropy", "float", "entropy of the classifier on a drawing, mean, in nats"),
    Column("classes_covered", "int", "kept classes that 1 per cent of the drawings or more are of"),
    Column(
        "asked_accuracy",
        "float",
        "share of the drawings asked for by a kept class that are classified as it, 0 to 1",
    ),
    Column(
        "removed_diversity",
        "float",
        "mean distance of two drawings that are hits, over that of two real images of the class",
    ),
    Column(
        "removed_to_shots",
        "float",
        "distance of a hit to the nearest shot, over that of real images; copies: below 1",
    ),
)
# of points of the plane
MODES = (
    Column(
        "mode_distance",
        "float",
        "total variation of the shares of the modes from those of the data, 0 to 1",
    ),
    Column(
        "modes_covered", "int", "kept modes within 3 sigma of which lies a hundredth of drawings"
    ),
    Column("off_modes", "float", "share of the drawings farther than 3 sigma from every mode"),
    Column("radius_error", "float", "mean distance of drawings to the circle of the modes"),
    Column(
        "nearest_ratio",
        "float",
        "distance of a drawing to the nearest training point, over that of held-out real points",
    ),
)

PREDICTED = Table(
    "predicted",
    "one row a point and class of a data set of greys, by the classifier of all classes",
    (
        POINT_ID,
        Column("class_name", "str", "name of the class"),
        Column("left_out", "int", "1 if the class was left out of training, else 0"),
        Column("share", "float", "share of the drawings taken for it, confidence 0.5"),
        Column("share_90", "float", "the same at a confidence of 0.9"),
        Column(
            "real_share",
            "float",
            "share of real test images of kept classes that are taken for it, 0.5",
        ),
        Column("real_share_90", "float", "the same at a confidence of 0.9"),
        Column("real_images", "int", "how many real test images of kept classes there are"),
    ),
)
MODES_TABLE = Table(
    "modes",
    "one row a point and mode, of data that are points of the plane",
    (
        POINT_ID,
        Column("mode", "str", "name of the mode, that is of its class"),
        Column("removed", "int", "1 of the mode that is left out of training, else 0"),
        Column("x", "float", "middle of the mode, across"),
        Column("y", "float", "middle of the mode, upwards"),
        Column("sigma", "float", "standard deviation of its points, along either axis"),
        Column("drawings", "int", "number of drawings asked for it, or for no class"),
        Column("hits", "float", "share of these within 3 sigma of it"),
        Column("hits_4", "float", "share of these within 4 sigma of it"),
        Column("share", "float", "share of these that are nearest to it, however far"),
        Column("least_distance", "float", "how near any drawing comes to its centre"),
    ),
)
