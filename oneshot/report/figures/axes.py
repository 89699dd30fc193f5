"""Figures of what the axes do: main effects, the heat map of two axes, and training curves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from oneshot.report.analysis import plane
from oneshot.report.figures import style as fs
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import AnalysisError, Results, exact, value_text, varying
from oneshot.types import Status

PANELS = 16
LINES = 5  # more points in a panel become a median and a band
SETTLED = 0.01  # a loss that fell by a larger share in its last tenth was still falling


@styled
def effects(results: Results) -> Plot:
    """Which axis matters? One column per axis (at most four, the strongest), one row per metric:
    the mean over the rest at each value.
    """
    plane.need_scores(results)
    metrics = [
        m
        for m in ("human_distance", "diversity", "recognizability")
        if results.models[m].notna().any()
    ]
    shares = plane.main_effects(results, metrics[0]) if metrics else pd.DataFrame()
    if shares.empty:
        raise AnalysisError("no axis varies")
    axes_shown = [a for a in varying(results) if a in set(shares["axis"].head(4))]
    left_out = f"not shown: {', '.join(shares['axis'][4:])}" if len(shares) > 4 else ""
    tables = {(a, m): plane.effect(results, a, m) for a in axes_shown for m in metrics}
    title = effects_title(shares, tables, metrics[0])
    spread = [seeds_text(results), "bar: share of the variance over all points"]
    notes = [
        f"n = {fs.count_text(pd.concat([t['n'] for t in tables.values()]))} per value",
        *spread,
        left_out,
    ]
    figure = fs.canvas(title, fs.foot(results, *notes), (fs.WIDE, 0.7 + 1.5 * len(metrics)))
    grid = figure.subplots(len(metrics), len(axes_shown), sharex="col", sharey="row", squeeze=False)
    human = plane.human_point(results)
    for (row, metric), (col, axis) in itertools.product(enumerate(metrics), enumerate(axes_shown)):
        panel = grid[row, col]
        effect_panel(panel, results, axis, metric, tables[axis, metric])
        people_line(panel, human, metric, labelled=col == 0)
        share_bar(panel, plane.share(results, [axis], metric))
        panel.set_xlabel(fs.with_unit(axis) if row == len(metrics) - 1 else "")
        panel.set_ylabel(fs.with_unit(metric) if col == 0 else "")
    figure.align_ylabels()
    fs.settle(figure)
    parts = [
        exact(results, t)
        .astype({a: object})
        .rename(columns={a: "value", m: "mean", f"{m}_se": "se"})
        .assign(axis=a, metric=m)
        for (a, m), t in tables.items()
    ]
    return Plot(
        figure,
        pd.concat(parts, ignore_index=True)[["axis", "value", "metric", "mean", "se", "n"]],
        title,
    )


def effects_title(
    shares: pd.DataFrame, tables: dict[tuple[str, str], pd.DataFrame], metric: str
) -> str:
    what = "distance to people" if metric == "human_distance" else metric
    top = shares.iloc[0]
    if not plane.beyond_noise(tables[top["axis"], metric], metric):
        return f"No axis moves the {what} beyond seed noise"
    if len(shares) == 1:  # alone it explains all there is; say which way it goes instead
        means = tables[top["axis"], metric]
        ends = [
            f"{means[metric].iloc[i]:.2f} at {top['axis']} {value_text(means[top['axis']].iloc[i])}"
            for i in (0, -1)
        ]
        return f"{what[0].upper()}{what[1:]}: {ends[0]}, {ends[1]}"
    rest = ", ".join(
        f"{axis} {100 * part:.0f} %"
        for axis, part in zip(shares["axis"][1:4], shares["share"][1:4])
    )
    return f"{top['axis']} explains {100 * top['share']:.0f} % of the variance of the {what}" + (
        f" ({rest})" if rest else ""
    )


def seeds_text(results: Results) -> str:
    seeds = results.models["seed"].nunique()
    return (
        ""
        if seeds == 1
        else "thin lines: seeds"
        if seeds <= 5
        else "band: standard error over seeds"
    )


def effect_panel(
    panel: Axes, results: Results, axis: str, metric: str, means: pd.DataFrame
) -> None:
    """Means joined in order (unordered axes: dots), up to five seeds as thin lines, more as a band
    of one standard error.
    """
    places = (
        means[axis]
        if plane.numeric(results, axis)
        else pd.Series(range(len(means)), index=means.index)
    )
    where = dict(zip(means[axis], places))
    rows, seeds = (
        plane.comparable(results, axis).dropna(subset=metric),
        results.models["seed"].nunique(),
    )
    ordered = plane.numeric(results, axis)
    if 1 < seeds <= 5:
        for _, part in rows.groupby("seed"):
            line = part.groupby(axis)[metric].mean()
            looks = dict(ls="-") if ordered else dict(ls="", marker="_")
            panel.plot(
                [where[v] for v in line.index],
                line,
                color=fs.PALE,
                lw=0.8,
                zorder=1,
                **looks,  # type: ignore[arg-type]
            )
    elif seeds > 5:
        low, high = means[metric] - means[f"{metric}_se"], means[metric] + means[f"{metric}_se"]
        panel.fill_between(places, low, high, color=fs.BLUE, alpha=0.2, lw=0)
    panel.plot(
        places,
        means[metric],
        color=fs.BLUE,
        lw=1.4,
        marker="o",
        ms=3,
        ls="-" if ordered else "",
        zorder=2,
    )
    panel.locator_params(axis="y", nbins=5)
    if not ordered:
        panel.set_xticks(
            list(places),
            [value_text(v)[:12] for v in means[axis]],
            rotation=30 if len(means) > 3 else 0,
        )
        panel.set_xlim(-0.5, len(means) - 0.5)


def people_line(
    panel: Axes, human: tuple[float, float] | None, metric: str, labelled: bool
) -> None:
    """Where people are, on a panel of diversity or recognizability."""
    if human is None or metric == "human_distance":
        return
    level = human[0] if metric == "diversity" else human[1]
    panel.axhline(level, color=fs.VERMILLION, lw=0.9, zorder=0)
    if labelled:
        looks: dict[str, Any] = dict(
            fontsize=7, color=fs.VERMILLION, ha="right", va="center", path_effects=fs.halo()
        )
        panel.text(0.99, level, "people", transform=panel.get_yaxis_transform(), **looks)


def share_bar(panel: Axes, share: float) -> None:
    """A bar above the panel whose length is the share of variance, with the number."""
    looks = dict(transform=panel.transAxes, clip_on=False, lw=0)
    panel.add_patch(Rectangle((0, 1.05), 0.78, 0.035, color="#EEEEEE", **looks))  # type: ignore[arg-type]
    panel.add_patch(Rectangle((0, 1.05), 0.78 * share, 0.035, color=fs.GREY, **looks))  # type: ignore[arg-type]
    panel.text(
        1.0,
        1.065,
        f"{100 * share:.0f} %",
        transform=panel.transAxes,
        fontsize=7,
        ha="right",
        va="center",
        color=fs.GREY,
    )


@styled
def heatmap(results: Results, pair: tuple[str, str] | None = None) -> Plot:
    """Do two axes interact? Mean distance to people in each cell of two axes (default: the pair
    that explains most).
    """
    plane.need_scores(results)
    strongest = pair or plane.strongest_pair(results)
    if strongest is None:
        raise AnalysisError("no two axes were crossed")
    a, b = strongest[:2]
    # the longer axis lies across
    a, b = (a, b) if results.models[a].nunique() >= results.models[b].nunique() else (b, a)
    cells = plane.cells(results, a, b)
    if not cells.notna().to_numpy().any():
        raise AnalysisError(f"no cell of {a} and {b} has a distance to people")
    title = heatmap_title(results, cells, a, b)
    lost = int(cells.isna().to_numpy().sum())
    empty = (
        f"{lost} of {fs.plural(cells.size, 'cell')} {'is' if lost == 1 else 'are'} empty (hatched):"
        " no score"
        if lost
        else ""
    )
    figure = fs.canvas(
        title,
        fs.foot(results, "each cell is a mean over the rest; darker is nearer to people", empty),
    )
    axes = figure.subplots()
    shown = axes.imshow(
        cells,
        cmap=fs.ordered_colours(),
        aspect="auto",
        origin="lower",
        norm=fs.scale(pd.Series(cells.to_numpy().ravel())),
    )
    for side, values in (("x", cells.columns), ("y", cells.index)):
        step = max(1, -(-len(values) // 17))
        axes.set(
            **{
                f"{side}ticks": range(0, len(values), step),
                f"{side}ticklabels": [value_text(v) for v in values[::step]],
            }
        )
    axes.set(xlabel=fs.with_unit(a), ylabel=fs.with_unit(b))
    axes.tick_params(length=0, labelsize=7)
    axes.spines[:].set_visible(False)
    if cells.size <= 100:
        write_cells(axes, cells.to_numpy(), fs.scale(pd.Series(cells.to_numpy().ravel())))
    for row, col in zip(*np.nonzero(cells.isna().to_numpy())):
        axes.add_patch(
            Rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, ec=fs.PALE, lw=0, hatch="////")
        )
    row, col = divmod(int(np.nanargmin(cells.to_numpy())), cells.shape[1])
    axes.add_patch(
        Rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, ec=fs.VERMILLION, lw=1.6, clip_on=False)
    )
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, aspect=18, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(fs.with_unit("human_distance"), fontsize=8)
    fs.settle(figure)
    numbers = cells.set_axis(
        [f"{a} {value_text(value)}" for value in cells.columns], axis=1
    ).reset_index()
    return Plot(figure, numbers, title)


def write_cells(axes: Axes, cells: np.ndarray, norm: Normalize) -> None:
    """The number of each cell, light on dark and dark on light."""
    for (row, col), value in np.ndenumerate(cells):
        if np.isfinite(value):
            colour = "white" if float(norm(value)) < 0.6 else fs.BLACK
            axes.text(col, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)


def heatmap_title(results: Results, cells: pd.DataFrame, a: str, b: str) -> str:
    joint = plane.share(results, [a, b])
    extra = max(0.0, joint - plane.share(results, [a]) - plane.share(results, [b]))
    row, col = divmod(int(np.nanargmin(cells.to_numpy())), cells.shape[1])
    nearest = f"{a} {value_text(cells.columns[col])}, {b} {value_text(cells.index[row])}"
    best = f"nearest cell {nearest}: {cells.to_numpy()[row, col]:.2f}"
    if not any(
        (cells.iloc[i] + cells.iloc[j]).count() > 1
        for i, j in itertools.combinations(range(len(cells)), 2)
    ):
        # no two rows share two columns
        return f"{a} and {b}: too few cells to say whether they interact; {best}"
    word = "hardly interact" if extra < 0.02 else "interact"
    return f"{a} and {b} {word} ({100 * extra:.0f} % of the variance); {best}"


@styled
def curves(results: Results, axis: str = "") -> Plot:
    """Did it train? Loss by epoch, a panel per value of an axis (default as for the trajectory),
    diverged points dashed.
    """
    losses = [
        name
        for name in ("train_loss", "validation_loss")
        if name in results.curves and results.curves[name].notna().any()
    ]
    if not losses:
        raise AnalysisError("no training curves are in the table")
    axis = axis or plane.first_axis(results) or next(iter(varying(results)), "")
    keys = ["point_id", "status", *([axis] if axis else [])]
    frame = results.curves.merge(
        results.points[list(dict.fromkeys(keys))], on="point_id"
    ).sort_values(["point_id", "epoch"], kind="stable")
    if axis:
        frame = frame.dropna(subset=axis)
    values = sorted(frame[axis].unique()) if axis else [""]
    shown = [
        values[i]
        for i in sorted(
            set(np.linspace(0, len(values) - 1, min(PANELS, len(values))).round().astype(int))
        )
    ]
    title = curves_title(frame, losses[-1])
    notes = [
        curve_notes(frame, axis),
        f"{len(shown)} of {len(values)} values of {axis}" if len(shown) < len(values) else "",
    ]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = fs.canvas(
        title,
        fs.foot(results, *notes),
        (fs.WIDE if columns > 1 else fs.SINGLE[0], max(2.6, 0.8 + 1.35 * rows)),
    )
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in grid.flat[len(shown) :]:
        panel.set_axis_off()
    for panel, value in zip(grid.flat, shown):
        curve_panel(panel, frame[frame[axis] == value] if axis else frame, losses)
        panel.set_title(f"{axis} {value_text(value)}" if axis else "", fontsize=8, loc="left")
    # curves fall, so the upper right corner is free
    for i, (name, colour) in enumerate(zip(losses, (fs.BLUE, fs.PURPLE))):
        words = name.removesuffix("_loss").replace("train", "training")
        grid[0, 0].text(
            0.98,
            0.98 - 0.13 * i,
            words,
            transform=grid[0, 0].transAxes,
            color=colour,
            fontsize=8,
            ha="right",
            va="top",
        )
    tidy_curves(grid, frame, losses, len(shown))
    fs.settle(figure)
    return Plot(figure, frame[[*keys, "epoch", *losses]], title)


def curve_notes(frame: pd.DataFrame, axis: str) -> str:
    """What the lines of the panels are."""
    counts = (
        frame.groupby(axis)["point_id"].nunique()
        if axis
        else pd.Series([frame["point_id"].nunique()])
    )
    many = (
        "line and band: median and 10 to 90 % of a panel's points"
        if counts.max() > LINES
        else "one line a point"
    )
    return many + ", dashed: diverged" * bool((frame["status"] == Status.DIVERGED).any())


def curve_panel(panel: Axes, frame: pd.DataFrame, losses: Sequence[str]) -> None:
    """A few points as lines, many as median and band; diverged points dashed, up to the last epoch
    with a finite loss.
    """
    diverged = frame["status"] == Status.DIVERGED
    for name, colour in zip(losses, (fs.BLUE, fs.PURPLE)):
        whole = frame[~diverged].dropna(subset=name)
        looks: dict[str, Any] = dict(color=colour, zorder=2)
        if whole["point_id"].nunique() <= LINES:
            for _, part in whole.groupby("point_id"):
                panel.plot(part["epoch"], part[name], lw=1.0, **looks)
        else:
            by_epoch = whole.groupby("epoch")[name]
            low, middle, high = (by_epoch.quantile(q) for q in (0.1, 0.5, 0.9))
            panel.fill_between(middle.index, low, high, color=colour, alpha=0.2, lw=0)
            panel.plot(middle.index, middle, lw=1.2, **looks)
        for _, part in itertools.islice(
            frame[diverged].dropna(subset=name).groupby("point_id"), LINES
        ):
            panel.plot(part["epoch"], part[name], lw=0.8, ls=(0, (3, 2)), **looks)
            panel.plot(part["epoch"].iloc[-1:], part[name].iloc[-1:], marker="x", ms=4, **looks)


def tidy_curves(grid: np.ndarray, frame: pd.DataFrame, losses: Sequence[str], shown: int) -> None:
    """Shared axes: epochs logarithmic, losses from the lowest to the highest of points that did not
    diverge.
    """
    first, columns = grid.flat[0], grid.shape[1]
    epochs = frame["epoch"].clip(lower=1)
    if epochs.max() > 10:
        first.set_xscale("log")
    first.set_xlim(epochs.min(), max(epochs.max(), epochs.min() + 1))
    finite = frame.loc[frame["status"] != Status.DIVERGED, list(losses)].to_numpy()
    if np.isfinite(finite).any():
        low, most, high = np.nanquantile(finite, [0, 0.995, 1])
        # a rare spike must not flatten all curves
        high = high if high - low <= 2 * (most - low) else most
        first.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low) + 1e-9)
    for i, panel in enumerate(grid.flat[:shown]):
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        if epochs.max() > 10:
            panel.xaxis.set_major_locator(LogLocator(numticks=5))
        panel.locator_params(axis="y", nbins=4)
        last = i + columns >= shown  # the lowest panel of its column
        panel.tick_params(labelbottom=last)
        panel.set_xlabel("epoch" if last else "")
        panel.set_ylabel("loss" if i % columns == 0 else "")


def curves_title(frame: pd.DataFrame, loss: str) -> str:
    """How many points were still learning when they stopped, and how many diverged."""
    diverged = frame.loc[frame["status"] == Status.DIVERGED, "point_id"].nunique()
    whole = frame[(frame["status"] != Status.DIVERGED) & frame[loss].notna()]
    falling = sum(still_falling(part[loss].to_numpy()) for _, part in whole.groupby("point_id"))
    total, what = whole["point_id"].nunique(), loss.replace("_", " ")
    some = f"{what} still fell at the end in {falling:,} of {fs.plural(total, 'point')}"
    finding = (
        some
        if falling
        else f"{what} had settled at the end in {'all ' * (total > 1)}{fs.plural(total, 'point')}"
    )
    return finding[0].upper() + finding[1:] + (f"; {diverged} diverged" if diverged else "")


def still_falling(loss: np.ndarray) -> bool:
    """Whether the mean of the last tenth of the epochs (at least one) lies clearly under that of
    the tenth before.
    """
    tenth = max(len(loss) // 10, 1)
    if len(loss) < 2:
        return False
    before, after = loss[-2 * tenth : -tenth].mean(), loss[-tenth:].mean()
    return bool(before - after > SETTLED * abs(before))
