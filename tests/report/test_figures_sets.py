"""Tables, figures and text of sweeps of models of sets: what they say of known answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_checks import analyze, font_sizes, foot, overlaps
from matplotlib.colors import to_hex
from synthetic_results import grid, squiggles, write_results
from synthetic_sets import GAIN, OFFSETS, write_sets

from oneshot.report.analysis.bounds import gains_by_size, likelihood_bounds
from oneshot.report.analysis.drawings import read_drawings
from oneshot.report.analysis.sets import confusion_matrices, model_names, peak_weight
from oneshot.report.averages import over_seeds
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import (
    all_figures,
    attention,
    cardinality,
    confusion,
    curves,
    layers,
    likelihood,
    sheet,
)
from oneshot.report.results import Results, load
from oneshot.report.select import select
from oneshot.report.table import points_table

BEST, SECOND = "pyramid / hierarchical / attention", "pyramid / hierarchical / mean"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load(write_sets(tmp_path_factory.mktemp("results"), seeds=3))


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Trained with sets of three sizes; no drawing was scored."""
    return load(
        write_sets(
            tmp_path_factory.mktemp("results"), colour=True, datasets=1, models=3, trained=(1, 2, 5)
        )
    )


def test_tables_follow_the_chosen_points(sweep: Results) -> None:
    some = select(sweep, "pooling == 'attention' and seed == 45")
    assert len(some.models) == 2 and len(some.references) == 3
    for name in ("likelihood", "layers", "attention", "confusion"):
        assert 0 < len(getattr(some, name)) < len(getattr(sweep, name))
        assert set(getattr(some, name)["point_id"]) == set(some.models["point_id"])


def test_missing_tables_are_empty_and_their_figures_say_why(tmp_path: Path) -> None:
    old = load(write_results(tmp_path, grid(beta=[0.0, 1.0])))
    assert all(
        getattr(old, name).empty for name in ("likelihood", "layers", "attention", "confusion")
    )
    for draw in all_figures.SET_FIGURES.values():
        with pytest.raises(AnalysisError, match="models of sets"):
            draw(old)
    # nobody need read that other models have no such tables
    assert list(all_figures.figures_of(old)) == list(all_figures.FIGURES)


def test_points_without_a_place_on_the_plane_are_listed_by_nelbo(colour: Results) -> None:
    listed = points_table(colour)
    assert list(listed["nelbo"]) == sorted(listed["nelbo"]) and len(listed) == 9
    assert (
        list(listed)[:6] == ["latents", "context", "pooling", "set_size", "nelbo", "nll"]
        and "diversity" not in listed
    )
    means = points_table(colour, seeds_averaged=True)
    assert len(means) == 9 and {"seeds", "nelbo", "nelbo_se"} <= set(means)
    assert (
        list(points_table(colour, ["kl_c"], "kl_c", descending=True)["kl_c"])
        == sorted(colour.points["kl_c"])[::-1]
    )
    assert len(select(colour, "nelbo < 90").points) == (colour.points["nelbo"] < 90).sum() > 0


def test_default_columns_hold_bounds_beside_places(sweep: Results) -> None:
    listed = points_table(sweep, seeds_averaged=True)
    assert {"human_distance", "diversity", "nelbo", "nll", "nelbo_se"} <= set(listed)
    assert listed.loc[listed["model"] == "human", "nelbo"].isna().all()
    row = over_seeds(sweep).query("pooling == 'attention' and latents == 'pyramid'").iloc[0]
    assert row["nelbo"] == pytest.approx(88.4 + 0.2) and row["nelbo_se"] == pytest.approx(
        0.2 / np.sqrt(3)
    )
    assert row["classified_kl"] == pytest.approx(180 - 88.6)


def test_bounds_are_means_over_seeds_best_model_first(sweep: Results) -> None:
    table = likelihood_bounds(sweep)
    assert list(dict.fromkeys(table["model"]))[:2] == [BEST, SECOND] and list(
        dict.fromkeys(table["dataset"])
    ) == list(OFFSETS)
    row = table.query("model == @BEST and dataset == 'mnist' and set_size == 10").iloc[0]
    assert (
        row["nelbo"] == pytest.approx(88.6 + 25 + GAIN[10])
        and row["seeds"] == 3
        and row["trained_size"] == 5
    )
    assert row["nelbo_se"] == pytest.approx(0.2 / np.sqrt(3))
    assert row["nelbo"] == pytest.approx(row["reconstruction"] + row["kl_c"] + row["kl_z"])


