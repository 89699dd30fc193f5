"""The filter language of the page: the same expressions, the same rows, as that of `--where`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_pages import Opened

from oneshot.report.page.write import write_page
from oneshot.report.results import Results
from oneshot.report.select import select
from oneshot.sweep import filter as filters
from oneshot.sweep.filter import FilterError

ROWS: list[dict[str, Any]] = [
    {"beta": 0.5, "z": 10, "name": "a", "on": True, "loss": None},
    {"beta": 1.0, "z": 85, "name": "it's", "on": False, "loss": 3.25},
    {"beta": None, "z": -2, "name": "", "on": None, "loss": 1e-9},
    {"beta": 4.0, "z": 0, "name": "\U0001f600z", "on": True, "loss": -7.0},
    {"beta": 3.0, "z": 1, "name": "\uff41 \\n é", "on": False, "loss": None},
]
READ = [
    "beta < 1",
    "beta <= 1 and z in (10, 35)",
    "not beta < 1",
    "0 < beta <= 1.0",
    "z == 1e1 or z == 0x55",
    "z in [10, -2, None]",
    "z not in (10, -2,)",
    "z in ()",
    "beta == None",
    "beta != None and loss == None",
    "None == beta",
    "loss != 3",
    "on",
    "not on",
    "on == True and True",
    "on == 1",
    "on in [0]",
    "z in [True, False]",
    "z == -2",
    "-2 < z",
    "z >= 1_0",
    "loss < .5 and loss > 1E-10",
    "name == 'a' or name == \"it's\"",
    "name in ['a' 'b', 'it' \"'s\"]",
    "name > 'b'",
    "name >= '\\U0001F600'",
    "name > '\uffff'",
    r"name == r'\n'",
    r"name == '\x61'",
    "name == '''a'''",
    "name == u'a'",
    "name == ''",
    "(beta < 1) and ((z) == (10))",
    "beta < 1 or z < 0 and not on",
    "(beta\n< 1)",
    "beta < 1  # what is small",
    "beta \\\n< 1",
    "beta < z",
    "beta < z < 100",
    "name == name",
    "\ufb01 == None or beta == 1",
    "True",
    "False or beta == 4",
    "not not beta == 4",
    "z==1or z==0",
    "0o12 == z",
    "00 == z",
]
REFUSED = [
    "",
    "beta",
    "z",
    "name",
    "1",
    "'a'",
    "None",
    "beta = 1",
    "beta < ",
    "beta is None",
    "beta == 'a'",
    "name < 3",
    "name in [1]",
    "z in 'abc'",
    "z in [beta]",
    "z in {1, 2}",
    "z in 1, 2",
    "z in (1)",
    "beta + 1 < 2",
    "+1 < beta",
    "- -1 < beta",
    "-True < beta",
    "-beta < 1",
    "~on",
    "on & on",
    "open('x')",
    "name.upper() == 'A'",
    "name[0] == 'a'",
    "beta < (z < 1)",
    "(beta, z) == 1",
    "[1] == beta",
    "beta < 1 if on else z",
    "lambda: 1",
    "(x := 1) < 2",
    "b'a' == name",
    "f'a' == name",
    "1j < beta",
    "012 < z",
    "1__0 < z",
    "z < 1_",
    "beta <> 1",
    "beta < not on",
    "not",
    "beta < 1 z < 2",
    "beta\n< 1",
    "name == 'a",
    "name == 'a\n'",
    "name == '\\x6'",
    "(beta < 1",
    "beta < 1)",
    "bta < 1",
    "class == 1",
    "beta < 1\0",
    "(" * 1200 + "on" + ")" * 1200,
    "beta < 1 and ...",
    "z in [1, *[2]]",
    "*z == 1",
    "z == 1;",
    "$z == 1",
    "beta =< 1",
    "beta == == 1",
]


@pytest.fixture(scope="module")
def opened(
    browser: Any, small: Results, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_page(small, [small], file)
    opened = Opened(browser, file)
    yield opened
    opened.close()


def in_python(text: str) -> list[bool] | None:
    """Which rows fulfil a filter; None if it is refused."""
    try:
        known = [*ROWS[0], "\ufb01", "fi"]
        test = filters.compile(text, known=known)
        return [test({**row, "\ufb01": None, "fi": None}) for row in ROWS]
    except FilterError:
        return None


def in_browser(opened: Opened, texts: list[str]) -> list[list[bool] | None]:
    """The same of many filters by the page's script."""
    rows = [{**row, "fi": None, "\ufb01": None} for row in ROWS]
    return opened.page.evaluate(
        """([rows, texts]) => {
          const columns = new Map(Object.keys(rows[0]).map(
            (name) => [name, { get: (row) => rows[row][name] }]));
          return texts.map((text) => {
            try {
              const test = oneshotReport.compileFilter(text, columns);
              return rows.map((_, row) => test(row));
            } catch (error) {
              if (error.constructor.name !== "FilterError") return String(error);
              return null;
            }
          });
        }""",
        [rows, texts],
    )


