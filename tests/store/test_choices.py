"""--refine and --suggest choose among the points of a sweep by the rows in its results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_runs
import numpy as np
import pytest
import small
from made_sweeps import make

from oneshot.metrics.distance import UNIT_DIVERSITY, UNIT_RECOGNIZABILITY
from oneshot.store import choices, plan, records
from oneshot.store.plan import CannotChoose, Plan
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep import Sweep, grid, steps
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point

FIXED = dict(dataset="quickdraw", split="fixed", image_size=16, epochs=2)
SEVENTEEN = grid(beta=steps(0, 4, 0.25))


def sweep_of(part: Any = SEVENTEEN, **more: Any) -> Sweep:
    return make(part, variant="tiny", fixed=FIXED, order="spread", **more)


def on_a_step(point: Point) -> dict[str, float]:
    """Numbers of a row: recognizability rises at beta 2.6, people are at 3.5."""
    beta = point.settings.get("beta", 3.5)
    share, percent = 1.2, 40.0 + 50.0 * (beta > 2.6)
    return dict(
        diversity=share, diversity_ratio=share, recognizability=percent,
        human_distance=abs(beta - 3.5),
    )  # fmt: skip


def leave(
    made: Plan, count: int, numbers: Callable[[Point], dict[str, float]] = on_a_step
) -> list[Point]:
    """Rows of the first points that are to run, as a run leaves them; returns these points."""
    for point in made.to_run[:count]:
        row = {**point.row(), "status": "done", "sweep": "q", **numbers(point)}
        records.commit(made.store, "q", Record(row, {}, {}))
    return made.to_run[:count]


def betas(points: list[Point]) -> list[float]:
    return [p.settings["beta"] for p in points]


def test_points_between_rows_that_differ_most_are_refined_and_it_goes_on(tmp_path: Path) -> None:
    sweep, store = sweep_of(), Store(tmp_path)
    leave(plan.make(sweep, store), 5)
    made = plan.make(sweep, store)
    choices.narrow(made, 3, "")
    assert betas(made.to_run)[0] == 2.5 and len(made.to_run) == 3
    reasons = [made.reasons[p.point_id] for p in made.to_run]
    apart = 50.0 / UNIT_RECOGNIZABILITY
    assert reasons[0] == f"between beta=2.0 and beta=3.0, {apart:.2f} apart"
    first = {p.point_id for p in leave(made, 3)}
    again = plan.make(sweep, store)
    choices.narrow(again, 2, "")
    assert len(again.to_run) == 2 and not first & {p.point_id for p in again.to_run}
    assert 2.75 in betas(made.to_run) + betas(again.to_run)
    # the rest is completed without it
    whole = plan.make(sweep, store)
    assert len(whole.to_run) == 17 - 8 and not whole.reasons


def test_one_choice_in_eight_is_where_people_are_expected(tmp_path: Path) -> None:
    sweep, store = sweep_of(), Store(tmp_path)
    leave(plan.make(sweep, store), 5)
    made = plan.make(sweep, store)
    choices.narrow(made, 8, "")
    text = made.reasons[made.to_run[7].point_id]
    assert text.startswith("human_distance ") and " expected, between " in text
    assert abs(made.to_run[7].settings["beta"] - 3.5) <= 0.5


def test_seeds_of_one_place_are_one_and_a_condition_holds(tmp_path: Path) -> None:
    sweep, store = sweep_of(seeds=2, references=("human",)), Store(tmp_path)
    leave(plan.make(sweep, store), 6)  # people, and five points of the first seed
    made = plan.make(sweep, store, condition="beta > 1")
    choices.narrow(made, 30, "")
    own = [p for p in made.to_run if p.model == "vae_stn"]
    assert {p.seed for p in own} == {44} and len(set(betas(own))) == len(own) == 12 - 3
    assert min(betas(own)) > 1


def test_a_training_that_was_begun_goes_on_first(tmp_path: Path) -> None:
    sweep, store = sweep_of(), Store(tmp_path)
    leave(plan.make(sweep, store), 5)
    begun = plan.make(sweep, store).to_run[-1]
    store.write(f"store/trainings/{begun.train_id}/checkpoint-1.pt", b"x")
    made = plan.make(sweep, store)
    choices.narrow(made, 2, "")
    assert made.to_run[0].point_id == begun.point_id and len(made.to_run) == 2
    assert made.reasons[begun.point_id] == "its training was begun"


def test_without_a_plane_the_ranking_metric_is_the_map(tmp_path: Path) -> None:
    sweep, store = sweep_of(), Store(tmp_path)
    leave(
        plan.make(sweep, store), 5, lambda p: dict(human_distance=float(p.settings["beta"] > 1.4))
    )
    made = plan.make(sweep, store)
    choices.narrow(made, 1, "")
    assert betas(made.to_run) == [1.5] and "between beta=1.0 and beta=2.0" in next(
        iter(made.reasons.values())
    )


def test_too_few_rows_and_none_left_are_said(tmp_path: Path) -> None:
    sweep, store = sweep_of(seeds=2), Store(tmp_path)
    leave(plan.make(sweep, store), 3)
    with pytest.raises(CannotChoose, match=r"nothing to refine yet: 3 places of the grid") as few:
        choices.narrow(plan.make(sweep, store), 4, "")
    assert "--limit 16" in few.value.help
    leave(plan.make(sweep, store), 14)
    with pytest.raises(CannotChoose, match="nothing left to refine") as none:
        choices.narrow(plan.make(sweep, store), 4, "")
    assert "other seeds" in none.value.help


def test_a_row_that_is_odd_or_diverged_is_no_place_and_is_not_run_again(tmp_path: Path) -> None:
    sweep, store = sweep_of(), Store(tmp_path)
    first = leave(plan.make(sweep, store), 5)
    bad = plan.make(sweep, store).to_run[:2]
    for point, status in zip(bad, ("diverged", "done")):
        row = {**point.row(), "status": status, "sweep": "q", "human_distance": None}
        records.commit(store, "q", Record(row, {}, {}))
    made = plan.make(sweep, store)
    choices.narrow(made, 17, "")
    assert len(made.to_run) == 10 and not set(map(id, made.to_run)) & set(map(id, first + bad))


# --suggest


def test_optuna_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(CannotChoose, match="needs the package optuna, which is not") as error:
        choices.narrow(plan.make(sweep_of(), Store(tmp_path)), None, "optuna:3")
    assert "pip install '.[optuna]'" in error.value.help


def test_rows_without_the_metric_leave_nothing_to_suggest_by(tmp_path: Path) -> None:
    sweep, store = sweep_of(), Store(tmp_path)
    leave(plan.make(sweep, store), 2, lambda p: {})
    with pytest.raises(CannotChoose, match="no row has human_distance, by which --suggest ranks"):
        choices.narrow(plan.make(sweep, store), None, "optuna")


def test_optuna_finds_the_best_of_a_grid_and_the_grid_can_be_completed(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    part = grid(beta=steps(0, 4, 0.25), z=[2, 3, 4, 5, 6, 7, 8, 9], exemplar=["medoid", "random"])
    sweep, store = sweep_of(part), Store(tmp_path)

    def bowl(point: Point) -> dict[str, float]:
        s = point.settings
        far = abs(s["beta"] - 1.25) + abs(s["z"] - 6) / 3 + (s["exemplar"] == "random")
        return dict(human_distance=far)

    found: list[Point] = []
    for _ in range(8):
        made = plan.make(sweep, store)
        choices.narrow(made, None, "optuna")
        again = plan.make(sweep, store)
        choices.narrow(again, None, "optuna")
        assert [p.point_id for p in again.to_run] == [p.point_id for p in made.to_run]
        assert len(made.to_run) == 8 and all("optuna asked" in t for t in made.reasons.values())
        found += leave(made, 8, bowl)
    assert len({p.point_id for p in found}) == 64
    first, last = found[:16], found[-16:]
    far = [np.mean([bowl(p)["human_distance"] for p in part]) for part in (first, last)]
    assert far[1] < 0.6 * far[0]
    assert min(bowl(p)["human_distance"] for p in found) < 0.4
    assert len(plan.make(sweep, store).to_run) == 17 * 8 * 2 - 64


def test_of_hits_the_most_are_best_and_a_diverged_training_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    def ask(*given: Any) -> list[tuple[int, str]]:
        told.append(given)
        return [(0, "why")]

    monkeypatch.setattr("oneshot.store.suggest.ask", ask)
    monkeypatch.setattr(Plan, "measure", lambda self: "hits_missing")
    sweep, store = sweep_of(), Store(tmp_path)
    first = leave(plan.make(sweep, store), 2, lambda p: dict(hits_missing=0.25))
    point = plan.make(sweep, store).to_run[0]
    row = {**point.row(), "status": "diverged", "sweep": "q"}
    records.commit(store, "q", Record(row, {}, {}))
    made = plan.make(sweep, store)
    choices.narrow(made, None, "optuna:1")
    name, values, free, rows, count = told[0]
    assert (name, count, len(free), values["beta"][:2]) == ("optuna", 1, 14, [0.0, 0.25])
    key = lambda pair: pair[0]["beta"]  # noqa: E731
    expected = [({"beta": b}, -0.25) for b in betas(first)] + [(dict(beta=betas([point])[0]), None)]
    assert sorted(rows, key=key) == sorted(expected, key=key)
    assert list(made.reasons.values()) == ["why"]


def test_the_units_are_those_of_the_plane() -> None:
    place = choices._on_plane(dict(diversity_ratio=1.0, recognizability=27.0))
    assert place == [1 / UNIT_DIVERSITY, 27.0 / UNIT_RECOGNIZABILITY] and place[1] == 2.0
    assert choices._on_plane(dict(diversity_ratio=1.0)) is None
    assert choices._on_plane(dict(diversity_ratio=float("nan"), recognizability=1.0)) is None


# The command


def test_a_check_shows_which_points_are_chosen_and_why(tmp_path: Path) -> None:
    file = made_runs.write_sweep(tmp_path)
    file.write_text(
        file.read_text().replace("beta=[0.0, 1.0, 2.0]", "beta=[0, 1, 2, 3, 4, 5, 6, 7, 8]")
    )
    store = Store(tmp_path / "results")
    points = {p.settings["beta"]: p for p in plan.make(load_sweep(str(file)), store).points}
    for beta in (0.0, 2.0, 6.0, 8.0):
        numbers = dict(diversity_ratio=1.0, recognizability=20.0 + 60.0 * (beta > 3))
        row = {**points[beta].row(), "status": "done", "sweep": "made", "human_distance": 1.0}
        records.commit(store, "made", Record(row | numbers, {}, {}))
    words = [file, "--check", "--refine", "2", "--results", tmp_path / "results"]
    done = small.main(*words)
    shown = " ".join(done.stdout.split())
    assert done.returncode == 0, done
    assert "to run 2" in shown and "chosen beta=4.0 seed=44: between beta=2.0 and beta=6.0" in shown
    assert f"{60 / UNIT_RECOGNIZABILITY:.2f} apart" in shown
    assert "run_sweep.py" in shown and "--refine 2" in shown
