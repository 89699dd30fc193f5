"""Data sets in files of the user's: crosses at places that the class decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oneshot import data as datasets
from oneshot.sweep import families, own_data

CROSSES = '''
"""crosses: two bars that cross at a place of the class."""

import numpy as np

VERSION = 1
CLASSES = 100
IMAGES_PER_CLASS = 20


def load(image_size):
    random = np.random.default_rng(0)
    images, label = [], []
    for number, (row, column) in enumerate(random.integers(2, image_size - 2, (CLASSES, 2))):
        for _ in range(IMAGES_PER_CLASS):
            image = np.zeros((image_size, image_size), np.uint8)
            down, right = random.integers(-1, 2, 2)
            image[row + down, 1:-1] = image[1:-1, column + right] = 1
            images.append(image)
            label.append(number)
    return np.stack(images), np.array(label), [f"cross {c:02}" for c in range(CLASSES)]
'''

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does it work?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[0.0, 1.0]),
    fixed=dict(
        dataset={dataset!r}, split="fixed", image_size=16,
        epochs=1, batch_size=512, drawings_per_class=4,
    ),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=3, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=3, train_ways=20, train_queries=2),
    ),
)
"""


def write(folder: Path, name: str = "crosses", old: str = "", new: str = "") -> Path:
    """Write a data set.

    Args:
        folder: where.
        name: of its file.
        old: what of the text is replaced; it must be there.
        new: what takes its place.

    Returns:
        The file.
    """
    assert old in CROSSES
    path = folder / f"{name}.py"
    path.write_text(CROSSES.replace(old, new) if old else CROSSES)
    return path


def sweep_file(folder: Path, dataset: str = "./crosses.py") -> Path:
    """A sweep of a data set in two points.

    Args:
        folder: where.
        dataset: as the sweep file says it.

    Returns:
        The sweep file.
    """
    path = folder / "crossed.py"
    path.write_text(SWEEP.format(dataset=dataset))
    return path


def forget() -> None:
    """Know no data set of the user's, and look for installed ones anew."""
    own_data._known.clear()
    own_data._installed.cache_clear()
    families.family_files.installed.cache_clear()
    datasets.importlib.import_module("oneshot.data.own")._loaded.cache_clear()


@pytest.fixture
def forgotten_data() -> Iterator[None]:
    """After the test, this process knows no data set of the user's."""
    yield
    forget()
