"""Importance maps of people, from a file of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot.metrics.importance import checked_maps
from oneshot.report.errors import AnalysisError
from oneshot.scoring import importance_maps

FORM = (
    "It must be an .npz with `maps` [N, H, W], finite and at least 0, and `class_names` [N], texts."
)


@dataclass(frozen=True, eq=False)
class PeopleMaps:
    """The importance maps of people, one of each of some classes.

    Attributes:
        maps: float64 [N, H, W], each in units of its mean.
        class_names: The class of each.
        file: Where they are from.
    """

    maps: np.ndarray
    class_names: list[str]
    file: str

    def of(self, classes: list[str], shape: tuple[int, ...]) -> np.ndarray:
        """The maps of some classes, as large as a model's.

        Args:
            classes: Names of classes that have a map.
            shape: Height and width.

        Returns:
            float64 [len(classes), *shape].
        """
        places = [self.class_names.index(name) for name in classes]
        return np.stack([resized(self.maps[place], shape) for place in places])


def read_people_maps(file: str | Path) -> PeopleMaps:
    """Read a file with importance maps of people.

    Args:
        file: An .npz, see `FORM`.

    Returns:
        The maps.

    Raises:
        AnalysisError: The file cannot be read or does not hold what `FORM` says.
    """
    try:
        with np.load(file, allow_pickle=False) as kept:
            lacking = [name for name in ("maps", "class_names") if name not in kept]
            if lacking:
                there = ", ".join(kept.files) or "nothing"
                raise AnalysisError(
                    f"{file} holds {there}, and no {' and no '.join(lacking)}", FORM
                )
            maps = kept["maps"]
            names = [str(name) for name in np.atleast_1d(kept["class_names"]).ravel()]
    except AnalysisError:
        raise
    except FileNotFoundError as error:
        raise AnalysisError(f"there is no file {file}", FORM) from error
    except Exception as error:  # a damaged archive raises whatever its bytes lead to
        raise AnalysisError(f"cannot read {file}: {error}".split("\n")[0], FORM) from error
    return PeopleMaps(importance_maps.even(_checked(maps, names, file)), names, str(file))


def _checked(maps: np.ndarray, names: list[str], file: str | Path) -> np.ndarray:
    """The maps as float64, or AnalysisError where they are not a map of each class."""
    try:
        maps = checked_maps(maps)
    except (ValueError, TypeError) as error:
        raise AnalysisError(f"{file}: {error}", FORM) from error
    if len(maps) != len(names):
        raise AnalysisError(f"{file} has {len(maps)} maps and {len(names)} class names", FORM)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnalysisError(
            f"{file} names a class twice: {', '.join(twice[:3])}",
            "Give one map a class, such as the mean over people.",
        )
    return maps


def resized(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A map at another size, by PIL's bilinear filter, which averages where it shrinks.

    Args:
        image: [H, W].
        shape: Height and width.

    Returns:
        float64 [*shape].
    """
    if image.shape == tuple(shape):
        return image
    return np.asarray(
        Image.fromarray(image.astype(np.float32)).resize(
            (shape[1], shape[0]), Image.Resampling.BILINEAR
        ),
        np.float64,
    )
