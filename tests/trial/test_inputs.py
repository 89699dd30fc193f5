"""Images that are not those of the run's begin, and what the command says of absent images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from made_inputs import CPU, files, made, some_points

from oneshot import cli
from oneshot import data as datasets
from oneshot.paths import DataError
from oneshot.store.store import Store
from oneshot.trial import prepare

FACES = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Are they here?",
    model="set_vae",
    variant="tiny",
    points=grid(epochs=[2, 3]),
    references=(),
    fixed=dict(dataset="{dataset}", split="{split}", image_size=28, drawings_per_class=0{more}),
)
"""


def check(tmp_path: Path, dataset: str, split: str, *flags: str, more: str = "") -> int:
    (tmp_path / "faces.py").write_text(FACES.format(dataset=dataset, split=split, more=more))
    return cli.main([str(tmp_path / "faces.py"), "--results", str(tmp_path / "results"), *flags])


@pytest.mark.parametrize("flags", [["--check"], ["--check", "--json"], ["--local"], []])
def test_absent_data_of_the_users_are_an_error_before_anything_is_done(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, "celeba", "identities", *flags, more=', pixels="logistic_mixture"') == 2
    shown = capsys.readouterr()
    assert (
        shown.err.startswith("error: CelebA is not here")
        and "\n  help: put identity_CelebA.txt" in shown.err
    )
    assert "./data/celeba" in shown.err and not shown.out and not (tmp_path / "results").exists()


@pytest.mark.parametrize("flag", ["--status", "--list"])
def test_a_look_says_that_absent_data_have_no_ids(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, "celeba", "identities", flag, more=', pixels="logistic_mixture"') == 0
    assert (
        "note: celeba is not here, so that no result on it can be found" in capsys.readouterr().err
    )


def test_a_check_names_digits_that_are_missing_and_what_will_be_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, "omniglot", "random", "--check", more=', binarisation="stochastic"') == 0
    assert "note: Omniglot is not here; it will be downloaded" in capsys.readouterr().err
    assert check(tmp_path, "quickdraw", "fixed", "--check", more=', transfer="mnist"') == 2
    assert capsys.readouterr().err.startswith("error: MNIST is not here")


def test_images_that_changed_since_the_run_began_are_refused(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (point,) = some_points(tmp_path)
    monkeypatch.setattr(
        datasets, "load", lambda *given: dataclasses.replace(made(*given), fingerprint="other-1")
    )
    with pytest.raises(DataError, match=r"\(other-1\) is not what the run began with(.|\n)*help: "):
        prepare.prepare(point, store, CPU)
    assert not files(store)
