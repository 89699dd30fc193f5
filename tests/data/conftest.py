"""Fixtures of data sets: a cache of the test's own, made and real Omniglot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_omniglot import SMALL, Made, make

from oneshot.data import (
    download,
)
from oneshot.data.omniglot_files import PACKED


@pytest.fixture(autouse=True)
def alone(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this room has a cache of its own, and does not wait between downloads."""
    monkeypatch.setattr(download, "WAIT", 0.01)


@pytest.fixture(scope="session")
def omniglot_cache(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for $ONESHOT_DATA with the complete Omniglot."""
    folder = tmp_path_factory.mktemp("omniglot")
    (folder / PACKED).symlink_to(shared_data / PACKED)
    return folder


@pytest.fixture(scope="session")
def made() -> Made:
    """Omniglot made up: 8 classes of bars."""
    bits = np.zeros((160, 105, 105), np.uint8)
    rng = np.random.default_rng(0)
    for image, (y, x, h, w) in zip(bits, rng.integers(5, 45, (160, 4))):
        image[y : y + h, x : x + 4] = image[y : y + 4, x : x + w] = 1
    return make(bits, *SMALL)
