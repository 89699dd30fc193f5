"""Results that several files of tests read; none changes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_pages import chromium
from synthetic_results import grid, squiggles, write_results

from oneshot.report.results import Results, load

GRID = grid(beta=[0.0, 0.5, 1.0, 2.0, 4.0], time_steps=[20, 60, 90], z=[10, 85])
CROSSED = grid(beta=[0.0, 0.5, 1.0, 2.0, 3.0, 4.0], time_steps=[20, 90])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep over three axes with three seeds."""
    return write_results(tmp_path_factory.mktemp("results"), GRID, seeds=3, failed=2, diverged=1)


@pytest.fixture(scope="session")
def loaded(folder: Path) -> Results:
    """The results in `folder`."""
    return load(folder)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two axes and two seeds, with drawings, and points that failed or diverged."""
    root = tmp_path_factory.mktemp("results")
    return load(write_results(root, CROSSED, seeds=2, failed=1, diverged=2, drawings=squiggles))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser without a window; skips with the reason where there is none."""
    with chromium() as found:
        yield found
