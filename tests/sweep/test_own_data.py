"""Data sets of the user's: found, read without running them, and what they mean for ids."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
from own_data_files import forget, forgotten_data, sweep_file, write

from oneshot.sweep import SweepError, own_data
from oneshot.sweep.definition import override
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point

__all__ = ["forgotten_data"]
pytestmark = pytest.mark.usefixtures("forgotten_data")


def points(folder: Path, dataset: str = "./crosses.py") -> list[Point]:
    return expand(override(load_sweep(sweep_file(folder, dataset)), {}))


def test_a_file_is_a_data_set_by_its_name(tmp_path: Path) -> None:
    write(tmp_path)
    made = points(tmp_path)
    assert len(made) == 5  # with references
    for point in made:
        assert point.settings["dataset"] == "crosses" and point.data_fingerprint == "v1-1"
        path, content = point.data_file
        assert path == str(tmp_path / "crosses.py") and len(content) == 64
    found = own_data.find("crosses")
    assert found is not None and (found.test, found.validation) == (20, 10)
    assert found.constants["TRAIN_IMAGES"] == {"fixed": 1400}
    assert own_data.find("quickdraw") is None and own_data.find(3) is None


def test_a_version_or_else_the_content_says_what_an_edit_means(tmp_path: Path) -> None:
    def ids() -> list[str]:
        return [point.train_id for point in points(tmp_path)]

    write(tmp_path)
    first, critics = ids(), points(tmp_path)[-1].critics
    write(tmp_path, old="a place of", new="the place of")
    assert ids() == first
    write(tmp_path, old="VERSION = 1", new="VERSION = 2")
    assert not {*ids()} & {*first} and points(tmp_path)[-1].critics != critics
    write(tmp_path, old="VERSION = 1", new="")
    free = ids()
    write(tmp_path, old="VERSION = 1", new="# more")
    assert not {*ids()} & {*free}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("VERSION = 1", "VERSION = 0", "VERSION must be a whole number from 1"),
        ("CLASSES = 100", "CLASSES = 50 * 2", "CLASSES is read without running the file"),
        ("\nCLASSES = 100", "\nCLASS = 100", "CLASSES must be there, a whole number from 1"),
        ("VERSION = 1", "KIND = 'greys'", "KIND must be 'bits' or 'colour'"),
        ("VERSION = 1", "TEST_CLASSES = 95", "of 100 classes, 95 for tests and 10"),
        ("VERSION = 1", "TEST_CLASSES = 0", "0 for tests and 10 for the choice"),
        ("def load(", "def loads(", "it needs a function load(image_size)"),
        ("def load(", "def load((", "line 11: "),
        ("import numpy", "import beside, numpy", "it imports beside, which lies beside it"),
        ("VERSION = 1", "TEST_CLASSES = 19", "crosses has 19 test classes in its split 'fixed'"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(old: str, new: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")
    write(tmp_path, old=old, new=new)
    with pytest.raises(SweepError) as refused:
        points(tmp_path)
    assert told in str(refused.value), refused.value


def test_names_that_cannot_be_are_told(tmp_path: Path) -> None:
    write(tmp_path, "omniglot")
    for dataset, told in (
        ("./absent.py", "dataset = './absent.py': there is no such file"),
        ("./omniglot.py", "there is a data set 'omniglot' already: rename the file"),
        ("crosses", "dataset = 'crosses' is not one of omniglot"),
    ):
        with pytest.raises(SweepError) as refused:
            points(tmp_path, dataset)
        assert told in str(refused.value)


def test_data_sets_of_installed_packages_are_found_and_bad_ones_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "their_data"
    package.mkdir()
    (package / "__init__.py").write_text("")
    write(package)
    write(package, "bad", old="IMAGES_PER_CLASS = 20", new="IMAGES_PER_CLASS = -1")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [
        importlib.metadata.EntryPoint(name, f"their_data.{module}", "oneshot.data")
        for name, module in (("their_crosses", "crosses"), ("bad", "bad"))
    ]

    def entry_points(group: str) -> Any:
        return entries if group == "oneshot.data" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    forget()
    with pytest.warns(UserWarning, match="bad of oneshot.data is passed over: .*IMAGES_PER_CLASS"):
        made = points(tmp_path, "their_crosses")
    assert made[0].data_file == ("", "") and made[0].settings["dataset"] == "their_crosses"
    from oneshot import data as datasets

    assert datasets.load("their_crosses", "fixed", 16).images.shape == (2000, 16, 16)
