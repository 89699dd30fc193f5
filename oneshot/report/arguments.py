"""The arguments of analyze.py, and its help."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import sys
from typing import Any, NoReturn

from oneshot.console import program
from oneshot.console.terminal import ReaderLeft, tell, tell_error

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
  python analyze.py results/vae_stn --report --where "status == 'done'"
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like all others of the program."""

    def error(self, message: str) -> NoReturn:
        tell_error(f"error: {message}\n  help: " + program.named("python analyze.py --help"))
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
        program.name("analyze"),
        description="The table (on stdout) and the figures of a sweep's results.",
        epilog=program.named(EXAMPLES),
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
    _add_page_flags(p.add_argument_group("page"))
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
        help="one row a setting: means over seeds, 95 %% intervals and standard errors",
    )
    group.add_argument(
        "--diff",
        action="store_true",
        help="what differs between two results at the settings of both, beyond chance",
    )
    group.add_argument(
        "--likelihood",
        action="store_true",
        help="models of sets: bounds on the likelihood, by data set",
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


def _add_page_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--report",
        action="store_true",
        help="RESULTS/report.html: points with their drawings, for a browser; no figures unless"
        " --figures is given",
    )
    group.add_argument(
        "--serve",
        action="store_true",
        help="and serve it to browsers of this machine",
    )
    group.add_argument(
        "--gallery",
        action="store_true",
        help="RESULTS/gallery.parquet: drawings of points as PNG",
    )


def _row_count(text: str) -> int:
    """A number of rows; an error of the argument where the text is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of rows, 0 or more")
    return int(text)
