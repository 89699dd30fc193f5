"""Colour data sets: CelebA and CIFAR-10 from small made folders, and CIFAR-10 from the file beside
the repository.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot import data
from oneshot.data import DataError, by_hash, celeba, cifar10, content, images
from oneshot.store import machine_cache
from oneshot.sweep import families
from oneshot.sweep.point import data_fingerprint

WIDE, HIGH = 12, 16  # pixels of a made face


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own cache and working folder."""
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


# --- CelebA
# -----------------------------------------------------------------------------


def not_asked(*_: object) -> np.ndarray:
    raise AssertionError("the prepared images are in the cache")


def sizes() -> dict[int, int]:
    """Images of each made identity: 19 and 31 are no classes; 20 are, of them five with 20 and five
    with 30 images.
    """
    return {7: 19, 1000: 31, **{100 - i: 20 + 2 * (i % 6) for i in range(18)}, 3: 20, 2000: 30}


def colour(identity: int, number: int) -> tuple[int, int, int]:
    return identity % 251, 10 * (number % 20), 255 - identity % 200


def make_faces(folder: Path) -> list[str]:
    """Faces of one colour with a black band above and below the centred square, as PNG under JPEG
    names, so that values stay exact.
    """
    (folder / "img_align_celeba").mkdir(parents=True)
    lines, number = [], 0
    for turn in range(31):  # identities are mixed, as in the official list
        for identity, count in sizes().items():
            if turn < count:
                number += 1
                name = f"{number:06d}.jpg"
                lines.append(f"{name} {identity}")
                face = np.zeros((HIGH, WIDE, 3), np.uint8)
                face[2:-2] = colour(identity, turn)
                Image.fromarray(face).save(folder / "img_align_celeba" / name, "png")
    (folder / "identity_CelebA.txt").write_text("\n".join(lines) + "\n")
    return lines


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


# --- identity
# -----------------------------------------------------------------------------


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


# --- CIFAR-10
# -----------------------------------------------------------------------------


