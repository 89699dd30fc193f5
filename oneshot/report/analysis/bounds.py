"""Bounds on the likelihood of models of sets: by data set and set size, and as text."""

from __future__ import annotations

import itertools
import textwrap

import pandas as pd

from oneshot.report.analysis.sets import model_names, named_table
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.text import plus_minus

DATASETS = {
    "test": "test sets",
    "mnist": "MNIST",
    "mnist2": "MNIST, 2 digits",
    "mnist3": "MNIST, 3 digits",
}
TERMS = ["nelbo", "reconstruction", "kl_c", "kl_z", "nll"]  # nats per image


def likelihood_bounds(results: Results) -> pd.DataFrame:
    """The bounds of each model by data set and set size, best model first.

    Args:
        results: The results.

    Returns:
        One row a model, data set and set size: TERMS in nats per image, `seeds`, `trained_size`
        (the set size it was trained with), `kind` (the model's name without that size), and
        `nelbo_se` and `nll_se`: the standard error over seeds, or with one seed that over sets.

    Raises:
        AnalysisError: No bound was evaluated.
    """
    table = named_table(results, "likelihood")
    table = table.assign(
        kind=table["point_id"].map(model_names(results, without="set_size")),
        trained_size=table["point_id"].map(_trained_sizes(results)),
    )
    keys = ["model", "kind", "dataset", "set_size", "trained_size"]
    groups = table.groupby(keys, dropna=False, sort=False)
    out = groups[TERMS].mean().assign(seeds=groups.size(), sets=groups["sets"].min())
    for term in ("nelbo", "nll"):
        over_sets = groups[f"{term}_se"].mean()
        out[f"{term}_se"] = groups[term].sem().where(out["seeds"] > 1, over_sets)
    out = out.reset_index().astype({"trained_size": "Int64"})
    dataset_ranks = {name: rank for rank, name in enumerate(DATASETS)}
    model_ranks = {model: rank for rank, model in enumerate(models_by_nelbo(out))}
    order = pd.DataFrame(
        {
            "dataset": out["dataset"].map(lambda name: dataset_ranks.get(name, len(DATASETS))),
            "model": out["model"].map(model_ranks),
            "set_size": out["set_size"],
        }
    ).sort_values(["dataset", "model", "set_size"], kind="stable")
    terms = ["nelbo", "nelbo_se", "reconstruction", "kl_c", "kl_z", "nll", "nll_se"]
    return out.loc[order.index, [*keys, "seeds", "sets", *terms]].reset_index(drop=True)


def _trained_sizes(results: Results) -> pd.Series:
    """point_id -> the set size it was trained with."""
    sizes = results.points.set_index("point_id").get("set_size")
    return pd.Series(dtype=float) if sizes is None else sizes


def models_by_nelbo(table: pd.DataFrame) -> list[str]:
    """The models by their NELBO of test sets at the set size trained on, the lowest first.

    Args:
        table: The table of `likelihood_bounds`.

    Returns:
        The models; those without a NELBO last.
    """
    own = table[(table["dataset"] == "test") & is_trained_size(table)]
    ranked = own.dropna(subset="nelbo").sort_values("nelbo", kind="stable")["model"]
    return list(dict.fromkeys([*ranked, *table["model"]]))


def is_trained_size(table: pd.DataFrame) -> pd.Series:
    """Which rows of `likelihood_bounds` are at the set size trained on: bool [rows]."""
    return (table["set_size"] == table["trained_size"]).fillna(False).astype(bool)


def at_trained_size(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `likelihood_bounds` at the set size trained on.

    Args:
        table: The table of `likelihood_bounds`.

    Returns:
        The rows.

    Raises:
        AnalysisError: There is none.
    """
    rows = table[is_trained_size(table)].reset_index(drop=True)
    if rows.empty:
        raise AnalysisError("no model was evaluated at the set size it was trained on")
    return rows


def gains_by_size(table: pd.DataFrame) -> pd.DataFrame:
    """How much the NELBO of test sets falls from each set size to the next.

    Args:
        table: The table of `likelihood_bounds`.

    Returns:
        `smaller`, `larger` (set sizes), `gain` (nats, mean over models) and `gain_se`, its standard
        error, as if the sets of both sizes were different ones, which makes it rather too large;
        missing where a bound has none.
    """
    tests = table.query("dataset == 'test'")
    wide, error = (
        tests.pivot_table(index="model", columns="set_size", values=column, dropna=False)
        for column in ("nelbo", "nelbo_se")
    )
    wide = wide.dropna(axis="columns", how="all")
    rows = []
    for a, b in itertools.pairwise(wide.columns):
        gains = (wide[a] - wide[b]).dropna()
        variance = (error[a] ** 2 + error[b] ** 2).loc[gains.index]
        rows.append((a, b, gains.mean(), variance.sum(skipna=False) ** 0.5 / max(len(gains), 1)))
    steps = pd.DataFrame(rows, columns=["smaller", "larger", "gain", "gain_se"])
    return steps.dropna(subset="gain")


def likelihood_text(table: pd.DataFrame, width: int = 80) -> str:
    """The rows of `likelihood_bounds` as text: a table for each data set.

    Args:
        table: The rows.
        width: The most characters of a line; long names go on in the next one.

    Returns:
        The text.
    """
    columns = [["set size"], ["NELBO +- se"], ["recon."], ["KL_c"], ["KL_z"], ["NLL"]]
    for row in table.to_dict("records"):
        cells = [
            str(row["set_size"]),
            plus_minus(row["nelbo"], row["nelbo_se"], "+-"),
            *(_cell(row[t]) for t in ("reconstruction", "kl_c", "kl_z", "nll")),
        ]
        for column, cell in zip(columns, cells):
            column.append(cell)
    head, *body = (
        "".join(line)
        for line in zip(
            *([f"  {c:>{max(map(len, column))}}" for c in column] for column in columns)
        )
    )
    room = max(min(width - len(head), max(map(len, [*table["model"], *DATASETS.values()]))), 1)
    lines = []
    for dataset, part in table.groupby("dataset", sort=False):
        lines.append(f"{DATASETS.get(str(dataset), str(dataset))[:room]:<{room}}{head}")
        for i, model in zip(part.index, part["model"]):
            first, *rest = textwrap.wrap(model, room)
            lines += [f"{first:<{room}}{body[i]}", *rest]
        lines.append("")
    errors = "seeds" if table["seeds"].max() > 1 else "sets"
    return "\n".join(
        [*lines, f"Nats per image at the set size trained on; se: standard error over {errors}."]
    )


def _cell(value: float) -> str:
    """A number of the printed table; an empty one is `-`."""
    return "-" if pd.isna(value) else f"{value:.2f}"
