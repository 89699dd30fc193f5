"""Expansion: which points a sweep has, and how many."""

from __future__ import annotations

from typing import Any

import pytest
from made_sweeps import ROOT, SHIPPED, make, problems

from oneshot.console import preview
from oneshot.sweep import (
    SweepError,
    expansion,
    families,
    grid,
    line,
    points,
)
from oneshot.sweep.expansion import count, expand
from oneshot.sweep.files import load_sweep


@pytest.mark.parametrize(
    ("name", "count"), [("vae_stn", 2176), ("vae_stn_lines", 41), ("quickstart", 6)]
)
def test_shipped_sweeps_have_the_published_counts(name: str, count: int) -> None:
    loaded = load_sweep(ROOT / "sweeps" / f"{name}.py")
    expanded = expand(loaded)
    assert sum(p.model == "vae_stn" for p in expanded) == count
    assert [p.model for p in expanded[:3]] == ["human", "copy", "noise"]
    assert len({p.point_id for p in expanded}) == count + 3


def test_lines_cross_once() -> None:
    expanded = expand(make(line(base=dict(beta=1.0, z=10), beta=[0.5, 1.0, 2.0], z=[10, 20])))
    assert [(p.settings["beta"], p.settings["z"]) for p in expanded] == [
        (0.5, 10),
        (1.0, 10),
        (2.0, 10),
        (1.0, 20),
    ]


def test_seeds_multiply_points_and_references_stay_one_each() -> None:
    expanded = expand(make(grid(beta=[0.0, 1.0]), seeds=3, references=("human", "noise")))
    assert [p.seed for p in expanded if p.model == "vae_stn"] == [44, 45, 46] * 2
    assert sorted(p.model for p in expanded if p.model != "vae_stn") == ["human", "noise"]
    assert {p.seed for p in expand(make(grid(beta=[0.0]), seeds=[7, 9]))} == {7, 9}


def test_a_swept_data_setting_has_references_for_each_value() -> None:
    expanded = expand(make(grid(exemplar=["medoid", "first"]), references=("human",)))
    assert [p.settings["exemplar"] for p in expanded if p.model == "human"] == ["medoid", "first"]


@pytest.mark.parametrize("name", SHIPPED)
def test_points_are_counted_without_being_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_sweep(ROOT / "sweeps" / f"{name}.py")
    expected = sum(p.model == loaded.model for p in expand(loaded))
    monkeypatch.setattr(expansion, "PointMaker", None)
    assert count(loaded) == expected > 0


def test_counts_are_exact_where_lines_cross_parts_follow_each_other_and_seeds_multiply() -> None:
    crossing = line(base=dict(beta=1, z=10), beta=[0.5, 1.0, 2.0], z=[10, 20])
    for parts in (
        crossing,
        [crossing, grid(beta=[7.0, 8.0], z=[1, 2, 3])],
        [points([dict(z=3), dict(beta=2.0)]), crossing],
        line(z=[60, 61]),
    ):
        for seeds in (1, 3, [7, 9]):
            made = make(parts, seeds=seeds, references=("human",))
            assert count(made) == sum(p.model == "vae_stn" for p in expand(made))


@pytest.mark.parametrize(
    ("part", "more"),
    [
        (grid(beta=[0.0, 0.5, -1.0, 1.0], z=[1, 2, 3]), {}),
        (grid(bata=[1.0]), {}),
        (grid(z=[1, 2]), dict(fixed=dict(epochs=0))),
        (grid(z=[1, 2]), dict(critics=dict(simclr=dict(epoch=1)))),
        (grid(dataset=["quickdraw"]), {}),
        (grid(z=[1, 2]), dict(fixed=dict(dataset="cifar10", split="fixed", image_size=32))),
        (points([dict(z=1), dict(z=0), dict(z=2)]), {}),
    ],
)
def test_what_cannot_be_expanded_is_not_counted_either(part: Any, more: dict[str, Any]) -> None:
    with pytest.raises(SweepError) as counted:
        count(make(part, **more))
    assert counted.value.problems == problems(part, **more)


def test_the_list_expands_nothing_and_an_expansion_looks_at_each_value_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    asked: list[tuple[str, Any]] = []
    checked = families.check_value
    monkeypatch.setattr(
        families,
        "check_value",
        lambda field, value: asked.append((field.name, value)) or checked(field, value),
    )  # type: ignore[func-returns-value]
    assert len(expand(load_sweep("ns_full"))) == 3993
    own = [pair for pair in asked if pair[0] in ("set_size", "z", "beta")]
    # of 3,990 x 3; twice where a float and a whole number are equal
    assert len(own) <= 2 * (19 + 21 + 10)
    monkeypatch.setattr(expansion, "PointMaker", None)
    assert "ns_full" in preview.sweep_list(as_json=False)
