"""Identity of data in folders of the user's: what enters a fingerprint, and what it costs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from made_colour import HIGH, WIDE, make_batches, make_faces
from PIL import Image

from oneshot import data
from oneshot.data import celeba, cifar10, content, images
from oneshot.paths import DataError
from oneshot.store import machine_cache
from oneshot.sweep import families
from oneshot.sweep.point import data_fingerprint


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose bytes are read for a fingerprint from now on; files count as settled at
    once.
    """
    read: list[Path] = []

    def spy(path: Path) -> str:
        read.append(path)
        return machine_cache.sha256(path)

    monkeypatch.setattr(content, "sha256", spy)
    monkeypatch.setattr(content, "SETTLE", -60.0)
    return read


def test_replaced_pictures_are_noticed_and_known_ones_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_faces(tmp_path / "data" / "celeba")
    read = hashed(monkeypatch)
    first = data_fingerprint("celeba")
    assert len(read) == 500, "the pictures of all classes, and no others"
    assert data_fingerprint("celeba") == first and len(read) == 500
    face = tmp_path / "data" / "celeba" / "img_align_celeba" / "000005.jpg"
    old, times = face.read_bytes(), face.stat()
    Image.fromarray(np.full((HIGH, WIDE, 3), 9, np.uint8)).save(face, "png")
    second = data_fingerprint("celeba")
    assert second != first and read[500:] == [Path("data/celeba/img_align_celeba/000005.jpg")]
    replacement = face.with_name("other")
    replacement.write_bytes(old[:-1] + b"x")
    replacement.replace(face)
    os.utime(face, ns=(times.st_atime_ns, times.st_mtime_ns))  # the same name, size and time
    assert data_fingerprint("celeba") not in (first, second)
    face.write_bytes(old)
    assert data_fingerprint("celeba") == first
    assert celeba.load("identities", 6).fingerprint == first


def test_a_file_that_has_just_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the resolution of the file system's clock leaves the same times."""
    make_faces(tmp_path / "data" / "celeba")
    read = hashed(monkeypatch)
    monkeypatch.setattr(content, "SETTLE", 3600.0)
    for _ in range(2):
        data_fingerprint("celeba")
    assert len(read) == 1000


@pytest.mark.parametrize("broken", ["", "{", "[1]", '{"a": 1}', None])
def test_a_damaged_memory_of_checksums_costs_time_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str | None
) -> None:
    make_faces(tmp_path / "data" / "celeba")
    read = hashed(monkeypatch)
    first = data_fingerprint("celeba")
    (place,) = (tmp_path / "cache" / "fingerprints").glob("*.json")
    if broken is None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "file" / "cache"))
    else:
        place.write_text(broken)
    assert data_fingerprint("celeba") == first and len(read) == 1000


def test_a_first_look_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_faces(tmp_path / "data" / "celeba")
    hashed(monkeypatch)
    monkeypatch.setattr(content, "REPORT", 0.0)
    data_fingerprint("celeba")
    assert (
        "oneshot: reading celeba once, to know it again: 100 of 500 files"
        in capsys.readouterr().err
    )
    data_fingerprint("celeba")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["celeba", "cifar10"])
def test_the_class_split_enters_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_faces(tmp_path / "data" / "celeba")
    make_batches(tmp_path / "data" / "cifar10")
    first = data_fingerprint(name)
    if name == "celeba":
        monkeypatch.setattr(
            celeba,
            "class_split",
            lambda n: (np.arange(n - 6), np.arange(n - 6, n - 5), np.arange(n - 5, n)),
        )
    else:
        monkeypatch.setattr(cifar10, "TEST", 3)
    assert data_fingerprint(name) != first


OWN = """
import numpy as np
from oneshot.types import DataSet

SPLITS = ("fixed",)
TRAIN_IMAGES = {"fixed": 4}
DRAWINGS_PER_CLASS = 2
FINGERPRINT = "folder"
FINGERPRINT_FILES = ("faces",)
TEST = 1


def load(split, image_size):
    raise NotImplementedError
"""


def test_a_data_set_of_the_users_is_all_files_of_its_folder_and_its_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the two literals: a folder was once taken for absent, and ids ignored images and
    split.
    """
    package = tmp_path / "own"
    package.mkdir()
    code = package / "ours.py"
    code.write_text(OWN)
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(package)])
    known = families.constant
    folder = lambda kind, name, what, *rest: (  # noqa: E731
        "folder" if (name, what) == ("ours", "FINGERPRINT") else known(kind, name, what, *rest)
    )
    monkeypatch.setattr(families, "constant", folder)
    monkeypatch.setattr(data, "names", lambda: ["ours"])

    def look() -> str:
        sys.modules.pop("oneshot.data.ours", None)
        return data_fingerprint("ours")

    assert look() == "absent-1"
    said = str(data.missing("ours", {"image_size": 16}))
    assert said.startswith("ours is not here") and "put faces into one of these" in said
    place = tmp_path / "data" / "ours" / "faces"
    (place / "a").mkdir(parents=True)
    (place / "a" / "1.png").write_bytes(b"one")
    (place / "a" / ".hidden").write_bytes(b"of the system")
    first = look()
    assert not first.startswith("absent") and data.missing("ours", {"image_size": 16}) is None
    (place / "a" / ".hidden").write_bytes(b"other")
    assert look() == first
    (place / "a" / "1.png").write_bytes(b"two")
    second = look()
    (place / "b").mkdir()
    (place / "a" / "1.png").rename(place / "b" / "1.png")
    third = look()
    code.write_text(OWN.replace("TEST = 1", "TEST = 2"))
    fourth = look()
    assert len({first, second, third, fourth}) == 4
    sys.modules.pop("oneshot.data.ours", None)


def test_absent_data_say_where_to_put_what() -> None:
    with pytest.raises(DataError) as caught:
        celeba.load("identities", 64)
    text = str(caught.value)
    assert "identity_CelebA.txt and the folder img_align_celeba" in text
    assert (
        "$ONESHOT_DATA/celeba (not set)" in text
        and "./data/celeba" in text
        and "\n  help: " in text
    )
    with pytest.raises(
        DataError,
        match=r"CIFAR-10 is not here(.|\n)*cifar10_jpeg_subset\.npz(.|\n)*\./data/cifar10",
    ):
        cifar10.load("fixed", 32)


@pytest.mark.parametrize(("name", "largest"), [("celeba", 20), ("cifar10", 60)])
def test_literals_are_read_without_importing(name: str, largest: int) -> None:
    def told(variable: str) -> object:
        return families.constant("data", name, variable)

    assert (
        told("CHANNELS") == 3
        and told("FINGERPRINT") == "folder"
        and told("DRAWINGS_PER_CLASS") == largest
    )
    splits, counts = told("SPLITS"), told("TRAIN_IMAGES")
    assert isinstance(splits, tuple) and isinstance(counts, dict) and set(counts) == set(splits)
    assert data_fingerprint(name).startswith("absent-")


def test_an_area_average_of_colour_is_that_of_each_colour() -> None:
    pictures = np.random.default_rng(0).integers(256, size=(2, 3, 20, 20), dtype=np.uint8)
    small = images.area_resized(pictures, 7)
    assert small.shape == (2, 3, 7, 7) and np.array_equal(
        small[1, 2], images.area_resized(pictures[1, 2], 7)
    )
