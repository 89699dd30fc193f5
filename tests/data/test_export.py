"""The parts of a few-shot split as files: round trip, damage, refusals, the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_classes import write_cifar100

import oneshot
from oneshot import __main__ as command
from oneshot import data
from oneshot.data import export as exports
from oneshot.data.export import PARTS, export, read_export
from oneshot.data.few_shot import POOLS, few_shot_parts
from oneshot.paths import DataError

WORDS = ["export", "cifar100", "classes_0", "--shots", "3", "--image-size", "8"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that does not exist yet; data of CIFAR-100 lie beside it."""
    write_cifar100(tmp_path / "data")
    return tmp_path / "out" / "five"


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("seed", [0, 4])
def test_what_is_read_back_is_the_data_set(folder: Path, pool: str, seed: int) -> None:
    about = export("cifar100", "classes_1", folder, 3, seed, pool, image_size=8)
    found = data.load("cifar100", "classes_1", 8)
    expected = few_shot_parts(found, 3, seed, pool)
    back = read_export(folder)
    assert tuple(back.parts) == PARTS and back.class_names == found.class_names
    for name, part in back.parts.items():
        rows = np.ravel(getattr(expected, name))
        assert np.array_equal(part.index, rows) and part.index.dtype == np.int64
        assert np.array_equal(part.label, found.label[rows]) and part.label.dtype == np.int64
        assert np.array_equal(part.images, found.images[rows]) and part.images.dtype == np.uint8
    assert back.about == about
    said = {name: about[name] for name in ("dataset", "split", "shots", "shot_seed", "pool")}
    assert list(said.values()) == ["cifar100", "classes_1", 3, seed, pool]
    assert about["oneshot"] == oneshot.__version__ and about["image_size"] == 8
    assert about["fingerprint"] == data.fingerprint("cifar100")
    assert about["novel_classes"] == [found.class_names[c] for c in found.test]
    index = np.concatenate([part.index for part in back.parts.values()])
    if pool == "disjoint":
        assert np.array_equal(np.sort(index), np.arange(len(found.label)))
    else:
        assert np.isin(back.parts["supports"].index, back.parts["pool"].index).all()


def test_the_files_are_plain_and_the_same_each_time(folder: Path) -> None:
    export("cifar100", "classes_0", folder, 2, image_size=8)
    again = folder.parent / "again"
    export("cifar100", "classes_0", again, 2, image_size=8)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["about.json", *(f"{part}.npz" for part in PARTS)]
    )
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    with np.load(folder / "supports.npz", allow_pickle=False) as file:
        assert sorted(file) == ["class_names", "images", "index", "label"]
        assert file["images"].shape == (40, 3, 8, 8) and len(file["class_names"]) == 100
    assert sorted(path.name for path in folder.parent.iterdir()) == ["again", "five"]


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_exists_is_not_overwritten(there: str, folder: Path) -> None:
    folder.parent.mkdir()
    if there == "folder":
        folder.mkdir()
    elif there == "file":
        folder.write_text("mine")
    else:
        folder.symlink_to("nowhere")
    with pytest.raises(
        DataError, match=rf"{folder} exists already, and is not overwritten\n  help"
    ):
        export("cifar100", "classes_0", folder, 2, image_size=8)
    assert [path.name for path in folder.parent.iterdir()] == ["five"]
    assert there != "file" or folder.read_text() == "mine"


