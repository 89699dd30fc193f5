"""What the tables of models of sets say: bounds on the likelihood, KL by level, attention over
members, few-shot classification.

Each function reads one of the tables `likelihood`, `layers`, `attention`, `confusion` beside
points.parquet, and raises AnalysisError with the reason where it is missing or empty. Models are
named by what sets them apart; the seeds of one share its name.
"""

from __future__ import annotations

import dataclasses
import itertools
import textwrap

import numpy as np
import pandas as pd

from oneshot.report.analysis import plane
from oneshot.report.results import AnalysisError, Results, plus_minus, value_text, varying

DATASETS = {
    "test": "test sets",
    "mnist": "MNIST",
    "mnist2": "MNIST, 2 digits",
    "mnist3": "MNIST, 3 digits",
}
SCORERS = {"kl": "KL of contexts", "elbo": "ELBO", "reconstruction": "reconstruction"}
TERMS = ("nelbo", "reconstruction", "kl_c", "kl_z", "nll")  # nats per image
WHY = {
    "likelihood": "no bound on the likelihood was evaluated (that is done for models of sets)",
    "layers": "no KL of levels is in the tables (models of sets have them)",
    "attention": (
        "no attention weights are in the tables (models of sets that pool by attention have them)"
    ),
    "confusion": "no digits were classified (the setting classify of models of sets)",
}


def need(results: Results, name: str) -> pd.DataFrame:
    """A table with the column `model`: its point in words. Raises AnalysisError if no row of it
    belongs to a point with results.
    """
    table = getattr(results, name)
    named = table.assign(model=table["point_id"].map(names(results))).dropna(subset="model")
    if named.empty:
        raise AnalysisError(WHY[name])
    return named


def names(results: Results, without: str = "") -> pd.Series:
    """What distinguishes each model, in words: point_id -> text. Axes that say nothing new after
    those before them are left out.

    without: an axis that is not to be named.
    """
    rows = results.evaluated.set_index("point_id")
    kept: list[str] = []
    for axis in [axis for axis in varying(results) if axis != without]:
        if rows.groupby([*kept, axis], dropna=False).ngroups > (
            rows.groupby(kept, dropna=False).ngroups if kept else 1
        ):
            kept.append(axis)
    texts = [
        " / ".join(
            _words(axis, row[axis]) for axis in kept if value_text(row[axis]) not in ("", "-")
        )
        for _, row in rows.iterrows()
    ]
    return pd.Series(
        [text or model for text, model in zip(texts, rows["model"])], index=rows.index, dtype=object
    )


def _words(axis: str, value: object) -> str:
    """A setting without its axis where it speaks for itself: `pyramid`, `no context`, `width
    64`.
    """
    if isinstance(value, (bool, np.bool_)):
        return axis if value else f"no {axis}"
    if isinstance(value, str):
        return f"no {axis}" if value == "none" else value
    return f"{axis} {value_text(value)}"


def trained_sizes(results: Results) -> pd.Series:
    """point_id -> the set size it was trained with."""
    sizes = results.points.set_index("point_id").get("set_size")
    return pd.Series(dtype=float) if sizes is None else sizes


def bounds(results: Results) -> pd.DataFrame:
    """One row per model, data set and set size, best model first: TERMS in nats per image,
    `nelbo_se`, `nll_se`, `seeds`, `trained_size`.

    `kind` is the model's name without the size it was trained with. Means over the seeds; the
    standard error is that over seeds, or with one seed that over sets.
    """
    ids = need(results, "likelihood")["point_id"]
    kinds = names(results, without="set_size")
    table = need(results, "likelihood").assign(
        kind=ids.map(kinds), trained_size=ids.map(trained_sizes(results))
    )
    keys = ["model", "kind", "dataset", "set_size", "trained_size"]
    groups = table.groupby(keys, dropna=False, sort=False)
    out = groups[list(TERMS)].mean().assign(seeds=groups.size(), sets=groups["sets"].min())
    for term in ("nelbo", "nll"):
        over_sets = groups[f"{term}_se"].mean()
        out[f"{term}_se"] = groups[term].sem().where(out["seeds"] > 1, over_sets)
    out = out.reset_index().astype({"trained_size": "Int64"})
    datasets = {name: i for i, name in enumerate(DATASETS)}
    order = pd.DataFrame(
        {
            "rank": out["model"].map({m: i for i, m in enumerate(best_first(out))}),
            "size": out["set_size"],
        }
    )
    order["dataset"] = out["dataset"].map(lambda name: datasets.get(name, len(datasets)))
    columns = [
        *keys,
        "seeds",
        "sets",
        "nelbo",
        "nelbo_se",
        "reconstruction",
        "kl_c",
        "kl_z",
        "nll",
        "nll_se",
    ]
    return out.loc[
        order.sort_values(["dataset", "rank", "size"], kind="stable").index, columns
    ].reset_index(drop=True)


