"""Metrics in files of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import small

from oneshot.sweep import families, own_metrics

INK = '''
"""ink: how much of a drawing is ink."""

import numpy as np

VERSION = 1
COLUMNS = {"ink_share": "share of the pixels that is ink, 0 to 1", "ink_sd": "its deviation"}
KINDS = ("bits",)


def score(drawings):
    share = drawings.images.reshape(len(drawings.images), -1).mean(1)
    return {"ink_share": share.mean(), "ink_sd": np.float32(share.std())}
'''


def write(folder: Path, name: str = "ink", text: str = INK, old: str = "", new: str = "") -> Path:
    """Write a metric.

    Args:
        folder: where.
        name: of its file.
        text: of it.
        old: what of the text is replaced; it must be there.
        new: what takes its place.

    Returns:
        The file.
    """
    assert old in text
    path = folder / f"{name}.py"
    path.write_text(text.replace(old, new) if old else text)
    return path


def sweep_file(folder: Path, metrics: str = '["./ink.py"]') -> Path:
    """The small sweep, with metrics.

    Args:
        folder: where.
        metrics: as the sweep file says them.

    Returns:
        The sweep file.
    """
    path = small.write_sweep(folder)
    text = path.read_text().replace("    critics=", f"    metrics={metrics},\n    critics=", 1)
    path.write_text(text)
    return path


def forget() -> None:
    """Know no metric of the user's, and look for installed ones anew."""
    own_metrics._known.clear()
    own_metrics._all_installed.cache_clear()
    families.family_files.installed.cache_clear()


@pytest.fixture
def forgotten_metrics() -> Iterator[None]:
    """After the test, this process knows no metric of the user's."""
    yield
    forget()