def old_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 wrote it: byte strings throughout, NumPy's functions under their old
    names.
    """
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I%d\nI%d\nt"
        % data.shape
    )
    array += b"cnumpy\ndtype\n(U\x02u1I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\n"
    array += b"T" + data.nbytes.to_bytes(4, "little") + data.tobytes() + b"tb"
    numbers = b"(l" + b"".join(b"I%d\na" % label for label in labels)
    return (
        b"\x80\x02}(U\x0bbatch_labelU\x04testU\x06labels" + numbers + b"U\x04data" + array + b"u."
    )


def make_batches(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Six batches of 110 random images, written as by Python 2 and, every other one, by today's
    NumPy; results in the files' order.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(660, 3072), dtype=np.uint8)
    labels = np.concatenate([rng.permutation(np.repeat(np.arange(10), 11)) for _ in range(6)])
    home = folder / "cifar-10-batches-py"
    home.mkdir(parents=True)
    for i, name in enumerate(cifar10.BATCHES):
        part = slice(110 * i, 110 * i + 110)
        batch = {b"data": pixels[part], b"labels": labels[part].tolist()}
        content = (
            pickle.dumps(batch, protocol=3)
            if i % 2
            else old_pickle(pixels[part], labels[part].tolist())
        )
        (home / name).write_bytes(content)
    return pixels.reshape(-1, 3, 32, 32), labels


def test_cifar10_reads_the_official_batches_of_both_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, labels = make_batches(tmp_path / "data" / "cifar10")
    data = cifar10.load("fixed", 32)
    assert data.images.shape == (660, 3, 32, 32) and np.array_equal(
        np.bincount(data.label), np.full(10, 66)
    )
    assert np.array_equal(data.images, np.concatenate([pixels[labels == c] for c in range(10)]))
    order = by_hash(data.class_names)
    assert (set(data.test), set(data.validation), set(data.train)) == (
        set(order[:2]),
        set(order[2:4]),
        set(order[4:]),
    )
    assert data.fingerprint == data_fingerprint("cifar10") != "absent-1"
    halves = cifar10.load("fixed", 16).images
    blocks = data.images.reshape(660, 3, 16, 2, 16, 2).sum((3, 5), dtype=int)
    assert np.array_equal(halves, (blocks + 2) // 4)
    monkeypatch.setattr(cifar10, "read", not_asked)
    # both files are in the cache
    assert np.array_equal(cifar10.load("fixed", 32).label, data.label)


@pytest.mark.parametrize(
    "place", ["data", "named", "named/cifar10", "named/cifar10/cifar-10-batches-py"]
)
def test_cifar10_below_a_root_or_in_the_folder_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / place))
    make_batches(tmp_path / place.removesuffix("/cifar-10-batches-py"))
    assert (
        len(cifar10.load("fixed", 32).images) == 660
        and data.missing("cifar10", {"image_size": 32}) is None
    )


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch was-run",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            pickle.dumps({b"data": Evil(), b"labels": []}),
            "it asks for posix.system, which no batch of CIFAR-10 does",
        ),
        (
            pickle.dumps({b"data": np.zeros((5, 3072), np.uint8), b"labels": [0] * 4}, protocol=3),
            "its labels are not 5 numbers in 0 .. 9",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, protocol=3),
            "its labels are not 1 numbers",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [1]}, protocol=3),
            "its data are not uint8",
        ),
        (pickle.dumps({b"labels": [1]}), "is no batch of CIFAR-10: b'data'"),
        (pickle.dumps([1, 2]), "is no batch of CIFAR-10"),
        (old_pickle(np.zeros((1, 3072), np.uint8), [1])[:2000], "is no batch of CIFAR-10"),
        (b"", "is no batch of CIFAR-10"),
    ],
)
def test_a_batch_with_anything_else_in_it_is_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    make_batches(tmp_path / "data" / "cifar10")
    (tmp_path / "data" / "cifar10" / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError) as caught:
        cifar10.load("fixed", 32)
    assert (
        "data_batch_3" in str(caught.value)
        and words in str(caught.value)
        and "\n  help: " in str(caught.value)
    )
    assert not (tmp_path / "was-run").exists() and not list((tmp_path / "cache").glob("*.npy"))


def test_a_missing_batch_and_a_poor_class_are_named(tmp_path: Path) -> None:
    make_batches(tmp_path / "data" / "cifar10")
    folder = tmp_path / "data" / "cifar10" / "cifar-10-batches-py"
    (folder / "test_batch").write_bytes(old_pickle(np.zeros((5, 3072), np.uint8), [1] * 5))
    with pytest.raises(
        DataError,
        match=(
            "cifar-10-batches-py has fewer than 60 images of: airplane, bird, cat, deer, dog, frog,"
            " horse, ship, truck"
        ),
    ):
        cifar10.load("fixed", 32)
    (folder / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch is missing"):
        cifar10.load("fixed", 32)
    assert "test_batch is missing" in str(data.missing("cifar10", {"image_size": 32}))


def save_npz(path: Path, side: int = 32, names: tuple[str, ...] = cifar10.CLASSES) -> None:
    """600 grey pictures, 60 a class, in the form of the file of JPEGs."""
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 128, np.uint8)).save(file, "png")
    one = np.frombuffer(file.getvalue(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        jpeg=np.tile(one, 600),
        offsets=len(one) * np.arange(601),
        label=np.arange(600) % 10,
        class_names=np.array(names),
    )


def test_the_npz_is_read_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cifar10" / "cifar10_jpeg_subset.npz"
    save_npz(path)
    colours, label = cifar10.read(path)
    assert (
        colours.shape == (600, 3, 32, 32)
        and (colours == 128).all()
        and np.array_equal(label, np.arange(600) % 10)
    )
    save_npz(path, side=30)
    with pytest.raises(DataError, match="picture 0 has 30 x 30 pixels, not 32 x 32"):
        cifar10.load("fixed", 32)
    save_npz(path, names=("boat", *cifar10.CLASSES[1:]))
    with pytest.raises(DataError, match="its classes or labels are other ones"):
        cifar10.load("fixed", 32)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="is damaged"):
        cifar10.load("fixed", 32)


def test_the_real_cifar10_file(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shared_data / "cifar10_jpeg_subset.npz").is_file():
        pytest.skip(f"needs cifar10_jpeg_subset.npz, not in {shared_data}")
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    data = cifar10.load("fixed", 32)
    assert data.images.shape == (6000, 3, 32, 32) and np.array_equal(
        np.bincount(data.label), np.full(10, 600)
    )
    sky, frog = (
        data.images[data.label == data.class_names.index(name)].mean((0, 2, 3))
        for name in ("airplane", "frog")
    )
    assert sky[2] > sky[0] + 5 and frog[2] < frog[0] - 5  # skies are bluer than frogs: red is first
    assert len(data.rows(data.train)) == 3600


# --- what both say of themselves
# -----------------------------------------------------------------------------


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
