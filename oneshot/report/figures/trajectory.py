"""What does an axis do? Its path through the plane of diversity and recognizability."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.effects import exceeds_noise, main_effect
from oneshot.report.analysis.plane import require_scores
from oneshot.report.analysis.trajectory import default_axis, fitted_curve, trajectory
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, plane_marks, style
from oneshot.report.figures.labels import Labels
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import value_text


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
    title = _title(results, path, axis)
    bars = (
        "bars: standard errors, where wider than their dots"
        if path["diversity_se"].notna().any()
        else ""
    )
    means = f"each dot is a mean over {style.count_text(path['n'])}; thin line: parametric fit"
    figure = style.canvas(title, style.foot(results, means, bars))
    axes = figure.subplots()
    norm = colours.axis_norm(path[axis])
    plane_marks.error_bars(axes, pd.concat([path, results.references.query("model == 'human'")]))
    for (_, marker), (_, part) in zip(colours.series(), path.groupby("model")):
        axes.plot(part["diversity"], part["recognizability"], color=colours.PALE, lw=1.6, zorder=1)
        looks = dict(marker=marker, s=38, linewidths=0.4, edgecolors="#222222", zorder=3)
        axes.scatter(
            part["diversity"],
            part["recognizability"],
            c=part[axis],
            cmap=colours.ordered_colours(),
            norm=norm,
            **looks,  # type: ignore[arg-type]
        )
        if (curve := fitted_curve(part, axis, degree or (3 if axis == "beta" else 1))) is not None:
            axes.plot(
                curve["diversity"], curve["recognizability"], color=colours.BLACK, lw=0.7, zorder=2
            )
    _set_limits(axes, path, results)
    style.settle(figure)
    labels = Labels(axes, np.concatenate([_along(part) for _, part in path.groupby("model")]))
    plane_marks.landmarks(axes, results.references.query("model == 'human'"), labels)
    for _, part in path.groupby("model"):
        _label_path(labels, part, axis, several=path["model"].nunique() > 1)
    plane_marks.distance_rings(axes, results, labels)
    return Plot(figure, path, title)


def _along(path: pd.DataFrame, steps: int = 20) -> np.ndarray:
    """Places along the joined dots, for labels to keep off: [N, 2]."""
    at = np.linspace(0, len(path) - 1, steps * len(path))
    return np.stack(
        [
            np.interp(at, np.arange(len(path)), path[name])
            for name in ("diversity", "recognizability")
        ],
        axis=1,
    )


def _set_limits(axes: Axes, path: pd.DataFrame, results: Results) -> None:
    """Limits round the path and people, with a margin."""
    seen = pd.concat([path, results.references.query("model == 'human'")])
    (x0, x1), (y0, y1) = (
        (seen[name].min(), seen[name].max()) for name in ("diversity", "recognizability")
    )
    dx, dy = max(0.12 * (x1 - x0), 0.1), max(0.12 * (y1 - y0), 2.0)
    axes.set(
        xlim=(max(0, x0 - dx), x1 + dx), ylim=(max(0, y0 - dy), min(plane_marks.Y_LIMIT, y1 + dy))
    )
    axes.set(xlabel="diversity", ylabel=style.with_unit("recognizability"))


def _label_path(labels: Labels, path: pd.DataFrame, axis: str, several: bool) -> None:
    """Label first, last and nearest always, and whole numbers of beta where there is room."""
    path = path.reset_index(drop=True)
    nearest = int(path["human_distance"].argmin()) if path["human_distance"].notna().any() else -1
    ends = (0, len(path) - 1)
    whole = [
        i for i, value in enumerate(path[axis]) if axis == "beta" and float(value).is_integer()
    ]
    for i in dict.fromkeys([*ends, *([nearest] if nearest >= 0 else []), *whole]):
        row = path.iloc[i]
        text = f"{axis} " * (i in ends) + value_text(row[axis]) + " (nearest)" * (i == nearest)
        text = f"{row['model']}: {text}" if several and i == 0 else text
        labels.add(
            row["diversity"],
            row["recognizability"],
            text,
            optional=i not in (*ends, nearest),
            bold=i == nearest,
        )


def _title(results: Results, path: pd.DataFrame, axis: str) -> str:
    """Which way the axis moves diversity, and where it is nearest to people."""
    first, last = path.iloc[0], path.iloc[-1]
    span = f"{axis} {value_text(path[axis].min())} to {value_text(path[axis].max())}"
    if path["human_distance"].isna().all() or path["model"].nunique() > 1:
        return f"{span}: the path of {' and '.join(path['model'].unique())}"
    if not exceeds_noise(main_effect(results, axis, "human_distance"), "human_distance"):
        return f"{span}: no effect on the distance to people beyond seed noise"
    best = path.iloc[int(path["human_distance"].argmin())]
    verb = "rises" if last["diversity"] > first["diversity"] else "falls"
    moves = f"diversity {verb} from {first['diversity']:.2f} to {last['diversity']:.2f}"
    return (
        f"{span}: {moves}, nearest to people at {value_text(best[axis])} (distance"
        f" {best['human_distance']:.2f})"
    )
