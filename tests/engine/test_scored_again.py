"""Rows whose scores are out of date, or asked of other critics, come from stored drawings."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest
import small

from oneshot.scoring import sample
from oneshot.store.store import Store
from oneshot.sweep import graders
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.trial import train
from oneshot.trial.job import Job


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """The finished small sweep, to be changed."""
    shutil.copytree(finished / "results", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def neither_trains_nor_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was trained or drawn again")

    monkeypatch.setattr(train, "fit", refuse)
    monkeypatch.setattr(sample, "draw", refuse)


def raised(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The numbers of a grader have moved: its version is one higher."""
    later = tuple(
        dataclasses.replace(g, version=g.version + 1) if g.name == name else g
        for g in graders.all_graders()
    )
    monkeypatch.setattr(graders, "all_graders", lambda: later)


def load_points(results: Path) -> list[Point]:
    return expand(load_sweep(small.write_sweep(results.parent)))


def run(results: Path, *more: str) -> small.Done:
    sweep = small.write_sweep(results.parent)
    return small.main(sweep, "--local", "--results", results, *more)


def rows(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "small" / "points.parquet")


COSTS = ["parameters", "epochs_done", "train_seconds", "trained_as"]
SCORES = ["diversity", "recognizability", "fid", "nearest_train"]


@pytest.mark.parametrize("weights", ["there", "dropped", "dropped by an older version"])
def test_a_new_version_of_a_grader_scores_stored_drawings_again(
    weights: str,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    neither_trains_nor_draws: None,
) -> None:
    before = rows(results)
    drawings = {p: p.stat().st_mtime_ns for p in results.glob("store/drawings/*/drawings.npz")}
    if weights != "there":
        job = Job(Store(results), "small")
        for point in load_points(results):
            if point.model == "vae_stn":
                train.drop_weights(point, job)
        assert not list(results.glob("store/trainings/*/training.pt"))
    if weights == "dropped by an older version":
        for path in results.glob("store/trainings/*/summary.pt"):
            path.unlink()
    raised(monkeypatch, "plane")
    checked = run(results, "--check")
    assert checked.returncode == 0 and len(drawings) == 6
    assert "scored again, from stored drawings" in " ".join(checked.stdout.split())
    done = run(results)
    assert done.returncode == 0, done.stderr
    after = rows(results)
    assert len(after) == 6 and not set(after.point_id) & set(before.point_id)
    assert set(after.train_id) == set(before.train_id)
    pd.testing.assert_frame_equal(after[SCORES], before[SCORES], rtol=1e-4)
    costs = ["parameters"] if weights.endswith("version") else COSTS
    pd.testing.assert_frame_equal(after[costs], before[costs])
    assert drawings == {p: p.stat().st_mtime_ns for p in drawings}


def test_a_new_version_of_a_grader_leaves_points_that_it_does_not_score(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised(monkeypatch, "importance")
    shown = run(results, "--check")
    assert shown.returncode == 0 and "again" not in shown.stdout
    assert {p.point_id for p in load_points(results)} == set(rows(results).point_id)


@pytest.mark.slow
def test_an_axis_over_critics_scores_stored_drawings_by_each_pair(
    results: Path, neither_trains_nor_draws: None
) -> None:
    before = rows(results)
    sweep = small.write_sweep(results.parent)
    text = sweep.read_text()
    sweep.write_text(text.replace("beta=[0.0, 1.0, 2.0]", "beta=[0.0, 2.0], critic_seed=[0, 1]"))
    done = small.main(sweep, "--local", "--results", results)
    assert done.returncode == 0, done.stderr
    after = rows(results)
    after = after[after.beta != 1.0]  # of the sweep as it was: its row stays in the table
    assert len(after) == 2 * 5 and set(after.critic_seed) == {0, 1}
    first, second = (after[after.critic_seed == seed].reset_index() for seed in (0, 1))
    kept = before[before.beta != 1.0].reset_index()
    assert first.point_id.tolist() == kept.point_id.tolist()  # they keep their ids and rows
    # the same drawings of the same exemplars, other critics
    assert second.sample_id.tolist() == first.sample_id.tolist()
    assert set(second.simclr_id).isdisjoint(first.simclr_id)
    assert set(second.protonet_id).isdisjoint(first.protonet_id)
    models = first.model == "vae_stn"
    assert (second.diversity != first.diversity)[models].all()
    assert second.human_distance[0] == 0  # people are their own reference with each pair
    critics = pd.read_parquet(results / "small" / "critics.parquet")
    assert sorted(critics.critic) == ["protonet", "protonet", "simclr", "simclr"]
