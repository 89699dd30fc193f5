"""What does an axis do? Its path through the plane of diversity and recognizability."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.chance import alike_to_first, beats, noise_reference, seed_noise
from oneshot.report.analysis.design import design_of
from oneshot.report.analysis.effects import effect_p, value_means
from oneshot.report.analysis.intervals import DISTANCE, with_intervals
from oneshot.report.analysis.plane import across, require_scores
from oneshot.report.analysis.resampling import CHANCE
from oneshot.report.analysis.trajectory import (
    default_axis,
    direction,
    fitted_curve,
    trajectory,
)
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, plane_marks, style
from oneshot.report.figures.labels import Labels
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import two_numbers, value_text


@styled
def draw(results: Results, axis: str = "", degree: int = 0) -> Plot:
    """Draw the mean over the rest at each value of an axis, joined in order, and the fit.

    Args:
        results: The results.
        axis: An axis of numbers. Default: beta if it varies, else the first axis of numbers.
        degree: The degree of the fit. Default: 3 for beta, 1 (a line) for others.

    Returns:
        The plot.

    Raises:
        AnalysisError: No axis of numbers varies, or it has one value with a score.
    """
    require_scores(results)
    axis = axis or default_axis(results) or ""
    if not axis:
        raise AnalysisError("no axis of numbers varies")
    path = trajectory(results, axis)
    if len(path) < 2:
        raise AnalysisError(f"{axis} has one value with a score")
    title, x = _title(results, path, axis), across(results)
    people = with_intervals(results, results.references.query("model == 'human'"))
    confounded = design_of(results, x).confounded_with(axis)
    notes = [
        f"each dot is a mean over {style.count_text(path['n'])}; thin line: parametric fit",
        f"bars: {style.intervals_text(results)}" * bool(path[f"{x}_low"].notna().any()),
        f"{axis} was never varied apart from {', '.join(confounded)}" * bool(confounded),
    ]
    figure = style.canvas(title, style.foot(results, *notes))
    axes = figure.subplots()
    norm = colours.axis_norm(path[axis])
    plane_marks.error_bars(axes, pd.concat([path, people]), x)
    for (_, marker), (_, part) in zip(colours.series(), path.groupby("model")):
        axes.plot(part[x], part["recognizability"], color=colours.PALE, lw=1.6, zorder=1)
        looks = dict(marker=marker, s=38, linewidths=0.4, edgecolors="#222222", zorder=3)
        axes.scatter(
            part[x],
            part["recognizability"],
            c=part[axis],
            cmap=colours.ordered_colours(),
            norm=norm,
            **looks,  # type: ignore[arg-type]
        )
        curve = fitted_curve(part, axis, degree or (3 if axis == "beta" else 1), x)
        if curve is not None:
            axes.plot(curve[x], curve["recognizability"], color=colours.BLACK, lw=0.7, zorder=2)
    clear = effect_p(results, axis, DISTANCE) < CHANCE
    _set_limits(axes, pd.concat([path, people]), x)
    style.settle(figure)
    labels = Labels(axes, np.concatenate([_along(part, x) for _, part in path.groupby("model")]))
    plane_marks.landmarks(axes, results.references.query("model == 'human'"), labels, x)
    for _, part in path.groupby("model"):
        _label_path(labels, part, axis, x, several=path["model"].nunique() > 1, clear=clear)
    plane_marks.distance_rings(axes, results, labels)
    return Plot(figure, path, title)


def _along(path: pd.DataFrame, x: str, steps: int = 20) -> np.ndarray:
    """Places along the joined dots, for labels to keep off: [N, 2]."""
    at = np.linspace(0, len(path) - 1, steps * len(path))
    return np.stack(
        [np.interp(at, np.arange(len(path)), path[name]) for name in (x, "recognizability")],
        axis=1,
    )


def _set_limits(axes: Axes, seen: pd.DataFrame, x: str) -> None:
    """Limits round the path and people, with a margin."""
    (x0, x1), (y0, y1) = ((seen[name].min(), seen[name].max()) for name in (x, "recognizability"))
    dx, dy = max(0.12 * (x1 - x0), 0.1), max(0.12 * (y1 - y0), 2.0)
    axes.set(
        xlim=(max(0, x0 - dx), x1 + dx), ylim=(max(0, y0 - dy), min(plane_marks.Y_LIMIT, y1 + dy))
    )
    axes.set(xlabel=style.with_unit(x), ylabel=style.with_unit("recognizability"))


def _label_path(
    labels: Labels, path: pd.DataFrame, axis: str, x: str, several: bool, clear: bool
) -> None:
    """Label first and last always, the nearest if distances clearly differ, and whole numbers of
    beta where there is room.
    """
    path = path.reset_index(drop=True)
    known = clear and path["human_distance"].notna().any()
    nearest = int(path["human_distance"].argmin()) if known else -1
    ends = (0, len(path) - 1)
    whole = [
        i for i, value in enumerate(path[axis]) if axis == "beta" and float(value).is_integer()
    ]
    for i in dict.fromkeys([*ends, *([nearest] if nearest >= 0 else []), *whole]):
        row = path.iloc[i]
        text = f"{axis} " * (i in ends) + value_text(row[axis]) + " (nearest)" * (i == nearest)
        text = f"{row['model']}: {text}" if several and i == 0 else text
        labels.add(
            row[x],
            row["recognizability"],
            text,
            optional=i not in (*ends, nearest),
            bold=i == nearest,
        )


def _title(results: Results, path: pd.DataFrame, axis: str) -> str:
    """Which way the axis moves diversity, and where it is nearest to people, as far as tests tell.

    Args:
        results: The results.
        path: The table of `trajectory`.
        axis: The axis.

    Returns:
        The title.
    """
    span = f"{axis} {value_text(path[axis].min())} to {value_text(path[axis].max())}"
    if path[DISTANCE].isna().all() or path["model"].nunique() > 1:
        return f"{span}: the path of {' and '.join(path['model'].unique())}"
    x, p = across(results), effect_p(results, axis, DISTANCE)
    if np.isnan(p):
        return f"{span}: no test of its effect, with one seed and no score by class"
    first, last = two_numbers(path[x].iloc[0], path[x].iloc[-1])
    way = direction(results, axis, x)
    verb = {1: "rises", -1: "falls", 0: "does not clearly change,"}[way]
    moves = f"diversity {verb} from {first} to {last}"
    if not p < CHANCE:
        return f"{span}: {moves}; no effect on the distance to people beyond chance"
    return f"{span}: {moves}; {_nearest_value(results, axis)}"


def _nearest_value(results: Results, axis: str) -> str:
    """At which value people are nearest, unless noise is as near; and what else may be."""
    values, means = value_means(results, axis, DISTANCE)
    order = sorted(range(len(means)), key=lambda i: means[i].value)
    best, noise, reference = means[order[0]], seed_noise(results), noise_reference(results)
    if reference is not None and not beats(best, reference, noise):
        return (
            f"nowhere nearer to people than noise ({best.value:.2f} at"
            f" {value_text(values[order[0]])}, noise {reference.value:.2f})"
        )
    alike = alike_to_first([means[i] for i in order], noise)
    others = f", {alike} other {'values' if alike > 1 else 'value'} not distinguishable"
    return (
        f"nearest to people at {value_text(values[order[0]])} (distance {best.value:.2f}"
        f"{others * (alike > 0)})"
    )
