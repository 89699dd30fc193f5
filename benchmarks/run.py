"""Every benchmark, one after the other, and one table: item, ours, baseline, ratio, target, met or
not.

    python benchmarks/run.py [--quick] [--only NAME ...]

Prints the table and writes it, with date, hardware and versions, between the marks in RESULTS.md. A
benchmark that fails or takes too long becomes a line that says so; the others go on. What needs Ray
says "not measured" where Ray is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import HERE, NOT_MEASURED, OUT, machine

SCRIPTS = {  # in the order in which they run: most seconds, and arguments
    "stacking": (300, []),
    "step": (420, []),
    "scoring": (420, []),
    "engine": (420, []),
    "tables": (300, []),
    "many_rows": (600, []),
    "cluster_simulation": (300, []),
    "grid": (420, []),
    "map_orders": (420, []),
    "gpu_slot": (240, ["--quick"]),
}
NEEDS_RAY = ("engine",)
RESULTS = HERE / "RESULTS.md"
BEGIN, END = "<!-- speed: written by benchmarks/run.py -->", "<!-- end of speed -->"
HEADS = ("item", "what", "ours", "baseline", "ratio", "target", "met")
WIDTHS = (4, 27, 13, 13, 7, 8, 8)


def main() -> int:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes, to see that it runs; RESULTS.md stays as it is",
    )
    p.add_argument(
        "--only",
        nargs="+",
        choices=list(SCRIPTS),
        default=list(SCRIPTS),
        metavar="NAME",
        help=", ".join(SCRIPTS),
    )
    options = p.parse_args()
    rows = []
    for name in options.only:
        rows += run(name, options.quick)
    rows.sort(key=lambda row: row["item"])
    print("\n" + as_text(rows))
    if not options.quick and options.only == list(SCRIPTS):
        write(rows)
        print(f"\nwritten to {RESULTS.relative_to(HERE.parent)}")
    return any(row["ours"].startswith("failed") for row in rows)


def run(name: str, quick: bool) -> list[dict[str, Any]]:
    """The rows of one benchmark, which runs as a process of its own."""
    limit, arguments = SCRIPTS[name]
    if name in NEEDS_RAY and importlib.util.find_spec("ray") is None:
        return [_empty(name, NOT_MEASURED + ": Ray is not installed")]
    arguments = [*arguments, "--quick"] if quick and "--quick" not in arguments else arguments
    (OUT / f"{name}.json").unlink(missing_ok=True)
    print(f"-- {name}", flush=True)
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py"), *arguments], cwd=HERE.parent, timeout=limit
        )
        failure = f"failed with exit status {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        failure = f"failed: more than {limit} s"
    print(f"   {time.monotonic() - start:.0f} s", flush=True)
    kept = sorted(OUT.glob(f"{name}*.json"), key=lambda path: path.stat().st_mtime)
    rows = json.loads(kept[-1].read_text())["rows"] if kept else []
    return [*rows, *([_empty(name, failure)] if failure else [])]


def _empty(name: str, text: str) -> dict[str, Any]:
    return dict(
        item=0,
        what=name,
        ours=text,
        baseline="",
        ratio=None,
        low=None,
        high=None,
        target="",
        met="-",
        note="",
    )


def cells(row: dict[str, Any]) -> list[str]:
    """The cells of a row, as texts."""
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}"
    return [
        str(row["item"] or ""),
        row["what"],
        row["ours"],
        row["baseline"],
        ratio,
        row["target"],
        row["met"],
    ]


def as_text(rows: list[dict[str, Any]]) -> str:
    """The table in 80 columns."""
    lines = [
        " ".join(head.ljust(width) for head, width in zip(HEADS, WIDTHS)).rstrip(),
        " ".join("-" * width for width in WIDTHS),
    ]
    for row in rows:
        columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells(row), WIDTHS)]
        for i in range(max(map(len, columns))):
            lines.append(
                " ".join(
                    (c[i] if i < len(c) else "").ljust(w) for c, w in zip(columns, WIDTHS)
                ).rstrip()
            )
    return "\n".join(lines)


def write(rows: list[dict[str, Any]]) -> None:
    """Replace the table in RESULTS.md."""
    here = machine()
    lines = [
        (
            f"`make bench`, {here['date']}: {here['cores']} cores of {here['processor']}, GPU"
            f" {here['gpu']}; {here['system']}, Python {here['python']}, torch {here['torch']}."
            " Medians, with quartiles of the ratio."
        ),
        "",
        "| item | what | ours | baseline | ratio | target | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        item, what, ours, baseline, ratio, target, met = (c.replace("|", "/") for c in cells(row))
        spread = f" ({row['low']:.3g} to {row['high']:.3g})" if row["low"] is not None else ""
        what += f" ({row['note']})" if row["note"] else ""
        lines.append(
            f"| {item} | {what} | {ours} | {baseline} | {ratio}{spread} | {target} |"
            f" {'**no**' if met == 'no' else met} |"
        )
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    RESULTS.write_text(
        f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
