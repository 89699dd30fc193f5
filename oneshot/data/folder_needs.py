"""What models and critics need of images of the user's, told before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oneshot.data.folder_files import some
from oneshot.data.folder_source import PARTS, Source
from oneshot.paths import DataError
from oneshot.sweep.point import Point


def unmet(point: Point) -> DataError | None:
    """Say what a point needs of its images that they do not have.

    Args:
        point: its settings name the images.

    Returns:
        One error with all of it; None where nothing lacks.

    Raises:
        DataError: the images are absent or malformed.
    """
    source = Source.of(point.settings)
    parts = dict(zip(PARTS, source.split()))
    problems = _of_parts(parts, scored=point.scored)
    if point.scored:
        problems += _of_critics(point, source, parts)
    if not problems:
        return None
    return DataError(f"{source.path}: {'; '.join(problems)}{_help(source)}")


def _of_parts(parts: Mapping[str, np.ndarray], scored: bool) -> list[str]:
    fewest = 2 if scored else 1
    return [
        f"{len(classes)} classes for {part}, at least {fewest} are needed"
        for part, classes in parts.items()
        if len(classes) < fewest and not (scored and part == "test")
    ]


def _of_critics(point: Point, source: Source, parts: Mapping[str, np.ndarray]) -> list[str]:
    """What the critics of a point need: enough test classes, and images in each class."""
    problems = []
    ways = point.settings["ways"]
    if len(parts["test"]) < ways:
        problems.append(
            f"{len(parts['test'])} test classes, recognizability needs {ways}: take more for tests,"
            f" ask for fewer (ways = {max(len(parts['test']), 2)}), or draw none"
            " (drawings_per_class = 0 scores likelihoods alone)"
        )
    protonet = point.critics["protonet"].settings
    queries = 0 if protonet.get("weights") else protonet.get("train_queries", 0)
    needs = {"train": max(queries + 1, 2), "validation": 2, "test": 2}
    for part, fewest in needs.items():
        few = [source.names[c] for c in parts[part] if source.sizes[c] < fewest]
        if few:
            why = f" (ProtoNet learns from train_queries = {queries} and a support)"
            problems.append(
                f"{len(few)} {part} classes have fewer than {fewest} images"
                f"{why if part == 'train' and queries else ''}: {some(few)}"
            )
    return problems


def _help(source: Source) -> str:
    where = source.split_file or f"test_share = {source.test_share:g}"
    fewer = "critics=dict(protonet=dict(train_queries=...)) asks for fewer images of a class"
    return f"\n  help: {where} and split_file say which classes are for what; {fewer}"
