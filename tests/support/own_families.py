"""Families in files of the user's, as `python -m oneshot new family` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import small

from oneshot.sweep import families, new_family

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does it work?",
    model="./{name}.py",
    variant="tiny",
    points=grid(beta=[0.0, 1.0, 2.0]),
    fixed=dict(
        dataset="folder", data_path="images.npz", split="fixed", image_size=16,
        epochs={epochs}, batch_size=512, drawings_per_class=4,
    ),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=15, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=15, train_ways=20, train_queries=2),
    ),
)
"""


def write(folder: Path, name: str = "my_vae", epochs: int = 2) -> Path:
    """Write a family, and a sweep of it with the images and critics of the small sweep.

    Args:
        folder: where.
        name: of the family.
        epochs: of its training.

    Returns:
        The sweep file.
    """
    new_family.write(name, folder)
    small.write_images(folder)
    sweep = folder / "own.py"
    sweep.write_text(SWEEP.format(name=name, epochs=epochs))
    return sweep


def change(folder: Path, old: str, new: str, name: str = "my_vae") -> Path:
    """Edit a family file; the text must be there once at least.

    Args:
        folder: where it is.
        old: what stands there.
        new: what shall stand there.
        name: of the family.

    Returns:
        The file.
    """
    path = folder / f"{name}.py"
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new))
    return path


@pytest.fixture
def forgotten() -> Iterator[None]:
    """After the test, this process knows the families of the package alone."""
    yield
    families._own.clear()
    for cached in families._kept:
        cached.cache_clear()
    families._installed.cache_clear()
    families.family_files.installed.cache_clear()
