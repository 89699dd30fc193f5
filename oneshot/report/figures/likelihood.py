"""Which model explains sets best? Bounds on the likelihood at the set size trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.bounds import (
    DATASETS,
    at_trained_size,
    likelihood_bounds,
    models_by_nelbo,
)
from oneshot.report.analysis.resampling import CHANCE, holm, t_tail
from oneshot.report.figures import colours, style
from oneshot.report.figures.set_models import NATS, models_to_show
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import plus_minus

ROWS = 20  # models shown at most


@styled
def draw(results: Results) -> Plot:
    """Draw NELBO and NLL of each model, a panel per data set.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No bound was evaluated at the set size trained on.
    """
    table = at_trained_size(likelihood_bounds(results))
    models, note = models_to_show(models_by_nelbo(table), ROWS)
    shown = table[table["model"].isin(models)].reset_index(drop=True)
    title = _title(table)
    errors = f"bars: standard error over {'seeds' if table['seeds'].max() > 1 else 'sets'}"
    lines = [style.wrapped(model, 24) for model in models]
    height = 1.25 + 0.15 * sum(max(1.7, 1 + line.count("\n")) for line in lines)
    notes = [_sizes_note(shown), errors, note]
    datasets = list(dict.fromkeys(shown["dataset"]))
    figure = style.canvas(
        title,
        style.foot(results, *notes),
        (style.WIDE if len(datasets) > 1 else style.SINGLE[0], height),
    )
    grid = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    for panel, dataset in zip(grid, datasets):
        part = shown[shown["dataset"] == dataset].assign(row=lambda t: t["model"].map(models.index))
        for term, colour, marker, side in (
            ("nelbo", colours.BLUE, "o", "left"),
            ("nll", colours.PURPLE, "D", "right"),
        ):
            _draw_bound(panel, part.dropna(subset=term), term, colour, marker, side)
        panel.set(ylim=(len(models) - 0.5, -1.1), xlabel=NATS)
        panel.set_title(DATASETS.get(dataset, dataset), loc="left", fontsize=8)
        panel.set_yticks(range(len(models)), lines, fontsize=8 if max(map(len, models)) < 25 else 7)
        panel.tick_params(axis="y", length=0)
        _set_limits(panel, nll=part["nll"].notna().any())
        panel.locator_params(axis="x", nbins=4)
        panel.ticklabel_format(axis="x", useOffset=False)
    style.settle(figure)
    return Plot(figure, shown, title)


def _draw_bound(
    panel: Axes, part: pd.DataFrame, term: str, colour: str, marker: str, side: str
) -> None:
    """Draw one bound of every model with its error bar, its name at the uppermost dot."""
    for row in part["row"]:
        panel.axhline(row, color=colours.PALE, lw=0.4, zorder=0)
    looks: dict[str, Any] = dict(fmt=marker, ms=4.5, color=colour, elinewidth=1.0, zorder=3)
    panel.errorbar(part[term], part["row"], xerr=part[f"{term}_se"].fillna(0), **looks)
    if len(part):
        top = part.iloc[int(part["row"].argmin())]
        at = (float(top[term]), float(top["row"]))
        panel.annotate(
            term.upper(),
            at,
            (4 if side == "left" else -4, 5),
            textcoords="offset points",
            fontsize=7,
            color=colour,
            ha=side,
        )


def _set_limits(panel: Axes, nll: bool) -> None:
    """Margins wide enough for the names at the uppermost dots."""
    low, high = panel.dataLim.intervalx
    span = max(high - low, 1.0)
    panel.set_xlim(low - (0.3 if nll else 0.1) * span, high + 0.15 * span)


def _sizes_note(table: pd.DataFrame) -> str:
    """How large the test sets are."""
    sizes = sorted(set(table["trained_size"].dropna()))
    return (
        f"sets of {', '.join(map(str, sizes))} images, the size trained on"
        if len(sizes) <= 4
        else "at the set size trained on"
    )


def _title(table: pd.DataFrame) -> str:
    """Who has the lowest NELBO of test sets; and who cannot be told from that one."""
    tests = (
        table[table["dataset"] == "test"].dropna(subset="nelbo").sort_values("nelbo", kind="stable")
    )
    if tests.empty:
        return "No bound on the likelihood of test sets"
    best = tests.iloc[0]
    if len(tests) == 1:
        return f"NELBO of {best['model']}: {plus_minus(best['nelbo'], best['nelbo_se'])} {NATS}"
    p = holm(np.array([_difference_p(best, other) for _, other in tests.iloc[1:].iterrows()]))
    alike = tests.iloc[1:][~(p < CHANCE)]
    value = f"{best['nelbo']:.2f} {NATS}"
    if len(alike) == len(tests) - 1 > 1:
        return f"No model has a clearly lower NELBO than the others (lowest: {value})"
    if len(alike):
        names = " and ".join(alike["model"]) if len(alike) < 3 else f"{len(alike)} others"
        return f"Lowest NELBO: {best['model']}, {value}, not distinguishable from {names}"
    second = tests.iloc[1]
    gap = second["nelbo"] - best["nelbo"]
    return f"Lowest NELBO: {best['model']}, {value}, {gap:.2f} below {second['model']}"


def _difference_p(one: pd.Series, other: pd.Series) -> float:
    """The p value of a difference of two NELBO by their errors, over seeds or else over sets.

    All models are asked about the same sets, so that errors over sets make it cautious.
    """
    error = float(np.hypot(one["nelbo_se"], other["nelbo_se"]))
    counts = [row["seeds"] if row["seeds"] > 1 else row["sets"] for row in (one, other)]
    gap = float(other["nelbo"] - one["nelbo"])
    return t_tail(gap / error, int(sum(counts)) - 2) if error > 0 else float("nan")
