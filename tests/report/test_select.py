"""Filters on results, and what they leave of references."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_results import grid, write_results

from oneshot.report.results import Results, join, load
from oneshot.report.select import matching_rows, select, varying_axes
from oneshot.sweep.filter import FilterError


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("beta <= 1 and z in (10, 35)", "beta <= 1 and z == 10"),
        ("not status == 'done'", "status != 'done'"),
        ("0 < beta < 2 or model == 'human'", "(0 < beta < 2) or model == 'human'"),
        ("human_distance >= 2", "human_distance >= 2"),
        ("True", "index >= 0"),
    ],
)
def test_a_filter_agrees_with_pandas(loaded: Results, text: str, query: str) -> None:
    chosen = loaded.points[matching_rows(loaded.points, text)]
    assert (
        len(chosen) > 0
        and chosen["point_id"].tolist() == loaded.points.query(query)["point_id"].tolist()
    )


def test_a_filter_names_near_columns(loaded: Results) -> None:
    with pytest.raises(FilterError, match="Did you mean time_steps"):
        matching_rows(loaded.points, "time_step == 20")


@pytest.mark.parametrize(
    ("text", "references", "models"),
    [
        # references have no beta, and their one seed stands for all
        ("beta == 2 and seed == 45", 3, 6),
        ("not (beta < 2 or z == 10)", 3, 18),
        ("beta >= 1 and status == 'done'", 3, 51),
        ("beta == 4 and status == 'failed'", 0, 2),  # they have a status
        ("beta >= 1 and model == 'vae_stn'", 0, 54),
        ("beta == 4 or model == 'human'", 3, 18),
        ("beta == None", 3, 0),
        ("beta != None", 0, 90),
        ("diversity < 0.1 or beta == 4", 3, 18),
        ("diversity < 0.1", 1, 0),
        ("nelbo_is_no_column == 1", -1, -1),
        ("beta > 100", 0, 0),  # nothing fulfils it, so there is nothing to compare with people
    ],
)
def test_references_stay_unless_a_filter_refuses_them_by_what_they_have(
    loaded: Results, text: str, references: int, models: int
) -> None:
    if references < 0:
        with pytest.raises(FilterError):
            select(loaded, text)
        return
    chosen = select(loaded, text)
    kept = chosen.points["model"].isin(["human", "copy", "noise"])
    assert (kept.sum(), (~kept).sum()) == (references, models)
    assert set(chosen.curves["point_id"]) <= set(chosen.points["point_id"])
    assert len(select(loaded, text, keep_references=True).references) == 3


def test_people_stay_beside_each_of_several_sweeps(tmp_path: Path) -> None:
    one, two = (
        load(write_results(tmp_path, grid(beta=[1.0]), name=name)) for name in ("one", "two")
    )
    two.points.loc[3:, "point_id"] = "other"
    together = join([one, two])
    assert len(together.references) == 3 and len(together.models) == 2
    chosen = select(together, "sweep == 'two'")
    assert len(chosen.references) == 3 and list(chosen.models["sweep"]) == ["two"]


def test_varying_axes_follow_the_filter(loaded: Results) -> None:
    assert varying_axes(loaded) == ["beta", "time_steps", "z"]
    assert varying_axes(select(loaded, "beta == 2 and z == 10")) == ["time_steps"]
