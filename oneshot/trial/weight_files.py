"""Files of weights that points start from, that drawings are compared by, and of imported critics:
read before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from oneshot.critics.encoder import CriticError
from oneshot.critics.importing import import_weights
from oneshot.nn.state_file import StateFileError
from oneshot.scoring import dino
from oneshot.scoring.dino import MissingPackage
from oneshot.sweep import families
from oneshot.sweep.point import Point


def problems(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Why files of these points cannot be used, each reason once.

    Args:
        points: of a sweep.

    Returns:
        Messages, and where the sweep file gives what they are about.
    """
    found: dict[str, str] = {}
    readings = {**_of_models(points), **_of_critics(points), **_of_graders(points)}
    for read, place in readings.values():
        try:
            read()
        except (StateFileError, CriticError, NotImplementedError, MissingPackage) as error:
            found.setdefault(str(error), place)
    return list(found.items())


Readings = dict[tuple[object, ...], tuple[Callable[[], object], str]]


def _of_models(points: Sequence[Point]) -> Readings:
    """What reads the file of each different network, and where it is given."""
    readings: Readings = {}
    for point in points:
        if path := point.settings.get("weights_file"):
            fields = families.declaration("models", point.model).fields.items()
            network = [point.settings[n] for n, f in fields if f.metadata["stage"] == "model"]
            key = (point.model, point.settings["image_size"], *network)
            readings.setdefault(key, (partial(_read, point, path), point.place))
    return readings


def _read(point: Point, path: str) -> None:
    """Hold a file against the network of a point, which takes no memory for it."""
    module = families.module("models", point.model)
    with torch.device("meta"):
        family = module.FAMILY(module.Config(**point.config()), point.settings["image_size"])
    family.published_state(path)


def _of_critics(points: Sequence[Point]) -> Readings:
    """What reads the file of each different critic, and where it is given."""
    readings: Readings = {}
    for point in points:
        for spec in point.critics.values():
            if path := spec.settings.get("weights"):
                kind, size = spec.kind, point.settings["image_size"]
                key = (kind, size, path)
                readings.setdefault(key, (partial(import_weights, path, kind, size), point.place))
    return readings


def _of_graders(points: Sequence[Point]) -> Readings:
    """What reads the file of each different DINOv2, and where it is given."""
    readings: Readings = {}
    for point in sorted(points, key=lambda p: not p.place):  # references have no place of their own
        if "dino" in point.graders:
            path = point.settings["dino_weights"]
            readings.setdefault(("dino", path), (partial(dino.read, path), point.place))
    return readings