def test_one_seed_has_the_error_over_sets(colour: Results) -> None:
    assert (likelihood_bounds(colour)["nelbo_se"] == 0.11).all()


def test_models_are_named_by_what_sets_them_apart(sweep: Results, colour: Results) -> None:
    assert (
        set(model_names(sweep)) >= {BEST, "vector / no context / mean"}
        and model_names(sweep).nunique() == 6
    )
    # latents and context say the same here, so one is enough
    kinds = {"pyramid / attention", "pyramid / mean", "map / attention"}
    assert set(model_names(colour)) == {
        f"{kind} / set_size {size}" for kind in kinds for size in (1, 2, 5)
    }
    assert set(model_names(colour, without="set_size")) == kinds


def test_likelihood_shows_both_bounds_and_who_is_lowest(sweep: Results) -> None:
    plot = likelihood.draw(sweep)
    assert plot.title == f"Lowest NELBO: {BEST}, 88.60 nats per image, 1.00 below {SECOND}"
    panels = plot.figure.axes
    assert [p.get_title("left") for p in panels] == [
        "test sets",
        "MNIST",
        "MNIST, 2 digits",
        "MNIST, 3 digits",
    ]
    nelbo, nll = (container.lines[0] for container in panels[0].containers)
    assert list(nelbo.get_xdata()) == pytest.approx([88.6, 89.6, 93.0, 93.1, 96.8, 101.7])
    assert list(nll.get_xdata()) == pytest.approx(
        np.subtract([88.6, 89.6, 93.0, 93.1, 96.8, 101.7], 3.4)
    )
    (bar,) = panels[0].containers[0].lines[2]
    assert np.ptp(bar.get_segments()[0][:, 0]) == pytest.approx(2 * 0.2 / np.sqrt(3))
    assert not len(panels[1].containers[1].lines[0].get_xdata())  # no NLL of transfer sets


def test_likelihood_title_names_who_cannot_be_told_from_the_lowest() -> None:
    def title(*nelbo: float) -> str:
        rows = [
            dict(dataset="test", model=f"m{i}", nelbo=v, nelbo_se=0.1, seeds=1, sets=400)
            for i, v in enumerate(nelbo)
        ]
        return likelihood._title(pd.DataFrame(rows))

    # a difference of 0.3 is 2.12 errors: beyond chance alone (p 0.034), not as one of three
    assert title(90.0, 90.3) == "Lowest NELBO: m0, 90.00 nats per image, 0.30 below m1"
    assert title(90.0, 90.3, 90.31, 95.0) == (
        "Lowest NELBO: m0, 90.00 nats per image, not distinguishable from m1 and m2"
    )
    assert title(90.0, 90.1, 90.1) == (
        "No model has a clearly lower NELBO than the others (lowest: 90.00 nats per image)"
    )


def test_likelihood_title_is_neutral_within_the_errors(sweep: Results) -> None:
    close = select(sweep, "latents == 'map'")
    assert likelihood.draw(close).title == (
        "Lowest NELBO: attention, 93.00 nats per image, not distinguishable from mean"
    )
    alone = select(sweep, "latents == 'pyramid' and pooling == 'mean'")
    assert likelihood.draw(alone).title == "NELBO of set_vae: 89.60 ± 0.12 nats per image"


def test_cardinality_finds_the_largest_gain(sweep: Results) -> None:
    gains = gains_by_size(likelihood_bounds(sweep)).set_index(["smaller", "larger"])["gain"]
    # one model of six has no context
    assert gains[2, 5] == pytest.approx(5 / 6 * (GAIN[2] - GAIN[5])) and len(gains) == 4
    plot = cardinality.draw(sweep)
    assert plot.title == "Most is gained from 2 to 5 members: 5.00 nats per image, mean over models"
    labels = [t for t in plot.figure.axes[0].texts if t.get_text()]
    assert {t.get_text().replace("\n", " ") for t in labels} == set(model_names(sweep))
    # at the right end
    assert all(t.get_window_extent().x0 > plot.figure.axes[0].bbox.x1 - 20 for t in labels)


