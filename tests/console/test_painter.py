"""Lines that are painted over themselves."""

from __future__ import annotations

import io
import os

import pytest
from terminals import Emulator

from oneshot.console import painter
from oneshot.console.painter import WIPE, Painter


class Paper:
    """A painter, and what stands on its terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, whole_screen: bool = False):
        monkeypatch.delenv("COLUMNS", raising=False)
        self.size = (80, 24)
        monkeypatch.setattr(painter, "window_size", lambda stream: self.size)
        self.written: list[str] = []
        self.emulator = Emulator(rows=50)
        self.painter = Painter(io.StringIO(), self.write, whole_screen)

    def write(self, text: str) -> None:
        self.written.append(text)
        self.emulator.feed(text.replace(WIPE, ""))

    def shown(self) -> list[str]:
        return self.emulator.lines[: self.emulator.y]


def test_lines_replace_those_before_and_what_is_above_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paper = Paper(monkeypatch)
    paper.painter.paint([])
    assert paper.written == []
    paper.painter.paint(["one", "two", "three"])
    paper.painter.paint(["four"], above=["said"])
    assert paper.shown() == ["said", "four"]
    paper.painter.paint([])
    assert paper.shown() == ["said"] and len(paper.written) == 3


def test_long_lines_are_cut_so_that_they_can_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper(monkeypatch)
    paper.size = (10, 24)
    paper.painter.paint(["x" * 100])
    paper.painter.paint(["y" * 100])
    assert paper.shown() == ["y" * 9]


@pytest.mark.parametrize("whole_screen", [True, False])
def test_a_resized_terminal_is_wiped_if_nothing_else_is_on_it(
    whole_screen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(monkeypatch, whole_screen)
    paper.painter.paint(["one"])
    paper.size = (40, 24)
    paper.painter.paint(["two"])
    paper.painter.paint(["three"])
    assert [text.startswith(WIPE) for text in paper.written] == [False, whole_screen, False]


def test_the_size_of_no_terminal_is_that_of_an_ordinary_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert painter.window_size(io.StringIO()) == (80, 24)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((0, 0)))
    assert painter.window_size(io.StringIO()) == (80, 24)
    monkeypatch.setenv("COLUMNS", "40")
    assert painter.window_size(io.StringIO()) == (40, 24)
