"""A family in a file of the user's: brought to the process of a trial, and tried before a run."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from oneshot.contracts import ReferenceFamily, TrainedFamily
from oneshot.store.store import Store
from oneshot.sweep import families, family_files
from oneshot.sweep.parts import short_path
from oneshot.sweep.point import Point
from oneshot.trial.files import MissingInput, file_key


class FamilyError(RuntimeError):
    """A family file cannot be imported, or makes no model; the message names the line."""


def use(point: Point, store: Store) -> None:
    """Make the family of a point known to this process, from its file in the store.

    Args:
        point: of a trial.
        store: holds the file, if the family is one of the user's.

    Raises:
        MissingInput: the store does not have the file, or this machine another version of the
            package that the family is in.
    """
    path, content = point.family_file
    if content:
        try:
            data = store.unseal(file_key(path, content))
        except FileNotFoundError as error:
            raise MissingInput(f"{path} is not in {store.root}: run the sweep again") from error
        families.use(family_files.made(point.model, path, data))
    elif families.is_installed(point.model):
        here = families.declaration("models", point.model).version
        if here != point.family_version:
            raise MissingInput(
                f"{point.model} is version {here} on this machine, and {point.family_version}"
                " where the run began: install the same package on all machines"
            )


def problems(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Why the families in files of the user's make no model, each reason once.

    Args:
        points: of a sweep; of each family one is made, on no device.

    Returns:
        Messages, and where the sweep file gives the points.
    """
    found: dict[str, str] = {}
    for point in {p.model: p for p in points if p.family_file[1]}.values():
        try:
            family = imported(point.model)
            make(family, point.config(), point.settings["image_size"], torch.device("meta"))
        except FamilyError as error:
            found.setdefault(str(error), point.place)
    return list(found.items())


def imported(model: str) -> ModuleType:
    """The module of a family, which has a FAMILY.

    Args:
        model: name of the family.

    Returns:
        The module.

    Raises:
        FamilyError: it cannot be imported, or its FAMILY is none.
    """
    path = str(families.declaration("models", model).path)
    try:
        module = families.module("models", model)
    except (Exception, SystemExit) as error:
        raise told(error, path) from error
    family = getattr(module, "FAMILY", None)
    if not isinstance(family, type) or not issubclass(family, (TrainedFamily, ReferenceFamily)):
        raise FamilyError(
            f"{short_path(Path(path))}: the file must end with FAMILY = ..., the name of its class,"
            " which derives from TrainedFamily or another class of oneshot.contracts"
        )
    if lacking := sorted(getattr(family, "__abstractmethods__", ())):
        raise FamilyError(
            f"{short_path(Path(path))}: {family.__name__} lacks {', '.join(lacking)}; what these"
            " must do stands in oneshot/contracts/family.py"
        )
    return module


def make(
    module: ModuleType, settings: dict[str, Any], image_size: int, device: torch.device
) -> Any:
    """A family object, untrained.

    Args:
        module: of the family.
        settings: of its Config.
        image_size: pixels a side.
        device: where its weights are made.

    Returns:
        An instance of FAMILY.

    Raises:
        FamilyError: its constructor raises.
    """
    try:
        config = module.Config(**settings)
        if not module.FAMILY.trained:
            return module.FAMILY(config)
        with device:
            return module.FAMILY(config, image_size)
    except Exception as error:
        raise told(error, str(module.__file__)) from error


def told(error: BaseException, path: str) -> FamilyError:
    """What went wrong in a family file, with its line.

    Args:
        error: that was raised in it.
        path: of the file.

    Returns:
        An error for people.
    """
    line = family_files.line_of(error, path)
    place = short_path(Path(path)) + (f", line {line}" if line else "")
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return FamilyError(f"{place}: {what}")
