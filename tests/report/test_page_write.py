"""What a page carries of results, also of damaged, hostile and empty ones; and its gallery."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from browser_pages import Opened
from figure_checks import analyze
from PIL import Image
from synthetic_results import grid, squiggles, write_results

from oneshot.report.analysis.intervals import Scores
from oneshot.report.page import assemble
from oneshot.report.page.drawings import EXTENTS, Extent, collect, packed
from oneshot.report.page.write import write_page
from oneshot.report.results import Results, join, load

HOSTILE = "</script><img src=x onerror=alert(1)>@@SCRIPT@@ {{x}} \u202e & \"'"


def data_of(page: Path) -> dict[str, Any]:
    """The data that a page carries."""
    return json.loads(block(page, "data"))


def block(page: Path, name: str) -> bytes:
    """A block that a page carries."""
    found = re.search(rf'id="block-{name}">([^<]*)<', page.read_text(encoding="utf-8"))
    assert found, name
    return gzip.decompress(base64.b64decode(found[1]))


def column(data: dict[str, Any], name: str) -> list[Any]:
    """The values of a column of a page."""
    found = next(one for one in data["columns"] if one["name"] == name)
    if "values" in found:
        return list(found["values"])
    if "codes" in found:
        return [found["levels"][code] for code in found["codes"]]
    return [found["const"]] * data["count"]


@pytest.fixture
def copied(small: Results, tmp_path: Path) -> Results:
    """Results that a test may damage."""
    root = tmp_path / "results"
    shutil.copytree(small.folder.parent, root)
    return load(root / small.folder.name)


def test_a_page_carries_every_value_of_the_table(small: Results, tmp_path: Path) -> None:
    write_page(small, [small], tmp_path / "report.html")
    data = data_of(tmp_path / "report.html")
    assert data["count"] == len(small.points) and data["asked"] == ["beta", "time_steps"]
    for name in small.points:
        expected = small.points[name].astype(object).where(small.points[name].notna(), None)
        if any(one["name"] == name for one in data["empty"]):
            assert expected.isna().all()
        else:
            assert column(data, name) == expected.tolist(), name
    about = {one["name"]: one for one in data["columns"]}
    assert about["beta"]["group"] == "axis" and not about["beta"]["schema"]
    assert about["diversity"]["schema"] and "SimCLR" in about["diversity"]["text"]
    assert about["train_seconds"]["group"] == "cost" and about["seed"]["type"] == "int"
    low, high = data["intervals"]["recognizability"]
    value = column(data, "recognizability")
    inside = [a <= x <= b for a, x, b in zip(low, value, high) if a is not None]
    assert len(inside) > 20 and all(inside)


def test_intervals_of_single_points_are_those_of_means_of_one(small: Results) -> None:
    lacking = small.points["point_id"].iloc[5]
    classes = small.classes.copy()
    classes.loc[classes["point_id"] == lacking, ["diversity", "recognizability"]] = np.nan
    for results in (small, dataclasses.replace(small, classes=classes)):
        scores = Scores(results, results.points)
        for metric in ("diversity", "recognizability", "human_distance", "diversity_ratio"):
            found = scores.point_bounds(metric)
            expected = [
                scores.mean(metric, np.array([i])).bounds(metric) for i in range(len(found))
            ]
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
            assert np.isfinite(found).sum() > 30


def test_the_blocks_hold_the_first_drawings_of_evenly_spaced_classes(
    small: Results, tmp_path: Path
) -> None:
    write_page(small, [small], tmp_path / "report.html")
    drawings = data_of(tmp_path / "report.html")["drawings"]
    assert drawings["keptClasses"] == 15 and drawings["keptDrawings"] == 20
    (kind,) = {json.dumps({**one, "exemplars": ""}) for one in drawings["kinds"]}
    shape = json.loads(kind)
    assert shape["names"][0] == "class00" and shape["names"][-1] == "class14"
    assert len(shape["names"]) == 12 and shape["counts"] == [8] * 12 and shape["bits"] == 1
    pixels = block(tmp_path / "report.html", "drawings-0")
    size = 12 * 8 * 16 * 16 // 8
    for row, sample in enumerate(drawings["pointSample"]):
        point = small.points.iloc[row]
        assert (sample >= 0) == (point["status"] == "done")
        if sample >= 0:
            of_class = [squiggles(point["sample_id"], int(name[5:]))[:8] for name in shape["names"]]
            expected = packed(np.concatenate(of_class)[..., None], 1)
            assert pixels[sample * size : (sample + 1) * size] == expected
    assert {len(one["exemplars"]) > 0 for one in drawings["kinds"]} == {True}


def test_greys_and_colours_are_bytes_and_keep_their_channels(
    copied: Results, tmp_path: Path
) -> None:
    rng, sample = np.random.default_rng(0), str(copied.models["sample_id"].iloc[0])
    images = rng.integers(0, 256, (6, 5, 7, 3), np.uint8)
    np.savez_compressed(
        copied.folder.parent / "store" / "drawings" / sample / "drawings.npz",
        images=images,
        label=np.zeros(6, int),
        exemplars=images[:1],
        class_names=np.array(["a"]),
    )
    rows = [copied.points["sample_id"].tolist().index(sample)]
    found = collect(copied, [copied], Extent(2, 4), rows)
    assert found.kinds[0]["channels"] == 3 and found.kinds[0]["bits"] == 8
    assert found.kinds[0]["counts"] == [4] and found.kinds[0]["names"] == ["a"]
    assert gzip.decompress(found.blocks[0]) == images[:4].tobytes()


def test_drawings_that_are_points_become_an_image(copied: Results, tmp_path: Path) -> None:
    sample = str(copied.models["sample_id"].iloc[0])
    places = np.array([[0.0, 0.0], [1.49, 1.49], [np.nan, 0], [9, 9]], np.float32)
    np.savez_compressed(
        copied.folder.parent / "store" / "drawings" / sample / "drawings.npz",
        images=places,
        label=np.zeros(4, int),
        exemplars=places[:0],
        class_names=np.array([], str),
    )
    rows = [copied.points["sample_id"].tolist().index(sample)]
    found = collect(copied, [copied], EXTENTS[0], rows)
    image = np.unpackbits(np.frombuffer(gzip.decompress(found.blocks[0]), np.uint8))
    assert found.kinds[0]["exemplars"] == "" and image.sum() == 2
    assert image.reshape(64, 64)[0, 63] == 1 and image.reshape(64, 64)[31, 32] == 1


def test_damaged_and_missing_drawings_cost_nothing_else_and_are_counted(
    copied: Results, browser: Any, tmp_path: Path
) -> None:
    folder = copied.folder.parent / "store" / "drawings"
    bad, gone, *_ = copied.models["sample_id"].tolist()
    (folder / bad / "drawings.npz").write_bytes(b"PK\x03\x04 no archive")
    shutil.rmtree(folder / gone)
    written = write_page(copied, [copied], tmp_path / "report.html")
    assert "The drawings of 1 sample are damaged." in written.notes
    assert "The drawings of 1 sample are not kept." in written.notes
    drawings = data_of(written.file)["drawings"]
    rows = copied.points["sample_id"].tolist()
    assert [drawings["pointSample"][rows.index(name)] for name in (bad, gone)] == [-1, -1]
    assert len(drawings["sampleKind"]) == len(copied.points.query("status == 'done'")) - 2
    opened = Opened(browser, written.file, offline=True)
    opened.page.evaluate("(point) => oneshotReport.change({ point })", rows.index(bad))
    opened.page.wait_for_selector("#point figure[data-ready] figcaption")
    assert "damaged" in opened.page.inner_text("#point figcaption")
    assert "damaged" in opened.page.inner_text("#notes") and opened.complaints == []
    opened.close()


@pytest.mark.parametrize("missing", ["sample_id", "error", "sweep", "human_diversity", "beta"])
def test_a_column_that_is_missing_costs_what_needs_it_alone(
    small: Results, browser: Any, tmp_path: Path, missing: str
) -> None:
    axes = [axis for axis in small.axes if axis != missing]
    lacking = dataclasses.replace(small, points=small.points.drop(columns=missing), axes=axes)
    written = write_page(lacking, [lacking], tmp_path / "report.html")
    opened = Opened(browser, written.file)
    opened.open_sections()
    assert opened.page.inner_text("#count") == f"{len(small.points)} points"
    assert opened.complaints == []
    opened.close()


@pytest.mark.slow
def test_results_without_rows_places_or_references_have_a_page(
    small: Results, browser: Any, tmp_path: Path
) -> None:
    nothing = dataclasses.replace(small, points=small.points[:0])
    no_places = small.points.assign(diversity=np.nan, recognizability=np.nan, human_distance=np.nan)
    cases = {
        "empty": nothing,
        "failed": dataclasses.replace(
            small, points=small.points.query("status != 'done'").reset_index(drop=True)
        ),
        "places": dataclasses.replace(small, points=no_places),
        "one": dataclasses.replace(small, points=small.points.tail(5).head(1)),
    }
    for name, results in cases.items():
        written = write_page(results, [results], tmp_path / f"{name}.html")
        opened = Opened(browser, written.file)
        opened.open_sections()
        count = len(results.points)
        assert opened.page.inner_text("#count") == f"{count} point{'s' * (count != 1)}", name
        opened.page.focus("#over")
        opened.page.keyboard.press("ArrowRight")
        assert opened.complaints == [], name
        opened.close()


def test_hostile_names_and_errors_stay_text(small: Results, browser: Any, tmp_path: Path) -> None:
    points = small.points.copy()
    failed = points.index[points["status"] == "failed"][0]
    points.loc[failed, "error"] = HOSTILE
    points["family"] = HOSTILE
    points.loc[points.index[3:9], "family"] = "b"
    results = dataclasses.replace(
        small,
        points=points,
        name=HOSTILE,
        question=HOSTILE,
        axes=[*small.axes, "family"],
        warnings=(HOSTILE,),
    )
    written = write_page(results, [results], tmp_path / "report.html")
    text = written.file.read_text(encoding="utf-8")
    assert "<img" not in text and text.count("<script") == text.count("</script>")
    opened = Opened(browser, written.file)
    row = points.index.get_loc(failed)
    opened.page.evaluate("(point) => oneshotReport.change({ point, pins: [point] })", row)
    opened.page.select_option("#colour", "family")
    opened.open_sections()
    opened.page.wait_for_selector("#pins .card")
    assert opened.page.inner_text("#point .failure pre") == HOSTILE
    for place in ("#question", "#notes", "#legend", "#failures-section", "#sliders-section"):
        assert "onerror=alert(1)" in opened.page.text_content(place), place
    assert opened.page.locator("img").count() == 0
    assert opened.complaints == []
    opened.close()


def test_hostile_class_names_stay_text(copied: Results, browser: Any, tmp_path: Path) -> None:
    sample = str(copied.models["sample_id"].iloc[0])
    images = np.concatenate([squiggles(sample, c) for c in range(2)])
    np.savez_compressed(
        copied.folder.parent / "store" / "drawings" / sample / "drawings.npz",
        packed=np.packbits(images.reshape(40, -1), axis=1),
        label=np.repeat([0, 1], 20),
        exemplars=np.packbits(images[::20].reshape(2, -1), axis=1),
        shape=np.array([16, 16]),
        class_names=np.array([HOSTILE, "b"]),
    )
    written = write_page(copied, [copied], tmp_path / "report.html")
    opened = Opened(browser, written.file)
    row = copied.points["sample_id"].tolist().index(sample)
    opened.page.evaluate("(point) => oneshotReport.change({ point })", row)
    opened.page.wait_for_selector("#point figure[data-ready] figcaption")
    assert "<img src=x onerror=alert(1)>" in opened.page.text_content("#point figcaption")
    assert opened.page.locator("img").count() == 0 and opened.complaints == []
    opened.close()


def test_the_policy_allows_the_page_alone(small: Results, tmp_path: Path) -> None:
    write_page(small, [small], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    rules = dict(part.split(" ", 1) for part in policy[1].replace("&#x27;", "'").split("; "))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'none'"
    assert "unsafe" not in policy[1] and "http" not in policy[1]
    script = assemble.script_text()
    assert "</script" not in script and "innerHTML" not in script and "eval(" not in script
    assert "insertAdjacentHTML" not in script and "document.write" not in script
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", script + assemble.style_text())
    assert "@@" not in re.sub(r">[^<>]{1000,}<", "><", text.replace(script, ""))


def test_the_scripts_are_all_there_and_short() -> None:
    scripts = {path.stem for path in assemble.FOLDER.glob("*.js")}
    assert scripts == set(assemble.SCRIPTS)
    for path in [*assemble.FOLDER.glob("*.js"), assemble.FOLDER / "page.css"]:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400 and max(map(len, lines)) <= 100, path.name


@pytest.mark.slow
def test_less_of_the_drawings_is_shown_where_all_do_not_fit(small: Results, tmp_path: Path) -> None:
    sizes = {}
    for budget in (5_000_000, 30_000, 1_000):
        written = write_page(small, [small], tmp_path / "report.html", budget=budget)
        sizes[budget] = written
        data = data_of(written.file)
        if budget == 1_000:
            assert written.beside and data["served"]["inline"] == 0
            names = set(data["served"]["files"].values())
            assert names == {f"report_blocks/{path.name}" for path in written.beside.iterdir()}
            assert "--report --serve" in data["served"]["command"]
        else:
            assert written.beside is None and data["served"] is None
            shown = len(data["drawings"]["kinds"][0]["names"])
            assert f"{shown} of 15 classes are shown, evenly spaced by name." in written.notes
            assert written.size < budget + len(assemble.script_text()) + 20_000
    assert not sizes[5_000_000].beside and sizes[30_000].size < sizes[5_000_000].size
    # a page that carries everything again leaves no blocks of the one before
    write_page(small, [small], tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_joined_results_find_drawings_beside_each_sweep(small: Results, tmp_path: Path) -> None:
    other = load(write_results(tmp_path / "other", grid(beta=[0.25]), name="b", drawings=squiggles))
    other = dataclasses.replace(
        other,
        points=other.points.assign(
            point_id=other.points["point_id"] + "b", sample_id=other.points["sample_id"]
        ),
    )
    both = join([small, other])
    write_page(both, [small, other], tmp_path / "report.html")
    data = data_of(tmp_path / "report.html")
    assert data["sweeps"] == ["vae_stn", "b"] and "sweep" in data["asked"]
    alone = collect(both, [other], EXTENTS[0])
    assert alone.absent and not collect(both, [small, other], EXTENTS[0]).absent


def test_the_gallery_holds_numbers_and_images(small: Results, tmp_path: Path) -> None:
    done = analyze(small.folder, "--gallery", "--no-figures", "--where", "beta >= 1")
    file = small.folder / "gallery.parquet"
    assert done.returncode == 0, done.stderr
    assert f"{file}  drawings of" in done.stderr and not (small.folder / "report.html").exists()
    table = pd.read_parquet(file)
    file.unlink()
    assert {"point_id", "status", "model", "beta", "time_steps", "seed", "diversity"} <= set(table)
    assert pq.ParquetFile is not None and len(table) > 10
    row = table[table["status"] == "done"].iloc[-1]
    sample = small.points.set_index("point_id")["sample_id"][row["point_id"]]
    expected = squiggles(sample, 0)
    assert row["class_name"] == "class00"
    for number in range(1, 9):
        picture = np.asarray(Image.open(io.BytesIO(row[f"drawing_{number}"])))
        assert (picture == (expected[number - 1] == 0)).all()
    assert (np.asarray(Image.open(io.BytesIO(row["exemplar"]))) == (expected[0] == 0)).all()
    assert table.loc[table["status"] != "done", "exemplar"].isna().all()


def test_the_command_writes_the_page_instead_of_figures(small: Results, tmp_path: Path) -> None:
    done = analyze(small.folder, "--report", "--where", "beta >= 1")
    file = small.folder / "report.html"
    assert done.returncode == 0 and f"{file}  " in done.stderr
    assert "plane.png" not in done.stderr and not (small.folder / "figures").exists()
    assert "Only points for which beta >= 1" in done.stderr
    data = data_of(file)
    file.unlink()
    assert set(column(data, "model")) == {"vae_stn", "human", "copy", "noise"}
    assert min(value for value in column(data, "beta") if value is not None) == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(["--serve"], "--serve goes with --report"), (["--diff", "--report"], "--diff has no page")],
)
def test_flags_that_make_no_page_are_refused(
    small: Results, flags: list[str], expected: str
) -> None:
    done = analyze(small.folder, *flags)
    assert done.returncode == 2 and expected in done.stderr
