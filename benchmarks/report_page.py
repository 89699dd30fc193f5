"""The page of results in Chromium: its size, the time until it is ready, and its frames.

    python benchmarks/report_page.py [--points 6366 100000] [--quick] [--threads 1]

Made results with eight drawings of 28x28 pixels a point. The same points, as a scatter plot whose
points say who they are, in each of Plotly, Bokeh and Vega that is installed (those show no
drawings), one after the other in one run. Frames are the times between two paints while the mouse
goes over 120 places; of the page there are also the milliseconds of its own code in a step of
hovering, and in one of a brush that is dragged, which repaints all points.

Prints a table and writes benchmarks/out/report_page.json.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import pandas as pd
from browser_pages import chromium
from synthetic_results import write_drawings, write_results

from benchmarks.harness import OUT, machine, parser
from oneshot.report.page.serve import served
from oneshot.report.page.write import write_page
from oneshot.report.results import Results, load

AXES = ["beta", "time_steps", "z"]
PLACES = 120  # of the mouse
SAMPLES = 6366  # different sets of drawings, which more points share
RECORD = """() => {
  window.paints = [];
  const note = (now) => { window.paints.push(now); window.timer = requestAnimationFrame(note); };
  window.timer = requestAnimationFrame(note);
}"""
OWN_STEPS = """(kind) => {
  const { report: r } = oneshotReport;
  const times = [];
  for (let i = 0; i < 60; i += 1) {
    const start = performance.now();
    if (kind === "hover") oneshotReport.change({ point: (i * 7919) % r.count });
    else oneshotReport.followBrush([0.5, 10, 1.5 + i / 60, 99]);
    r.plane.cloud.getContext("2d").getImageData(0, 0, 1, 1); // waits until it is painted
    times.push(performance.now() - start);
  }
  return times;
}"""


def made_results(root: Path, points: int) -> Path:
    """A sweep of so many points over three axes, with drawings."""
    side = max(2, round((points / 8) ** 0.5))
    values = [
        dict(beta=float(b), time_steps=int(t), z=int(z))
        for b in np.linspace(0, 4, 8).round(3)
        for t in range(20, 20 + side)
        for z in range(10, 10 + -(-points // (8 * side)))
    ]
    folder = write_results(root, values[: points - 3])
    rng = np.random.default_rng(0)
    for i in range(min(points, SAMPLES)):
        write_drawings(root, f"s{i:08x}", lambda name, c: strokes(rng), classes=1)
    return folder


def more_points(results: Results, points: int) -> Results:
    """The same results with so many points: copies elsewhere, which share drawings."""
    models = results.points[results.points["model"] == "vae_stn"]
    rng, parts = np.random.default_rng(2), [results.points]
    for copy in range(1, -(-(points - len(results.points)) // max(len(models), 1)) + 1):
        moved = models.assign(
            point_id=models["point_id"] + f"{copy:04x}",
            seed=models["seed"] + copy,
            **{
                name: (models[name].astype(float) + rng.normal(0, spread, len(models))).round(7)
                for name, spread in (
                    ("diversity", 0.05),
                    ("recognizability", 1.0),
                    ("human_distance", 0.05),
                )
            },
        )
        moved["recognizability"] = moved["recognizability"].clip(0, 100)
        parts.append(moved)
    return dataclasses.replace(results, points=pd.concat(parts, ignore_index=True).head(points))


def strokes(rng: np.random.Generator, count: int = 9, side: int = 28) -> np.ndarray:
    """Images of wandering lines, uint8 [count, side, side]: they compress as drawings do."""
    images = np.zeros((count, side, side), np.uint8)
    for image in images:
        steps = np.cumsum(np.cumsum(rng.normal(0, 0.12, (2, 60)), axis=1), axis=1)
        x, y = np.clip(side / 2 + steps - steps.mean(axis=1, keepdims=True), 0, side - 2).astype(
            int
        )
        for right, down in ((0, 0), (1, 0), (0, 1)):
            image[y + down, x + right] = 1
    return images


def plotly_page(rows: pd.DataFrame, file: Path) -> None:
    """The points in Plotly, drawn by WebGL."""
    import plotly.express as px

    plot = px.scatter(
        rows,
        x="diversity",
        y="recognizability",
        color="beta",
        render_mode="webgl",
        hover_data=["point_id", *AXES],
        width=800,
        height=600,
    )
    plot.write_html(file, include_plotlyjs=True)


def bokeh_page(rows: pd.DataFrame, file: Path) -> None:
    """The points in Bokeh, drawn by WebGL."""
    from bokeh.embed import file_html
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    tips = [(name, f"@{name}") for name in ("point_id", *AXES)]
    plot = figure(width=800, height=600, output_backend="webgl", tooltips=tips)
    plot.scatter("diversity", "recognizability", source=ColumnDataSource(rows), size=4)
    file.write_text(file_html(plot, INLINE, "points"), encoding="utf-8")


def vega_page(rows: pd.DataFrame, file: Path) -> None:
    """The points in Vega-Lite through Altair, on a canvas."""
    import altair as alt

    alt.data_transformers.disable_max_rows()
    plot = (
        alt.Chart(rows)
        .mark_circle(size=12)
        .encode(x="diversity:Q", y="recognizability:Q", color="beta:Q", tooltip=["point_id", *AXES])
    )
    plot.properties(width=700, height=520).save(file, inline=True)


LIBRARIES: dict[str, tuple[tuple[str, ...], Callable[[pd.DataFrame, Path], None], str]] = {
    "Plotly": (("plotly",), plotly_page, ".nsewdrag"),
    "Bokeh": (("bokeh",), bokeh_page, ".bk-Figure"),
    "Vega": (("altair", "vl_convert"), vega_page, "canvas"),
}


def measured(browser: Any, url: str, ready: str, area: str) -> dict[str, float]:
    """Seconds until a page is ready, and its frames while the mouse goes over it."""
    times = []
    for turn in range(3):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(300_000)
        page = context.new_page()
        start = time.perf_counter()
        page.goto(url)
        page.wait_for_selector(ready, state="attached")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        times.append(time.perf_counter() - start)
        if turn < 2:
            context.close()
    # where an element has no box of its own, the plots still lie at the top left
    box = page.locator(area).first.bounding_box() or dict(x=50, y=50, width=700, height=500)
    page.evaluate(RECORD)
    rng = np.random.default_rng(1)
    for x, y in rng.uniform(0.15, 0.85, (PLACES, 2)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    paints = page.evaluate("() => { cancelAnimationFrame(window.timer); return window.paints; }")
    frames = np.diff(paints)
    out = {
        "ready_s": statistics.median(times),
        "frame_ms": float(np.median(frames)),
        "frame_p95_ms": float(np.quantile(frames, 0.95)),
    }
    if area == "#over":  # the page itself
        for kind in ("hover", "brush"):
            own = page.evaluate(OWN_STEPS, kind)
            out[f"{kind}_ms"] = statistics.median(own)
            out[f"{kind}_p95_ms"] = float(np.quantile(own, 0.95))
    context.close()
    return out


def of_points(browser: Any, points: int, folder: Path) -> Iterator[dict[str, Any]]:
    """The page and each library on so many points, one after the other."""
    results = more_points(load(made_results(folder, min(points, SAMPLES))), points)
    rows = results.points
    start = time.perf_counter()
    written = write_page(results, [results], folder / "report.html")
    spent = time.perf_counter() - start
    yield {
        "points": len(rows),
        "what": "page, inline",
        "mb": written.size / 1e6,
        "write_s": spent,
        **measured(browser, written.file.as_uri(), "html[data-ready=true]", "#over"),
    }
    if written.beside:
        beside = sum(path.stat().st_size for path in written.beside.iterdir())
        with served(written.file) as server:
            more = measured(browser, server.url, "html[data-ready=true]", "#over")
        size = (written.size + beside) / 1e6
        yield {"points": len(rows), "what": "page, served", "mb": size, **more}
    models = rows[rows["model"] == "vae_stn"]
    table = models[["point_id", "diversity", "recognizability", *AXES]].astype(
        {"time_steps": int, "z": int, "diversity": float, "recognizability": float}
    )
    ready = {"Plotly": ".nsewdrag", "Bokeh": ".bk-Canvas, .bk-Figure", "Vega": "canvas"}
    for name, (modules, write, area) in LIBRARIES.items():
        if not all(importlib.util.find_spec(module) for module in modules):
            print(f"{name}: not installed")
            continue
        file = folder / f"{name.lower()}.html"
        start = time.perf_counter()
        write(table, file)
        spent = time.perf_counter() - start
        yield {
            "points": len(rows),
            "what": name,
            "mb": file.stat().st_size / 1e6,
            "write_s": spent,
            **measured(browser, file.as_uri(), ready[name], area),
        }


def main() -> None:
    p = parser(__doc__)
    p.add_argument("--points", type=int, nargs="*", default=[6366, 100_000])
    args = p.parse_args()
    found: list[dict[str, Any]] = []
    with chromium() as browser:
        for points in [200] if args.quick else args.points:
            folder = Path(tempfile.mkdtemp(prefix="report-page-"))
            try:
                for row in of_points(browser, points, folder):
                    found.append(row)
                    print(
                        {k: v if isinstance(v, str) else round(v, 2) for k, v in row.items()},
                        flush=True,
                    )
                    OUT.mkdir(exist_ok=True)
                    content = {"machine": machine(), "rows": found}
                    (OUT / "report_page.json").write_text(json.dumps(content, indent=1))
            finally:
                shutil.rmtree(folder)
    print(pd.DataFrame(found).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
