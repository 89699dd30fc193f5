"""Tables and figures of a sweep's results: `python analyze.py RESULTS`. See --help."""

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

    from oneshot.report.analysis.importance import People
    from oneshot.report.results import Results

FILES = ("csv", "parquet", "figures", "importance")  # the flags that take paths
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
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like all others of the program, with near names for a
    misspelt flag.
    """

    def error(self, message: str) -> NoReturn:
        tell_error(f"error: {message}\n  help: python analyze.py --help")
        sys.exit(2)

    def print_help(self, file: Any = None) -> None:
        with contextlib.suppress(ReaderLeft):
            tell(self.format_help().rstrip("\n"), file)

    def read(self, argv: Sequence[str] | None) -> argparse.Namespace:
        found, unknown = self.parse_known_args(argv)
        if unknown:
            flag = unknown[0].split("=")[0]
            near = difflib.get_close_matches(
                flag, [name for action in self._actions for name in action.option_strings], 1
            )
            self.error(f"there is no flag {flag}" + (f"; did you mean {near[0]}?" if near else ""))
        return found


def parser() -> Parser:
    layout = functools.partial(argparse.RawDescriptionHelpFormatter, width=79, max_help_position=22)
    text = "The table (on stdout) and the figures of a sweep's results."
    p = Parser(
        "analyze.py",
        description=text,
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
    rows = p.add_argument_group("table")
    kept = "people, copies and noise stay unless it names a column that they have"
    told = f"only these rows: names, numbers, 'texts', comparisons, in, and, or, not; {kept}"
    rows.add_argument("--where", metavar="EXPR", default="", help=told)
    rows.add_argument(
        "--sort", metavar="COL", default="", help="sort by this column [human_distance, else nelbo]"
    )
    rows.add_argument("--descending", action="store_true", help="largest first")
    rows.add_argument(
        "--columns", metavar="A,B", default="", help="these columns [what varies, and metrics]"
    )
    rows.add_argument(
        "--top",
        metavar="N",
        type=count,
        help=f"so many rows, 0 for all [{TOP} on a terminal, else all]",
    )
    rows.add_argument(
        "--over-seeds",
        action="store_true",
        help="mean and standard error over seeds, one row a setting",
    )
    rows.add_argument(
        "--likelihood",
        action="store_true",
        help="models of sets: their bounds on the likelihood, by data set",
    )
    told = (
        "models that explain themselves: the share of pixels that holds half of their maps; MAPS:"
        " how those of people agree"
    )
    rows.add_argument(
        "--importance",
        metavar="MAPS",
        nargs="?",
        const="",
        help=f"{told} (.npz: maps [N,H,W], class_names [N])",
    )
    rows.add_argument(
        "--csv",
        metavar="FILE",
        help="write the rows there too, with all columns unless --columns is given",
    )
    rows.add_argument("--parquet", metavar="FILE", help="the same, as Parquet")
    rows.add_argument(
        "--json", action="store_true", help="print the rows as JSON, with all columns likewise"
    )
    drawn = p.add_argument_group("figures")
    drawn.add_argument(
        "--figures",
        metavar="DIR",
        default="",
        help="where figures go (png, svg, csv) [RESULTS/figures]",
    )
    drawn.add_argument(
        "--color-by",
        metavar="AXIS",
        default="",
        help="axis or metric that colours the plane [first that varies]",
    )
    drawn.add_argument("--no-figures", action="store_true", help="the table only")
    p.add_argument_group("other").add_argument("-h", "--help", action="help", help="show this help")
    return p


def count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of rows, 0 or more")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status. A reader of the table that leaves, such as `head`,
    changes nothing else.
    """
    try:
        with plain_warnings():
            return answered(parser().read(argv))
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130


def answered(args: argparse.Namespace) -> int:
    """Do what is asked; a mistake of the user's is told in words."""
    from oneshot.report.results import AnalysisError
    from oneshot.sweep.filter import FilterError

    try:
        args.results = [user_path(folder) for folder in args.results]
        for name in FILES:
            setattr(args, name, getattr(args, name) and user_path(getattr(args, name)))
        return run(args)
    except (AnalysisError, FilterError, NoHomeError, OSError) as error:
        if os.environ.get("ONESHOT_TRACEBACK") == "1":
            raise
        help = getattr(error, "help", "")
        say(f"error: {error}" + (f"\n  help: {help}" if help else ""))
        return 2


def run(args: argparse.Namespace) -> int:
    """Load, select, print, write. Raises AnalysisError, FilterError or OSError for a user's
    mistake.
    """
    from oneshot.report import results as rs

    check_table(args)
    results = rs.join([rs.load(folder) for folder in args.results])
    for told in results.warnings:
        say(f"warning: {told}")
    if len(args.results) > 1 and not (args.figures or args.no_figures):
        raise rs.AnalysisError(
            "figures of several sweeps have no folder of their own",
            "Say where they go: --figures DIR, or --no-figures",
        )
    chosen = rs.select(results, args.where) if args.where else results
    if args.color_by and args.color_by != "model":
        rs.column(rs.over_seeds(results), args.color_by)
    people = None
    if args.importance:
        from oneshot.report.analysis.importance import read_people

        people = read_people(args.importance)
    if args.importance is not None:
        wide = importance(args, chosen, people)
    else:
        wide = likelihood(args, chosen) if args.likelihood else points(args, chosen)
    written = rs.exact(results, wide)
    if args.csv:
        written.to_csv(args.csv, index=False, lineterminator="\n")
    if args.parquet:
        written.to_parquet(args.parquet, index=False)
    if not args.no_figures and len(wide):
        return draw(
            rs.select(results, args.where, keep_references=True) if args.where else results,
            args.figures,
            args.color_by,
            people,
        )
    return 0


