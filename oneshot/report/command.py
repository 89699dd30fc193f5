"""The command analyze.py: select, print the table, write files, draw the figures.

Imports neither pandas nor matplotlib before the arguments are understood.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oneshot.console import program
from oneshot.console.terminal import ReaderLeft, plain_warnings, tell, tell_error
from oneshot.paths import NoHomeError, user_path
from oneshot.report.arguments import TOP, parser

if TYPE_CHECKING:
    import pandas as pd

    from oneshot.report.analysis.people_maps import PeopleMaps
    from oneshot.report.results import Results

PATH_FLAGS = ("csv", "parquet", "figures", "importance")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    When nobody reads the table any more, as behind `head`, files and figures are written all the
    same.
    """
    try:
        with plain_warnings():
            return _run_and_report_errors(parser().parse_args(argv))
    except KeyboardInterrupt:
        tell_error("Interrupted.")
        return 130


def _run_and_report_errors(args: argparse.Namespace) -> int:
    """Run the command; a user's mistake becomes a message and exit status 2."""
    from oneshot.report.errors import AnalysisError
    from oneshot.sweep.filter import FilterError

    try:
        args.results = [user_path(folder) for folder in args.results]
        for name in PATH_FLAGS:
            setattr(args, name, getattr(args, name) and user_path(getattr(args, name)))
        return _run(args)
    except (AnalysisError, FilterError, NoHomeError, OSError) as error:
        if os.environ.get("ONESHOT_TRACEBACK") == "1":
            raise
        help = getattr(error, "help", "")
        tell_error(program.named(f"error: {error}" + (f"\n  help: {help}" if help else "")))
        return 2


def _run(args: argparse.Namespace) -> int:
    """Load, select, print the table, write files, draw; returns the exit status."""
    from oneshot.report.averages import over_seeds
    from oneshot.report.errors import AnalysisError
    from oneshot.report.results import join, load
    from oneshot.report.select import known_column, select
    from oneshot.report.table import exact_types

    _check_flags(args)
    parts = [load(folder) for folder in args.results]
    if args.diff:
        return _diff(args, parts)
    results = join(parts)
    for warning in results.warnings:
        tell_error(f"warning: {warning}")
    pages = args.report or args.gallery
    if len(args.results) > 1 and not (args.figures or args.no_figures or pages):
        raise AnalysisError(
            "figures of several sweeps have no folder of their own",
            "Say where they go: --figures DIR, or --no-figures",
        )
    selected = select(results, args.where) if args.where else results
    if args.color_by and args.color_by != "model":
        known_column(over_seeds(results), args.color_by)
    people = None
    if args.importance:
        from oneshot.report.analysis.people_maps import read_people_maps

        people = read_people_maps(args.importance)
    if args.importance is not None:
        table = _print_importance(args, selected, people)
    elif args.likelihood:
        table = _print_likelihood(args, selected)
    else:
        table = _print_points(args, selected)
    _write_table(args, exact_types(results, table))
    if not (args.json or args.likelihood or args.importance is not None):
        _print_notes(selected)
    drawn = select(results, args.where, keep_references=True) if args.where else results
    wanted = not (args.no_figures or table.empty or (pages and not args.figures))
    status = _draw(drawn, args.figures, args.color_by, people) if wanted else 0
    if pages:
        from oneshot.report.page import command as page

        status = page.run(args, drawn, parts) or status
    return status


def _check_flags(args: argparse.Namespace) -> None:
    """Raise AnalysisError for flags that belong to different tables."""
    from oneshot.report.errors import AnalysisError

    special = ["--likelihood"] * args.likelihood + ["--importance"] * (args.importance is not None)
    special += ["--diff"] * args.diff
    if len(special) > 1:
        raise AnalysisError(f"{' and '.join(special)} are two tables; ask for one at a time")
    if args.serve and not args.report:
        raise AnalysisError("--serve goes with --report", "analyze.py RESULTS --report --serve")
    names = ("sort", "descending", "columns", "top", "over_seeds")
    if args.diff and (args.figures or args.color_by):
        raise AnalysisError("--diff draws no figures; leave out --figures and --color-by")
    if args.diff and (args.report or args.gallery):
        raise AnalysisError("--diff has no page; leave out --report and --gallery")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]
    if special and given:
        raise AnalysisError(
            f"{special[0]} has its own columns and order, and means over seeds; leave out"
            f" {', '.join(given)}"
        )


