"""Omniglot in three channels: made small, and the whole one with its published splits."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
from caches import not_asked
from made_classes import in_published_order
from made_omniglot import Made, put_folders, put_npz, put_zips

from oneshot import data
from oneshot.data import omniglot, omniglot_rgb
from oneshot.data.few_shot import few_shot_parts
from oneshot.paths import DataError
from oneshot.types import Kind


@pytest.mark.parametrize("form", ["npz", "zips", "folders"])
def test_images_are_averaged_on_white_paper_in_the_published_order(
    form: str, made: Made, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "omniglot"
    if form == "npz":
        put_npz(folder, made)
    else:
        (put_zips if form == "zips" else put_folders)(folder, made.zips)
    found = omniglot_rgb.load("classes_0", 35, made.release, novel=2)
    label = np.repeat(np.arange(8), 20)
    ink = made.bits.reshape(-1, 35, 3, 35, 3).sum((2, 4), dtype=int)  # of nine
    paper = np.floor(255 * (9 - ink) / 9 + 0.5).astype(np.uint8)
    for channel in range(3):
        assert np.array_equal(found.images[:, channel], in_published_order(paper, label))
    assert found.kind == Kind.COLOUR and np.array_equal(found.label, label)
    assert np.array_equal(found.test, np.sort(np.random.RandomState(0).permutation(8)[-2:]))
    assert found.class_names[0] == "Arch-Made.character01" and len(found.train) == 6


def test_what_is_prepared_needs_no_folder(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omniglot, "_downloaded", not_asked)
    with pytest.raises(data.WillBeDownloaded, match="Omniglot is not here; it will be downloaded"):
        omniglot_rgb.check(32, False, made.release)
    assert isinstance(data.missing("omniglot_rgb", {"image_size": 32}), data.WillBeDownloaded)
    put_npz(tmp_path / "data" / "omniglot", made)
    omniglot_rgb.check(32, False, made.release)
    omniglot_rgb.load("classes_0", 32, made.release, novel=2)
    (tmp_path / "data" / "omniglot" / "omniglot_105_packed.npz").unlink()
    (packed,) = (tmp_path / "cache").glob("omniglot-packed-*.npy")
    packed.unlink()
    omniglot_rgb.check(32, False, made.release)
    assert isinstance(omniglot_rgb.load("classes_4", 32, made.release, 2).images, np.memmap)
    with pytest.raises(data.WillBeDownloaded):
        omniglot_rgb.check(28, False, made.release)


def test_other_content_is_refused(made: Made, tmp_path: Path) -> None:
    bits = made.bits.copy()
    bits[3, 50, 50] ^= 1
    put_npz(tmp_path / "data" / "omniglot", dataclasses.replace(made, bits=bits))
    with pytest.raises(DataError, match="is not the published Omniglot"):
        omniglot_rgb.load("classes_0", 32, made.release, novel=2)


def test_the_whole_omniglot(omniglot_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(omniglot_cache))
    found = data.load("omniglot_rgb", "classes_0", 16)  # small, to be quick
    assert found.images.shape == (32_460, 3, 16, 16) and (np.bincount(found.label) == 20).all()
    assert found.fingerprint == data.fingerprint("omniglot_rgb")
    assert found.class_names == omniglot.PUBLISHED.class_names
    assert found.images.mean() / 255 == pytest.approx(1 - 0.0805, abs=0.0005)  # mostly paper
    # the share of ink of an image, wherever it stands: the first of class 0 is its image 18
    bits = data.greys("omniglot", 15)
    assert bits is not None
    small = data.load("omniglot_rgb", "classes_0", 15)
    # of 49 pixels none is half, so that both are rounded to the same side
    assert (small.images[0, 0].astype(int) + bits[18] == 255).all()
    start = time.perf_counter()
    sums_of_novel = [
        int(data.load("omniglot_rgb", f"classes_{seed}", 16).test.sum()) for seed in range(5)
    ]
    assert time.perf_counter() - start < 2
    assert sums_of_novel == [163663, 180647, 188388, 170922, 178585]
    parts = few_shot_parts(found, 5, 0, "published")
    sizes = [len(parts.base), parts.supports.size, len(parts.pool), len(parts.test)]
    assert sizes == [28_220, 1_060, 3_392, 848]