def test_what_appears_while_it_is_written_is_not_overwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path) -> str:
        folder.mkdir(exist_ok=True)
        return "0"

    monkeypatch.setattr(exports, "sha256", slow)
    with pytest.raises(DataError, match="exists already"):
        export("cifar100", "classes_0", folder, 2, image_size=8)
    assert list(folder.parent.iterdir()) == [folder] and not list(folder.iterdir())


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(
    fault: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def failing(file: Any, **arrays: np.ndarray) -> None:
        file.write(b"half")
        written.append(1)
        if len(written) == 3:
            raise fault

    monkeypatch.setattr(np, "savez_compressed", failing)
    expected = DataError if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        export("cifar100", "classes_0", folder, 2, image_size=8)
    words = "" if isinstance(fault, KeyboardInterrupt) else f"cannot write {folder}: No space left"
    assert str(caught.value).startswith(words)
    assert len(written) == 3 and list(folder.parent.iterdir()) == []


def test_a_process_that_dies_leaves_no_folder_of_the_name(folder: Path, tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from oneshot.data import export as e;"
        " e.sha256 = lambda path: os._exit(9);"
        f" e.export('cifar100', 'classes_0', Path({str(folder)!r}), 2, image_size=8)"
    )
    environment = {"PYTHONPATH": str(Path(data.__file__).parents[2])}
    environment |= {"ONESHOT_CACHE": str(tmp_path / "cache"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    assert done.returncode == 9
    (rest,) = folder.parent.iterdir()  # hidden, and no export
    assert rest.name.startswith(".five.") and rest.name.endswith(".part")
    with pytest.raises(DataError, match=r"about\.json is missing"):
        read_export(rest)
    export("cifar100", "classes_0", folder, 2, image_size=8)
    assert len(read_export(folder).parts) == 4


def test_damaged_files_are_named(folder: Path) -> None:
    export("cifar100", "classes_0", folder, 2, image_size=8)
    about, pool = folder / "about.json", folder / "pool.npz"
    text, content = about.read_text(), pool.read_bytes()
    pool.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=rf"{pool} is damaged: its checksum is not that of about"):
        read_export(folder)
    pool.unlink()
    with pytest.raises(DataError, match=rf"{pool} is missing\n  help: export it again"):
        read_export(folder)
    pool.write_bytes(content)
    for wrong, words in (
        ("{", "is damaged"),
        ("[]", "is no export of format 1"),
        (text.replace('"format": 1', '"format": 2'), "is no export of format 1"),
        (text.replace('"pool": "dis', '"poll": "dis'), "is damaged: it does not say pool"),
        (text.replace('"test": 100', '"tests": 100'), "it does not say images of test"),
    ):
        assert wrong != text
        about.write_text(wrong)
        with pytest.raises(DataError, match=f"{about} {words}|{about} .*{words}"):
            read_export(folder)
    about.unlink()
    with pytest.raises(DataError, match=rf"{about} is missing: {folder} is no whole export"):
        read_export(folder)


def test_files_that_do_not_belong_together_are_refused(folder: Path) -> None:
    export("cifar100", "classes_0", folder, 2, image_size=8)
    about = json.loads((folder / "about.json").read_text())

    def swapped(part: str, other: str) -> None:
        """Put a file in the place of another, with its own checksum and count."""
        (folder / f"{part}.npz").write_bytes((folder / f"{other}.npz").read_bytes())
        for field in ("sha256", "images"):
            about[field][part] = about[field][other]
        (folder / "about.json").write_text(json.dumps(about))

    swapped("pool", "test")
    with pytest.raises(DataError, match="an image is in two parts, which are disjoint"):
        read_export(folder)
    swapped("pool", "base")
    with pytest.raises(DataError, match=r"pool\.npz has images of other classes: apple, "):
        read_export(folder)


def test_the_command_writes_and_says_what(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*WORDS, "--shot-seed", "2", "--pool", "published", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told == (
        f"{folder}: images of cifar100 classes_0: base 2,000, supports 60, pool 400, test 100\n"
    )
    assert read_export(folder).about["shot_seed"] == 2
    assert command.main([*WORDS, str(folder)]) == 2
    assert "error: " in (said := capsys.readouterr().err) and "exists already" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["quickdraw", "fixed"],
            "quickdraw fixed: only a split into base and novel classes .*"
            "help: data sets that have them: cifar100, emnist, omniglot_rgb\n",
        ),
        (["cifar100", "all"], "cifar100 all: .*help: cifar100 has classes_0, .*classes_4\n"),
        (["mnist", "classes_0"], "mnist classes_0: only .*help: data sets that have them"),
        (["cifar100", "classes_9"], "cifar100 classes_9: only .*help: cifar100 has classes_0"),
        (["cifar_100", "classes_0"], "no data set 'cifar_100'.* Did you mean 'cifar100'"),
        (["emnist", "classes_0"], "EMNIST is not here, .*help: put the four official files"),
        (["cifar100", "classes_0", "--shots", "21"], "shots = 21: the class 'bottle' .* has 20 im"),
        (["cifar100", "classes_0", "--image-size", "4"], "image_size = 4 is not a whole number"),
    ],
)
def test_mistakes_are_told_in_words(
    words: list[str],
    said: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shots = [] if "--shots" in words else ["--shots", "2"]
    assert command.main(["export", *words, *shots, str(folder)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and re.search(said, told, re.S), told
    assert not folder.parent.exists()