def test_cardinality_claims_a_gain_only_beyond_the_errors() -> None:
    def title(gain: float, error: float) -> str:
        rows = [
            dict(dataset="test", model="m", set_size=size, nelbo=nelbo, nelbo_se=error)
            for size, nelbo in ((1, 90.0), (2, 90.0 - gain))
        ]
        return cardinality._title(pd.DataFrame(rows))

    # the error of a difference of two errors of 0.1 is 0.141
    assert title(0.3, 0.1) == "Most is gained from 1 to 2 members: 0.30 nats per image"
    assert title(0.27, 0.1) == (
        "No step between sizes of test sets lowers the NELBO beyond chance (best step: 0.27 +- 0.14"
        " nats per image)"
    )
    assert title(-0.2, 0.1).startswith("Larger test sets do not lower the NELBO")
    assert "beyond chance" in title(0.3, float("nan"))


def test_cardinality_of_several_trained_sizes_has_a_panel_per_kind(colour: Results) -> None:
    plot = cardinality.draw(colour)
    shown = [panel for panel in plot.figure.axes if panel.axison]
    assert len(shown) == 3 and shown[0].get_title("left") == "pyramid / attention"
    assert {t.get_text() for t in shown[0].texts} - {""} == {
        "trained on 1",
        "trained on 2",
        "trained on 5",
    }
    assert len(plot.numbers) == 9 * len(GAIN)


def test_one_set_size_has_no_cardinality(sweep: Results) -> None:
    few = Results(
        sweep.points,
        sweep.classes,
        sweep.curves,
        sweep.axes,
        "",
        "",
        sweep.folder,
        likelihood=sweep.likelihood.query("set_size == 5"),
    )
    with pytest.raises(AnalysisError, match="one set size"):
        cardinality.draw(few)


def test_layers_are_bars_at_the_same_height_in_all_panels(sweep: Results) -> None:
    plot = layers.draw(sweep)
    assert (
        plot.title == f"2 of 19 levels are hardly used (under 1 % of the KL), such as c3 of {BEST}"
    )
    first, flat = plot.figure.axes[0], plot.figure.axes[2]
    assert [bar.get_width() for bar in first.patches] == pytest.approx(
        [3.2, 1.7, 0.04, 4.0, 9.5, 14.5]
    )
    assert [t.get_text() for t in first.get_yticklabels()] == ["c1", "c2", "c3", "z1", "z2", "z3"]
    assert flat.patches[1].get_y() == pytest.approx(first.patches[3].get_y())  # z1
    assert plot.numbers.groupby("model")["share"].sum().to_numpy() == pytest.approx(1)


def test_attention_shows_six_sets_of_the_best_model(sweep: Results) -> None:
    plot = attention.draw(sweep)
    weights = plot.numbers
    assert (
        weights["set"].nunique() == 12
        and weights["model"].unique() == [BEST]
        and weights["point_id"].nunique() == 1
    )
    peak = np.mean([part["weight"].max() for _, part in weights.groupby(["set", "level", "head"])])
    assert (
        plot.title
        == f"Largest weight of a head: {peak:.2f} on average, against 0.20 if all members counted"
        " the same"
    )
    assert len(plot.figure.axes) == 3 * 6
    heights = [bar.get_height() for bar in plot.figure.axes[7].patches]  # second level, second set
    assert heights == pytest.approx(weights.query("set == 1 and level == 'c2'")["weight"].tolist())
    colours = [to_hex(bar.get_facecolor()) for bar in plot.figure.axes[7].patches]
    assert len(colours) == 20 and colours[:5] == colours[10:15] != colours[5:10]


def test_uniform_weights_have_a_peak_of_one_over_the_members() -> None:
    weights = pd.DataFrame({"set": 0, "level": "c1", "head": [0, 0, 0, 0], "weight": 0.25})
    assert peak_weight(weights) == (0.25, 0.25)


def test_confusion_counts_what_each_digit_was_taken_for() -> None:
    rows = [
        ("kl", 0, 0, 3),
        ("kl", 0, 1, 1),
        ("kl", 1, 0, 4),
        ("kl", 1, 1, 0),
        ("elbo", 0, 0, 1),
        ("elbo", 1, 1, 1),
    ]
    found = confusion_matrices(
        pd.DataFrame(rows, columns=["scorer", "digit", "predicted", "count"])
    )
    np.testing.assert_allclose(found["kl"][0], [[75, 25], [100, 0]])
    assert found["kl"][1] == 37.5 and found["elbo"][1] == 100


