"""The images of a point: of a data set of this machine, or as a run brought them to the store.

Images that settings name lie in a folder of the person who started the run. Its machine prepares
them; all others read the prepared ones.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oneshot import data as datasets
from oneshot.paths import DataError
from oneshot.store.node_cache import node_file
from oneshot.store.store import DamagedFile, Store, sealed
from oneshot.sweep.point import Point, by_settings
from oneshot.trial import own_data
from oneshot.types import DataSet


def images_key(point: Point) -> str:
    """Where the store keeps the prepared images of a point whose settings name them."""
    name = f"{point.settings['dataset']}-{point.settings['image_size']}"
    return f"store/images/{name}-{point.data_fingerprint}.npz"


def store_images(points: Sequence[Point], store: Store) -> None:
    """Bring the images that settings of points name into the store, prepared.

    Args:
        points: of a run.
        store: of its results.

    Raises:
        DataError: the images are absent, damaged, or no longer those that ids were made from.
    """
    of_settings = [p for p in points if by_settings(p.settings["dataset"])]
    for key, point in {images_key(p): p for p in of_settings}.items():
        try:
            store.unseal(key)
            continue
        except FileNotFoundError:
            pass
        except DamagedFile:
            store.set_aside(key)
        dataset = point.settings["dataset"]
        module = importlib.import_module(f"oneshot.data.{dataset}")
        _demand_same(point, module.fingerprint(point.settings))
        store.create(key, sealed(module.prepared_file(point.settings).read_bytes()))


def load_images(point: Point, store: Store) -> DataSet:
    """The images of a point.

    Args:
        point: whose settings say which.
        store: has them if a run brought them there.

    Returns:
        The data set.

    Raises:
        DataError: they are not to be had, or not those by which the point's ids were made.
    """
    own_data.use(point, store)
    dataset, split, size = (point.settings[n] for n in ("dataset", "split", "image_size"))
    if by_settings(dataset):
        if (file := _stored(point, store)) is not None:
            module = importlib.import_module(f"oneshot.data.{dataset}")
            data: DataSet = module.read(file, point.data_fingerprint, point.settings)
            return data
        data = datasets.load(dataset, split, size, point.settings)
    else:
        data = datasets.load(dataset, split, size)
    _demand_same(point, data.fingerprint)
    return data


def load_greys(point: Point, store: Store) -> np.ndarray | None:
    """The images of a point in 255 levels of ink.

    Args:
        point: whose settings say which.
        store: has them if a run brought them there.

    Returns:
        uint8 [N, S, S], index by index as `load_images`; None for a colour data set.

    Raises:
        DataError: they are not to be had.
    """
    dataset, size = point.settings["dataset"], point.settings["image_size"]
    if not by_settings(dataset):
        return datasets.greys(dataset, size)
    if (file := _stored(point, store)) is not None:
        module = importlib.import_module(f"oneshot.data.{dataset}")
        levels: np.ndarray | None = module.read_greys(file, point.data_fingerprint, point.settings)
        return levels
    return datasets.greys(dataset, size, point.settings)


def _stored(point: Point, store: Store) -> Path | None:
    """The prepared images in the store, as a file of this machine.

    None where they are not in the store, and the machine has the folder itself.
    """
    try:
        return node_file(store, images_key(point))
    except (FileNotFoundError, DamagedFile) as error:
        path = point.settings["data_path"]
        if Path(path).exists():
            return None
        raise DataError(
            f"the images of {path} are not in {store.root}, and the folder is not on this machine"
            f" ({error})\n  help: run the sweep again on the machine that has the folder: it brings"
            " the prepared images to the results, where all machines find them"
        ) from error


def _demand_same(point: Point, fingerprint: str) -> None:
    """Raise DataError if these are not the images by which the ids of a point were made."""
    if fingerprint != point.data_fingerprint:
        raise DataError(
            f"{point.settings['dataset']} on this machine ({fingerprint}) is not what the run began"
            f" with ({point.data_fingerprint})\n  help: bring the same files to all machines, and"
            " leave them as they are while a sweep runs"
        )
