"""Omniglot from any of its forms, in any place; damage is named."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from made_omniglot import Made, make, make_zips, png, put_folders, put_npz, put_zips

from oneshot import data
from oneshot.data import images, omniglot, omniglot_files
from oneshot.data.omniglot_files import PACKED, SETS
from oneshot.paths import DataError


def test_the_whole_omniglot_loads_and_then_is_mapped(
    omniglot_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(omniglot_cache))
    first = data.load("omniglot", "weak", 16)  # small, to be quick
    assert first.images.shape == (32460, 16, 16) and np.array_equal(
        np.bincount(first.label), np.full(1623, 20)
    )
    assert (
        first.class_names[0] == "Alphabet_of_the_Magi.character01"
        and first.class_names[-1] == "ULOG.character26"
    )
    assert first.fingerprint == data.fingerprint("omniglot")
    monkeypatch.delenv("ONESHOT_DATA")
    start = time.perf_counter()
    second = data.load("omniglot", "strong", 16)
    assert time.perf_counter() - start < 0.2
    assert isinstance(second.images, np.memmap) and np.array_equal(second.images, first.images)
    assert (len(second.train), len(second.validation), len(second.test)) == (868, 96, 659)


def test_real_images_are_the_same_from_zips_folders_and_npz(
    shared_data: Path, tmp_path: Path
) -> None:
    with np.load(shared_data / PACKED) as file:
        bits = images.unpack(np.concatenate([file["packed"][:80], file["packed"][-80:-20]]), 105)
    real = make(bits, {"Alphabet_of_the_Magi": 4}, {"ULOG": 3})
    zips, folders = (
        put_zips(tmp_path / "zips", real.zips),
        put_folders(tmp_path / "folders", real.zips),
    )
    for folder in (zips, folders):
        packed = omniglot_files.read(folder, real.release)
        assert packed is not None and np.array_equal(images.unpack(packed, 105), bits)


@pytest.mark.parametrize("form", ["zips", "folders", "npz", "mixed"])
@pytest.mark.parametrize("place", ["variable", "working folder", "cache"])
def test_every_form_in_every_place_gives_the_same(
    made: Made,
    form: str,
    place: str,
    tmp_path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = {
        "variable": tmp_path / "mine",
        "working folder": tmp_path / "data" / "omniglot",
        "cache": own_cache / "omniglot",
    }[place]
    if place == "variable":
        monkeypatch.setenv("ONESHOT_DATA", str(folder))
    if form == "npz":
        put_npz(folder, made)
    elif form == "zips":
        put_zips(folder, made.zips)
    else:
        put_folders(folder, made.zips)
    if form == "mixed":
        shutil.rmtree(folder / SETS[0])
        put_zips(folder, {SETS[0]: made.zips[SETS[0]]})
    loaded = omniglot.load("weak", 50, made.release)
    assert np.array_equal(loaded.images, images.binarise_omniglot(made.bits, 50))
    assert (
        loaded.class_names[0] == "Arch-Made.character01"
        and loaded.class_names[-1] == "Beta.character03"
    )
    assert loaded.train.tolist() == [4] and loaded.test.tolist() == [0, 1, 2, 3, 5, 6, 7]


@pytest.mark.parametrize("form", ["zips", "folders"])
@pytest.mark.parametrize(
    "place",
    [
        "mine/omniglot",
        "mine/omniglot/python",
        "mine/python",
        "mine/omniglot-py",
        "data/omniglot-py",
    ],
)
def test_copies_of_other_tools_are_read(
    made: Made, form: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone of the authors' repository, and what torchvision downloads."""
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "mine"))
    if form == "zips":
        put_zips(tmp_path / place, made.zips)
    else:
        put_folders(tmp_path / place, made.zips)
    omniglot.check(50, True, made.release)
    assert np.array_equal(
        omniglot.load("weak", 50, made.release).images, images.binarise_omniglot(made.bits, 50)
    )


def test_other_content_is_refused_whatever_the_form(made: Made, tmp_path: Path) -> None:
    bits = made.bits.copy()
    bits[77, 50, 50] ^= 1
    changed = make_zips(bits, made.release)
    npz = put_npz(tmp_path / "c", dataclasses.replace(made, bits=bits))
    for folder in (put_zips(tmp_path / "a", changed), put_folders(tmp_path / "b", changed), npz):
        with pytest.raises(
            DataError, match=f"{folder}.* is not the published Omniglot: the SHA-256"
        ):
            omniglot_files.read(folder, made.release)
    renamed = put_npz(tmp_path / "d", made, class_character=np.array([1, 2, 1, 3, 4, 1, 2, 3]))
    with pytest.raises(DataError, match="other classes, or another order"):
        omniglot_files.read(renamed, made.release)


def test_damaged_files_and_missing_images_are_named(made: Made, tmp_path: Path) -> None:
    folder = put_zips(tmp_path / "zips", made.zips)
    cut = folder / f"{SETS[1]}.zip"
    cut.write_bytes(made.zips[SETS[1]][:3000])
    with pytest.raises(DataError, match=f"{cut} is damaged(.|\n)*help: put a whole one there"):
        omniglot_files.read(folder, made.release)
    content = bytearray(made.zips[SETS[1]])
    content[60:80] = bytes(20)  # inside the first image
    cut.write_bytes(content)
    with pytest.raises(DataError, match=f"{cut} is damaged"):
        omniglot_files.read(folder, made.release)
    folder = put_folders(tmp_path / "folders", made.zips)
    (folder / SETS[1] / "Beta" / "character02" / "0702_07.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0702_07\.png is not a readable image"):
        omniglot_files.read(folder, made.release)
    (folder / SETS[1] / "Beta" / "character02" / "0702_07.png").write_bytes(png(np.zeros((28, 28))))
    with pytest.raises(DataError, match=r"0702_07\.png has 28 x 28 pixels, not 105 x 105"):
        omniglot_files.read(folder, made.release)
    (folder / SETS[1] / "Beta" / "character02" / "0702_07.png").unlink()
    shutil.rmtree(folder / SETS[1] / "Beta" / "character03")
    with pytest.raises(
        DataError,
        match=(
            r"lacks Beta/character02 drawer 07, Beta/character03 drawer 01, .* and 18 more images"
        ),
    ):
        omniglot_files.read(folder, made.release)
    (tmp_path / "npz").mkdir()
    (tmp_path / "npz" / PACKED).write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=f"{PACKED} is damaged"):
        omniglot_files.read(tmp_path / "npz", made.release)


def test_an_unreadable_file_is_not_taken_for_a_full_cache(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put_folders(tmp_path / "mine", made.zips)
    broken = folder / SETS[0] / "Arch-Made" / "character01" / "0701_05.png"
    broken.unlink()
    broken.mkdir()
    monkeypatch.setenv("ONESHOT_DATA", str(folder))
    with pytest.raises(DataError, match=f"cannot read {broken}: Is a directory"):
        omniglot.load("weak", 50, made.release)
