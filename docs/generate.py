"""Writes the pages of docs/ that come from the code: settings by family, columns by table.

python docs/generate.py            write them
python docs/generate.py --check    say which are not up to date; exit status 1 if any is not
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from oneshot.sweep import families, settings  # noqa: E402

NOTE = "<!-- written by docs/generate.py; do not edit -->\n"
KINDS = {"models": "Models", "critics": "Critics"}
STAGES = """\
| stage | what a setting of it decides | points that differ only in later stages share |
|---|---|---|
| data | which images, and which of them are exemplars | the images |
| model | the shape of the network | nothing |
| train | how the weights are found | nothing; most of them train as one stack |
| tune | how a few shots of novel classes change the weights | the training; tunings may stack |
| sample | how drawings are made from the weights | the training and the tuning |
| score | how drawings and likelihoods are scored | all of these and the drawings |
"""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table.

    Args:
        head: Titles of the columns.
        rows: Cells, row by row.

    Returns:
        The table, ending in a newline.
    """
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *(list(row) for row in rows)]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """The text of a cell: one line, no bar."""
    return " ".join(text.split()).replace("|", "/")


def setting_rows(config: type) -> list[list[str]]:
    """The settings of a Config, one row each, in the order of the stages."""
    fields = [f for f in dataclasses.fields(config) if f.metadata["stage"] in settings.STAGES]
    fields.sort(key=lambda f: settings.STAGES.index(f.metadata["stage"]))
    return [[f"`{f.name}`", f.metadata["stage"], *_value(f), f.metadata["help"]] for f in fields]


def _value(field: Any) -> list[str]:
    """Type, range and default of a setting."""
    unit = f" {field.metadata['unit']}" if field.metadata["unit"] else ""
    default = "(empty)" if field.default == "" else f"`{field.default}`"
    return [str(field.type), settings.range_text(field) + unit, default]


SETTING_COLUMNS = ["setting", "stage", "type", "range", "default", "what it is"]


def family_page(kind: str, name: str) -> str:
    """The page of one family's settings.

    Args:
        kind: "models" or "critics".
        name: Name of the family.

    Returns:
        The page.
    """
    family = families.declaration(kind, name)
    rows = setting_rows(family.config)
    parts = [NOTE, f"# {name}\n", f"From `oneshot/{kind}/{name}.py`, version {family.version}.\n"]
    if not rows:
        parts.append("It has no settings of its own.\n")
    else:
        parts.append(table(SETTING_COLUMNS, rows))
    variants = {n: v for n, v in family.variants.items() if not n.startswith("tiny")}
    if variants:
        told = [
            [f"`{n}`", ", ".join(f"`{k}={v!r}`" for k, v in values.items()) or "the defaults"]
            for n, values in variants.items()
        ]
        parts.append("A variant is a named set of other defaults:\n")
        parts.append(table(["variant", "what it sets"], told))
    if kind == "models":
        parts.append("All models have the [common settings](common.md) too.\n")
    return "\n".join(parts)


def settings_pages() -> dict[str, str]:
    """The pages of settings by path below docs/."""
    pages, lists = {}, []
    for kind, title in KINDS.items():
        names = families.names(kind)
        lists.append(f"{title}: " + ", ".join(f"[{n}]({n}.md)" for n in names) + ".\n")
        pages |= {f"settings/{name}.md": family_page(kind, name) for name in names}
    common = [
        NOTE,
        "# Common settings\n",
        "Every model has these.\n",
        table(SETTING_COLUMNS, setting_rows(settings.Common)),
        "`variant` is a setting too. It names a set of the family's defaults and enters no id.\n",
    ]
    pages["settings/common.md"] = "\n".join(common)
    tree = "\n".join(["common", *(name for kind in KINDS for name in families.names(kind))])
    index = [
        NOTE,
        "# Settings\n",
        "`python run_sweep.py --settings FAMILY` prints the same in a terminal.\n",
        "[Common settings](common.md) of all models.\n",
        *lists,
        "A setting belongs to a stage:\n",
        STAGES,
        f"```{{toctree}}\n:hidden:\n\n{tree}\n```\n",
    ]
    return pages | {"settings/index.md": "\n".join(index)}


TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "truth value"}


def columns_page(tables: dict[str, Any]) -> str:
    """The page of all columns of all tables, from `oneshot.store.tables.TABLES`."""
    parts = [
        NOTE,
        "# Columns of the tables\n",
        "Each table is `RESULTS/<sweep>/<table>.parquet`. [Results](results.md) says how to read"
        " them.\n",
    ]
    for one in tables.values():
        rows = [[f"`{c.name}`", TYPES.get(c.type, c.type), c.text] for c in one.columns]
        parts += [f"## {one.name}\n", f"{one.text[:1].upper()}{one.text[1:]}.\n"]
        parts.append(table(["column", "type", "what it holds"], rows))
        if one.name == "points":
            parts.append(
                "Besides, `points` has a column for each setting of its families, under the name"
                " of the [setting](settings/index.md). A setting that a family lacks is empty in"
                " its rows.\n"
            )
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Every page that is written here, by path below docs/."""
    from oneshot.store.tables import TABLES

    return settings_pages() | {"columns.md": columns_page(TABLES)}


def stale(wanted: dict[str, str]) -> list[str]:
    """The pages that are not as they would be written, and those that nothing writes any more."""
    here = {f"settings/{p.name}" for p in (HERE / "settings").glob("*.md")}
    odd = [n for n, text in wanted.items() if not _is(HERE / n, text)]
    return sorted({*odd, *(here - set(wanted))})


def _is(path: Path, text: str) -> bool:
    """Whether a file holds this text."""
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; returns the exit status."""
    wanted = pages()
    odd = stale(wanted)
    if "--check" in arguments:
        print("\n".join(f"docs/{name} is not up to date" for name in odd))
        return int(bool(odd))
    for name in odd:
        path = HERE / name
        if name not in wanted:
            path.unlink()
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_text(wanted[name], encoding="utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
