"""Means with their 95 % intervals, by bootstrap over test classes and seeds.

People's point is fixed: only the models' classes are drawn again. A distance to people and a
diversity in multiples of people's are computed anew from each draw of the classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from oneshot.metrics.distance import human_distance
from oneshot.report.analysis.resampling import DRAWS, class_weights, seed_weights, stretch
from oneshot.report.averages import measured_rows, over_seeds, setting_keys
from oneshot.report.columns import EXTRA_METRICS, METRICS
from oneshot.report.results import Results
from oneshot.store.tables import DINO, MODES, PANEL

TOGETHER = 256  # points whose draws are in memory at a time
BY_CLASS = ("diversity", "recognizability", "originality")  # of the table of classes
RATIO, DISTANCE = "diversity_ratio", "human_distance"
# what a metric can be, where an interval that is made longer must not go beyond
LIMITS = {
    **{
        name: (0.0, np.inf)
        for name in (*METRICS, *PANEL, *DINO, *MODES)
        if not name.endswith("kid")
    },
    "recognizability": (0.0, 100.0),
    **{name: (0.0, 1.0) for name in ("generalization_coverage", "coverage")},
    **{name: (0.0, 1.0) for name in ("sample_precision", "sample_recall")},
    **{name: (0.0, 1.0) for name in ("dino_precision", "dino_recall", "dino_coverage")},
    **{name: (0.0, 1.0) for name in ("hits_missing", "mode_distance", "off_modes")},
    **{name: (0.0, np.inf) for name in ("fid_base", "nearest_shot")},
    **{name: (0.0, 100.0) for name in ("classified_supports", "classified_augmented")},
}


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean over points, and what it would be with other classes and seeds.

    Attributes:
        value: The mean.
        draws: It for each draw of classes and seeds, [DRAWS].
        class_draws: It for each draw of classes alone, [DRAWS].
        by_seed: The mean of each seed.
        points: How many points it rests on.
        classes: How many classes; 1 where it was not scored by class.
    """

    value: float
    draws: np.ndarray
    class_draws: np.ndarray
    by_seed: np.ndarray
    points: int
    classes: int

    def bounds(self, metric: str) -> tuple[float, float]:
        """The 95 % interval.

        Args:
            metric: The metric, which says within which limits it can be.

        Returns:
            The lower and the upper end; NaN where there is one seed and one class.
        """
        seeds = len(self.by_seed)
        if not seeds:
            return float("nan"), float("nan")
        parts = [
            (float(np.var(self.by_seed)) / seeds, seeds),
            (float(np.var(self.class_draws[np.isfinite(self.class_draws)])), self.classes),
        ]
        factor, moved = stretch(parts), self.draws[np.isfinite(self.draws)] - self.value
        if not (np.isfinite(factor) and np.isfinite(self.value) and len(moved)):
            return float("nan"), float("nan")
        ends = np.quantile(moved, [0.025, 0.975]) * factor
        low, high = np.clip(
            [self.value + min(ends[0], 0.0), self.value + max(ends[1], 0.0)],
            *LIMITS.get(metric, (-np.inf, np.inf)),
        )
        return float(low), float(high)


