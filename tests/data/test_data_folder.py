"""Images of the user's: polarity, sizes, colour, what is damaged or odd, and what enters ids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from caches import not_asked
from made_folders import FORMS, drawing, expected, write_class, write_folder
from PIL import Image

from oneshot import data
from oneshot.data import content, folder, folder_source
from oneshot.paths import DataError
from oneshot.store import machine_cache
from oneshot.sweep.point import data_fingerprint
from oneshot.types import DataSet, Kind


def settings(path: Path, **given: Any) -> dict[str, Any]:
    """The settings of a point that describe images, with those given."""
    defaults = dict(ink_tone="auto", threshold=0.5, colour=False, split_file="", test_share=0.2)
    return {**defaults, "data_path": str(path), "split": "fixed", "image_size": 28, **given}


def load(path: Path, **given: Any) -> DataSet:
    return data.load("folder", "fixed", given.get("image_size", 28), settings(path, **given))


def fingerprint(path: Path, **given: Any) -> str:
    return data_fingerprint("folder", settings(path, **given))


@pytest.mark.parametrize("dark", [True, False])
def test_ink_is_what_the_border_is_not(
    tmp_path: Path, dark: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "mine", 10, 8, dark)
    found = load(root)
    assert np.array_equal(found.images, expected(10, 8)) and found.kind == Kind.BITS
    assert found.class_names == tuple(f"thing {n:02}" for n in range(10))
    assert np.array_equal(found.label, np.arange(10).repeat(8))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [6, 2, 2]
    parts = np.concatenate([found.train, found.validation, found.test])
    assert np.array_equal(np.sort(parts), np.arange(10))
    assert data.missing("folder", settings(root)) is None
    said = capsys.readouterr().err
    assert f"ink is {'dark' if dark else 'bright'}" in said and "80 images of 10 classes" in said


def test_a_tone_that_is_said_is_believed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 3, 2)
    inverted = load(root, ink_tone="bright").images
    assert np.array_equal(inverted, 1 - expected(3, 2))


def test_pictures_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 4, 5)
    write_class(root / "other", 4, 20, dark=False)
    with pytest.raises(DataError, match=r"bright in 20 pictures and dark in 20[\s\S]*ink_tone"):
        load(root)
    assert len(load(root, ink_tone="dark").images) == 40


def test_threshold_and_levels_of_ink(tmp_path: Path) -> None:
    place = tmp_path / "mine" / "a"
    place.mkdir(parents=True)
    grey = np.full((28, 28), 255, np.uint8)
    grey[10:14, 4:24], grey[14:18, 4:24] = 155, 55  # half the ink, and all of it
    for number in range(2):
        Image.fromarray(grey).save(place / f"{number}.png")
    low, high = load(tmp_path / "mine", threshold=0.3), load(tmp_path / "mine", threshold=0.7)
    assert low.images[0].sum() == 160 and high.images[0].sum() == 80
    assert low.fingerprint != high.fingerprint
    levels = data.greys("folder", 28, settings(tmp_path / "mine"))
    assert levels is not None and sorted(np.unique(levels)) == [0, 128, 255]


def write_forms(root: Path) -> None:
    """One drawing in every form and mode, each in a size of its own."""
    ink = drawing(1, 0)
    for form in FORMS:
        folder = root / form
        folder.mkdir(parents=True)
        for number, mode in enumerate(("L", "RGB", "P", "RGBA", "LA")):
            if form == "jpg" and mode in ("P", "RGBA", "LA"):
                continue
            image = Image.fromarray(255 - ink).convert(mode)
            if mode in ("RGBA", "LA"):
                image.putalpha(Image.fromarray(ink))  # the paper is transparent
            image = image.resize((28 * (number + 1),) * 2, Image.Resampling.NEAREST)
            image.save(folder / f"{mode}.{form}", **({"quality": 100} if form != "gif" else {}))


def test_every_form_and_size_gives_the_same_drawing(tmp_path: Path) -> None:
    write_forms(tmp_path / "mine")
    found = load(tmp_path / "mine")
    assert len(found.images) == 5 + 5 + 5 + 2 and found.class_names == tuple(sorted(FORMS))
    for image in found.images:
        assert np.array_equal(image, drawing(1, 0) // 255)


def test_a_wide_picture_keeps_its_shape(tmp_path: Path) -> None:
    place = tmp_path / "mine" / "a"
    place.mkdir(parents=True)
    wide = np.full((14, 28), 255, np.uint8)
    wide[5:9, 8:20] = 0
    for number in range(2):
        Image.fromarray(wide).save(place / f"{number}.png")
    bits = np.zeros((28, 28), np.uint8)
    bits[12:16, 8:20] = 1
    assert np.array_equal(load(tmp_path / "mine").images[0], bits)


def test_16_bits_and_a_blank_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "mine" / "a"
    place.mkdir(parents=True)
    Image.fromarray((255 - drawing(0, 0)).astype(np.uint16) * 257).save(place / "0.png")
    Image.fromarray(np.full((28, 28), 250, np.uint8)).save(place / "1.png")
    found = load(tmp_path / "mine")
    assert np.array_equal(found.images[0], drawing(0, 0) // 255) and not found.images[1].any()
    data.missing("folder", settings(tmp_path / "mine"))
    assert "1 images have no ink" in capsys.readouterr().err


def test_colour_stays(tmp_path: Path) -> None:
    for number in range(4):
        place = tmp_path / "mine" / f"c{number}"
        place.mkdir(parents=True)
        tint = np.full((20, 20, 3), (200, 30 * number, 7), np.uint8)
        Image.fromarray(tint).save(place / "0.png")
    found = load(tmp_path / "mine", colour=True)
    assert found.kind == Kind.COLOUR and found.images.shape == (4, 3, 28, 28)
    assert found.images[2, :, 3, 3].tolist() == [200, 60, 7]
    assert data.greys("folder", 28, settings(tmp_path / "mine", colour=True)) is None


def test_damaged_pictures_are_named_all_at_once(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 12, 2)
    for number in range(12):
        file = root / f"thing {number:02}" / "01.png"
        file.write_bytes(file.read_bytes()[: 40 + number] if number else b"")
    error = str(data.missing("folder", settings(root)))
    assert error.startswith("12 pictures cannot be read: thing 00/01.png (cannot identify")
    assert "thing 09/01.png" in error and "and 2 more" in error and "thing 10" not in error


def test_what_is_no_picture_or_no_class_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "mine", 3, 2)
    for name in (".hidden", "__MACOSX", ".git"):
        write_class(root / name, 9)
    (root / "thing 00" / ".DS_Store").write_bytes(b"x")
    (root / "thing 00" / "Thumbs.db").write_bytes(b"x")
    before = fingerprint(root)
    (root / "nothing").mkdir()
    (root / "loose.png").write_bytes((root / "thing 00" / "00.png").read_bytes())
    (root / "readme.txt").write_text("mine")
    write_class(root / "THING 01", 8, 2)
    assert data.missing("folder", settings(root)) is None
    said = capsys.readouterr().err
    for words in ("1 pictures lie beside", "is in nothing: no class", "1 other files are passed"):
        assert words in said
    assert "THING 01 and thing 01 differ in capitals alone" in said
    found = load(root)
    assert found.class_names == ("THING 01", "thing 00", "thing 01", "thing 02")
    (root / "THING 01").rename(tmp_path / "away")
    assert fingerprint(root) == before, "what is passed over counts for nothing"


def test_classes_are_paths_where_folders_are_nested(tmp_path: Path) -> None:
    write_class(tmp_path / "mine" / "Greek" / "alpha", 0, 3)
    write_class(tmp_path / "mine" / "Greek" / "beta", 1, 3)
    write_class(tmp_path / "mine" / "Latin" / "alpha", 2, 3)
    (tmp_path / "mine" / "Latin" / "round").symlink_to(tmp_path / "mine")  # no end, if followed
    assert load(tmp_path / "mine").class_names == ("Greek/alpha", "Greek/beta", "Latin/alpha")


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose bytes are read for a fingerprint; files count as settled at once."""
    read: list[Path] = []

    def spy(path: Path) -> str:
        read.append(path)
        return machine_cache.sha256(path)

    monkeypatch.setattr(content, "sha256", spy)
    monkeypatch.setattr(content, "SETTLE", -60.0)
    return read


