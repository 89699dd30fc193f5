"""Generalization curves of settings: the table and the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_results import LANDMARKS, bins, grid, write_results

from oneshot.report.analysis import generalization as analysis
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import generalization as figure
from oneshot.report.results import Results, load


def loaded(root: Path, settings: list[dict], families: int = 1, **more) -> Results:
    """Synthetic results; of several families the points belong to each in turn."""
    results = load(write_results(root, settings, **more))
    names = [f"family_{k % families}" for k in range(len(results.points))]
    results.points["model"] = [
        m if m in LANDMARKS or families == 1 else n for m, n in zip(results.points["model"], names)
    ]
    return results


def test_the_table_holds_means_over_seeds_with_people_first(tmp_path: Path) -> None:
    results = loaded(tmp_path, grid(beta=[0.5, 2.0]), seeds=3, failed=1)
    table = analysis.generalization_curves(results)
    assert table["setting"].tolist() == np.repeat(["people", "beta 0.5", "beta 2"], 10).tolist()
    assert table["bin"].tolist() == [*range(1, 11)] * 3
    rows = results.models.query("beta == 0.5")
    expected = np.mean(
        [bins(d, r) for d, r in zip(rows["diversity"], rows["recognizability"])], axis=0
    )
    part = table.query("setting == 'beta 0.5'")
    np.testing.assert_allclose(part[["originality", "recognizability"]].to_numpy().T, expected)
    np.testing.assert_allclose(
        part[analysis.FIT].iloc[4].astype(float), np.polyfit(*expected, 2), atol=1e-6
    )
    assert part["generalization_area"].iloc[0] == pytest.approx(rows["generalization_area"].mean())
    assert table.groupby("setting", sort=False)["seeds"].first().tolist() == [1, 3, 2]


def test_people_of_two_data_sets_are_two_curves(tmp_path: Path) -> None:
    results = loaded(
        tmp_path, grid(dataset=["omniglot", "quickdraw"]), where_is=lambda **_: (1.5, 80.0)
    )
    people = results.points["model"] == "human"
    other = results.points[people].assign(point_id="other", dataset="quickdraw")
    results.points.loc[people, "dataset"] = "omniglot"
    bins_of = results.generalization[
        results.generalization["point_id"].isin(results.points.loc[people, "point_id"])
    ]
    both = Results(
        pd.concat([results.points, other], ignore_index=True),
        results.classes,
        results.curves,
        results.axes,
        "q",
        "",
        tmp_path,
        generalization=pd.concat(
            [results.generalization, bins_of.assign(point_id="other")], ignore_index=True
        ),
    )
    assert set(analysis.generalization_curves(both)["setting"]) >= {
        "people, dataset omniglot",
        "people, dataset quickdraw",
    }
    assert len(figure.draw(both).numbers) == 40


@pytest.mark.parametrize(
    ("settings", "families", "count", "note"),
    [
        (grid(beta=np.arange(8) / 2), 1, 8, ""),
        (grid(beta=np.arange(17) / 4), 1, 8, "8 of 17 settings: evenly spaced values of beta"),
        (
            grid(beta=[0.0, 1.0, 2.0], time_steps=[20, 60, 90]),
            1,
            3,
            "3 of 9 settings: each value of beta, at each the nearest to people",
        ),
        (
            grid(beta=np.arange(20) / 5),
            4,
            4,
            "4 of 20 settings: the nearest to people of each family",
        ),
        (grid(exemplar=list("abcdefghij")), 1, 8, "8 of 10 settings: the nearest to people"),
    ],
)
def test_at_most_eight_settings_are_chosen_and_the_foot_says_which(
    tmp_path: Path, settings, families, count, note
) -> None:
    results = loaded(tmp_path, settings, families)
    chosen, told = analysis.settings_to_show(results, analysis.generalization_curves(results))
    assert len(set(chosen)) == count and told == note
    plot = figure.draw(results)
    assert len(plot.numbers) == 10 * (1 + count) and list(
        dict.fromkeys(plot.numbers["setting"])
    ) == ["people", *chosen]
    if count == 3:  # nearest at each value
        best = results.models.sort_values("human_distance").groupby("beta").head(1)
        assert {
            f"beta {b:g}, time_steps {t:g}" for b, t in zip(best["beta"], best["time_steps"])
        } == set(chosen)
    if len(settings) == 17:
        assert {"beta 0", "beta 4"} < set(chosen)


def test_the_title_is_the_smallest_area_and_whether_people_lie_above(tmp_path: Path) -> None:
    below = figure.draw(loaded(tmp_path / "a", grid(beta=[0.5, 2.0, 4.0]), seeds=3))
    areas = (
        below.numbers.query("model != 'human'").groupby("setting")["generalization_area"].first()
    )
    assert below.title.startswith(
        f"Nearest to people's curve: {areas.idxmin()}, area {areas.min():.2f} over "
    )
    assert below.title.endswith("people's lies above all")
    results = loaded(
        tmp_path / "b",
        grid(beta=[0.0, 1.0]),
        noise=0.0,
        where_is=lambda beta: (1.29, 99.0 - 4 * beta),
    )
    assert "above" not in figure.draw(results).title
    table = analysis.generalization_curves(results)
    assert [analysis.people_lie_above(table, s) for s in ("beta 0", "beta 1", "no such")] == [
        False,
        True,
        None,
    ]


def test_a_small_area_over_little_of_people_s_range_is_no_merit(tmp_path: Path) -> None:
    results = loaded(tmp_path, grid(beta=[0.5, 2.0]), seeds=3)
    models = results.points["model"] == "vae_stn"
    jitter = 1 + 0.01 * (results.points.loc[models, "seed"] - 45)
    results.points.loc[models, "generalization_area"] = jitter * results.points.loc[
        models, "beta"
    ].map({0.5: 3.0, 2.0: 0.5})
    titles = []
    for low, high in ((0.8, 0.3), (0.8, 0.5), (0.05, 0.03)):
        results.points.loc[models, "generalization_coverage"] = results.points.loc[
            models, "beta"
        ].map({0.5: low, 2.0: high})
        titles.append(figure.draw(results).title)
    assert (
        "beta 0.5 (the only one that covers half of people's range), area 3.00 over 80 %"
        in (titles[0])
    )
    assert titles[1].startswith("Nearest to people's curve: beta 2, area 0.50 over 50 %")
    assert titles[2] == (
        "No curve covers half of people's range of originality (the widest 5 %)"
    ), "a small area over 5 % is crowned"


def test_with_one_seed_the_smallest_area_is_untested(tmp_path: Path) -> None:
    title = figure.draw(loaded(tmp_path, grid(beta=[0.5, 2.0, 4.0]))).title
    assert title.startswith("Smallest area to people's curve, untested with one seed: beta ")


def test_the_title_is_neutral_where_seeds_differ_as_much_as_settings(tmp_path: Path) -> None:
    results = loaded(
        tmp_path,
        grid(beta=[0.5, 1.0, 2.0, 4.0]),
        seeds=3,
        noise=5.0,
        where_is=lambda **_: (2.0, 60.0),
    )
    title = figure.draw(results).title
    assert title.startswith("No curve is nearer to people's beyond chance")


def test_curves_apart_and_curves_without_people_are_drawn_and_said_to_be(tmp_path: Path) -> None:
    apart = figure.draw(
        loaded(tmp_path / "a", grid(beta=[1.0]), where_is=lambda beta: (40.0, 90.0))
    )
    assert apart.title == "No curve shares originality with people's"
    assert figure.label_text(apart.numbers.iloc[-1]).replace("\u00a0", " ") == "vae_stn: no overlap"
    results = loaded(tmp_path / "b", grid(beta=[1.0, 2.0]), references=False)
    results.points[["generalization_area", "generalization_coverage"]] = np.nan
    alone = figure.draw(results)
    assert (
        "no curve of people" in alone.title
        and figure.label_text(alone.numbers.iloc[0]).replace("\u00a0", " ") == "beta 1"
    )


def test_results_without_curves_say_so(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no point has a generalization curve"):
        figure.draw(loaded(tmp_path, grid(beta=[1.0, 2.0]), version=3))
