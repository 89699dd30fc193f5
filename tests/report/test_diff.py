"""`analyze.py A B --diff`: what moved beyond chance between two results, and what compares."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_checks import analyze
from scored_classes import scored_classes
from synthetic_results import grid, place, write_results

from oneshot.report.analysis.differences import differences, other_changes
from oneshot.report.analysis.resampling import t_tail
from oneshot.report.diff import diff_table, printed, summary
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.text import fit_terminal

GRID = grid(beta=[0.0, 1.0, 2.0], time_steps=[20, 90])


def pair(
    seed: int, move: float = 0.0, seeds: int = 3, settings: int = 3, paired: float = 1.0
) -> list[Results]:
    """Two results of the same settings; the second moved at the first setting by `move`."""
    rng, results = np.random.default_rng(seed), []
    easy = 8 * rng.normal(size=(1, 30))
    common = paired * rng.normal(size=(settings, seeds, 1))
    for name in ("first", "second"):
        tables = {}
        for i in range(settings):
            own = rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, 30))
            tables[float(i)] = 60 + easy + common[i] + own + move * (name == "second" and i == 0)
        results.append(scored_classes(tables, name=name, epochs=100 if name == "first" else 200))
    return results


def test_a_difference_is_found_and_others_are_not() -> None:
    table = diff_table(pair(0, move=12.0))
    up = table[table["metric"] == "recognizability"].set_index("beta")
    assert up["moved"].tolist() == [True, False, False] and len(up) == 3
    row = up.loc[0.0]
    assert row["difference"] == pytest.approx(row["second"] - row["first"])
    assert row["low"] < 12 < row["high"] and row["low"] > 6
    assert table["p"].is_monotonic_increasing and (table["p_holm"] >= table["p"]).all()
    assert set(table["metric"]) == {"human_distance", "diversity", "recognizability"}
    assert (table.loc[table["metric"] == "diversity", "difference"] == 0).all()


@pytest.mark.slow
def test_equal_results_move_no_more_often_than_chance_says() -> None:
    tables = [differences(*pair(seed, settings=2)) for seed in range(60)]
    rows = pd.concat(tables).query("metric == 'recognizability'")
    assert (rows["p"] < 0.05).mean() < 0.11
    inside = ((rows["low"] <= 0) & (rows["high"] >= 0)).mean()
    assert inside > 0.88
    assert np.mean([table["moved"].any() for table in tables]) < 0.11


def test_a_paired_difference_is_that_of_a_loop_over_seeds_and_classes() -> None:
    one, other = pair(1, settings=1, paired=3.0)
    found = differences(one, other).set_index("metric").loc["recognizability"]
    cells = []
    for part in (one, other):
        scores = part.classes.merge(part.points[["point_id", "seed"]])
        cells.append(scores.pivot(index="seed", columns="class_name", values="recognizability"))
    gap = (cells[1] - cells[0]).to_numpy()
    assert found["difference"] == pytest.approx(gap.mean()) and found["seeds"] == 3
    # classes hardly differ in the gap: the error is nearly that of three paired seeds
    t = gap.mean() / (gap.mean(axis=1).std(ddof=1) / np.sqrt(3))
    assert found["p"] == pytest.approx(t_tail(t, 2), abs=0.05)


def test_other_seeds_are_taken_to_be_independent() -> None:
    one, other = pair(2, settings=2)
    other.points["seed"] += 10
    table = differences(one, other)
    assert (table["seeds"] == 0).all() and table["p"].notna().any()
    assert any("no two seeds in common" in line for line in summary([one, other], table))


def test_the_summary_says_what_was_compared_and_what_else_differs() -> None:
    results = pair(3, seeds=1)
    table = diff_table(results)
    said = " ".join(" ".join(summary(results, table)).split())
    assert "3 settings are in both" in said and "differences are beyond chance (5 %, Holm's" in said
    assert "what else differs: epochs 100, then 200" in said
    assert other_changes(*results) == ["epochs 100, then 200"]
    assert "one seed each: the tests speak of other classes, not of other trainings" in said
    assert max(len(line) for text in summary(results, table) for line in text.splitlines()) < 80


def test_what_matters_fits_eighty_columns() -> None:
    results = pair(0, move=12.0)
    text, dropped = fit_terminal(printed(results, diff_table(results)), 80)
    header = text.splitlines()[0].split()
    assert header[:5] == ["beta", "metric", "difference", "p_holm", "moved"]
    assert "low" in header and not {"low", "high"} & set(dropped)


def test_what_does_not_compare_is_refused_in_clear_words() -> None:
    one, other = pair(4)
    far = dataclasses.replace(other, points=other.points.assign(beta=other.points["beta"] + 50))
    with pytest.raises(
        AnalysisError, match="no setting of first is in second with the same model, beta"
    ):
        differences(one, far)
    critics = [
        dataclasses.replace(p, points=p.points.assign(simclr_id=f"s{i}", protonet_id="p"))
        for i, p in enumerate((one, other))
    ]
    with pytest.raises(AnalysisError, match="scored by different critics"):
        differences(*critics)
    classes = other.classes.assign(class_name="x" + other.classes["class_name"])
    with pytest.raises(AnalysisError, match="on different test classes"):
        differences(one, dataclasses.replace(other, classes=classes))
    with pytest.raises(AnalysisError, match="--diff compares two results, given 1"):
        diff_table([one])


def test_of_several_critics_those_of_both_are_compared() -> None:
    one, other = pair(5, move=12.0)
    scored_by = [
        dataclasses.replace(p, points=p.points.assign(simclr_id="s0", protonet_id="p0"))
        for p in (one, other)
    ]
    again = other.points.assign(
        point_id="b" + other.points["point_id"], simclr_id="s1", recognizability=0.0
    )
    points = pd.concat([scored_by[1].points, again], ignore_index=True)
    table = differences(scored_by[0], dataclasses.replace(scored_by[1], points=points))
    row = table.query("metric == 'recognizability' and beta == 0").iloc[0]
    assert row["difference"] > 8, "not with the other critic's 0 per cent"
    assert "diversity_ratio" in set(table["metric"]) and "diversity" not in set(table["metric"])


def test_the_command_prints_the_differences_and_writes_them(tmp_path: Path) -> None:
    def moved(beta: float, time_steps: int) -> tuple[float, float]:
        diversity, recognizability = place(beta, time_steps)
        return diversity + 0.2 * (beta == 1.0), recognizability

    first = write_results(tmp_path, GRID, seeds=3, name="first")
    second = write_results(tmp_path, GRID, seeds=3, name="second", where_is=moved)
    csv = tmp_path / "diff.csv"
    done = analyze(first, second, "--diff", "--csv", csv)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:3] == ["beta", "time_steps", "metric"]
    assert "6 settings are in both" in done.stderr and not (first / "figures").exists()
    written = pd.read_csv(csv, dtype=str)
    assert set(written["time_steps"]) == {"20", "90"} and set(written["moved"]) == {"True", "False"}
    moved_rows = written.query("moved == 'True'")
    assert set(moved_rows["beta"]) == {"1.0"} and "diversity" in set(moved_rows["metric"])
    some = analyze(first, second, "--diff", "--json", "--where", "beta == 2")
    assert {row["beta"] for row in json.loads(some.stdout)} == {2}
    refused = analyze(first, second, "--diff", "--likelihood")
    assert refused.returncode == 2 and "ask for one at a time" in refused.stderr
    refused = analyze(first, second, "--diff", "--top", 3)
    assert refused.returncode == 2 and "--diff has its own columns" in refused.stderr
    refused = analyze(first, second, "--diff", "--figures", tmp_path / "f")
    assert refused.returncode == 2 and "--diff draws no figures" in refused.stderr
    refused = analyze(first, "--diff")
    assert refused.returncode == 2 and "compares two results, given 1" in refused.stderr
