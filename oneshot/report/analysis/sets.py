"""What the tables of models of sets say: KL by level, attention over members, classification.

Models are named by what sets them apart; the seeds of one share its name. Bounds on the
likelihood: `bounds.py`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from oneshot.report.analysis.plane import extremes
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.select import varying_axes
from oneshot.report.text import value_text

SCORERS = {"kl": "KL of contexts", "elbo": "ELBO", "reconstruction": "reconstruction"}
# why a table is empty
REASONS = {
    "likelihood": "no bound on the likelihood was evaluated (that is done for models of sets)",
    "layers": "no KL of levels is in the tables (models of sets have them)",
    "attention": (
        "no attention weights are in the tables (models of sets that pool by attention have them)"
    ),
    "confusion": "no digits were classified (the setting classify of models of sets)",
}


def named_table(results: Results, name: str) -> pd.DataFrame:
    """A table of models of sets, with the column `model`: each point in words.

    Args:
        results: The results.
        name: likelihood, layers, attention or confusion.

    Returns:
        The rows of points with results.

    Raises:
        AnalysisError: There is no such row; the message says who has them.
    """
    table = getattr(results, name)
    named = table.assign(model=table["point_id"].map(model_names(results))).dropna(subset="model")
    if named.empty:
        raise AnalysisError(REASONS[name])
    return named


def model_names(results: Results, without: str = "") -> pd.Series:
    """What distinguishes each model, in words.

    Axes that say nothing new after those before them are left out.

    Args:
        results: The results.
        without: An axis that is not to be named.

    Returns:
        point_id -> text.
    """
    rows = results.evaluated.set_index("point_id")
    axes: list[str] = []
    told_apart = 1
    for axis in [axis for axis in varying_axes(results) if axis != without]:
        count = rows.groupby([*axes, axis], dropna=False).ngroups
        if count > told_apart:
            axes.append(axis)
            told_apart = count
    texts = [
        " / ".join(
            _words(axis, row[axis]) for axis in axes if value_text(row[axis]) not in ("", "-")
        )
        for _, row in rows.iterrows()
    ]
    return pd.Series(
        [text or model for text, model in zip(texts, rows["model"])], index=rows.index, dtype=object
    )


def _words(axis: str, value: object) -> str:
    """A setting, without its axis where that is clear: `pyramid`, `no context`, `width 64`."""
    if isinstance(value, (bool, np.bool_)):
        return axis if value else f"no {axis}"
    if isinstance(value, str):
        return f"no {axis}" if value == "none" else value
    return f"{axis} {value_text(value)}"


def level_kls(results: Results) -> pd.DataFrame:
    """The KL of each level, mean over seeds, models by their NELBO.

    Args:
        results: The results.

    Returns:
        `model`, `latent` (c, then z), `level` (1 is the top), `kl` (nats per image) and its
        `share` of the model's sum.
    """
    table = named_table(results, "layers")
    means = table.groupby(["model", "latent", "level"], sort=False)["kl"].mean().reset_index()
    means["share"] = means["kl"] / means.groupby("model")["kl"].transform("sum")
    nelbo = results.points.set_index("point_id").get("nelbo", pd.Series(dtype=float))
    ranks = table["point_id"].map(nelbo).groupby(table["model"]).mean()
    means["rank"] = means["model"].map(ranks)
    return means.sort_values(
        ["rank", "model", "latent", "level"], kind="stable", ignore_index=True
    ).drop(columns="rank")


def best_point(results: Results, name: str) -> tuple[str, pd.DataFrame]:
    """The rows in a table of the point that stands for all.

    Args:
        results: The results.
        name: The table.

    Returns:
        The point's model in words, and its rows. It is the setting of lowest NELBO in the table, of
        its seeds the one nearest to its mean; the first point where no NELBO is known.
    """
    table = named_table(results, name)
    held = results.points[results.points["point_id"].isin(table["point_id"])]
    chosen = table["point_id"].iloc[0]
    if "nelbo" in held and held["nelbo"].notna().any():
        chosen = extremes(dataclasses.replace(results, points=held), "nelbo")["nearest"]["point_id"]
    rows = table[table["point_id"] == chosen].reset_index(drop=True)
    return str(rows["model"].iloc[0]), rows


def peak_weight(weights: pd.DataFrame) -> tuple[float, float]:
    """How far attention is from uniform.

    Args:
        weights: Rows of the table `attention`.

    Returns:
        The largest weight, a mean over heads, levels and sets; and the mean of 1 / members.
    """
    groups = weights.groupby(["set", "level", "head"])["weight"]
    return float(groups.max().mean()), float((1 / groups.size()).mean())


def confusion_matrices(rows: pd.DataFrame) -> dict[str, tuple[np.ndarray, float]]:
    """What the images of each digit were taken for.

    Args:
        rows: Rows of the table `confusion`.

    Returns:
        Of each scorer: per cent of a digit's images by what they were taken for, [digits, digits],
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
