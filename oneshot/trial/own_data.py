"""A data set in a file of the user's: brought to the process of a trial, and read before a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oneshot import data as datasets
from oneshot.paths import DataError
from oneshot.store.store import Store
from oneshot.sweep import own_data
from oneshot.sweep.point import Point
from oneshot.trial.files import MissingInput, file_key
from oneshot.trial.own_family import told


def use(point: Point, store: Store) -> None:
    """Make the data set of a point known to this process, from its file in the store.

    Args:
        point: of a trial.
        store: holds the file, if the data set is one of the user's.

    Raises:
        MissingInput: the store does not have the file.
    """
    (path, content), name = point.data_file, point.settings["dataset"]
    known = own_data.find(name) if content else None
    if not content or (known is not None and known.file.content == content):
        return
    try:
        data = store.unseal(file_key(path, content))
    except FileNotFoundError as error:
        raise MissingInput(f"{path} is not in {store.root}: run the sweep again") from error
    own_data.use(own_data.of_bytes(name, path, data))


def problems(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Why images of data sets of the user's are of no use, each reason once.

    Args:
        points: of a sweep; images of every size that they have are made once.

    Returns:
        Messages, and where the sweep file gives the points.
    """
    found: dict[str, str] = {}
    wanted = ("dataset", "split", "image_size", "binarisation")
    cases: dict[tuple[Any, ...], Point] = {
        tuple(p.settings.get(n) for n in wanted): p for p in points
    }
    for (name, split, size, binarisation), point in cases.items():
        own = own_data.find(name)
        if own is None:
            continue
        if binarisation == "stochastic":
            text = (
                f"{own.file.shown}: there are no levels of ink, which binarisation = 'stochastic'"
            )
            found.setdefault(f"{text} needs", point.place)
            continue
        try:
            datasets.load(name, split, size)
        except DataError as error:
            found.setdefault(str(error), point.place)
        except (Exception, SystemExit) as error:
            found.setdefault(str(told(error, own.file.path)), point.place)
    return list(found.items())
