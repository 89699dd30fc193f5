"""Which modes the drawings of a point fall into, of data that are points of the plane."""

from __future__ import annotations

import functools

import numpy as np

from oneshot import data as datasets
from oneshot.data.points import Modes, modes_of
from oneshot.metrics import modes as metrics
from oneshot.scoring.work import Columns, Tables, Work
from oneshot.training.shots import supports
from oneshot.types import DataSet, Drawings, Part

VERSION = 1
NEEDS = ("points",)

NEAR, FAR = 3.0, 4.0  # sigma within which a drawing hits a mode
SIZE = 50  # of images, which points have none of


def grade(work: Work) -> tuple[Columns, Tables]:
    """Hits of the removed mode, and how well the kept ones are drawn.

    Where a family is asked by a class, its drawings of the removed class tell of that class, and
    those of the other classes tell of the kept modes. Where it is asked by nothing, all tell of
    all.

    Args:
        work: a point on data of points; `shots` and `shot_seed` of its settings, where it has
            them, say which points of the removed class were trained on besides.

    Returns:
        Columns of the row, and the table `modes`.
    """
    data, points = work.data, np.asarray(work.drawings.images, np.float64)
    modes, asked = modes_of(data.name), asked_for(work.drawings, data)
    of_kept = points[np.isin(asked, [-1, *data.train])]
    where = metrics.places(of_kept, modes.centres, modes.owner)
    near = NEAR * modes.sigma
    hit = metrics.hits(where, near, len(modes.names))
    columns: Columns = {
        "mode_distance": metrics.mode_distance(hit, _shares_of_data(data)),
        "modes_covered": metrics.covered(hit[data.train]),
        "off_modes": metrics.off_share(where, near),
        "nearest_ratio": metrics.nearest_distance(of_kept, _trained_on(work))
        / _of_held_out(data.name, data.split),
    }
    if modes.radius is not None:
        columns["radius_error"] = metrics.radius_error(of_kept, modes.radius)
    table = mode_table(points, asked, modes, data)
    if len(data.test):
        columns["hits_missing"] = sum(table["hits"][c] for c in data.test.tolist())
    return columns, {"modes": table}


def asked_for(drawings: Drawings, data: DataSet) -> np.ndarray:
    """The class that each drawing was asked for.

    Args:
        drawings: of one class without a name, where nothing was asked for.
        data: with the names of the classes.

    Returns:
        int64 [N]; -1 where nothing was asked for.
    """
    of_name = {name: i for i, name in enumerate(data.class_names)}
    classes = np.array([of_name.get(name, -1) for name in drawings.class_names])
    return classes[drawings.label]


def mode_table(
    points: np.ndarray, asked: np.ndarray, modes: Modes, data: DataSet
) -> dict[str, list[int] | list[float] | list[str]]:
    """The table `modes`, a line a mode.

    Args:
        points: the drawings, float64 [N, 2].
        asked: the class that each was asked for, -1 for none, int64 [N].
        modes: of the data.
        data: its split says which class is removed.

    Returns:
        Columns by name.
    """
    count = len(modes.names)
    where = metrics.places(points, modes.centres, modes.owner)
    drawn: list[int] = []
    hits_near, hits_far, share = np.zeros(count), np.zeros(count), np.zeros(count)
    for mode in range(count):
        mine = np.isin(asked, [-1, mode])
        drawn.append(int(mine.sum()))
        own = metrics.Places(where.mode[mine], where.distance[mine])
        hits_near[mode] = metrics.hits(own, NEAR * modes.sigma, count)[mode]
        hits_far[mode] = metrics.hits(own, FAR * modes.sigma, count)[mode]
        share[mode] = metrics.shares(own, count)[mode]
    least = metrics.least_distances(points, modes.centres, modes.owner)
    return {
        "mode": list(modes.names),
        "removed": np.isin(np.arange(count), data.test).astype(int).tolist(),
        "x": modes.middles[:, 0].tolist(),
        "y": modes.middles[:, 1].tolist(),
        "sigma": [float(modes.sigma)] * count,
        "drawings": drawn,
        "hits": hits_near.tolist(),
        "hits_4": hits_far.tolist(),
        "share": share.tolist(),
        "least_distance": least.tolist(),
    }


def _shares_of_data(data: DataSet) -> np.ndarray:
    """The share of each class in what is trained on, 0 of one left out, float64 [classes]."""
    label = data.label[data.rows_of_part(data.train, Part.TRAIN)]
    return np.bincount(label, minlength=len(data.class_names)) / len(label)


def _trained_on(work: Work) -> np.ndarray:
    """The points that the family was trained on, shots of the removed class among them."""
    data, settings = work.data, work.point.settings
    rows = data.rows_of_part(data.train, Part.TRAIN)
    if shots := settings.get("shots", 0):
        few = supports(data, data.test, shots, settings.get("shot_seed", 0))
        rows = np.concatenate([rows, few.reshape(-1)])
    return np.asarray(data.images[rows], np.float64)


@functools.cache
def _of_held_out(name: str, split: str) -> float:
    """The mean distance of real points of the kept classes to the nearest training point."""
    data = datasets.load(name, split, SIZE)
    train, held_out = (data.rows_of_part(data.train, part) for part in (Part.TRAIN, Part.TEST))
    return metrics.nearest_distance(data.images[held_out], data.images[train])
