"""Metrics of the user's: found, read without running them, and what they mean for ids."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest
from own_metric_files import INK, forget, forgotten_metrics, write

from oneshot.sweep import Sweep, SweepError, grid, own_metrics
from oneshot.sweep.expansion import expand
from oneshot.sweep.point import Point

__all__ = ["forgotten_metrics"]
pytestmark = pytest.mark.usefixtures("forgotten_metrics")
FIXED = dict(dataset="quickdraw", split="fixed", image_size=16)


def points(*metrics: object, **fixed: object) -> list[Point]:
    names = [str(metric) for metric in metrics]
    sweep = Sweep(
        "q", "vae_stn", grid(beta=[0.0, 1.0]), fixed=FIXED | fixed, metrics=names, name="q"
    )
    return expand(sweep)


def ids(made: list[Point]) -> list[str]:
    return [point.point_id for point in made]


def test_a_metric_enters_the_id_of_the_point_alone(tmp_path: Path) -> None:
    without, with_it = points(), points(write(tmp_path))
    assert all(p.metrics == () and "ink" not in p.graders for p in without)
    for before, after in zip(without, with_it, strict=True):  # references too
        assert after.sample_id == before.sample_id and after.point_id != before.point_id
        assert after.graders == before.graders | {"ink": 1}
        assert after.row()["metric_versions"] == before.row()["metric_versions"] + " ink 1"
        ((name, path, content),) = after.metrics
        assert (name, path) == ("ink", str(tmp_path / "ink.py")) and len(content) == 64
    assert own_metrics.columns()["ink_share"] == "share of the pixels that is ink, 0 to 1"


def test_a_version_or_else_the_content_says_what_an_edit_means(tmp_path: Path) -> None:
    first = ids(points(write(tmp_path)))
    assert ids(points(write(tmp_path, old="how much", new="what part"))) == first
    assert ids(points(write(tmp_path, old="VERSION = 1", new="VERSION = 2"))) != first
    free = ids(points(write(tmp_path, old="VERSION = 1", new="")))
    assert free != first
    assert ids(points(write(tmp_path, text=INK.replace("VERSION = 1", "") + "# more\n"))) != free


def test_a_path_is_meant_from_the_folder_of_the_sweep_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oneshot.sweep.definition import override
    from oneshot.sweep.files import load_sweep

    write(tmp_path)
    (tmp_path / "s.py").write_text(
        "from oneshot.sweep import Sweep, grid\n"
        "sweep = Sweep('q', 'vae_stn', grid(beta=[1.0]), metrics=['./ink.py'])\n"
    )
    monkeypatch.chdir("/")
    sweep = override(load_sweep(tmp_path / "s.py"), {"epochs": 3})
    assert tuple(sweep.metrics) == (str(tmp_path / "ink.py"),)
    assert expand(sweep)[-1].graders["ink"] == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("VERSION = 1", "VERSION = 0", "VERSION must be a whole number from 1"),
        ("COLUMNS =", "COLUMN =", "COLUMNS must say what each column holds"),
        ('"ink_share":', '"ink share":', "the column 'ink share' cannot be: a name has letters"),
        (
            '"ink_share":',
            '"beta" if 1 else "ink_share":',
            "COLUMNS is read without running the file",
        ),
        ('"ink_share":', '"values":', "the word is reserved"),
        ('"ink_share":', '"dataset":', "all families have a setting of this name"),
        ('("bits",)', '("bit",)', "KINDS must be some of bits, greys, colour, points"),
        ("def score(", "def scores(", "it needs a function score(drawings)"),
        ("def score(", "def score((", "line 11: "),
        ("import numpy", "import beside, numpy", "it imports beside, which lies beside it"),
        ('("bits",)', '("greys",)', "metrics: ink scores greys, and the drawings are bits"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_name(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "beside.py").write_text("")
    with pytest.raises(SweepError) as refused:
        points(write(tmp_path, old=old, new=new))
    text = str(refused.value) + str(refused.value.problems)
    assert told in text and "ink" in text


def test_names_that_cannot_be_are_told(tmp_path: Path) -> None:
    for metric, told in (
        (tmp_path / "absent.py", "there is no such file"),
        (write(tmp_path, "plane"), "there is a grader 'plane' in the package: rename the file"),
        ("inkk", "there is no metric 'inkk'. No installed package brings one."),
    ):
        with pytest.raises(SweepError, match="metrics = ") as refused:
            points(metric)
        assert told in str(refused.value)
    (tmp_path / "b").mkdir()
    with pytest.raises(SweepError, match="two metrics have the name 'ink'"):
        points(write(tmp_path), write(tmp_path / "b"))
    with pytest.raises(SweepError, match="ink2 and ink have both a column 'ink_share'"):
        points(write(tmp_path), write(tmp_path, "ink2"))
    with pytest.raises(SweepError, match="needs a list of files or names"):
        Sweep("q", "vae_stn", grid(beta=[0.0]), metrics="./ink.py")  # type: ignore[arg-type]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a metric, and one that is of no use."""
    folder = tmp_path / "their_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported too early')")
    write(folder)
    write(folder, "bad", old="VERSION = 1", new="VERSION = 'a'")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [
        importlib.metadata.EntryPoint(name, f"their_package.{module}", "oneshot.metrics")
        for name, module in (("their_ink", "ink"), ("bad", "bad"), ("gone", "gone"))
    ]

    def entry_points(group: str) -> Any:
        return entries if group == "oneshot.metrics" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    forget()
    return folder


def test_metrics_of_installed_packages_are_found_and_bad_ones_passed_over(package: Path) -> None:
    with pytest.warns(UserWarning, match="is passed over") as warned:
        made = points("their_ink")
    texts = sorted(str(w.message) for w in warned)
    assert len(texts) == 2 and "VERSION must be a whole number" in texts[0], texts
    assert "gone = their_package.gone of oneshot.metrics is passed over" in texts[1]
    assert made[-1].graders["their_ink"] == 1
    assert made[-1].metrics == (("their_ink", str(package / "ink.py"), ""),)
    (package / "__init__.py").write_text("")
    assert own_metrics.module("their_ink") is sys.modules["their_package.ink"]
    with pytest.raises(SweepError, match=r"there is no metric 'their_in'.*Did you mean"):
        points("their_in")
