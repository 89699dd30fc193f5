"""Pages whose drawings do not fit: what the file shows, and the server of the rest."""

from __future__ import annotations

import dataclasses
import http.client
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser_pages import Opened
from synthetic_results import grid, squiggles, write_drawings, write_results

from oneshot.report.page.serve import served
from oneshot.report.page.write import write_page
from oneshot.report.results import Results, load

BASE = grid(beta=np.linspace(0, 4, 50).round(3).tolist(), time_steps=list(range(20, 70)))
COPIES = 8  # of the points of BASE, with ids of their own: 20,000
SAMPLES = 2500  # sets of drawings that they share: more than two blocks


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Results:
    root = tmp_path_factory.mktemp("results")
    results = load(write_results(root, BASE))
    models = results.models
    copies = [
        models.assign(point_id=models["point_id"] + f"{copy:02x}", seed=44 + copy)
        for copy in range(COPIES)
    ]
    points = pd.concat([results.references, *copies], ignore_index=True)
    points["sample_id"] = [f"s{i % SAMPLES:08x}" for i in range(len(points))]
    for sample_id in points["sample_id"][:SAMPLES]:
        write_drawings(root, sample_id, lambda name, c: squiggles(name, c, 8), classes=1)
    return dataclasses.replace(results, points=points)


def get(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    host = address.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.slow
def test_twenty_thousand_points_open_with_all_their_drawings(
    browser: Any, many: Results, tmp_path: Path
) -> None:
    assert len(many.points) == 20_003
    written = write_page(many, [many], tmp_path / "report.html", budget=1_500_000)
    assert written.beside == tmp_path / "report_blocks"
    blocks = sorted(path.name.rsplit("-", 1)[0] for path in written.beside.iterdir())
    assert {"drawings-0", "drawings-1", "drawings-2", "details-19"} <= set(blocks)
    points = many.points.reset_index(drop=True)
    middle = int(points["human_distance"].rank().sub(len(points) / 2).abs().idxmin())
    with served(written.file) as server:
        opened = Opened(browser, server.url)
        opened.page.evaluate("(point) => oneshotReport.change({ point })", middle)
        assert opened.shown_point() == points["point_id"][middle]
        pixels = opened.pixels("#point canvas.drawings")[..., 0]
        left = 16 * 4 + 16
        drawn = (pixels[: 16 * 4 : 4, left : left + 16 * 4 : 4] < 100).astype(np.uint8)
        assert (drawn == squiggles(points["sample_id"][middle], 0, 8)[0]).all()
        opened.page.click("#generalization-section > summary")
        opened.page.wait_for_selector("#generalization-section svg")
        assert "20,003 points" in opened.page.inner_text("#count")
        assert "200 of 20,003 rows are shown" in opened.page.inner_text("#table-note")
        assert {url.split("/")[2] for url in opened.requests if url.startswith("http")} == {
            server.url.split("/")[2]
        }
        assert opened.complaints == []
        opened.close()
    # the same file without the server shows less, and says so
    opened = Opened(browser, written.file, offline=True)
    notes = opened.page.inner_text("#notes")
    assert "show their drawings in this file" in notes and "--report --serve" in notes
    best = opened.value("r.order.find((row) => r.columns.get('model').get(row) === 'vae_stn')")
    opened.page.evaluate("(point) => oneshotReport.change({ point })", best)
    opened.page.wait_for_selector("#point canvas.drawings")
    opened.page.evaluate("(point) => oneshotReport.change({ point })", middle)
    opened.page.wait_for_selector("#point figure[data-ready] figcaption")
    assert "--report --serve shows them" in opened.page.inner_text("#point figcaption")
    assert opened.complaints == []
    opened.close()


def test_the_server_shows_the_page_its_blocks_and_records_alone(tmp_path: Path) -> None:
    page = tmp_path / "sweep" / "report.html"
    for name in (
        "report.html",
        "report_blocks/drawings-0-0123abcd.gz",
        "records/0a.json",
        "points.parquet",
        "report_blocks/other.txt",
        "../secret.json",
    ):
        file = page.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    with served(page) as server:
        assert server.url.startswith("http://127.0.0.1:")
        for path in (
            "/",
            "/report.html",
            "/report.html?x=1",
            "/records/0a.json",
            "/report_blocks/drawings-0-0123abcd.gz",
        ):
            status, body = get(server.url, path)
            assert (status, body.decode()) == (200, path.split("?")[0][1:] or "report.html")
        for path in (
            "/points.parquet",
            "/report_blocks/other.txt",
            "/../secret.json",
            "/records/../../secret.json",
            "/records/%2e%2e/%2e%2e/secret.json",
            "/report_blocks/",
            "/records/1b.json",
            "//report_blocks",
            "/etc/passwd",
        ):
            assert get(server.url, path) == (404, b""), path
        assert get(server.url, "/", Host="example.org") == (403, b"")
        assert get(server.url, "/", method="HEAD") == (200, b"")
        assert get(server.url, "/", method="POST")[0] == 501


def test_a_page_that_changes_has_another_tag(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("one")
    with served(page) as server:
        connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=60)

        def tag() -> str | None:
            connection.request("HEAD", "/report.html")
            answer = connection.getresponse()
            answer.read()
            return answer.headers["ETag"]

        first = tag()
        assert first and first == tag()
        page.write_text("another")
        assert tag() not in (first, None)
        connection.close()


def test_a_page_of_a_run_reloads_when_rows_came_in(browser: Any, tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[0.0, 1.0]), drawings=squiggles)
    results = load(folder)
    first = results.points.iloc[:4]
    page = tmp_path / "report.html"
    write_page(dataclasses.replace(results, points=first), [results], page, running=True)
    with served(page) as server:
        opened = Opened(browser, server.url)
        assert "while the run was under way" in opened.page.inner_text("#running")
        assert opened.page.inner_text("#count") == "4 points"
        write_page(results, [results], page, running=False)
        opened.page.click("#running button")
        opened.page.wait_for_selector("html[data-ready=true] #running[hidden]", state="attached")
        assert opened.page.inner_text("#count") == "5 points" and opened.complaints == []
        opened.close()
