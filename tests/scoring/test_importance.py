"""Importance maps: numbers in closed form, maps of an analytic model, their file, and what analysis
and figure say of them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import synthetic_maps
import torch
from figure_checks import overlaps
from matplotlib.text import Text
from synthetic_maps import CLASSES, GAMMAS, SIZE, people, write_maps, write_people
from synthetic_results import grid, write_results
from torch import Tensor

from oneshot.contracts import ExplainedFamily, Player
from oneshot.metrics.importance import sparsity, spearman
from oneshot.report.analysis import importance as analysis_importance
from oneshot.report.analysis.importance import read_maps
from oneshot.report.analysis.people_maps import read_people_maps, resized
from oneshot.report.averages import over_seeds
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, sheet
from oneshot.report.figures import importance as figure_importance
from oneshot.report.figures.style import Plot, save
from oneshot.report.results import Results, load
from oneshot.report.select import select
from oneshot.report.table import points_table
from oneshot.scoring import importance_maps as maps
from oneshot.scoring.importance import explain
from oneshot.scoring.importance_maps import Maps
from oneshot.store.store import Store
from oneshot.training.loop import Diverged, Stopped, unwatched, watch
from oneshot.trial import trial
from oneshot.trial.inputs import Inputs
from oneshot.types import DataSet

CPU = torch.device("cpu")


# ---- numbers


def test_sparsity_in_closed_form() -> None:
    single = np.zeros((4, 5))
    single[2, 3] = 7
    # half of 40 is 6 2/3 pixels of 3
    halves = np.concatenate([np.full(10, 3.0), np.full(10, 1.0)]).reshape(4, 5)
    found = sparsity(np.stack([np.full((4, 5), 0.3), single, halves, np.zeros((4, 5))]))
    assert found[:3] == pytest.approx([0.5, 0.5 / 20, 20 / 3 / 20]) and math.isnan(found[3])
    assert sparsity(np.full((1, 6, 6), 2.0), 0.9) == pytest.approx([0.9])
    # 100 + 99 + .. + 72 is 2494, and 31 / 71 of the next make it half of 5050
    ramp = np.arange(1, 101.0).reshape(1, 10, 10)
    assert sparsity(ramp) == pytest.approx([0.29 + 31 / 7100]) and sparsity(
        1e-9 * ramp
    ) == pytest.approx([0.29 + 31 / 7100])


def test_sparsity_does_not_ask_where_the_pixels_are() -> None:
    rng = np.random.default_rng(0)
    maps = rng.gamma(0.3, size=(5, 8, 9))
    shuffled = rng.permutation(maps.reshape(5, -1), axis=1).reshape(5, 9, 8)
    assert sparsity(maps) == pytest.approx(sparsity(shuffled))
    for one, share in zip(maps, sparsity(maps)):  # whole pixels alone, counted one by one
        ordered = sorted(one.ravel().tolist(), reverse=True)
        whole = next(n for n in range(1, 73) if sum(ordered[:n]) >= one.sum() / 2)
        assert whole - 1 < share * 72 <= whole


def ranks(values: list[float]) -> list[float]:
    """Ranks by counting: those below, and half of the others that are equal."""
    return [sum(v < w for v in values) + (sum(v == w for v in values) - 1) / 2 for w in values]


def test_spearman_agrees_with_ranks_by_counting() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 6, (4, 7, 5)).astype(float), rng.random((4, 7, 5))
    b[0] += a[0]
    b[1] = b[1].round(1)
    for x, y, found in zip(a, b, spearman(a, b)):
        p, q = np.array(ranks(x.ravel().tolist())), np.array(ranks(y.ravel().tolist()))
        p, q = p - p.mean(), q - q.mean()
        assert found == pytest.approx((p @ q) / math.sqrt((p @ p) * (q @ q)))


def test_spearman_in_closed_form() -> None:
    ramp = np.arange(12.0).reshape(1, 3, 4)
    assert spearman(ramp, np.exp(ramp)) == pytest.approx([1]) and spearman(
        ramp, 20 - ramp
    ) == pytest.approx([-1])
    assert (
        np.isnan(spearman(ramp, np.ones((1, 3, 4)))).all()
        and np.isnan(spearman(np.zeros((1, 3, 4)), ramp)).all()
    )
    assert spearman(np.array([[[0.0, 1, 2]]]), np.array([[[0.0, 0, 1]]])) == pytest.approx(
        [math.sqrt(3) / 2]
    )
    assert (
        spearman(np.empty((0, 3, 4)), np.empty((0, 3, 4))).shape
        == (0,)
        == sparsity(np.empty((0, 3, 4))).shape
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full((2, 3, 3), -1.0), "but 2 of 2 are not"),
        (np.array([[[1.0, np.nan]], [[1.0, 1.0]]]), "but 1 of 2 are not"),
        (np.array([[[1.0, np.inf]]]), "but 1 of 1 are not"),
        (np.ones((3, 3)), r"given shape \(3, 3\)"),
        (np.ones((1, 0, 3)), "with a pixel at least"),
    ],
)
def test_numbers_refuse_what_is_no_map(wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sparsity(wrong)
    with pytest.raises(ValueError, match=message):
        spearman(wrong, wrong)


def test_numbers_refuse_other_shapes_and_shares() -> None:
    with pytest.raises(ValueError, match="one shape"):
        spearman(np.ones((1, 2, 3)), np.ones((1, 3, 2)))
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            sparsity(np.ones((1, 2, 2)), share)


# ---- maps of a model


class Scaled(ExplainedFamily):
    """importance = |exemplar * noise|, whose mean over noise is sqrt(2 / pi) on ink and 0
    elsewhere. Keeps what it was asked.
    """

    drawing_batch = cached_batch = 7
    image_size = SIZE

    def __init__(self, side: int):
        super().__init__()
        self.side, self.asked = side, []  # type: ignore[var-annotated]

    def players(self) -> list[Player]:
        return []

    def hyper(self, epoch: int) -> dict[str, float]:
        return {}

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (1,)

    @property
    def importance_noise_shape(self) -> tuple[int, ...]:
        return (1, self.side, self.side)

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        return exemplars

    def importance(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        assert (
            not self.training
            and exemplars.dtype == torch.float32
            and exemplars.shape == noise.shape
        )
        self.asked.append(noise)
        return (exemplars * noise).abs().squeeze(1)


def made(side: int = 8) -> tuple[DataSet, np.ndarray]:
    """Six classes of two images, of which 3 .. 5 are tested; the exemplar of a class is its second
    image.
    """
    images = (np.random.default_rng(0).random((12, side, side)) > 0.6).astype(np.uint8)
    data = DataSet(
        "made",
        "fixed",
        "0",
        images,
        np.arange(6).repeat(2),
        tuple("abcdef"),
        np.arange(2),
        np.arange(2, 3),
        np.arange(3, 6),
    )
    return data, np.arange(6) * 2 + 1


def test_maps_are_means_over_noise() -> None:
    data, exemplars = made()
    found = explain(Scaled(8), data, exemplars, 400, CPU, unwatched)
    assert found.class_names == ("d", "e", "f") and np.array_equal(
        found.exemplars, data.images[[7, 9, 11]]
    )
    assert found.maps.dtype == np.float32 and found.exemplars.dtype == np.uint8
    ink = found.maps[found.exemplars == 1]
    assert not found.maps[found.exemplars == 0].any() and np.ptp(ink) > 0
    assert ink.mean() == pytest.approx(
        math.sqrt(2 / math.pi), abs=4 * math.sqrt((1 - 2 / math.pi) / (400 * len(ink)))
    )


def test_each_map_is_the_mean_of_its_own_draws_at_any_batch_size() -> None:
    data, exemplars = made()
    family = Scaled(8)
    found = explain(family, data, exemplars, 5, CPU, unwatched)
    assert [len(noise) for noise in family.asked] == [7, 7, 1]  # the family's own limit
    noise = torch.cat(family.asked).numpy().reshape(3, 5, 8, 8)
    assert found.maps == pytest.approx(np.abs(noise * found.exemplars[:, None]).mean(1))
    assert len({draw.tobytes() for draw in noise.reshape(15, -1)}) == 15
    for batch in (1, 4, 100):
        assert explain(Scaled(8), data, exemplars, 5, CPU, unwatched, batch).maps == pytest.approx(
            found.maps
        )


def test_noise_depends_on_class_and_number_alone() -> None:
    data, exemplars = made()
    first, more, fewer = Scaled(8), Scaled(8), Scaled(8)
    explain(first, data, exemplars, 2, CPU, unwatched)
    explain(more, data, exemplars, 3, CPU, unwatched)
    explain(fewer, dataclasses.replace(data, test=np.array([5])), exemplars, 2, CPU, unwatched)
    own, theirs = torch.cat(first.asked).view(3, 2, -1), torch.cat(more.asked).view(3, 3, -1)
    assert torch.equal(own, theirs[:, :2]) and torch.equal(
        own[2], torch.cat(fewer.asked).view(2, -1)
    )


def test_a_stop_is_asked_for_before_each_batch() -> None:
    data, exemplars = made()
    family, told = Scaled(8), []

    def tick(*what: object) -> None:
        told.append(what)
        if len(told) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        explain(family, data, exemplars, 5, CPU, tick, batch=4)
    assert len(family.asked) == 2 and told == [("importance maps", done, 15) for done in (0, 4, 8)]


def test_maps_that_are_no_numbers_are_a_divergence() -> None:
    data, exemplars = made()
    family = Scaled(8)
    family.importance = lambda exemplars, noise: torch.where(
        exemplars[:, 0, 0] > 2, 1.0, torch.nan
    )[:, None].expand(-1, 8, 8)  # type: ignore
    with pytest.raises(Diverged, match="3 of 3 importance maps"):
        explain(family, data, exemplars, 1, CPU, unwatched)
    with pytest.raises(ValueError, match="given 0 seeds"):
        explain(family, data, exemplars, 0, CPU, unwatched)


def test_a_trial_stores_maps_and_keeps_their_table(tmp_path: Path) -> None:
    data, exemplars = made()
    family = Scaled(8)
    family.config = SimpleNamespace()
    training: Any = SimpleNamespace(best={}, last={})
    point: Any = SimpleNamespace(
        point_id="abcd", settings={"importance_seeds": 3, "weights": "best"}, config=dict
    )
    job = trial.Job(Store(tmp_path), "made")
    trained = trial.Trained(family, training)
    table = trial._importance(point, Inputs(data, exemplars, None, None), trained, job, unwatched)
    kept = maps.from_bytes((tmp_path / "store" / "importance" / "abcd.npz").read_bytes())
    assert table["class_name"] == ["d", "e", "f"] and table["sparsity"] == pytest.approx(
        sparsity(kept.maps).tolist(), abs=1e-3
    )
    with pytest.raises(Stopped):
        trial._importance(
            point, Inputs(data, exemplars, None, None), trained, job, watch(unwatched, lambda: True)
        )


# ---- the file


def some_maps() -> Maps:
    rng = np.random.default_rng(2)
    drawn = rng.gamma(0.2, 1e-3, (3, 11, 9)).astype(np.float32)
    drawn[1] = 0
    drawn[2] = 0
    drawn[2, 4, 4] = 1e-9
    return Maps(drawn, (rng.random((3, 11, 9)) > 0.5).astype(np.uint8), ("a/1", "b", "ü"))


def test_the_file_holds_maps_in_units_of_their_mean() -> None:
    given = some_maps()
    kept = maps.from_bytes(maps.to_bytes(given))
    assert (
        kept.class_names == given.class_names
        and np.array_equal(kept.exemplars, given.exemplars)
        and kept.maps.dtype == np.float32
    )
    assert kept.maps[0] == pytest.approx(given.maps[0] / given.maps[0].mean(), rel=1e-3, abs=1e-7)
    assert not kept.maps[1].any() and kept.maps[2, 4, 4] == 99 and kept.maps[2].sum() == 99
    assert sparsity(kept.maps)[[0, 2]] == pytest.approx(sparsity(given.maps)[[0, 2]], rel=1e-3)
    whole = maps.from_bytes(
        maps.to_bytes(
            Maps(
                np.eye(255, dtype=np.float32)[None] * np.eye(255)[0],
                np.zeros((1, 255, 255), np.uint8),
                ("x",),
            )
        )
    )
    # one pixel of the largest images: still within float16
    assert whole.maps.max() == pytest.approx(255**2, rel=1e-3)


def test_a_damaged_file_is_told_from_a_whole_one() -> None:
    data = maps.to_bytes(some_maps())
    for broken in (
        b"",
        b"nonsense",
        data[: len(data) // 2],
        data[:-80],
        data.replace(b"maps.npy", b"mops.npy"),
    ):
        with pytest.raises(ValueError, match="not a whole file of importance maps"):
            maps.from_bytes(broken)
    # flipped bits: an error of this kind or, in names of zip members, none
    for place in range(0, len(data), max(len(data) // 60, 1)):
        flipped = bytearray(data)
        flipped[place] ^= 0xFF
        try:
            maps.from_bytes(bytes(flipped))
        except ValueError as error:
            assert "not a whole file" in str(error)


def test_columns_of_the_table() -> None:
    columns = maps.columns(some_maps())
    assert columns["class_name"] == ["a/1", "b", "ü"] and columns["sparsity"][2] == pytest.approx(
        0.5 / 99
    )
    assert maps.mean_sparsity(columns) == pytest.approx(
        (columns["sparsity"][0] + columns["sparsity"][2]) / 2
    )
    assert math.isnan(maps.mean_sparsity({"sparsity": [math.nan]}))


# ---- analysis


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load(write_maps(tmp_path_factory.mktemp("maps")))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people") / "people.npz")


def test_settings_are_means_over_classes_and_seeds_fewest_pixels_first(sweep: Results) -> None:
    table = analysis_importance.importance_by_setting(
        sweep, analysis_importance.importance_by_class(sweep)
    )
    assert (
        list(table["gamma"]) == sorted(GAMMAS, reverse=True)
        and set(table["seeds"]) == {2}
        and set(table["classes"]) == {14}
    )
    own = [
        np.mean(sparsity(np.stack([synthetic_maps.importance(c, 1.0, seed=s) for c in range(14)])))
        for s in (44, 45)
    ]
    row = table[table["gamma"] == 1].iloc[0]
    assert row["sparsity"] == pytest.approx(np.mean(own), rel=1e-6)
    assert row["sparsity_se"] == pytest.approx(abs(own[0] - own[1]) / 2, rel=1e-3)
    means = over_seeds(sweep).query("gamma == 1").iloc[0]
    assert means["importance_sparsity"] == pytest.approx(
        row["sparsity"]
    ) and "importance_sparsity" in points_table(sweep)


def test_settings_are_compared_with_people_on_the_shared_classes(
    sweep: Results, tmp_path: Path
) -> None:
    names = np.array([*CLASSES[2:8], "elsewhere"])
    given = read_people_maps(
        write_people(tmp_path / "few.npz", maps=1e-6 * people()[2:9], class_names=names)
    )
    by_class = analysis_importance.importance_by_class(sweep, given)
    table = analysis_importance.importance_by_setting(sweep, by_class, given)
    assert list(table["spearman"][:-1]) == sorted(table["spearman"][:-1], reverse=True) and set(
        table["classes"]
    ) == {6}
    row, last = table[table["gamma"] == 0.5].iloc[0], table.iloc[-1]
    larger = np.stack([resized(one, (SIZE, SIZE)) for one in people()[2:8]])
    own = [
        spearman(np.stack([synthetic_maps.importance(c, 0.5, seed=s) for c in range(2, 8)]), larger)
        for s in (44, 45)
    ]
    assert row["spearman"] == pytest.approx(np.mean(own), abs=1e-3)
    assert row["spearman_se"] == pytest.approx(
        np.mean(own, axis=0).std(ddof=1) / math.sqrt(6), abs=1e-3
    )
    assert (
        last["model"] == "human"
        and last["sparsity"] == pytest.approx(sparsity(larger).mean())
        and pd.isna(last["spearman"])
    )
    best = table[table["gamma"] == 4].iloc[0]
    means = by_class.groupby(["gamma", "class_name"])["spearman"].mean()
    error = (means[4.0] - means[0.5]).std() / math.sqrt(6)
    assert analysis_importance.difference_error(
        sweep, by_class, best, row, "spearman"
    ) == pytest.approx(error)


def test_the_maps_of_a_setting_are_means_over_its_seeds(sweep: Results) -> None:
    row = analysis_importance.importance_by_setting(
        sweep, analysis_importance.importance_by_class(sweep)
    ).iloc[0]
    found = analysis_importance.mean_maps(sweep, row)
    assert found is not None
    for c in (0, 9):
        own = [synthetic_maps.importance(c, 4.0, seed=s) for s in (44, 45)]
        assert found.maps[c] == pytest.approx(
            np.mean([one / one.mean() for one in own], axis=0), rel=2e-3, abs=1e-3
        )


def test_maps_of_another_size_keep_their_mass_and_place() -> None:
    spot = np.zeros((60, 40))
    spot[45, 10] = 24
    small_one = resized(spot, (20, 20))
    assert small_one.shape == (20, 20) and small_one.mean() == pytest.approx(spot.mean(), rel=0.02)
    assert np.unravel_index(small_one.argmax(), (20, 20)) == (15, 5)
    assert (
        resized(np.full((7, 9), 3.0), (20, 5)) == pytest.approx(3.0)
        and resized(spot, (60, 40)) is spot
    )
    ramp = np.tile(np.arange(8.0), (8, 1))
    assert resized(ramp, (16, 16))[4, 2:14] == pytest.approx(np.arange(2, 14) / 2 - 0.25)


def test_points_whose_maps_are_lost_are_left_out(tmp_path: Path, theirs: Path) -> None:
    folder = write_maps(tmp_path, gammas=(0.0, 4.0))
    loaded, given = load(folder), read_people_maps(theirs)
    points = loaded.models.set_index("gamma")["point_id"]
    gone, cut = (tmp_path / maps.key(name) for name in points[0.0])
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:1000])
    assert read_maps(loaded, points[0.0].iloc[1]) is None
    table = analysis_importance.importance_by_setting(
        loaded, analysis_importance.importance_by_class(loaded, given), given
    )
    assert list(table["gamma"].dropna()) == [4.0]
    assert "no maps kept of 1 of them" in texts(figure_importance.draw(loaded))


# ---- the figure


def texts(plot: Plot) -> str:
    plot.figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in plot.figure.findobj(Text)).replace("\n", " ")


def test_the_figure_shows_exemplars_settings_and_people(
    sweep: Results, theirs: Path, tmp_path: Path
) -> None:
    plot = figure_importance.draw(sweep)
    few, many = (100 * plot.numbers["sparsity"]).agg(["min", "max"])
    assert (
        plot.title
        == f"Half of the importance lies on {few:.1f} % of the pixels at gamma 4, on {many:.1f} %"
        " at gamma 0"
    )
    assert [panel.get_ylabel().split("\n")[0] for panel in plot.figure.axes] == [
        "exemplar",
        "gamma 0",
        "gamma 0.5",
        "gamma 2",
        "gamma 4",
    ]
    assert (
        plot.numbers["shown"].sum() == 4
        and len(plot.numbers["classes_shown"][0].split()) == 10
        and overlaps(plot) == []
    )
    shown = np.asarray(plot.figure.axes[4].images[0].get_array())
    own = np.mean(
        [o / o.mean() for o in (synthetic_maps.importance(13, 4.0, seed=s) for s in (44, 45))],
        axis=0,
    )
    assert shown[:, -SIZE:] == pytest.approx(own / np.percentile(own, 99), abs=0.01)
    with_people = figure_importance.draw(sweep, read_people_maps(theirs))
    assert [panel.get_ylabel().split("\n")[0] for panel in with_people.figure.axes][
        -1
    ] == "people" and overlaps(with_people) == []
    best = with_people.numbers.iloc[0]
    assert with_people.title.startswith(
        f"Nearest to people's maps: gamma 4, rank correlation {best['spearman']:.2f}; "
    )
    for name in ("one", "two"):
        save(figure_importance.draw(sweep).figure, plot.numbers, tmp_path, name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_titles_are_neutral_where_nothing_differs(
    tmp_path: Path, sweep: Results, theirs: Path
) -> None:
    alone = select(sweep, "gamma == 1")
    assert re.fullmatch(
        r"Half of the importance lies on \d+\.\d % of the pixels",
        figure_importance.draw(alone).title,
    )
    assert figure_importance.draw(alone, read_people_maps(theirs)).title.startswith(
        "Rank correlation of the maps with people's: 0."
    )
    swapped = sweep.points.assign(gamma=np.where(sweep.points["seed"] == 45, 1.0, 2.0))[
        sweep.points["gamma"] == 1
    ]
    same = dataclasses.replace(sweep, points=swapped)  # one setting under two names: its seeds
    assert figure_importance.draw(same).title.endswith("% of the pixels, whatever the setting")
    assert figure_importance.draw(same, read_people_maps(theirs)).title.startswith(
        "No setting is clearly nearer to people's maps"
    )


def test_the_figure_is_drawn_where_there_are_maps_only(
    tmp_path: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_figures, "FIGURES", {"sheet": sheet.draw})
    without = load(write_results(tmp_path / "without", grid(beta=[1.0])))
    assert [name for name, _, _ in all_figures.write_all(without, tmp_path / "figures")] == [
        "sheet"
    ]
    with pytest.raises(AnalysisError, match="no importance maps in"):
        figure_importance.draw(without)
    lost = load(write_maps(tmp_path / "lost", gammas=(1.0,), seeds=1, keep=False))
    written = {
        name: reason
        for name, _, reason in all_figures.write_all(
            lost, tmp_path / "figures", people=read_people_maps(theirs)
        )
    }
    assert (
        list(written) == ["sheet", "importance"]
        and "no importance maps are kept in" in written["importance"]
    )


# ---- the command


def analyze(*arguments: object) -> Any:
    return small.main(*arguments, "--no-figures", script="analyze.py")


def test_command_prints_both_tables(sweep: Results, theirs: Path, tmp_path: Path) -> None:
    done = analyze(sweep.folder, "--importance")
    lines = done.stdout.splitlines()
    assert (
        done.returncode == 0
        and lines[0].split() == ["gamma", "seeds", "classes", "sparsity", "sparsity_se"]
        and len(lines) == 6
    )
    done = analyze(
        sweep.folder,
        "--importance",
        theirs,
        "--json",
        "--where",
        "gamma >= 1",
        "--csv",
        tmp_path / "maps.csv",
    )
    rows = json.loads(done.stdout)
    assert [row["gamma"] for row in rows] == [4.0, 2.0, 1.0, None] and rows[0]["spearman"] > rows[
        2
    ]["spearman"] > 0.5
    assert (
        pd.read_csv(tmp_path / "maps.csv")["spearman"][0] == pytest.approx(rows[0]["spearman"])
        and rows[3]["model"] == "human"
    )


def test_command_draws_people_in_the_figure(theirs: Path, tmp_path: Path) -> None:
    folder = write_maps(tmp_path, gammas=(4.0,), seeds=1)
    done = small.main(folder, "--importance", theirs, "--figures", tmp_path, script="analyze.py")
    assert (
        done.returncode == 0
        and "importance.png  Rank correlation of the maps with people's: 0.69" in done.stderr
    )
    assert list(pd.read_csv(tmp_path / "importance.csv")["model"])[-1] == "human"


def test_command_refuses_what_does_not_fit(sweep: Results, tmp_path: Path) -> None:
    done = analyze(sweep.folder, "--importance", "--sort", "sparsity", "--over-seeds")
    assert (
        done.returncode == 2
        and "--importance has its own columns" in done.stderr
        and "leave out --sort, --over-seeds" in done.stderr
    )
    done = analyze(sweep.folder, "--importance", "--likelihood")
    assert done.returncode == 2 and "one at a time" in done.stderr
    done = analyze(write_results(tmp_path, grid(beta=[1.0])), "--importance")
    assert (
        done.returncode == 2
        and "no importance maps in" in done.stderr
        and "importance_seeds=25" in done.stderr
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"maps": people(3)}, "has 3 maps and 14 class names"),
        ({"maps": people()[0]}, r"given shape \(64, 64\)"),
        ({"maps": -people()}, "14 of 14 are not"),
        ({"maps": np.full((14, 2, 2), "x")}, "could not convert"),
        ({"class_names": np.array(["a"] * 14)}, "names a class twice: a"),
        ({"class_names": np.array(CLASSES, dtype=object)}, "cannot read"),
    ],
)
def test_files_of_people_that_hold_something_else(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message) as caught:
        read_people_maps(write_people(tmp_path / "people.npz", **arrays))
    assert "people.npz" in str(caught.value)


def test_files_of_people_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="there is no file"):
        read_people_maps(tmp_path / "nowhere.npz")
    np.save(tmp_path / "alone.npy", people())
    (tmp_path / "text.npz").write_text("maps")
    write_people(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:5000])
    for name in ("alone.npy", "text.npz", "cut.npz", "."):
        with pytest.raises(AnalysisError, match="cannot read") as caught:
            read_people_maps(tmp_path / name)
        assert "`class_names`" in caught.value.help
    np.savez(tmp_path / "other.npz", heatmaps=people())
    with pytest.raises(AnalysisError, match="holds heatmaps, and no maps and no class_names"):
        read_people_maps(tmp_path / "other.npz")


def test_people_of_other_classes_are_told_near_names(sweep: Results, tmp_path: Path) -> None:
    given = read_people_maps(
        write_people(
            tmp_path / "people.npz", class_names=np.array([name.upper() for name in CLASSES])
        )
    )
    with pytest.raises(AnalysisError, match="has none of the 14 classes") as caught:
        analysis_importance.importance_by_class(sweep, given)
    assert caught.value.help.startswith("'CLASS00' there is like 'class00' here")
    given = dataclasses.replace(given, class_names=[f"{c}" for c in range(14)])
    with pytest.raises(AnalysisError, match="has none of the 14 classes") as caught:
        analysis_importance.importance_by_class(sweep, given)
    assert "Classes there: 0, 1, 2, 3 .." in caught.value.help