def check_table(args: argparse.Namespace) -> None:
    """Raise AnalysisError for flags that belong to different tables."""
    from oneshot.report.results import AnalysisError

    special = [
        flag
        for flag, given in (
            ("--likelihood", args.likelihood),
            ("--importance", args.importance is not None),
        )
        if given
    ]
    if len(special) > 1:
        raise AnalysisError("--likelihood and --importance are two tables; ask for one at a time")
    given = [
        f"--{name.replace('_', '-')}"
        for name in ("sort", "descending", "columns", "top", "over_seeds")
        if getattr(args, name)
    ]
    if special and given:
        raise AnalysisError(
            f"{special[0]} has its own columns and order, and means over seeds; leave out"
            f" {', '.join(given)}"
        )


def points(args: argparse.Namespace, chosen: Results) -> pd.DataFrame:
    """Print the table of the points; returns it with all columns that may be written."""
    from oneshot.report import results as rs

    names = [name.strip() for name in args.columns.split(",") if name.strip()]
    averaged = rs.over_seeds(chosen) if args.over_seeds else chosen.points
    wide = rs.table(
        chosen,
        names or list(averaged),
        args.sort,
        args.top or 0,
        descending=args.descending,
        seeds_averaged=args.over_seeds,
    )
    top = TOP if args.top is None and sys.stdout.isatty() else len(wide)
    shown = (
        wide
        if args.json
        else wide[list(dict.fromkeys(names)) or rs.default_columns(chosen, averaged)].head(top)
    )
    show(rs.exact(chosen, shown) if args.json else shown, args.json)
    if top < len(wide) and not args.json:
        say(f"{top} of {len(wide):,} rows; --top 0 shows all")
    if not len(wide):
        say(f"no row fulfils {args.where}" if args.where else "the table has no rows")
    return wide


def likelihood(args: argparse.Namespace, chosen: Results) -> pd.DataFrame:
    """Print the table of the figure `likelihood`; returns it."""
    from oneshot.report.analysis import sets
    from oneshot.report.results import exact

    table = exact(chosen, sets.at_trained_size(sets.bounds(chosen)))
    if args.json:
        show(table, as_json=True)
    else:
        put(sets.likelihood_text(table))
    return table


def importance(args: argparse.Namespace, chosen: Results, people: People | None) -> pd.DataFrame:
    """Print how few pixels hold half of each setting's importance maps and, with those of people,
    how they correlate; returns it.
    """
    from oneshot.report.analysis import importance as maps
    from oneshot.report.results import exact, varying

    table = maps.summary(chosen, maps.by_class(chosen, people), people)
    if args.json:
        show(exact(chosen, table), as_json=True)
        return table
    model = ["model"] if table["model"].nunique() > 1 else []
    axes = [axis for axis in varying(chosen) if axis != "model"]
    show(table[[*model, *axes, *(name for name in maps.MEASURED if name in table)]], as_json=False)
    say(
        "sparsity: the share of the pixels that holds half of a map; se: over seeds"
        + ("; spearman_se: over classes" if people else "")
    )
    return table


def show(frame: pd.DataFrame, as_json: bool) -> None:
    from oneshot.report.results import fit_terminal

    if as_json:
        put(frame.to_json(orient="records", indent=1, date_format="iso", double_precision=12))
        return
    text, dropped = fit_terminal(
        frame, shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    )
    put(text)
    if dropped:
        say(f"not shown, the terminal is too narrow: {', '.join(dropped)}")


def draw(results: Results, folder: str, color_by: str, people: People | None = None) -> int:
    """Write the figures and list them with their findings; people: their importance maps, for the
    figure of those.

    Returns the exit status: 1 if one of them broke, as on values that nobody foresaw, else 0.
    """
    from oneshot.report.figures import catalog

    target = folder or str(results.folder / "figures")
    broken = 0
    for name, title, reason in catalog.write_all(results, target, color_by, people):
        broken += reason.startswith(catalog.BROKEN)
        say(f"{target}/{name}.png  {title}" if title else f"no {name}: {reason}")
    if broken:
        say("ONESHOT_TRACEBACK=1 shows where it broke")
    return int(broken > 0)


def put(text: str) -> None:
    """Write to stdout; when its reader left, the files that were asked for are written all the
    same.
    """
    with contextlib.suppress(ReaderLeft):
        tell(text)


def say(message: str) -> None:
    tell_error(message)


if __name__ == "__main__":
    sys.exit(main())