class Scores:
    """The scores of some points by class, from which means are drawn.

    Args:
        results: The results.
        rows: Rows of their points.
        class_names: The classes to draw from, where they are to be those of other scores too; all
            by default.
    """

    def __init__(
        self, results: Results, rows: pd.DataFrame, class_names: Sequence[str] | None = None
    ):
        self.rows = rows.reset_index(drop=True)
        self.by_class: dict[str, np.ndarray] = {}
        self._columns: dict[str, np.ndarray] = {}
        keys = setting_keys(results, self.rows)
        groups = self.rows.groupby(keys, dropna=False, sort=False)
        self._setting, self._seed = groups.ngroup().to_numpy(), self.rows["seed"].to_numpy()
        table = results.classes
        if not {"point_id", "class_name"} <= set(table):
            return
        table = table[table["point_id"].isin(self.rows["point_id"])]
        places = pd.Index(self.rows["point_id"]).get_indexer(table["point_id"])
        names = sorted(table["class_name"].unique()) if class_names is None else list(class_names)
        codes = pd.Index(names).get_indexer(pd.Index(table["class_name"]))
        for metric in BY_CLASS:
            if metric in table and len(names) > 1:
                values = np.full((len(self.rows), len(names)), np.nan)
                values[places, codes] = pd.to_numeric(table[metric], errors="coerce")
                self.by_class[metric] = values

    def mean(self, metric: str, places: np.ndarray) -> Mean:
        """The mean of a metric over some of the points.

        Args:
            metric: A metric of the points.
            places: Which points, by their number in `rows`.

        Returns:
            The mean; points without the metric do not count.
        """
        stored = self._numbers(metric)[places]
        places, stored = places[~np.isnan(stored)], stored[~np.isnan(stored)]
        if not len(places):
            nothing = np.full(DRAWS, np.nan)
            return Mean(float("nan"), nothing, nothing, np.array([]), 0, 1)
        drawn, classes = self._drawn(metric, places)
        value = float(stored.mean())
        # of several settings, a seed must not differ for lacking one of them
        _, setting = np.unique(self._setting[places], return_inverse=True)
        of_setting = np.bincount(setting, stored) / np.bincount(setting)
        shift = value - of_setting[setting]
        names, seed = np.unique(self._seed[places], return_inverse=True)
        class_draws, draws = drawn.mean(axis=1), np.zeros(DRAWS)
        if len(names) == 1:
            draws = class_draws
        else:
            in_seed = np.eye(len(names))[seed]
            weights = seed_weights(len(names))
            sums = (drawn @ in_seed + shift @ in_seed) * weights
            draws = sums.sum(axis=1) / (weights @ in_seed.sum(axis=0))
        by_seed = np.bincount(seed, stored + shift) / np.bincount(seed)
        return Mean(value, draws, class_draws, by_seed, len(places), classes)

    def point_bounds(self, metric: str) -> np.ndarray:
        """The 95 % interval of a metric of each point alone, for other classes.

        Args:
            metric: A metric of the points.

        Returns:
            The lower and the upper ends, [points, 2], as `mean` of each point gives them; NaN of
            points without the metric, and where it was not scored by class.
        """
        out = np.full((len(self.rows), 2), np.nan)
        known = np.flatnonzero(~np.isnan(self._numbers(metric)))
        for start in range(0, len(known), TOGETHER):
            places = known[start : start + TOGETHER]
            drawn, classes = self._drawn(metric, places)
            if classes > 1 and np.isfinite(drawn).all():
                moved = drawn - self._numbers(metric)[places]
                factors = [stretch([(0.0, 1), (float(v), classes)]) for v in drawn.var(axis=0)]
                low, high = np.quantile(moved, [0.025, 0.975], axis=0) * factors
                limits = LIMITS.get(metric, (-np.inf, np.inf))
                ends = np.stack([np.minimum(low, 0.0), np.maximum(high, 0.0)], axis=1)
                out[places] = np.clip(ends + self._numbers(metric)[places, None], *limits)
            else:  # one of them lacks classes, which says nothing of the others
                out[places] = [
                    self.mean(metric, places[[i]]).bounds(metric) for i in range(len(places))
                ]
        return out

    def classes_of(self, places: np.ndarray) -> np.ndarray:
        """Which of the classes some points were scored on: bool [classes]; [] if not by class."""
        for values in self.by_class.values():
            return np.asarray(~np.isnan(values[places]).all(axis=0))
        return np.empty(0, bool)

    def _numbers(self, name: str) -> np.ndarray:
        """A column of the points; NaN where there is none."""
        if name not in self._columns:
            nothing = np.full(len(self.rows), np.nan)
            column = (
                self.rows[name].to_numpy(float, na_value=np.nan) if name in self.rows else nothing
            )
            self._columns[name] = column
        return self._columns[name]

    def _drawn(self, metric: str, places: np.ndarray) -> tuple[np.ndarray, int]:
        """The metric of each point for each draw of the classes [DRAWS, n], and their number; 1
        where it was not scored by class.
        """
        stored = self._numbers(metric)[places]
        people = [self._numbers(f"human_{name}")[places] for name in BY_CLASS[:2]]
        if metric == DISTANCE and np.isfinite(people).all() and (people[0] > 0).all():
            across, classes = self._drawn(BY_CLASS[0], places)
            up, others = self._drawn(BY_CLASS[1], places)
            if min(classes, others) > 1:
                own = [self._numbers(name)[places] for name in BY_CLASS[:2]]
                drawn = np.empty(across.shape[::-1])
                for i, (x, y) in enumerate(zip(*people)):
                    drawn[i] = human_distance(across[:, i], up[:, i], x, y)
                    drawn[i] += stored[i] - human_distance(own[0][i], own[1][i], x, y)
                return np.maximum(drawn, 0.0).T, classes
        if metric == RATIO and (people[0] > 0).all():
            across, classes = self._drawn(BY_CLASS[0], places)
            return across / people[0], classes
        values = self.by_class[metric][places] if metric in self.by_class else None
        if values is None or np.isnan(values).all(axis=1).any():
            return np.broadcast_to(stored, (DRAWS, len(places))), 1
        known, classes = ~np.isnan(values), values.shape[1]
        weights = class_weights(classes)
        if known.all():
            away = values - values.mean(axis=1, keepdims=True)
            return weights @ away.T / classes + stored, classes
        away = np.where(known, values - np.nanmean(values, axis=1, keepdims=True), 0.0)
        counts = weights @ known.T.astype(float)
        return weights @ away.T / np.where(counts > 0, counts, np.nan) + stored, classes


