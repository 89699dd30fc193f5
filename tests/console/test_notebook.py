"""Lines below a cell: shown in one place, and changed only where they differ."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from oneshot.console import notebook
from oneshot.console.progress import Progress, State


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a kernel is asked to show in the place of a cell, one after the other."""
    texts: list[str] = []

    def show(bundle: dict[str, str], **how: Any) -> Any:
        assert how.pop("raw") and set(how) <= {"display_id"}
        texts.append(bundle["text/plain"])
        return SimpleNamespace(update=show)

    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=1)  # type: ignore[attr-defined]
    display.display = show  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return texts


def test_outside_of_a_kernel_there_is_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not notebook.is_here()
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not notebook.is_here(), "IPython was imported, and no notebook runs"


def test_lines_change_in_their_place_and_what_is_said_stays(shown: list[str]) -> None:
    said: list[str] = []
    painter = notebook.CellPainter(said.append)
    painter.paint(["one", "two"])
    painter.paint(["one", "two"], above=["stays"])
    painter.paint([])
    assert shown == ["", "one\ntwo", ""] and said == ["stays\n"]


def test_a_run_is_shown_in_the_cell(shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(State("mine", 4)) as progress:
        assert progress.live
        progress.say("a line")
    assert "mine  0/4  0%" in shown[1] and shown[-1] == ""
    assert capsys.readouterr().err == "a line\n"
