"""Data sets: content, splits, preparation, the cache, and every way to get Omniglot."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small
from caches import chunks, not_asked
from made_omniglot import Made, put_zips

from oneshot import cli, data
from oneshot.data import omniglot, quickdraw
from oneshot.paths import DataError
from oneshot.store import machine_cache


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


@pytest.mark.parametrize("split", ["weak", "strong", "random"])
def test_omniglot_says_how_many_test_classes_it_has(split: str) -> None:
    assert omniglot.TEST_CLASSES[split] == len(omniglot.class_split(split)[2])


def test_quickdraw_says_how_many_test_classes_it_has() -> None:
    assert {
        "fixed": len(quickdraw.class_split(quickdraw.EMBEDDED.class_names())[2])
    } == quickdraw.TEST_CLASSES
