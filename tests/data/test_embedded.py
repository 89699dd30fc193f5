"""Data sets that come with the package: damage of their files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from oneshot.data import build_quickdraw, quickdraw, quickdraw_clusters
from oneshot.data.embedded import Embedded
from oneshot.paths import DataError

PARTS = (np.arange(2), np.arange(2, 3), np.arange(3, 4))


@pytest.mark.parametrize("whole", [quickdraw.EMBEDDED, quickdraw_clusters.EMBEDDED])
def test_a_damaged_embedded_file_is_refused(whole: Embedded, tmp_path: Path) -> None:
    content = whole.file.read_bytes()
    damaged = dataclasses.replace(whole, file=tmp_path / "damaged.npz")
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for changed in (content[:5000], flipped):
        damaged.file.write_bytes(changed)
        for images in (lambda: damaged.load("fixed", 28, PARTS), lambda: damaged.greys(28)):
            with pytest.raises(DataError, match="damaged"):
                images()
    names, packed = np.array(["b", "a"]), np.zeros((2, 98), np.uint8)
    build_quickdraw.save_npz(damaged.file, {"class_names": names, "packed": packed})
    for images in (lambda: damaged.load("fixed", 28, PARTS), lambda: damaged.greys(28)):
        with pytest.raises(DataError, match="does not have the fingerprint"):
            images()


def test_an_absent_file_is_known_without_reading_it(tmp_path: Path) -> None:
    for whole in (quickdraw.EMBEDDED, quickdraw_clusters.EMBEDDED):
        whole.check()
        absent = dataclasses.replace(whole, file=tmp_path / "absent.npz")
        for call in (absent.check, absent.class_names, absent.packed):
            with pytest.raises(DataError, match=r"absent(.|\n)*install oneshot again"):
                call()
