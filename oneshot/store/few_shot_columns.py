"""Columns of points whose model was taught a few examples of novel classes."""

from __future__ import annotations

from oneshot.store.columns import Column

FEW_SHOT = (
    Column(
        "fid_base", "float", "Frechet distance of drawings of base classes to real images of these"
    ),
    Column(
        "nearest_shot",
        "float",
        "distance of a drawing to the nearest shot of its class, over that of test images; copy: 0",
    ),
    Column(
        "classified_supports",
        "float",
        "test images of novel classes told by a classifier that learned from shots, per cent",
    ),
    Column(
        "classified_augmented",
        "float",
        "the same of one that learned from shots and drawings, per cent",
    ),
    Column("classified_gain", "float", "classified_augmented less classified_supports, in points"),
    Column("generated_images", "int", "drawings that the classifier learned from beside the shots"),
)
