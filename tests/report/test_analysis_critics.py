"""Several critics: their agreement, means and spread over them, and the plane in ratios."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from figure_checks import analyze, foot, overlaps
from made_critics import score_again
from synthetic_results import grid, write_results

from oneshot.metrics.agreement import kendall_tau
from oneshot.metrics.distance import human_distance
from oneshot.report.analysis.critics import agreement_text, critic_agreement
from oneshot.report.averages import over_seeds
from oneshot.report.figures import all_figures, effects, plane, trajectory
from oneshot.report.results import Results, join, load, several_critics

SETTINGS = grid(beta=[0.0, 0.5, 1.0, 2.0, 4.0], time_steps=[20, 90])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_results(tmp_path_factory.mktemp("results"), SETTINGS, seeds=2)
    score_again(made, 1)
    score_again(made, 2, noise=0.5)
    return made


@pytest.fixture(scope="module")
def scored(folder: Path) -> Results:
    return load(folder)


def test_each_two_critics_are_compared_on_the_settings_of_both(scored: Results) -> None:
    table = critic_agreement(scored)
    assert table[["one", "other"]].to_numpy().tolist() == [
        ["seed 0", "seed 1"],
        ["seed 0", "seed 2"],
        ["seed 1", "seed 2"],
    ]
    assert (table["settings"] == 10).all() and table["tau"].between(0, 1).all()
    wide = scored.models.pivot_table(
        index=["beta", "time_steps"], columns="critic_seed", values="human_distance"
    )
    assert table["tau"][0] == pytest.approx(kendall_tau(wide[0].to_numpy(), wide[1].to_numpy()))
    low, high = table["tau"].min(), table["tau"].max()
    assert agreement_text(table) == (
        f"rank correlation between critics: Kendall's tau-b {low:.2f} to {high:.2f}"
        " (3 pairs of critics)"
    )


def test_a_setting_is_a_mean_over_critics_with_its_spread(scored: Results) -> None:
    assert scored.axes == ["beta", "time_steps"], "the seed of critics is no axis"
    table = over_seeds(scored).query("model == 'vae_stn'")
    assert len(table) == 10 and set(table["seeds"]) == {2} and set(table["critics"]) == {3}
    row = table.query("beta == 1 and time_steps == 20").iloc[0]
    rows = scored.models.query("beta == 1 and time_steps == 20")
    by_critic = rows.groupby("critic_seed")["human_distance"].mean()
    assert row["human_distance"] == pytest.approx(rows["human_distance"].mean())
    assert row["human_distance_critics"] == pytest.approx(by_critic.std())
    by_seed = rows.groupby("seed")["human_distance"].mean()
    assert row["human_distance_se"] == pytest.approx(by_seed.sem()), "two seeds, not six points"


@pytest.mark.slow
def test_planes_of_several_critics_are_in_multiples_of_people_s_diversity(scored: Results) -> None:
    assert several_critics(scored)
    plot = plane.draw(scored)
    axes = plot.figure.axes[0]
    assert axes.get_xlabel() == "diversity / people's"
    assert len(plot.numbers.query("model == 'vae_stn'")) == 10
    assert axes.patches[0].center == pytest.approx((1.0, 97.6))
    people = scored.points[["human_diversity", "human_recognizability"]].drop_duplicates()
    twice = [human_distance(2 * x, y, x, y) for x, y in people.to_numpy()]  # of their diversity
    assert axes.patches[0].width == pytest.approx(np.mean(1 / np.array(twice)))
    note = foot(plot)
    assert "means over seeds and critics" in note and "Kendall's tau-b" in note
    for draw in (plane.draw, trajectory.draw, effects.draw):
        assert overlaps(draw(scored)) == []
    path = trajectory.draw(scored)
    assert path.figure.axes[0].get_xlabel() == "diversity / people's"
    assert path.numbers["diversity_ratio_low"].notna().all()


def test_the_command_prints_the_agreement_of_critics(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = analyze(folder, "--over-seeds", "--no-figures")
    header = done.stdout.splitlines()[0].split()
    assert header.index("diversity_ratio") < header.index("recognizability")
    assert "diversity" not in header and {"critics", "human_distance_critics"} <= set(header)
    assert "Rank correlation between critics (Kendall's tau-b):" in done.stdout
    assert "  seed 0, seed 2: 0." in done.stdout and "of 10 settings" in done.stdout
    assert "by luck" in done.stderr and max(map(len, done.stderr.splitlines())) < 80
    assert "critics" not in analyze(folder, "--json", "--no-figures", "--columns", "beta").stdout
    monkeypatch.setattr(all_figures, "FIGURES", {"plane": plane.draw})
    assert analyze(folder, "--figures", tmp_path).returncode == 0


def test_results_of_two_critics_that_are_joined_are_compared(tmp_path: Path) -> None:
    one = write_results(tmp_path, SETTINGS, name="one")
    both = write_results(tmp_path, SETTINGS, name="other")
    score_again(both, 1)
    other = load(both)
    points = other.points[other.points["critic_seed"] == 1].drop(columns="critic_seed")
    first = load(one)
    first.points[["simclr_id", "protonet_id"]] = "simclr0", "protonet0"
    together = join([first, type(other)(**{**vars(other), "points": points})])
    table = critic_agreement(together)
    assert len(table) == 1 and table["one"][0] == "simclr0/protone" and table["settings"][0] == 10