def group_places(rows: pd.DataFrame, keys: Sequence[str]) -> list[np.ndarray]:
    """Which rows are of each group, in the order in which groups first appear.

    Args:
        rows: The rows.
        keys: The columns that make groups; an empty cell is a value.

    Returns:
        The numbers of the rows of each group, as of `groupby(keys, dropna=False, sort=False)`.
    """
    number = rows.groupby(list(keys), dropna=False, sort=False).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1) if len(rows) else []


def setting_means(results: Results, metric: str, frame: pd.DataFrame | None = None) -> list[Mean]:
    """The mean of a metric of each setting, in the order of `over_seeds`.

    Args:
        results: The results.
        metric: The metric.
        frame: Rows of points; all by default.

    Returns:
        The means.
    """
    rows = measured_rows(results, frame)
    scores = Scores(results, rows)
    places = group_places(rows, setting_keys(results, rows))
    return [scores.mean(metric, group) for group in places]


def with_intervals(results: Results, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """The table of `over_seeds` with `<metric>_low` and `<metric>_high` of each metric.

    Args:
        results: The results.
        frame: The rows of points to average; all by default.

    Returns:
        The table. The interval of a metric that was scored by class holds for other classes and,
        with several seeds, for other trainings; that of others for other trainings alone. People's
        distance to themselves has none.
    """
    means, rows = over_seeds(results, frame), measured_rows(results, frame)
    scores, places = Scores(results, rows), group_places(rows, setting_keys(results, rows))
    columns: dict[str, np.ndarray] = {}
    known = (*METRICS, *EXTRA_METRICS, *results.own_metrics)
    for metric in [name for name in known if f"{name}_se" in means]:
        bounds = [scores.mean(metric, group).bounds(metric) for group in places]
        columns |= columns_of_bounds(metric, bounds)
    out = means.assign(**columns)
    people = out["model"] == "human"
    if f"{DISTANCE}_low" in out:
        ends = [f"{DISTANCE}_low", f"{DISTANCE}_high"]
        out[ends] = out[ends].mask(people)
    return out


def columns_of_bounds(metric: str, ends: Iterable[tuple[float, float]]) -> dict[str, np.ndarray]:
    """Intervals as two columns.

    Args:
        metric: The metric.
        ends: The lower and the upper end of each row.

    Returns:
        `<metric>_low` and `<metric>_high`.
    """
    table = np.array(list(ends), float).reshape(-1, 2)
    return {f"{metric}_low": table[:, 0], f"{metric}_high": table[:, 1]}
