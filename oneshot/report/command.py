"""The command analyze.py: parse, select, print the table, write files, draw the figures.

Imports neither pandas nor matplotlib before the arguments are understood.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from oneshot.console.terminal import ReaderLeft, plain_warnings, tell, tell_error
from oneshot.paths import NoHomeError, user_path

if TYPE_CHECKING:
    import pandas as pd

    from oneshot.report.analysis.people_maps import PeopleMaps
    from oneshot.report.results import Results

PATH_FLAGS = ("csv", "parquet", "figures", "importance")
TOP = 30  # rows on a terminal, unless --top says otherwise
EXAMPLES = """\
examples:
  python analyze.py results/quickstart
  python analyze.py results/vae_stn --where "beta <= 1 and z in (10, 35)"
  python analyze.py results/vae_stn --over-seeds --sort diversity --top 10
  python analyze.py results/vae_stn --where "status == 'failed'" --columns error
  python analyze.py results/vae_stn --no-figures --json > points.json
  python analyze.py results/set_vae_small --likelihood --no-figures
  python analyze.py results/cfgdm_gamma --importance people.npz
  python analyze.py results/ns_small results/vae_stn_beta --figures both
  python analyze.py results/before results/after --diff --csv diff.csv
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like all others of the program."""

    def error(self, message: str) -> NoReturn:
        tell_error(f"error: {message}\n  help: python analyze.py --help")
        sys.exit(2)

    def print_help(self, file: Any = None) -> None:
        with contextlib.suppress(ReaderLeft):
            tell(self.format_help().rstrip("\n"), file)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments; names the nearest flag for a misspelt one."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].split("=")[0]
            flags = [name for action in self._actions for name in action.option_strings]
            near = difflib.get_close_matches(flag, flags, 1)
            self.error(f"there is no flag {flag}" + (f"; did you mean {near[0]}?" if near else ""))
        return parsed


def parser() -> argparse.ArgumentParser:
    """The arguments of analyze.py."""
    layout = functools.partial(argparse.RawDescriptionHelpFormatter, width=79, max_help_position=22)
    p = _Parser(
        "analyze.py",
        description="The table (on stdout) and the figures of a sweep's results.",
        epilog=EXAMPLES,
        formatter_class=layout,
        allow_abbrev=False,
        add_help=False,
    )
    p.add_argument(
        "results",
        metavar="RESULTS",
        nargs="+",
        help="folder of a sweep, or of results with one sweep in it; several: together",
    )
    _add_table_flags(p.add_argument_group("table"))
    _add_figure_flags(p.add_argument_group("figures"))
    p.add_argument_group("other").add_argument("-h", "--help", action="help", help="show this help")
    return p


def _add_table_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--where",
        metavar="EXPR",
        default="",
        help="only these rows: names, numbers, 'texts', comparisons, in, and, or, not; people,"
        " copies and noise stay unless it names a column that they have",
    )
    group.add_argument(
        "--sort", metavar="COL", default="", help="sort by this column [human_distance, else nelbo]"
    )
    group.add_argument("--descending", action="store_true", help="largest first")
    group.add_argument(
        "--columns", metavar="A,B", default="", help="these columns [what varies, and metrics]"
    )
    group.add_argument(
        "--top",
        metavar="N",
        type=_row_count,
        help=f"so many rows, 0 for all [{TOP} on a terminal, else all]",
    )
    group.add_argument(
        "--over-seeds",
        action="store_true",
        help="one row a setting: means over seeds, 95 % intervals and standard errors",
    )
    group.add_argument(
        "--diff",
        action="store_true",
        help="what differs between two results at the settings of both, beyond chance",
    )
    group.add_argument(
        "--likelihood",
        action="store_true",
        help="models of sets: their bounds on the likelihood, by data set",
    )
    group.add_argument(
        "--importance",
        metavar="MAPS",
        nargs="?",
        const="",
        help="models that explain themselves: the share of pixels that holds half of their maps;"
        " MAPS: how those of people agree (.npz: maps [N,H,W], class_names [N])",
    )
    group.add_argument(
        "--csv",
        metavar="FILE",
        help="write the rows there too, with all columns unless --columns is given",
    )
    group.add_argument("--parquet", metavar="FILE", help="the same, as Parquet")
    group.add_argument(
        "--json", action="store_true", help="print the rows as JSON, with all columns likewise"
    )


def _add_figure_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--figures",
        metavar="DIR",
        default="",
        help="where figures go (png, svg, csv) [RESULTS/figures]",
    )
    group.add_argument(
        "--color-by",
        metavar="AXIS",
        default="",
        help="axis or metric that colours the plane [first that varies]",
    )
    group.add_argument("--no-figures", action="store_true", help="the table only")


def _row_count(text: str) -> int:
    """A number of rows; an error of the argument where the text is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of rows, 0 or more")
    return int(text)


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
        tell_error(f"error: {error}" + (f"\n  help: {help}" if help else ""))
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
    if len(args.results) > 1 and not (args.figures or args.no_figures):
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
    if args.no_figures or table.empty:
        return 0
    drawn = select(results, args.where, keep_references=True) if args.where else results
    return _draw(drawn, args.figures, args.color_by, people)


def _check_flags(args: argparse.Namespace) -> None:
    """Raise AnalysisError for flags that belong to different tables."""
    from oneshot.report.errors import AnalysisError

    special = ["--likelihood"] * args.likelihood + ["--importance"] * (args.importance is not None)
    special += ["--diff"] * args.diff
    if len(special) > 1:
        raise AnalysisError(f"{' and '.join(special)} are two tables; ask for one at a time")
    names = ("sort", "descending", "columns", "top", "over_seeds")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]
    if special and given:
        raise AnalysisError(
            f"{special[0]} has its own columns and order, and means over seeds; leave out"
            f" {', '.join(given)}"
        )


def _print_points(args: argparse.Namespace, selected: Results) -> pd.DataFrame:
    """Print the table of the points; returns it with all columns that may be written."""
    from oneshot.report.analysis.intervals import with_intervals
    from oneshot.report.notes import critics_note, luck_note
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
        if agreement := critics_note(selected):
            _print(agreement)
        if note := luck_note(selected):
            tell_error(note)
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