def test_a_changed_file_is_noticed_and_others_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path / "mine", 4, 3)
    read = hashed(monkeypatch)
    first = fingerprint(root)
    assert len(read) == 12 and load(root).fingerprint == first
    assert len(read) == 12
    with monkeypatch.context() as patch:  # neither pictures nor bytes
        patch.setattr(folder, "_prepare", not_asked)
        patch.setattr(folder_source, "all_squared", not_asked)
        assert load(root).fingerprint == first and len(read) == 12
    (root / "thing 02" / "01.png").write_bytes((root / "thing 03" / "01.png").read_bytes())
    second = fingerprint(root)
    assert second != first and read[12:] == [root / "thing 02" / "01.png"]
    assert np.array_equal(load(root).images[7], drawing(3, 1) // 255)
    root.rename(tmp_path / "elsewhere")
    assert fingerprint(tmp_path / "elsewhere") == second, "the place is not what images are"


def test_a_split_file_says_the_part_of_each_class(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 4, 3)
    table = tmp_path / "split.csv"

    def write(*parts: str) -> str:
        rows = [f"thing {number:02},{part}" for number, part in enumerate(parts)]
        table.write_text("\ufeffclass,part\r\n" + "\r\n".join(rows) + "\r\n", encoding="utf-8")
        return fingerprint(root, split_file=str(table))

    first = write("test", "train", "validation", "train")
    found = load(root, split_file=str(table))
    parts = [part.tolist() for part in (found.train, found.validation, found.test)]
    assert parts == [[1, 3], [2], [0]] and found.fingerprint == first != fingerprint(root)
    assert write("train", "train", "validation", "test") != first
    with pytest.raises(DataError, match="does not say the part of thing 03"):
        write("train", "train", "validation")
    with pytest.raises(DataError, match="names what is no class of the images: thing 04"):
        write("train", "train", "validation", "test", "test")
    with pytest.raises(DataError, match="the part of 'thing 01' is 'tests'"):
        write("train", "tests", "validation", "test")
    table.write_text("a;b\n")
    with pytest.raises(DataError, match="no columns class and part"):
        fingerprint(root, split_file=str(table))


def test_an_npz_is_the_same_as_its_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 5, 4)
    names = np.array([f"thing {number:02}" for number in range(5)])
    shuffled = np.random.default_rng(0).permutation(20)
    images, label = expected(5, 4), np.arange(5).repeat(4)
    for form, values in (
        ("bits", images),
        ("bool", images.astype(bool)),
        ("grey", 255 * (1 - images)),
        ("floats", images.astype(np.float32)),
        ("colour", np.stack([255 * images] * 3, -1)),
    ):
        file = tmp_path / f"{form}.npz"
        rows = np.sort(shuffled) if form == "bits" else shuffled
        np.savez(file, images=values[rows], label=label[rows], class_names=names)
        found, plain = load(file), load(root)
        assert found.class_names == plain.class_names and np.array_equal(found.test, plain.test)
        assert found.images[found.label == 3].sum() == plain.images[plain.label == 3].sum()
        assert found.fingerprint != plain.fingerprint
    assert np.array_equal(load(tmp_path / "bits.npz").images, images)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (dict(images=np.zeros((3, 4, 4))), "label"),
        (dict(images=np.zeros((3, 4, 4)), label=np.arange(2)), r"\[2, H, W\]"),
        (dict(images=np.full((2, 4, 4), 300.0), label=np.arange(2)), "from 300 to 300"),
        (dict(images=np.full((2, 4, 4), np.nan), label=np.arange(2)), "from nan"),
        (dict(images=np.zeros((2, 4, 4)), label=np.array([0.5, 1])), "whole numbers"),
        (
            dict(images=np.zeros((2, 4, 4)), label=np.arange(2), class_names=np.array(["a"])),
            "class_names",
        ),
    ],
)
def test_odd_npz_files_are_named(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(DataError, match=rf"odd\.npz[\s\S]*{words}"):
        load(tmp_path / "odd.npz")
    (tmp_path / "odd.npz").write_bytes(b"PK\3\4 cut")
    with pytest.raises(DataError, match=r"odd\.npz"):
        load(tmp_path / "odd.npz")


@pytest.mark.parametrize("place", ["absent", "text.txt", "empty", "loose"])
def test_a_path_without_classes_says_what_is_needed(tmp_path: Path, place: str) -> None:
    (tmp_path / "text.txt").write_text("")
    (tmp_path / "empty").mkdir()
    write_class(tmp_path / "loose", 0)
    error = str(data.missing("folder", settings(tmp_path / place)))
    assert place in error and "folder for each class" in error


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 3, 2)
    first = load(root)
    file = folder.prepared_file(settings(root))
    file.write_bytes(file.read_bytes()[:-99])
    assert np.array_equal(load(root).images, first.images)
    os.utime(file, (1, 1))
    assert load(root).fingerprint == first.fingerprint
