"""Values, errors and tables as text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from oneshot.report.results import Results
from oneshot.report.table import points_table
from oneshot.report.text import (
    fit_terminal,
    plus_minus,
    two_numbers,
    value_text,
    with_interval,
)


def test_fit_terminal_drops_whole_columns_from_the_right_and_says_which(
    loaded: Results,
) -> None:
    table = points_table(loaded)
    whole, none = fit_terminal(table, None)
    assert none == [] and whole.splitlines()[0].split() == list(table)
    for width in (10, 40, 80, 120):
        text, dropped = fit_terminal(table, width)
        shown = text.splitlines()[0].split()
        assert shown + dropped == list(table) and len(shown) >= 1
        assert max(map(len, text.splitlines())) <= width
        longer = fit_terminal(table[[*shown, *dropped[:1]]], None)[0]
        # no column left out that had room
        assert not dropped or max(map(len, longer.splitlines())) > width - 2


def test_cells_are_written_as_people_write_them() -> None:
    frame = pd.DataFrame(
        {
            "z": [10.0, np.nan],
            "on": [True, False],
            "error": ["a\nb", None],
            "recognizability": [91.26, np.nan],
        }
    )
    assert fit_terminal(frame, None)[0].splitlines() == [
        " z  on     error  recognizability",
        "10  True   a                 91.3",
        " -  False  -                    -",
    ]


def test_whole_numbers_are_written_whole_and_large_ones_in_full() -> None:
    words = [
        value_text(value)
        for value in (
            2_350_519,
            2_350_519.0,
            10.0,
            0.25,
            1e-3,
            np.int64(7),
            True,
            None,
            pd.NA,
            np.inf,
        )
    ]
    assert words == ["2350519", "2350519", "10", "0.25", "0.001", "7", "True", "-", "-", "inf"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.34, 0.0047, "0.3400 ± 0.0047"),
        (0.34, 0.12, "0.34 ± 0.12"),
        (2.0, 3.0, "2.00 ± 3.00"),
        (1.5, np.nan, "1.50"),
        (1.5, 0.0, "1.50 ± 0.00"),
    ],
)
def test_an_error_has_two_digits_of_its_own(value: float, error: float, text: str) -> None:
    assert plus_minus(value, error) == text


@pytest.mark.parametrize(
    ("value", "bounds", "text"),
    [
        (0.612, (0.551, 0.703), "0.61 [0.55, 0.70]"),
        (0.34, (0.3353, 0.3447), "0.3400 [0.3353, 0.3447]"),
        (12.0, (2.0, 31.0), "12.00 [2.00, 31.00]"),
        (1.0, (1.0, 1.0), "1.00 [1.00, 1.00]"),
        (1.0, (float("nan"), float("nan")), "1.00"),
    ],
)
def test_an_interval_has_two_digits_of_its_width(
    value: float, bounds: tuple[float, float], text: str
) -> None:
    assert with_interval(value, bounds) == text


def test_two_numbers_that_differ_are_written_so_that_they_do() -> None:
    assert two_numbers(0.1812, 0.1846) == ("0.181", "0.185")
    assert two_numbers(2.7, 1.8) == ("2.70", "1.80") and two_numbers(1.0, 1.0) == ("1.00", "1.00")
