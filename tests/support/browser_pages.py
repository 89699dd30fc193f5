"""Pages of results in a real browser: where it is, and what a test asks of a page."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY = "html[data-ready=true]"
PATIENCE = 60_000  # milliseconds, to end a hang; a page is ready in one second


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window; skips where there is none."""
    program = os.environ.get("ONESHOT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
    if not importlib.util.find_spec("playwright"):
        pytest.skip("no Playwright: pip install playwright")
    if not program:
        pytest.skip("no Chromium: apt-get install chromium, or name it in ONESHOT_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page that is open: its requests and complaints are kept.

    Args:
        browser: The browser.
        address: A file, or the address of a server.
        options: Of the browser's context, as the size of its window.
    """

    def __init__(self, browser: Any, address: Path | str, **options: Any):
        self.context = browser.new_context(**{"accept_downloads": True, **options})
        self.page = self.context.new_page()
        self.context.set_default_timeout(PATIENCE)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        url = address.as_uri() if isinstance(address, Path) else address
        self.go(url)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, url: str) -> None:
        """Open an address and wait until the page is ready."""
        self.page.goto(url)
        self.page.wait_for_selector(READY)

    def value(self, expression: str) -> Any:
        """The value of an expression in the page, where `r` is its report."""
        return self.page.evaluate(
            f"(() => {{ const {{ report: r }} = oneshotReport; return {expression}; }})()"
        )

    def place(self, point_id: str) -> tuple[float, float]:
        """Where a point lies in the window, in CSS pixels."""
        self.page.locator("#over").scroll_into_view_if_needed()
        x, y = self.value(
            f"r.plane.renderer.place(r.numbers.get({point_id!r}))"
            if self.value("Boolean(r.numbers)")
            else f"r.plane.renderer.place([...Array(r.count).keys()].find((row) =>"
            f" r.columns.get('point_id').get(row) === {point_id!r}))"
        )
        box = self.page.locator("#over").bounding_box()
        return box["x"] + x, box["y"] + y

    def shown_point(self) -> str:
        """The id that the panel of the point names, once its drawings are there."""
        self.page.wait_for_selector("#point figure[data-ready]")
        return str(self.page.inner_text("#point-id"))

    def pixels(self, selector: str) -> np.ndarray:
        """The pixels of a canvas: uint8 [H, W, 4]."""
        width, height, data = self.page.eval_on_selector(
            selector,
            "(canvas) => [canvas.width, canvas.height, [...canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data]]",
        )
        return np.array(data, np.uint8).reshape(height, width, 4)

    def open_sections(self) -> None:
        """Open every section that these results have, and wait until the last is made."""
        for section in self.page.locator("main > details:not([hidden]) > summary").all():
            section.click()
        self.page.wait_for_selector("#definitions-section[data-ready]")

    def close(self) -> None:
        """Close the page."""
        self.context.close()
