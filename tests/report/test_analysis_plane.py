"""Extremes, people and seed noise on the plane."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_results import HUMAN, grid, write_results

from oneshot.report.analysis.chance import seed_noise
from oneshot.report.analysis.plane import extremes, human_point
from oneshot.report.results import Results, load

SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 4.0], time_steps=[20, 60, 90], z=[10, 85])


def test_extremes_are_ranked_by_the_mean_over_seeds(loaded: Results) -> None:
    means = loaded.models.groupby(["beta", "time_steps", "z"])["human_distance"].mean()
    found = extremes(loaded)
    assert list(found) == ["nearest", "median", "farthest"]
    assert tuple(found["nearest"][["beta", "time_steps", "z"]]) == means.idxmin()
    assert tuple(found["farthest"][["beta", "time_steps", "z"]]) == means.idxmax()
    seeds = loaded.models.set_index(["beta", "time_steps", "z"]).loc[[means.idxmin()]][
        "human_distance"
    ]
    assert found["nearest"]["human_distance"] == seeds.iloc[(seeds - seeds.mean()).abs().argmin()]


def test_extremes_of_one_and_two_settings_do_not_repeat(tmp_path: Path) -> None:
    assert list(extremes(load(write_results(tmp_path, grid(beta=[1.0]), name="a")))) == ["nearest"]
    assert list(extremes(load(write_results(tmp_path, grid(beta=[1.0, 4.0]), name="b")))) == [
        "nearest",
        "farthest",
    ]


def test_human_point_is_known_even_without_human_rows(tmp_path: Path) -> None:
    assert human_point(
        load(write_results(tmp_path, grid(beta=[1.0]), references=False))
    ) == pytest.approx(HUMAN)


def test_seed_noise_is_pooled_over_settings(tmp_path: Path) -> None:
    one = load(write_results(tmp_path, SMALL, name="one"))
    assert seed_noise(one).df == 0
    many = load(write_results(tmp_path, SMALL, seeds=8, name="many"))
    wild = load(write_results(tmp_path, SMALL, seeds=8, name="wild", noise=4.0))
    assert seed_noise(many).df == len(SMALL) * 7
    assert 0 < seed_noise(many).sd < 0.1 and seed_noise(wild).sd > 2 * seed_noise(many).sd
