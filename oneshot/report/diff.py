"""What `analyze.py A B --diff` says: the differences of two results and what they mean."""

from __future__ import annotations

import pandas as pd

from oneshot.report.analysis.differences import differences, other_changes, shared_keys
from oneshot.report.errors import AnalysisError
from oneshot.report.notes import wrapped_note
from oneshot.report.results import Results


def diff_table(results: list[Results]) -> pd.DataFrame:
    """The differences of two results, those that are surest first.

    Args:
        results: The two results.

    Returns:
        The table of `differences`, sorted by p.

    Raises:
        AnalysisError: They are not two, or nothing in them compares.
    """
    if len(results) != 2:
        raise AnalysisError(
            f"--diff compares two results, given {len(results)}", "analyze.py A B --diff"
        )
    return differences(*results).sort_values("p", kind="stable", ignore_index=True)


def printed(results: list[Results], table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is printed, the most useful columns first, as a terminal may be narrow.

    Args:
        results: The two results.
        table: The table of `diff_table`.

    Returns:
        The table to print, numbers as texts.
    """
    keys = [key for key in shared_keys(*results) if table[key].nunique() > 1]
    out = table[[*keys, "metric"]].copy()
    numbers = {
        name: [_digits(value) for value in table[name]]
        for name in ("difference", "low", "high", "first", "second")
    }
    out["difference"] = numbers.pop("difference")
    out["p_holm"] = [_p_text(value) for value in table["p_holm"]]
    out["moved"] = ["yes" if moved else "no" for moved in table["moved"]]
    return out.assign(**numbers)


def summary(results: list[Results], table: pd.DataFrame) -> list[str]:
    """What the table says, in sentences.

    Args:
        results: The two results.
        table: The table of `diff_table`.

    Returns:
        A sentence each, in lines that fit a terminal.
    """
    one, other = results
    keys = shared_keys(one, other)
    settings = table[keys].drop_duplicates()
    moved, tested = int(table["moved"].sum()), int(table["p"].notna().sum())
    lines = [
        f"first: {one.name} ({one.folder}); second: {other.name} ({other.folder}); differences are"
        " second less first",
        f"{len(settings)} settings are in both; {moved} of {tested} differences are beyond chance"
        " (5 %, Holm's correction)",
    ]
    changed = other_changes(one, other)
    if changed:
        lines.append(f"what else differs: {'; '.join(changed)}")
    if tested < len(table):
        lines.append(
            f"{len(table) - tested} differences have no test: they were not scored by class, and"
            " there is one seed"
        )
    seeds = [part.models["seed"].nunique() for part in results]
    if max(seeds) == 1:
        lines.append(
            "one seed each: the tests speak of other classes, not of other trainings; run both with"
            " --seeds 3"
        )
    elif not table["seeds"].gt(0).any():
        lines.append("no two seeds in common: seeds are taken to be independent")
    return [wrapped_note(line) for line in lines]


def _digits(value: float) -> str:
    """A number with three significant digits, at least two after the point."""
    if pd.isna(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.2f}"


def _p_text(value: float) -> str:
    """A p value; small ones by their limit."""
    if pd.isna(value):
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
