"""A critic of the user's: brought to the process that needs it, and tried before a run."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from oneshot.critics.encoder import CriticError, embed_all
from oneshot.store.store import Store
from oneshot.sweep import families, own_critics
from oneshot.sweep.point import CriticSpec, Point
from oneshot.sweep.settings import SettingError
from oneshot.trial.files import MissingInput, file_key
from oneshot.trial.own_family import told

IMAGES = 4  # that a critic is tried with


def family_of(spec: CriticSpec, store: Store) -> Any:
    """The module of a critic, or what stands for one of the user's, which it makes known here.

    Args:
        spec: which critic.
        store: holds the file of one of the user's.

    Returns:
        What has Config, FAMILY, train and quality.

    Raises:
        MissingInput: the store does not have the file, or this machine not the package.
    """
    if not spec.settings.get(own_critics.SETTING):
        return families.module("critics", spec.kind)
    path, content = spec.own_file
    known = own_critics.find(spec.kind)
    if content and (known is None or known.file.content != content):
        try:
            data = store.unseal(file_key(path, content))
        except FileNotFoundError as error:
            raise MissingInput(f"{path} is not in {store.root}: run the sweep again") from error
        known = own_critics.use(own_critics.of_bytes(spec.kind, path, data))
    elif known is None:
        try:
            known = own_critics.use(own_critics.installed(spec.kind))
        except SettingError as error:
            text = f"the critic {spec.kind} is not installed on this machine: install its package"
            raise MissingInput(text) from error
    return importlib.import_module("oneshot.critics.own").OwnCriticFamily(known)


def problems(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Why critics of the user's are of no use, each reason once.

    Args:
        points: of a sweep; each critic is made for every size of their images.

    Returns:
        Messages, and where the sweep file gives the points.
    """
    found: dict[str, str] = {}
    cases = {
        (spec.kind, p.settings["image_size"]): p
        for p in points
        for spec in p.critics.values()
        if spec.settings.get(own_critics.SETTING)
    }
    for (name, size), point in cases.items():
        own = own_critics.find(name)
        assert own is not None  # the sweep has named it
        try:
            _try(importlib.import_module("oneshot.critics.own").OwnCriticFamily(own), size)
        except CriticError as error:
            found.setdefault(str(error), point.place)
        except (Exception, SystemExit) as error:
            found.setdefault(str(told(error, own.file.path)), point.place)
    return list(found.items())


def _try(family: Any, size: int) -> None:
    """Make a critic twice, once without weights of its own, and embed a few made images."""
    with torch.device("meta"):  # as it is read from the store
        empty = family.FAMILY(size)
    critic = family.FAMILY(size)
    empty.load_state_dict(critic.state_dict(), assign=True)
    images = np.random.default_rng(0).integers(0, 2, (IMAGES, size, size), np.uint8)
    features = embed_all(empty, images, "cpu")
    if not np.isfinite(features).all() or features.shape[1] < 1:
        raise CriticError(f"{family.own.file.shown}: the features of images are not finite numbers")