def test_confusion_names_the_best_scorer(sweep: Results) -> None:
    plot = confusion.draw(sweep)
    part = plot.numbers.query("scorer == 'elbo'")
    right = 100 * part.query("digit == predicted")["count"].sum() / part["count"].sum()
    assert plot.title == f"Digits are classified best by ELBO: {right:.1f} % correct"
    assert [np.shape(panel.images[0].get_array()) for panel in plot.figure.axes] == [(10, 10)] * 3
    assert plot.figure.axes[1].get_title("left") == f"ELBO: {right:.1f} % correct"


@pytest.mark.parametrize("name", list(all_figures.SET_FIGURES))
@pytest.mark.parametrize("which", ["sweep", "colour"])
def test_no_text_is_tiny_and_none_covers_another(
    name: str, which: str, request: pytest.FixtureRequest
) -> None:
    plot = all_figures.SET_FIGURES[name](request.getfixturevalue(which))
    sizes = font_sizes(plot)
    assert min(set(sizes) - {6.0}) >= 7 and sizes.count(6) == 1  # 6 pt: the foot line only
    assert overlaps(plot) == []


def test_figures_of_the_plane_say_why_they_cannot_be_drawn(colour: Results) -> None:
    for name in ("plane", "trajectory", "effects", "heatmap"):
        with pytest.raises(AnalysisError, match="no point has a diversity and a recognizability"):
            all_figures.FIGURES[name](colour)
    assert "9 points" in foot(curves.draw(colour))


def test_sheet_shows_drawings_in_colour(colour: Results) -> None:
    rng = np.random.default_rng(0)
    folder = colour.folder.parent / "store" / "drawings"
    for sample_id in colour.points["sample_id"]:
        (folder / sample_id).mkdir(parents=True)
        images, exemplars = (rng.integers(0, 256, (n, 16, 16, 3), np.uint8) for n in (12, 3))
        about = dict(
            label=np.repeat(np.arange(3), 4),
            shape=np.array((16, 16, 3)),
            class_names=np.array(["a", "b", "c"]),
            constant=np.array(0),
        )
        np.savez_compressed(
            folder / sample_id / "drawings.npz", images=images, exemplars=exemplars, **about
        )
    plot = sheet.draw(colour)
    assert (
        plot.title.startswith("NELBO: lowest 88.40, median ")
        and plot.numbers["block"][0] == "lowest NELBO"
    )
    kept = read_drawings(colour, plot.numbers["sample_id"][0])
    assert kept is not None
    picture = np.asarray(plot.figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(picture[:16, :16], kept.exemplars[0] / 255)
    # class b, first drawing; gaps of 1 and 16 // 3
    np.testing.assert_allclose(picture[17:33, 21:37], kept.images[4] / 255)
    assert "NELBO 88.40 nats per image" in plot.figure.axes[0].get_title("left")


def test_sheet_of_bits_stays_as_it_was(tmp_path: Path) -> None:
    loaded = load(write_sets(tmp_path, models=3, drawings=squiggles))
    assert sheet.draw(loaded).title.startswith("Distance to people: nearest")


def test_command_prints_the_bounds_in_80_columns(sweep: Results) -> None:
    done = analyze(sweep.folder, "--likelihood", "--no-figures")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and done.stderr == "" and max(map(len, lines)) <= 80
    heads = [line.split("  ")[0] for line in lines if "NELBO +- se" in line]
    assert heads == ["test sets", "MNIST", "MNIST, 2 digits", "MNIST, 3 digits"]
    assert (
        " ".join(lines[1].split())
        == "pyramid / hierarchical / 5 88.60 +- 0.12 55.60 5.00 28.00 85.20"
        and lines[2] == "attention"
    )


def test_command_prints_the_bounds_as_json(sweep: Results, tmp_path: Path) -> None:
    file = tmp_path / "bounds.csv"
    done = analyze(
        sweep.folder,
        "--likelihood",
        "--no-figures",
        "--json",
        "--where",
        "latents == 'pyramid'",
        "--csv",
        file,
    )
    rows = json.loads(done.stdout)
    assert (
        len(rows) == 8 == len(pd.read_csv(file))
        and rows[0]["nelbo"] == pytest.approx(88.6)
        and rows[0]["set_size"] == 5
    )


def test_command_refuses_what_does_not_fit(sweep: Results, tmp_path: Path) -> None:
    done = analyze(sweep.folder, "--likelihood", "--sort", "nelbo", "--top", "3")
    assert done.returncode == 2 and "leave out --sort, --top" in done.stderr
    done = analyze(write_results(tmp_path, grid(beta=[1.0])), "--likelihood")
    assert done.returncode == 2 and "no bound on the likelihood" in done.stderr
