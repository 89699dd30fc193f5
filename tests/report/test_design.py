"""Which axes were varied apart, and shares of variance that never add to more than all."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import foot
from matplotlib.text import Text
from synthetic_results import HUMAN, SCALE, grid, lines, write_results

from oneshot.report.analysis.design import design, shares
from oneshot.report.analysis.effects import main_effects, strongest_pair
from oneshot.report.figures import effects, heatmap
from oneshot.report.results import load


def plan(**columns: Any) -> Any:
    return design(pd.DataFrame(columns), list(columns))


def test_axes_of_a_grid_are_apart_and_balanced() -> None:
    full = pd.DataFrame(grid(a=[0, 1, 2], b=["x", "y"], c=[0.5, 1.0]))
    found = design(full, ["a", "b", "c"])
    assert found.groups == [("a",), ("b",), ("c",)] and found.balanced
    less = design(full.iloc[:-1], ["a", "b", "c"])
    assert less.groups == [("a",), ("b",), ("c",)] and not less.balanced
    line = pd.DataFrame(lines({"a": 0, "b": 0}, a=[0, 1, 2], b=[0, 1]))
    assert design(line, ["a", "b"]).groups == [("a",), ("b",)]


def test_axes_that_move_together_are_aliased() -> None:
    found = plan(a=[0, 0, 1, 1, 2, 2], b=[5, 5, 6, 6, 7, 7], c=[0, 1] * 3)
    assert found.groups == [("a", "b"), ("c",)] and found.confounded_with("a") == ["b"]
    assert found.confounded_with("c") == []
    partly = plan(a=[0, 1, 2, 2], b=[0, 1, 1, 1])  # b is 0 where a is
    assert partly.groups == [("a", "b")]
    # pairwise apart, yet d says which two of a, b, c are 1
    rows = [(a, b, c) for a, b, c in itertools.product((0, 1), repeat=3) if a + b + c in (0, 2)]
    a, b, c = zip(*rows)
    assert plan(a=a, b=b, c=c).groups == [("a",), ("b",), ("c",)]
    three = plan(a=[0, 1, 0, 1], b=[0, 0, 1, 1], c=[0, 1, 2, 3])
    assert three.groups == [("a", "b", "c")]


def test_an_axis_of_one_family_is_not_aliased_with_the_family() -> None:
    model = ["v", "v", "v", "w", "w"]
    found = plan(model=model, beta=[0.0, 1.0, 2.0, np.nan, np.nan], z=[np.nan] * 3 + [1.0, 2.0])
    assert found.groups == [("model",), ("beta",), ("z",)] and found.balanced


def test_shares_are_those_of_all_orders_and_add_to_what_is_explained() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(grid(a=[0, 1, 2], b=[0, 1], c=[0, 1])).sample(9, random_state=1)
    values = rows["a"] + 2 * rows["b"] + 0.1 * rng.normal(size=9)
    found = design(rows, ["a", "b", "c"])
    by_group = shares(found, values.to_numpy())

    def fitted(axes: tuple[str, ...]) -> float:
        x = (
            pd.get_dummies(rows[list(axes)].astype(str)).to_numpy(float)
            if axes
            else np.ones((9, 1))
        )
        x = np.column_stack([np.ones(9), x])
        rest = values - x @ np.linalg.lstsq(x, values, rcond=None)[0]
        return 1 - float(rest @ rest) / float(((values - values.mean()) ** 2).sum())

    for axis in "abc":
        gains = []
        for order in itertools.permutations("abc"):
            before = order[: order.index(axis)]
            gains.append(fitted((*before, axis)) - fitted(before))
        assert by_group[axis,] == pytest.approx(np.mean(gains), abs=1e-6)
    assert sum(by_group.values()) == pytest.approx(fitted(("a", "b", "c")))


def test_shares_of_many_axes_add_to_one_at_most() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.integers(0, 2, (40, 7)), columns=list("abcdefg"))
    found = shares(design(rows, list("abcdefg")), rng.normal(size=40) + rows["a"].to_numpy())
    assert 0.1 < sum(found.values()) <= 1 and max(found, key=lambda k: found[k]) == ("a",)


def away(**axes: float) -> tuple[float, float]:
    """A distance to people that is the first axis."""
    return HUMAN[0] + SCALE[0] * next(iter(axes.values())), HUMAN[1]


def test_aliased_axes_have_no_share_of_their_own(tmp_path: Path) -> None:
    settings = [
        {"beta": b, "z": 10 + int(20 * b), "time_steps": t}
        for b in (0.0, 1.0, 2.0)
        for t in (20, 60)
    ]
    results = load(write_results(tmp_path, settings, seeds=2, where_is=away))
    table = main_effects(results).set_index("axis")
    assert table.loc["beta", "confounded_with"] == "z" and np.isnan(table.loc["z", "share"])
    assert table["share"].sum() <= 1 and table.loc["beta", "joint_share"] == pytest.approx(
        1, abs=0.01
    )
    plot = effects.draw(results)
    assert plot.title.startswith("beta and z are confounded: never varied apart")
    texts = {t.get_text() for t in plot.figure.findobj(Text)}
    assert {"confounded with z", "confounded with beta"} <= texts and "172 %" not in texts
    assert "beta and z were never varied apart: no share of their own" in foot(plot)
    assert "beta was never varied apart from z" in foot(heatmap.draw(results))


def test_shares_of_an_unbalanced_sweep_are_said_to_be_means_over_orders(tmp_path: Path) -> None:
    base = {"beta": 0.0, "z": 10}
    sweep = lines(base, beta=[0.0, 1.0], z=[10, 20])

    def both(beta: float, z: int) -> tuple[float, float]:
        return HUMAN[0] + SCALE[0] * (1 + (beta > 0 or z > 10)), HUMAN[1]

    results = load(write_results(tmp_path, sweep, where_is=both, noise=0.0))
    table = main_effects(results)
    assert table["share"].tolist() == pytest.approx([0.5, 0.5])  # each alone: 75 % of the variance
    note = foot(effects.draw(results))
    assert "not every combination was scored: the mean over all orders of the axes" in note


def test_titles_of_effects_and_heat_maps_follow_tests(tmp_path: Path) -> None:
    def nowhere(**_: float) -> tuple[float, float]:
        return 2.0, 60.0

    settings = grid(beta=[0.0, 1.0, 2.0], z=[10, 60])
    same = load(write_results(tmp_path, settings, seeds=3, noise=5.0, where_is=nowhere))
    assert effects.draw(same).title == "No axis moves the distance to people beyond chance"
    assert heatmap.draw(same).title == (
        "beta and z do not interact beyond chance; no cell is clearly the nearest to people"
    )

    def crossed(beta: float, z: int) -> tuple[float, float]:
        return 1.6 + beta * (z - 35) / 100, 80.0

    clear = load(write_results(tmp_path, settings, seeds=3, where_is=crossed, name="clear"))
    pair = strongest_pair(clear)
    assert pair is not None and pair[2] > 0.2
    assert heatmap.draw(clear).title.startswith(f"beta and z interact ({100 * pair[2]:.0f} %")


def test_without_seeds_and_classes_no_effect_is_claimed(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[0.0, 1.0, 2.0]))
    (folder / "classes.parquet").unlink()
    assert effects.draw(load(folder)).title == (
        "No telling what moves the distance to people: there is one seed, and no score by class"
    )