def best_first(table: pd.DataFrame) -> list[str]:
    """The models in a table of `bounds` by their NELBO of test sets at the size trained on; those
    without one last.
    """
    own = table[(table["dataset"] == "test") & of_trained_size(table)]
    ranked = own.dropna(subset="nelbo").sort_values("nelbo", kind="stable")["model"]
    return list(dict.fromkeys([*ranked, *table["model"]]))


def of_trained_size(table: pd.DataFrame) -> pd.Series:
    """Which rows of `bounds` are those of the set size trained on: bool [rows]."""
    return (table["set_size"] == table["trained_size"]).fillna(False).astype(bool)


def at_trained_size(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `bounds` at the set size trained on. Raises AnalysisError if there is none."""
    rows = table[of_trained_size(table)].reset_index(drop=True)
    if rows.empty:
        raise AnalysisError("no model was evaluated at the set size it was trained on")
    return rows


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """How much the NELBO of test sets falls from each set size to the next: `smaller`, `larger`,
    `gain` (nats, mean over models).
    """
    wide = (
        table.query("dataset == 'test'")
        .pivot_table(index="model", columns="set_size", values="nelbo")
        .dropna(axis="columns", how="all")
    )
    sizes = list(wide.columns)
    rows = [(a, b, (wide[a] - wide[b]).mean()) for a, b in itertools.pairwise(sizes)]
    return pd.DataFrame(rows, columns=["smaller", "larger", "gain"]).dropna()


def levels(results: Results) -> pd.DataFrame:
    """The KL of each level, mean over seeds, models by their NELBO.

    Columns: `model`, `latent` (c, then z), `level` (1 = top), `kl` (nats per image) and its `share`
    of the model's sum.
    """
    table = need(results, "layers")
    means = table.groupby(["model", "latent", "level"], sort=False)["kl"].mean().reset_index()
    means["share"] = means["kl"] / means.groupby("model")["kl"].transform("sum")
    nelbo = results.points.set_index("point_id").get("nelbo", pd.Series(dtype=float))
    ranks = table["point_id"].map(nelbo).groupby(table["model"]).mean()
    means["rank"] = means["model"].map(ranks)
    return means.sort_values(
        ["rank", "model", "latent", "level"], kind="stable", ignore_index=True
    ).drop(columns="rank")


def representative(results: Results, name: str) -> tuple[str, pd.DataFrame]:
    """The rows in a table of one point, and its model: the setting of lowest NELBO in it, the seed
    nearest to its mean; else the first.
    """
    table = need(results, name)
    held = results.points[results.points["point_id"].isin(table["point_id"])]
    chosen = table["point_id"].iloc[0]
    if "nelbo" in held and held["nelbo"].notna().any():
        chosen = plane.extremes(dataclasses.replace(results, points=held), "nelbo")["nearest"][
            "point_id"
        ]
    rows = table[table["point_id"] == chosen].reset_index(drop=True)
    return str(rows["model"].iloc[0]), rows


def peak_weight(weights: pd.DataFrame) -> tuple[float, float]:
    """How far attention is from uniform: (mean over heads, levels and sets of the largest weight,
    mean of 1 / members).
    """
    groups = weights.groupby(["set", "level", "head"])["weight"]
    return float(groups.max().mean()), float((1 / groups.size()).mean())


def percentages(rows: pd.DataFrame) -> dict[str, tuple[np.ndarray, float]]:
    """Of each scorer: per cent of a digit's images by what they were taken for, [digits, digits],
    and per cent correct over all images.
    """
    out = {}
    for scorer in [s for s in SCORERS if s in set(rows["scorer"])]:
        part = rows[rows["scorer"] == scorer]
        digits = sorted(set(part["digit"]) | set(part["predicted"]))
        counts = part.pivot_table(
            index="digit", columns="predicted", values="count", aggfunc="sum", fill_value=0
        )
        cells = counts.reindex(index=digits, columns=digits, fill_value=0).to_numpy(float)
        shares = 100 * cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
        out[scorer] = (shares, float(100 * np.trace(cells) / max(cells.sum(), 1)))
    return out


def likelihood_text(table: pd.DataFrame, width: int = 80) -> str:
    """The rows of `bounds` as a table for each data set, in lines of at most `width` characters:
    long names go on in the next line.
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
    return "-" if pd.isna(value) else f"{value:.2f}"
