"""The page in a real browser: pointed at, brushed, sorted, pinned, exported and read out."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from browser_pages import Opened
from PIL import Image
from synthetic_results import squiggles

from oneshot.report.page.write import write_page
from oneshot.report.results import Results
from oneshot.report.select import select

SCALE, GAP = 4, 4  # of images of 16 pixels, and between two


@pytest.fixture(scope="module")
def file(small: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_page(small, [small], file)
    return file


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Opened]:
    opened = Opened(browser, file, offline=True)
    yield opened
    opened.close()


def apart(small: Results) -> list[str]:
    """Ids of points that lie far from all others on the plane, so that they can be pointed at."""
    models = small.models.reset_index(drop=True)
    at = models[["diversity", "recognizability"]].to_numpy(float) / [3.2, 102]
    away = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
    np.fill_diagonal(away, np.inf)
    order = np.argsort(-away.min(axis=1))
    return models["point_id"].iloc[order[:3]].tolist()


def shown_images(opened: Opened) -> tuple[np.ndarray, list[np.ndarray]]:
    """The exemplar and the drawings that the panel shows, as bits."""
    pixels = opened.pixels("#point canvas.drawings")[..., 0]
    side = 16 * SCALE
    left = side + 4 * GAP

    def image(x: int, y: int) -> np.ndarray:
        return (pixels[y : y + side : SCALE, x : x + side : SCALE] < 100).astype(np.uint8)

    top = (pixels.shape[0] - side) // 2
    places = [(left + i % 4 * (side + GAP), i // 4 * (side + GAP)) for i in range(8)]
    return image(0, top), [image(x, y) for x, y in places]


def test_pointing_shows_the_point_and_the_pixels_of_its_drawings(
    opened: Opened, small: Results
) -> None:
    samples = small.points.set_index("point_id")["sample_id"]
    for point_id in apart(small):
        opened.page.mouse.move(5, 5)
        opened.page.mouse.move(*opened.place(point_id))
        opened.page.wait_for_selector(f"#point figure[data-point='{point_id}'][data-ready]")
        assert opened.shown_point() == point_id
        expected = squiggles(samples[point_id], 0)  # the first class by name
        exemplar, drawings = shown_images(opened)
        assert (exemplar == expected[0]).all()
        assert all((image == drawn).all() for image, drawn in zip(drawings, expected[:8]))
        numbers = opened.page.inner_text("#point dl.pairs")
        row = small.points.set_index("point_id").loc[point_id]
        assert f"{row['diversity']:.3f} [" in numbers and f"{row['human_distance']:.2f}" in numbers
        assert f"point_id == '{point_id}'" in opened.page.inner_text("#command")
    assert opened.complaints == []


def test_another_class_shows_other_drawings(opened: Opened, small: Results) -> None:
    point_id = apart(small)[0]
    opened.page.mouse.click(*opened.place(point_id))
    opened.page.wait_for_selector(f"#point figure[data-point='{point_id}'][data-ready]")
    opened.page.click("#point button[aria-label='next class']")
    opened.page.wait_for_function(
        "() => document.querySelector('#point figcaption')"
        " && document.querySelector('#point figcaption').textContent"
        ".includes('class 2 of 12')"
    )
    sample = small.points.set_index("point_id")["sample_id"][point_id]
    assert (shown_images(opened)[0] == squiggles(sample, 1)[0]).all()


def test_arrow_keys_go_through_the_order_of_the_table(opened: Opened) -> None:
    order = opened.value("r.order.map((row) => r.columns.get('point_id').get(row))")
    opened.page.focus("#over")
    opened.page.keyboard.press("Home")
    seen = [opened.shown_point()]
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "End"):
        opened.page.keyboard.press(key)
        seen.append(opened.shown_point())
    assert seen == [order[0], order[1], order[2], order[1], order[-1]]
    assert f"{len(order)} of {len(order)}: " in opened.page.text_content("#live")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector("#pins .card")
    assert opened.page.get_attribute("#pins .card", "data-point") == order[-1]
    # from the plane on, everything is reached by Tab
    reached = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.add(
            opened.page.evaluate("(document.activeElement.closest('[id]') || { id: '' }).id")
        )
    assert {"export-csv", "table", "sliders-section", "cost-section"} <= reached


def test_a_brush_selects_what_lies_in_it(opened: Opened, small: Results) -> None:
    opened.page.locator("#over").scroll_into_view_if_needed()
    box = opened.page.locator("#over").bounding_box()
    x, y = box["x"] + 60, box["y"] + 20
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + box["width"] * 0.5, y + 10, steps=3)
    opened.page.mouse.move(x + box["width"] * 0.6, y + box["height"] * 0.3, steps=3)
    # the count follows the mouse; the table waits until the button is up
    opened.page.wait_for_function("document.getElementById('count').textContent.includes(' of ')")
    assert opened.value("r.order.length") == len(small.points)
    opened.page.mouse.up()
    left, bottom, right, top = opened.value("r.state.brush")
    points = small.points
    held = points[
        points["diversity"].between(left, right) & points["recognizability"].between(bottom, top)
    ]
    assert 0 < len(held) < len(points)
    ids = opened.value("r.order.map((row) => r.columns.get('point_id').get(row))")
    assert sorted(ids) == sorted(held["point_id"])
    assert opened.page.inner_text("#count") == f"{len(held)} of {len(points)} points match"
    # as an expression it selects the same points on the command line
    text = opened.page.inner_text("#selection")
    assert set(held["point_id"]) == set(select(small, text).points["point_id"])
    opened.page.focus("#over")
    opened.page.keyboard.press("Escape")
    assert opened.page.inner_text("#count") == f"{len(points)} points"


def test_heads_sort_the_table(opened: Opened, small: Results) -> None:
    opened.page.click("th[data-column=diversity] button")
    head = opened.page.locator("th[data-column=diversity]")
    assert head.get_attribute("aria-sort") == "ascending"
    assert opened.page.locator("th[aria-sort]").count() == 1
    expected = small.points.sort_values("diversity", kind="stable")["point_id"].tolist()
    columns = opened.page.locator("th").all_inner_texts()
    place = columns.index("point_id") + 1
    cells = opened.page.locator(f"tbody td:nth-child({place})").all_inner_texts()
    assert cells == expected
    opened.page.click("th[data-column=diversity] button")
    assert head.get_attribute("aria-sort") == "descending"
    descending = small.points.sort_values("diversity", kind="stable", ascending=False)
    first = opened.page.locator(f"tbody tr:first-child td:nth-child({place})").inner_text()
    assert first == descending["point_id"].iloc[0]
    opened.page.click("tbody tr:nth-child(3)")
    assert opened.shown_point() == descending["point_id"].iloc[2]
    opened.page.keyboard.press("ArrowDown")
    assert opened.shown_point() == descending["point_id"].iloc[3]
    assert opened.page.locator("tr[aria-current]").count() == 1


def test_pins_stand_side_by_side(opened: Opened, small: Results) -> None:
    ids = apart(small)[:2]
    for point_id in ids:
        opened.page.mouse.click(*opened.place(point_id))
        opened.page.wait_for_selector(f"#point figure[data-point='{point_id}'][data-ready]")
        opened.page.click("#pin")
    opened.page.wait_for_selector("#pins[data-ready='2']")
    cards = opened.page.locator("#pins .card")
    assert [card.get_attribute("data-point") for card in cards.all()] == ids
    assert opened.page.locator("#pins canvas.drawings").count() == 2
    assert opened.page.inner_text("#selection") == f"point_id in ['{ids[0]}', '{ids[1]}']"
    opened.page.click(f"button[aria-label='unpin {ids[0]}']")
    opened.page.wait_for_selector("#pins[data-ready='1']")
    assert cards.first.get_attribute("data-point") == ids[1]


def test_sliders_go_along_an_axis_and_show_its_drawings(opened: Opened, small: Results) -> None:
    done = small.points[(small.points["beta"] == 0.0) & (small.points["status"] == "done")]
    point_id, time_steps = done["point_id"].iloc[0], done["time_steps"].iloc[0]
    opened.page.evaluate(
        "(id) => oneshotReport.change({ point: [...Array(oneshotReport.report.count).keys()].find("
        "(row) => oneshotReport.columnOf('point_id').get(row) === id) })",
        point_id,
    )
    opened.page.click("#sliders-section summary")
    opened.page.focus("#slider-beta")
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    row = small.points.set_index("point_id").loc[opened.shown_point()]
    assert row["beta"] == 1.0 and row["time_steps"] == time_steps
    opened.page.wait_for_selector("#strip[data-ready=beta] .strip-cell[data-value='1'] .current")
    assert opened.page.locator("#strip .strip-cell canvas").count() >= 5
    assert opened.page.get_attribute("#slider-beta", "aria-valuetext") == "beta 1"


def test_the_address_keeps_the_selection(browser: Any, opened: Opened, small: Results) -> None:
    ids = apart(small)
    opened.page.fill("#where", "beta <= 2 and status == 'done'")
    opened.page.wait_for_function("() => oneshotReport.report.state.where !== ''")
    opened.page.evaluate("oneshotReport.change({ brush: [0.5, 10, 3, 99.5] })")
    opened.page.click("th[data-column=beta] button")
    opened.page.select_option("#colour", "time_steps")
    opened.page.check("#bars")
    opened.page.mouse.click(*opened.place(ids[0]))
    opened.page.click("#pin")
    opened.page.wait_for_function("() => location.hash.includes('pins')")
    state = "JSON.stringify(r.state)"
    expected, matching = opened.value(state), opened.page.inner_text("#count")
    assert "beta <= 2 and" in unquote(opened.page.url).replace("+", " ")
    again = Opened(browser, opened.page.url)
    assert again.value(state) == expected and again.page.inner_text("#count") == matching
    again.page.evaluate("location.hash = '#point=nobody&where=&pins=x,y&sort=none&brush=1,2'")
    again.page.wait_for_function("() => oneshotReport.report.state.pins.length === 0")
    assert again.value("r.state.sort") == "human_distance" and again.complaints == []
    again.close()


def test_sections_show_curves_effects_failures_and_costs(opened: Opened) -> None:
    for name in (
        "generalization",
        "curves",
        "effects",
        "sheets",
        "failures",
        "cost",
        "provenance",
        "definitions",
    ):
        opened.page.click(f"#{name}-section > summary")
        opened.page.wait_for_selector(f"#{name}-section[data-ready]")
    text = {name: opened.page.inner_text(f"#{name}-section") for name in ("failures", "cost")}
    assert "1 x" in text["failures"] and "OutOfMemoryError: CUDA out of memory" in text["failures"]
    assert "2 x" in text["failures"] and "diverged" in text["failures"]
    assert "train_seconds" in text["cost"]
    assert opened.page.locator("#generalization-section svg path").count() > 2
    assert opened.page.locator("#curves-section svg path").count() > 1
    assert opened.page.locator("#effects-section svg").count() == 6  # two axes, three metrics
    assert opened.page.locator("#cost-section ol.pareto li").count() >= 1
    definitions = opened.page.inner_text("#definitions-section")
    assert "standard deviation of the SimCLR features" in definitions
    assert "revision" in opened.page.inner_text("#provenance-section")
    assert opened.complaints == []


def test_the_selection_leaves_as_csv_and_png(opened: Opened, small: Results) -> None:
    opened.page.evaluate("oneshotReport.change({ where: 'beta == 1 and seed == 44' })")
    with opened.page.expect_download() as download:
        opened.page.click("#export-csv")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    held = select(small, "beta == 1 and seed == 44").points
    assert {row["point_id"] for row in rows} == set(held["point_id"])
    diversity = held.set_index("point_id")["diversity"]
    known = {row["point_id"]: float(row["diversity"]) for row in rows if row["diversity"]}
    assert known and all(diversity[name] == value for name, value in known.items())
    with opened.page.expect_download() as download:
        opened.page.click("#export-png")
    picture = np.asarray(Image.open(download.value.path()).convert("RGB"))
    assert picture.shape[0] > 400 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_the_page_asks_for_nothing_from_outside(opened: Opened) -> None:
    for kind in ("file:", "data:", "blob:"):
        opened.requests = [url for url in opened.requests if not url.startswith(kind)]
    assert opened.requests == [] and opened.complaints == []
    refused = opened.page.evaluate(
        "fetch('http://127.0.0.1:9/').then(() => 'reached', (error) => error.name)"
    )
    assert refused == "TypeError"
    assert any("Content Security Policy" in text for text in opened.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, file: Path, scheme: str) -> None:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no axe-core: pip install axe-playwright-python")
    axe = Path(found.submodule_search_locations[0]) / "axe.min.js"
    opened = Opened(browser, file, bypass_csp=True, color_scheme=scheme)
    opened.page.click("#pin")
    opened.open_sections()
    opened.page.add_script_tag(path=str(axe))
    result = opened.page.evaluate("axe.run()")
    assert len(result["passes"]) > 15
    serious = [
        (broken["id"], broken["impact"], [node["html"][:120] for node in broken["nodes"]][:3])
        for broken in result["violations"]
        if broken["impact"] in ("serious", "critical")
    ]
    assert serious == []
    opened.close()


@pytest.mark.parametrize("width", [320, 3840])
def test_nothing_is_wider_than_the_window(browser: Any, file: Path, width: int) -> None:
    opened = Opened(browser, file, viewport={"width": width, "height": 900})
    opened.open_sections()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    box = opened.page.locator("#over").bounding_box()
    assert box["width"] >= 250 and box["x"] + box["width"] <= width
    opened.close()


def test_another_renderer_can_take_the_place_of_the_canvas(opened: Opened, small: Results) -> None:
    """Its seam is draw(points, view) and pick(x, y)."""
    point_id = apart(small)[0]
    opened.place(point_id)
    found = opened.value(
        "(() => { const { renderer } = r.plane; const row = [...Array(r.count).keys()].find("
        f"(row) => r.columns.get('point_id').get(row) === '{point_id}');"
        " const [x, y] = renderer.place(row); return [renderer.pick(x + 2, y - 1) === row,"
        " renderer.pick(-500, -500), Object.keys(renderer).includes('draw')]; })()"
    )
    assert found == [True, -1, True]