def _print_points(args: argparse.Namespace, selected: Results) -> pd.DataFrame:
    """Print the table of the points; returns it with all columns that may be written."""
    from oneshot.report.analysis.intervals import with_intervals
    from oneshot.report.table import default_columns, exact_types, points_table

    names = [name.strip() for name in args.columns.split(",") if name.strip()]
    averaged = with_intervals(selected) if args.over_seeds else selected.points
    table = points_table(
        selected,
        names or list(averaged),
        args.sort,
        args.top or 0,
        descending=args.descending,
        seeds_averaged=args.over_seeds,
    )
    if args.json:
        _print_table(exact_types(selected, table), as_json=True)
    else:
        rows = TOP if args.top is None and sys.stdout.isatty() else len(table)
        columns = list(dict.fromkeys(names)) or default_columns(selected, averaged)
        _print_table(table[columns].head(rows), as_json=False)
        if rows < len(table):
            tell_error(f"{rows} of {len(table):,} rows; --top 0 shows all")
    if table.empty:
        tell_error(f"no row fulfils {args.where}" if args.where else "the table has no rows")
    return table


def _diff(args: argparse.Namespace, parts: list[Results]) -> int:
    """Print and write what differs between two results; returns the exit status."""
    from oneshot.report.diff import diff_table, printed, summary
    from oneshot.report.select import select
    from oneshot.report.table import exact_types

    for warning in [warning for part in parts for warning in part.warnings]:
        tell_error(f"warning: {warning}")
    parts = [select(part, args.where) if args.where else part for part in parts]
    table = exact_types(parts[0], diff_table(parts))
    _print_table(table if args.json else printed(parts, table), as_json=args.json)
    for line in summary(parts, table):
        tell_error(line)
    _write_table(args, table)
    return 0


def _write_table(args: argparse.Namespace, table: pd.DataFrame) -> None:
    """Write a table to the files that were asked for."""
    if args.csv:
        table.to_csv(args.csv, index=False, lineterminator="\n")
    if args.parquet:
        table.to_parquet(args.parquet, index=False)


def _print_notes(selected: Results) -> None:
    """Say under the table of the points whether critics agree, and what luck would do."""
    from oneshot.report.notes import critics_note, luck_note

    if agreement := critics_note(selected):
        _print(agreement)
    if note := luck_note(selected):
        tell_error(note)


def _print_likelihood(args: argparse.Namespace, selected: Results) -> pd.DataFrame:
    """Print the bounds on the likelihood at the set size trained on; returns them."""
    from oneshot.report.analysis.bounds import (
        at_trained_size,
        likelihood_bounds,
        likelihood_text,
    )
    from oneshot.report.table import exact_types

    table = exact_types(selected, at_trained_size(likelihood_bounds(selected)))
    if args.json:
        _print_table(table, as_json=True)
    else:
        _print(likelihood_text(table))
    return table


def _print_importance(
    args: argparse.Namespace, selected: Results, people: PeopleMaps | None
) -> pd.DataFrame:
    """Print the sparsity of each setting's importance maps and, with maps of people, how the two
    correlate; returns it.
    """
    from oneshot.report.analysis.importance import (
        SUMMARY_COLUMNS,
        importance_by_class,
        importance_by_setting,
    )
    from oneshot.report.select import varying_axes
    from oneshot.report.table import exact_types

    table = importance_by_setting(selected, importance_by_class(selected, people), people)
    if args.json:
        _print_table(exact_types(selected, table), as_json=True)
        return table
    model = ["model"] if table["model"].nunique() > 1 else []
    axes = [axis for axis in varying_axes(selected) if axis != "model"]
    measured = [name for name in SUMMARY_COLUMNS if name in table]
    _print_table(table[[*model, *axes, *measured]], as_json=False)
    tell_error(
        "sparsity: the share of the pixels that holds half of a map; se: over seeds"
        + ("; spearman_se: over classes" if people else "")
    )
    return table


def _print_table(table: pd.DataFrame, as_json: bool) -> None:
    """Print a table as JSON, or as text with as many columns as the terminal is wide."""
    from oneshot.report.text import fit_terminal

    if as_json:
        _print(table.to_json(orient="records", indent=1, date_format="iso", double_precision=12))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    text, dropped = fit_terminal(table, width)
    _print(text)
    if dropped:
        tell_error(f"not shown, the terminal is too narrow: {', '.join(dropped)}")


def _draw(results: Results, folder: str, color_by: str, people: PeopleMaps | None) -> int:
    """Write the figures and list them with their findings.

    Returns the exit status: 1 if one of them broke, as on values that nobody foresaw, else 0.
    """
    from oneshot.report.figures.all_figures import BROKEN, write_all

    target = folder or str(results.folder / "figures")
    broken = 0
    for name, title, reason in write_all(results, target, color_by, people):
        broken += reason.startswith(BROKEN)
        tell_error(f"{target}/{name}.png  {title}" if title else f"no {name}: {reason}")
    if broken:
        tell_error("ONESHOT_TRACEBACK=1 shows where it broke")
    return int(broken > 0)


def _print(text: str) -> None:
    """Write to stdout; if its reader left, go on, as files may still have to be written."""
    with contextlib.suppress(ReaderLeft):
        tell(text)