def test_the_same_expressions_hold_for_the_same_rows(opened: Opened) -> None:
    expected = [in_python(text) for text in READ]
    assert None not in expected and any(any(rows) for rows in expected if rows)
    assert dict(zip(READ, in_browser(opened, READ))) == dict(zip(READ, expected))


def test_the_same_expressions_are_refused(opened: Opened) -> None:
    assert [text for text in REFUSED if in_python(text) is not None] == []
    found = dict(zip(REFUSED, in_browser(opened, REFUSED)))
    assert {text: rows for text, rows in found.items() if rows is not None} == {}


def test_made_expressions_are_read_alike(opened: Opened) -> None:
    rng, texts = np.random.default_rng(0), []
    pieces = ["beta", "z", "name", "on", "loss", "1", "-2.5", "'a'", "None", "True", "(", ")", "["]
    pieces += ["]", ",", "<", "<=", "==", "!=", "in", "not", "and", "or", ">=", "not in", "0.5"]
    sides = ["beta", "z", "loss", "1", "10", "None", "0.5"]
    for _ in range(600):
        texts.append(" ".join(rng.choice(pieces, rng.integers(1, 8))))
        a, b, c = rng.choice(sides, 3)
        one, other = rng.choice(["<", "<=", "==", "!=", ">", ">="], 2)
        join = rng.choice(["and", "or", "and not", "or not"])
        texts.append(f"{a} {one} {b} {join} ({b} {other} {c} or on)")
    expected = [in_python(text) for text in texts]
    assert 500 < sum(rows is not None for rows in expected) < len(texts)
    found = in_browser(opened, texts)
    different = [t for t, a, b in zip(texts, expected, found) if a != b]
    assert different == []


@pytest.mark.parametrize(
    "text",
    [
        "beta <= 1",
        "beta <= 1 and seed == 45",
        "diversity > 1.2",
        "status == 'failed'",
        "status != 'done'",
        "not time_steps == 20",
        "model == 'human'",
        "beta == None",
        "beta > 100",
        "sweep == 'vae_stn' and beta < 1",
        "learning_rate == 0.001",
    ],
)
def test_the_page_selects_what_analyze_selects(opened: Opened, small: Results, text: str) -> None:
    opened.page.fill("#where", text)
    opened.page.wait_for_function("(text) => oneshotReport.report.state.where === text", arg=text)
    ids = opened.value("r.order.map((row) => r.columns.get('point_id').get(row))")
    assert opened.page.inner_text("#where-problem") == ""
    assert sorted(ids) == sorted(select(small, text).points["point_id"])


def test_the_page_selects_from_joined_results_as_analyze_does(
    browser: Any, small: Results, tmp_path: Path
) -> None:
    both = dataclasses.replace(
        small,
        points=small.points.assign(sweep=np.where(small.points["seed"] == 44, "one", "two")),
        axes=["sweep", *small.axes],
    )
    text = "sweep == 'two' and beta >= 1"
    write_page(both, [both], tmp_path / "report.html")
    page = Opened(browser, tmp_path / "report.html")
    page.page.evaluate("(where) => oneshotReport.change({ where })", text)
    ids = page.value("r.order.map((row) => r.columns.get('point_id').get(row))")
    page.close()
    expected = select(both, text).points["point_id"]
    assert len(expected) > 3 and sorted(ids) == sorted(expected)


def test_a_mistake_is_told_and_what_matched_goes_on_matching(opened: Opened) -> None:
    opened.page.fill("#where", "beta <= 1")
    opened.page.wait_for_function("() => oneshotReport.report.state.where === 'beta <= 1'")
    before = opened.page.inner_text("#count")
    opened.page.fill("#where", "bta <= 1")
    opened.page.wait_for_selector("#where[aria-invalid=true]")
    told = opened.page.inner_text("#where-problem")
    assert "bta" in told and "Did you mean beta?" in told
    assert opened.page.inner_text("#count") == before
    opened.page.fill("#where", "")
    opened.page.wait_for_selector("#where[aria-invalid=false]")
    assert json.dumps(opened.complaints) == "[]"
