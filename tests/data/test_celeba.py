"""CelebA from small made folders: packagings, splits, what is wrong with a list."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caches import not_asked
from made_colour import colour, make_faces, sizes

from oneshot import data
from oneshot.data import celeba
from oneshot.paths import DataError
from oneshot.sweep.point import data_fingerprint


@pytest.mark.parametrize("place", ["data/celeba", "named/celeba", "named"])
def test_celeba_classes_are_the_identities_with_20_to_30_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place.startswith("named"):
        monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named"))
    make_faces(tmp_path / place)
    data = celeba.load("identities", 6)
    kept = {identity: count for identity, count in sorted(sizes().items()) if 20 <= count <= 30}
    assert len(kept) == 20 and data.class_names == tuple(f"identity {i}" for i in kept)
    assert (
        data.images.shape == (sum(kept.values()), 3, 6, 6)
        and data.images.dtype == np.uint8
        and not data.images.flags.writeable
    )
    assert np.array_equal(np.bincount(data.label), list(kept.values())) and np.array_equal(
        data.label, np.sort(data.label)
    )
    expected = [colour(identity, turn) for identity, count in kept.items() for turn in range(count)]
    # no band is left
    assert np.array_equal(
        data.images, np.broadcast_to(np.array(expected)[:, :, None, None], data.images.shape)
    )
    assert [len(part) for part in (data.train, data.validation, data.test)] == [14, 2, 4]
    assert np.array_equal(np.concatenate([data.train, data.validation, data.test]), np.arange(20))
    assert data.fingerprint == data_fingerprint("celeba") and not data.fingerprint.startswith(
        "absent"
    )
    monkeypatch.setattr(celeba, "prepare", not_asked)
    assert np.array_equal(celeba.load("identities", 6).images, data.images)  # from the cache


def kaggle(folder: Path) -> None:
    """As the zip of another site unpacks."""
    (folder / "img_align_celeba").rename(folder / "inner")
    (folder / "img_align_celeba").mkdir()
    (folder / "inner").rename(folder / "img_align_celeba" / "img_align_celeba")


def byte_order_mark(folder: Path) -> None:
    listing = folder / "identity_CelebA.txt"
    listing.write_bytes(b"\xef\xbb\xbf" + listing.read_bytes().replace(b"\n", b"\r\n"))


def official(folder: Path) -> None:
    """As the authors' drive has them."""
    for below, name in (("Anno", "identity_CelebA.txt"), ("Img", "img_align_celeba")):
        (folder / below).mkdir()
        (folder / name).rename(folder / below / name)


@pytest.mark.parametrize("packaging", [kaggle, byte_order_mark, official])
def test_celeba_is_the_same_in_every_packaging(
    tmp_path: Path, packaging: Callable[[Path], None]
) -> None:
    make_faces(tmp_path / "data" / "celeba")
    plain = celeba.load("identities", 6)
    packaging(tmp_path / "data" / "celeba")
    again = celeba.load("identities", 6)
    assert again.fingerprint == plain.fingerprint and np.array_equal(again.images, plain.images)
    assert data.missing("celeba", {"image_size": 32}) is None


def test_celeba_below_a_root_with_all_data_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_faces(tmp_path / "data" / "celeba")
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.setenv("ONESHOT_DATA", ".")
    assert len(celeba.load("identities", 6).images) == 500


def test_the_official_number_of_identities_splits_as_published() -> None:
    assert [len(part) for part in celeba.class_split(6349)] == [4444, 635, 1270]
    for count in range(celeba.LEAST_CLASSES, 60):
        parts = celeba.class_split(count)
        assert np.array_equal(np.concatenate(parts), np.arange(count)) and all(map(len, parts))


def test_the_square_is_centred() -> None:
    grid = np.arange(3 * 218 * 178).reshape(3, 218, 178)
    assert np.array_equal(celeba.centre_square(grid), grid[:, 20:198])
    assert np.array_equal(
        celeba.centre_square(grid.transpose(0, 2, 1)), grid.transpose(0, 2, 1)[:, :, 20:198]
    )


def remove_faces(folder: Path) -> None:
    for name in ("000005.jpg", "000026.jpg", "000027.jpg", "000028.jpg"):
        (folder / "img_align_celeba" / name).unlink()


def edit(line: int, text: str) -> Callable[[Path], None]:
    """Replaces a line (from 1) of the list."""

    def change(folder: Path) -> None:
        listing = folder / "identity_CelebA.txt"
        lines = listing.read_text().splitlines()
        lines[line - 1] = text
        listing.write_text("\n".join(lines))

    return change


def cut_face(folder: Path) -> None:
    face = folder / "img_align_celeba" / "000005.jpg"
    face.write_bytes(face.read_bytes()[:50])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove_faces, "lacks 000005.jpg (line 5 of identity_CelebA.txt), 000026.jpg (line 26 of"),
        (remove_faces, " and 1 more images"),
        (
            edit(5, "000005.jpg"),
            "identity_CelebA.txt, line 5: '000005.jpg' is not an image and its identity",
        ),
        (edit(9, "000009.jpg -4"), "line 9: '000009.jpg -4' is not"),
        (edit(9, "000009.jpg 4 5"), "line 9: '000009.jpg 4 5' is not"),
        (edit(9, "../other.jpg 4"), "line 9: '../other.jpg 4' is not"),
        (edit(9, "000002.jpg 4"), "line 9: 000002.jpg is on line 2 already"),
        (cut_face, "000005.jpg (line 5 of identity_CelebA.txt) is not a readable picture"),
        (lambda f: (f / "identity_CelebA.txt").write_bytes(b"\xff\xfe\x00"), "is no text file"),
        (
            lambda f: (f / "identity_CelebA.txt").write_text("000001.jpg 1\n"),
            "lists 0 identities with 20 .. 30 images; a split needs 10",
        ),
        (
            lambda f: (f / "img_align_celeba").rename(f / "other"),
            "has identity_CelebA.txt, but no folder img_align_celeba",
        ),
    ],
)
def test_what_is_wrong_with_celeba_is_named(
    tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    folder = tmp_path / "data" / "celeba"
    make_faces(folder)
    damage(folder)
    with pytest.raises(DataError) as caught:
        celeba.load("identities", 8)
    assert words in str(caught.value) and "\n  help: " in str(caught.value)
    assert not list((tmp_path / "cache").glob("*.npy"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_list_is_named(tmp_path: Path) -> None:
    make_faces(tmp_path / "data" / "celeba")
    (tmp_path / "data" / "celeba" / "identity_CelebA.txt").chmod(0)
    with pytest.raises(DataError, match=r"identity_CelebA\.txt: Permission denied\n  help: "):
        celeba.read_identities(tmp_path / "data" / "celeba" / "identity_CelebA.txt")
