"""Numbers, durations and tables in text."""

from __future__ import annotations

import pytest

from oneshot.console.text import (
    Column,
    bar,
    duration,
    measured,
    one_line,
    short_text,
    table,
    value_text,
    wrap_labelled,
)


@pytest.mark.parametrize(
    ("seconds", "text"), [(8, "8 s"), (150, "2 min"), (31800, "8 h 50 m"), (273600, "3 d 4 h")]
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "error", "digits", "text"),
    [
        (0.34119, 0.0047, 2, "0.3412 +- 0.0047"),
        (94.2345, 0.43, 1, "94.23 +- 0.43"),
        (95.0, 12.3, 1, "95.0 +- 12.3"),
        (0.0, 0.0, 2, "0.00 +- 0.00"),
        (0.5, None, 2, "0.50"),
        (None, 0.1, 2, "-"),
        (0.5, 1e-12, 2, "0.5000 +- 0.0000"),
    ],
)
def test_digits_follow_the_standard_error(
    value: float, error: float | None, digits: int, text: str
) -> None:
    assert measured(value, error, digits) == text


def test_values_are_short_and_of_one_line() -> None:
    assert (value_text(0.50), value_text(1e-5), value_text("medoid")) == ("0.5", "1e-05", "medoid")
    assert short_text("/a/long/path/to/some/drawings.npz") == "...some/drawings.npz"[-20:]
    assert one_line("a\x1b[2J\nb") == "a [2J b"
    assert [bar(share, 4) for share in (-1, 0.5, 7)] == ["[----]", "[##--]", "[####]"]


def test_a_labelled_text_is_indented_below_its_label() -> None:
    assert wrap_labelled("speed", "4 points an hour", 25) == [
        "  speed       4 points an",
        "              hour",
    ]
    assert wrap_labelled("now", "", 79) == []


def test_a_table_grows_with_its_cells_and_lets_texts_stand_between() -> None:
    columns = [Column("", 6), Column("done", 3, right=True), Column("note", gap=1)]
    rows = [["all", "1,000,000", ""], "beta: 3 more values", ["beta 1", "0", "late"]]
    assert table(columns, rows) == [
        "             done note",
        "all     1,000,000",
        "beta: 3 more values",
        "beta 1          0 late",
    ]
    assert table(columns, rows[2:], heading=False) == ["beta 1    0 late"]
    assert table([Column("a"), Column("b")], []) == ["a  b"]
