"""The filter language: what it accepts, what it means for empty values, and all that it must
refuse.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from oneshot.sweep import filter as filters
from oneshot.sweep.filter import FilterError

ROW = {
    "beta": 1.0,
    "time_steps": 60,
    "z": None,
    "status": "done",
    "drop": float("nan"),
    "annealed": True,
    "shift": -2,
    "é": 3,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("beta <= 1", True),
        ("beta < 1", False),
        ("0 < beta <= 1 < time_steps", True),
        ("0 < beta < 1 < time_steps", False),
        ("1 == beta", True),
        ("beta != 1", False),
        ("status == 'done' and (beta > 2 or time_steps >= 60)", True),
        ("not status == 'done'", False),
        ("status in ('done', 'failed')", True),
        ("status not in ['failed']", True),
        ("beta in [1, 2]", True),
        ("shift == -2", True),
        ("shift in (-2, -3)", True),
        ("annealed", True),
        ("not annealed or beta == 1", True),
        ("annealed == True", True),
        ("True", True),
        ("  beta == 1  ", True),
        ("é == 3", True),
        ("time_steps == 60.0", True),
    ],
)
def test_filters_mean_what_they_say(text: str, expected: bool) -> None:
    assert filters.compile(text)(ROW) is expected


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("column", ["z", "drop"])
def test_comparisons_with_empty_values_are_false(operator: str, column: str) -> None:
    assert filters.compile(f"{column} {operator} 1")(ROW) is False
    assert filters.compile(f"1 {operator} {column}")(ROW) is False
    assert filters.compile(f"{column} {operator} {column}")(ROW) is False


def test_empty_values_can_be_asked_for() -> None:
    assert filters.compile("z == None")(ROW) and filters.compile("drop == None")(ROW)
    assert not filters.compile("z != None")(ROW)
    assert filters.compile("beta != None and not beta == None")(ROW)
    assert filters.compile("z in (1, None)")(ROW)
    assert not filters.compile("z in (1, 2)")(ROW) and not filters.compile("z not in (1, 2)")(ROW)


@pytest.mark.parametrize(
    ("text", "piece", "position"),
    [
        ("__import__('os').getpid() == 1", "__import__('os').getpid()", 1),
        ("beta == len(status)", "len(status)", 9),
        ("beta.real == 1", "beta.real", 1),
        ("status[0] == 'd'", "status[0]", 1),
        ("beta + 1 == 2", "beta + 1", 1),
        ("beta == 2 * 3", "2 * 3", 9),
        ("(beta < 1) & (z > 1)", "(beta < 1) & (z > 1)", 1),
        ("not ~beta", "~beta", 5),
        ("beta == (lambda: 1)", "lambda: 1", 10),
        ("beta == 1 if z else 2", "beta == 1 if z else 2", 1),
        ("beta in {1, 2}", "{1, 2}", 9),
        ("beta in [x for x in (1,)]", "[x for x in (1,)]", 9),
        ("beta in [1, status]", "status", 13),
        ("beta in status", "status", 9),
        ("status == f'{beta}'", "f'{beta}'", 11),
        ("status == b'done'", "b'done'", 11),
        ("beta == 1j", "1j", 9),
        ("beta == -True", "-True", 9),
        ("(beta := 1) == 1", "beta := 1", 2),
        ("(beta < 1) == True", "beta < 1", 2),
        ("é == 3 and beta + 1 == 2", "beta + 1", 12),
        ("  beta + 1 == 2", "beta + 1", 3),
        ("60", "60", 1),
        ("'done'", "'done'", 1),
        ("(beta == 1\n and foo(z))", "foo(z)", 17),
        ("(status == 'é' and\r\n (é == 1 and foo(z)))", "foo(z)", 34),
        ("z == 1 or beta is None", "beta is None", 11),
    ],
)
def test_everything_else_is_refused_with_piece_and_position(
    text: str, piece: str, position: int
) -> None:
    for read in (filters.compile, filters.columns):
        with pytest.raises(FilterError) as caught:
            read(text)
        assert f"{piece!r} at position {position} " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("beta = 1", "write `==`"),
        ("beta <", "position"),
        ("", "position"),
        ("beta is None", "write `==`"),
        ("beta is not None", "write `!=`"),
        ("beta == 1\0", "cannot read"),
        ("(" * 900, "cannot read"),
        ("not " * 240 + "annealed and " * 3 + "beta == 1 or " * 2000, "at most"),
    ],
)
def test_unreadable_filters_say_why(text: str, told: str) -> None:
    with pytest.raises(FilterError, match=told):
        filters.compile(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("beta <", 7),
        ("  beta < 1 and ", 15),
        ("not", 4),
        ("beta = 1", 6),
        ("beta <= 1 and z = 3", 17),
        ("status == 'a=b' and", 20),  # the sign within quotes is not meant
        ("beta < 1)", 9),
        ("(beta < 1", 1),
        ("status == 'a", 11),
        ("beta == f'{a b}'", 9),
        ("beta == 1\nz == 2", 11),
        ("beta == 1 and\nz = 2", 17),
        ("status == 'é' and é é", 21),
        ("beta == 1\0", 10),
        ("beta == \ud800", 9),
    ],
)
def test_what_cannot_be_read_has_its_own_position(text: str, position: int) -> None:
    with pytest.raises(FilterError, match="cannot read") as caught:
        filters.compile(text)
    assert re.search(r" at position (\d+)", str(caught.value))[1] == str(position)  # type: ignore[index]
    assert ("write `==`" in str(caught.value)) == (
        text in ("beta = 1", "beta <= 1 and z = 3", "beta == 1 and\nz = 2")
    )


@pytest.mark.parametrize(
    ("text", "told"), [("beta < 'a'", "text with a number"), ("status == 1", "text with a number")]
)
def test_a_text_compared_with_a_number_is_a_mistake(text: str, told: str) -> None:
    with pytest.raises(FilterError, match=told):
        filters.compile(text)(ROW)


def test_a_number_alone_is_no_condition() -> None:
    with pytest.raises(FilterError, match="compare it with something"):
        filters.compile("beta")(ROW)
    assert filters.compile("z")(ROW) is False


def test_names_are_the_columns_read() -> None:
    assert filters.columns("0 < beta <= 1 and (not annealed or status in ('beta', 'z'))") == {
        "beta",
        "annealed",
        "status",
    }


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(FilterError, match=r"no column 'bata' \(position 1 .*Did you mean beta"):
        filters.compile("bata < 1", known=ROW)
    with pytest.raises(FilterError, match=r"needs quotes: 'failed'"):
        filters.compile("status == failed", known=ROW)
    with pytest.raises(FilterError, match="time_step"):
        # also where the left side already decides
        filters.compile("beta == 1 or time_step == 3")(ROW)


def test_the_language_needs_neither_pandas_nor_torch() -> None:
    code = (
        "import sys, oneshot.sweep.filter; sys.exit(any(m in sys.modules for m in ('pandas',"
        " 'numpy', 'torch', 'ray')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
