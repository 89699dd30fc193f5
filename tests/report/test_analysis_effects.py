"""Effects of axes, their interaction, and the path of an axis: known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_results import HUMAN, SCALE, grid, lines, place, write_results

from oneshot.report.analysis.effects import cell_means, main_effect, main_effects, strongest_pair
from oneshot.report.analysis.trajectory import default_axis, fitted_curve, trajectory
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results, load

SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 4.0], time_steps=[20, 60, 90], z=[10, 85])


def without_noise(root: Path, settings: list, **kwargs) -> Results:
    """Results whose places are exactly those of their settings."""
    return load(write_results(root, settings, noise=0.0, **kwargs))


def test_effects_on_a_grid_are_means_over_the_rest(tmp_path: Path) -> None:
    found = main_effect(without_noise(tmp_path, SMALL), "beta", "diversity")
    expected = [
        np.mean([place(b, t, z)[0] for t in (20, 60, 90) for z in (10, 85)]) for b in found["beta"]
    ]
    assert found["diversity"].tolist() == pytest.approx(expected) and found["n"].tolist() == [6] * 5


def test_effects_of_one_axis_at_a_time_use_that_axis_line_only(tmp_path: Path) -> None:
    base = {"beta": 2.0, "time_steps": 60, "z": 85}
    sweep = without_noise(
        tmp_path, lines(base, beta=[0.0, 1.0, 2.0, 4.0], time_steps=[20, 60, 90], z=[10, 85, 385])
    )
    found = main_effect(sweep, "beta", "diversity")
    assert found["n"].tolist() == [1] * 4  # not the points of the other lines at beta 2
    assert found["diversity"].tolist() == pytest.approx([place(b, 60, 85)[0] for b in (0, 1, 2, 4)])
    assert strongest_pair(sweep) is None


def test_shares_of_variance_are_those_of_an_additive_model(tmp_path: Path) -> None:
    def additive(a: float, b: float, c: float) -> tuple[float, float]:
        return HUMAN[0] + SCALE[0] * (3 * a + b), HUMAN[1]  # human_distance = 3 a + b

    sweep = without_noise(
        tmp_path, grid(a=[0.0, 1.0], b=[0.0, 1.0], c=[0.0, 1.0]), where_is=additive
    )
    effects = main_effects(sweep).set_index("axis")
    assert effects["share"].to_dict() == pytest.approx({"a": 0.9, "b": 0.1, "c": 0.0}, abs=1e-9)
    assert effects["range"].to_dict() == pytest.approx({"a": 3.0, "b": 1.0, "c": 0.0}, abs=1e-9)
    assert strongest_pair(sweep) == ("a", "b", pytest.approx(0.0, abs=1e-9))


def test_an_interaction_shows_as_the_share_beyond_the_two_axes(tmp_path: Path) -> None:
    def crossed(a: float, b: float, c: float) -> tuple[float, float]:
        return HUMAN[0] + SCALE[0] * (1 + float(a == b)), HUMAN[1]

    sweep = without_noise(
        tmp_path, grid(a=[0.0, 1.0], b=[0.0, 1.0], c=[0.0, 1.0]), where_is=crossed
    )
    assert strongest_pair(sweep) == ("a", "b", pytest.approx(1.0))


def test_a_grid_with_a_missing_cell_is_crossed(tmp_path: Path) -> None:
    full = grid(a=[0.0, 1.0, 2.0], b=[10, 20])

    def crossed(settings: list, **kwargs) -> tuple[str, str, float] | None:
        name = f"{len(settings)}{kwargs}"
        return strongest_pair(
            load(write_results(tmp_path, settings, where_is=bent, name=name, **kwargs))
        )

    def bent(a: float, b: float) -> tuple[float, float]:
        return 1.0 + 0.1 * a + 0.01 * b, 80.0

    assert crossed(full) is not None and crossed(full[:-1]) is not None
    assert crossed(grid(a=[0.0, 1.0], b=[10, 20])[:-1]) is not None  # one of four is lacking
    assert crossed(grid(a=[0.0, 1.0], b=[10, 20]), failed=1) is not None  # or failed
    assert crossed(lines({"a": 0.0, "b": 10}, a=[0.0, 1.0, 2.0], b=[10, 20, 30])) is None
    assert crossed(grid(a=[0.0, 1.0], b=[10, 20]), failed=2) is None  # one value of an axis is left

    half = load(
        write_results(
            tmp_path, grid(a=[0.0, 1.0, 2.0], b=[10, 20]), failed=3, where_is=bent, name="half"
        )
    )
    cells = cell_means(half, "a", "b")
    # also where all of a value failed
    assert (
        cells.shape == (2, 3)
        and cells.isna().sum(axis=None) == 3
        and cells.loc[:, 2.0].isna().all()
    )


def test_trajectory_is_ordered_and_the_fit_passes_near_it(loaded: Results) -> None:
    path = trajectory(loaded, default_axis(loaded) or "")
    assert path["beta"].tolist() == [0.0, 0.5, 1.0, 2.0, 4.0]
    curve = fitted_curve(path, "beta", degree=3)
    assert curve is not None and len(curve) == 200
    for _, point in path.iterrows():
        gap = (
            (
                curve[["beta", "diversity", "recognizability"]]
                - point[["beta", "diversity", "recognizability"]]
            )
            .pow(2)
            .sum(axis=1)
        )
        assert gap.min() < 9  # squared, recognizability in percent
    assert fitted_curve(path.head(4), "beta", degree=3) is None


def test_trajectory_refuses_what_is_not_an_axis_of_numbers(loaded: Results) -> None:
    with pytest.raises(AnalysisError, match="'status' is not an axis"):
        trajectory(loaded, "status")
