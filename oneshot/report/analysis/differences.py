"""What differs between two results of the same settings, beyond chance.

Each class is compared with itself, and each seed where both results have it. So a difference is
known better than the two means are. The noise between seeds is pooled over settings, so that two or
three seeds each are enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from oneshot.report.analysis.chance import Noise
from oneshot.report.analysis.intervals import Mean, Scores, group_places
from oneshot.report.analysis.resampling import CHANCE, freedom, holm, t_limit, t_tail
from oneshot.report.averages import measured_rows
from oneshot.report.columns import EXTRA_METRICS, METRICS
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results, several_critics
from oneshot.store.tables import column_names
from oneshot.sweep.definition import NULLS, REFERENCES

COLUMNS = ["metric", "first", "second", "difference", "low", "high", "p", "p_holm", "moved"]
CRITICS = ["simclr_id", "protonet_id", "classifier_id"]


def differences(one: Results, other: Results) -> pd.DataFrame:
    """Differences of the settings that two results share, second less first.

    Args:
        one: The first results.
        other: The second ones.

    Returns:
        One row a setting and metric: the model and the axes, `seeds` (compared with themselves; 0
        where the two have no seed in common), the two means, their difference with its 95 %
        interval, `p`, `p_holm` (Holm's correction over all rows) and `moved` (p_holm below 0.05).

    Raises:
        AnalysisError: No setting is in both, or no two of them were scored by the same critics.
    """
    first, second = _comparable(one), _comparable(other)
    keys = shared_keys(one, other)
    first, second = _same_critics(first, second)
    names = _class_names(one, first) | _class_names(other, second)
    sides = Scores(one, first, sorted(names)), Scores(other, second, sorted(names))
    groups = [_by_setting(scores.rows, keys) for scores in sides]
    shared = [setting for setting in groups[0] if setting in groups[1]]
    if not shared:
        raise AnalysisError(
            f"no setting of {one.name} is in {other.name} with the same {', '.join(keys)}",
            "Compare results of the same sweep, or of sweeps with settings in common.",
        )
    several = several_critics(one) or several_critics(other)
    found: dict[str, list[_Pair]] = {}
    for setting in shared:
        places = [group[setting] for group in groups]
        _check_same_classes(sides, places, (one.name, other.name))
        named = dict(zip(keys, sides[0].rows.iloc[places[0][0]][keys]))
        for metric in _metrics(sides, several):
            found.setdefault(metric, []).append(_pair(sides, places, metric, named))
    rows = [
        row
        for metric, pairs in found.items()
        for row in _rows_of(metric, [pair for pair in pairs if np.isfinite(pair.difference)])
    ]
    table = pd.DataFrame(rows, columns=[*keys, "seeds", *COLUMNS])
    table["p_holm"] = holm(table["p"].to_numpy(float))
    table["moved"] = table["p_holm"] < CHANCE
    return table


def shared_keys(one: Results, other: Results) -> list[str]:
    """The columns by which settings of two results are the same.

    Args:
        one: The first results.
        other: The second ones.

    Returns:
        The model and the axes of both that are columns of both.
    """
    axes = [axis for axis in (*one.axes, *other.axes) if axis != "sweep"]
    names = dict.fromkeys(["model", *axes])
    return [name for name in names if name in one.points and name in other.points]


def other_changes(one: Results, other: Results) -> list[str]:
    """What else two results differ in: settings with one value in each, as `epochs 100, then 200`.

    Args:
        one: The first results.
        other: The second ones.

    Returns:
        A text a setting.
    """
    known = column_names() | set(shared_keys(one, other))
    found = []
    for name in [name for name in one.models if name in other.models and name not in known]:
        values = [part.models[name].dropna().unique() for part in (one, other)]
        if all(len(value) == 1 for value in values) and values[0][0] != values[1][0]:
            found.append(f"{name} {values[0][0]}, then {values[1][0]}")
    return found


def _comparable(results: Results) -> pd.DataFrame:
    """The measured rows of models."""
    rows = measured_rows(results)
    return rows[~rows["model"].isin((*REFERENCES, *NULLS))]


def _same_critics(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows scored by critics that both results have; AnalysisError if there are none."""
    names = [name for name in CRITICS if name in first and name in second]
    if not names:
        return first, second
    used = [part[names].astype(object).where(part[names].notna(), None) for part in (first, second)]
    used_pairs = [pd.Series(list(map(tuple, part.to_numpy())), index=part.index) for part in used]
    both = set(used_pairs[0]) & set(used_pairs[1])
    kept = [part[pairs.isin(both)] for part, pairs in zip((first, second), used_pairs)]
    if not both and len(first) and len(second):
        raise AnalysisError(
            "the two results were scored by different critics, so a difference may be that of the"
            " critics",
            "Score both with the same `critics` and `critic_seed`.",
        )
    return kept[0], kept[1]


def _class_names(results: Results, rows: pd.DataFrame) -> set[str]:
    """The test classes that some points were scored on."""
    table = results.classes
    if "class_name" not in table:
        return set()
    return set(table.loc[table["point_id"].isin(rows["point_id"]), "class_name"].dropna())


def _check_same_classes(
    sides: tuple[Scores, Scores], places: list[np.ndarray], names: tuple[str, str]
) -> None:
    """Raise AnalysisError if two results scored a setting on different test classes."""
    first, second = (scores.classes_of(at) for scores, at in zip(sides, places))
    if len(first) and len(second) and (first != second).any():
        raise AnalysisError(
            f"{names[0]} and {names[1]} were scored on different test classes"
            f" ({int(first.sum())} and {int(second.sum())}, {int((first & second).sum())} of them"
            " in both)",
            "Compare results of one data set and split.",
        )


def _by_setting(rows: pd.DataFrame, keys: list[str]) -> dict[tuple[object, ...], np.ndarray]:
    """Setting -> the numbers of its rows; numbers of any type compare, an empty cell is None."""
    places = group_places(rows, keys)
    names = [tuple(_plain(rows[key].iloc[at[0]]) for key in keys) for at in places]
    return dict(zip(names, places))


def _plain(value: object) -> object:
    """A cell as a value that equals that of another table."""
    if value is None or value is pd.NA or value != value:
        return None
    return float(value) if isinstance(value, (int, float, np.number)) else str(value)


def _common_seeds(sides: tuple[Scores, Scores], places: list[np.ndarray]) -> list[int]:
    """The seeds that both have at a setting; none if one of several is too few to tell."""
    of = [set(scores.rows["seed"].iloc[at].tolist()) for scores, at in zip(sides, places)]
    common = sorted(of[0] & of[1])
    return common if len(common) > 1 or max(map(len, of)) == 1 else []


def _metrics(sides: tuple[Scores, Scores], several: bool) -> list[str]:
    """The metrics that both have; with several critics not the raw diversity."""
    left_out = {"diversity"} if several else {"diversity_ratio"}
    names = [name for name in (*METRICS, *EXTRA_METRICS) if name not in left_out]
    return [
        name for name in names if all(name in s.rows and s.rows[name].notna().any() for s in sides)
    ]


@dataclass(frozen=True, eq=False)
class _Pair:
    """A setting in two results.

    Attributes:
        named: The model and the axes.
        first: The mean of the first.
        second: The mean of the second.
        seeds: How many seeds are compared with themselves; 0 where they are independent.
    """

    named: dict[str, object]
    first: Mean
    second: Mean
    seeds: int

    @property
    def difference(self) -> float:
        """Second less first."""
        return self.second.value - self.first.value

    def samples(self) -> list[np.ndarray]:
        """What varies between seeds: their differences, or the seeds of each."""
        if self.seeds:
            return [self.second.by_seed - self.first.by_seed]
        return [self.first.by_seed, self.second.by_seed]


def _pair(
    sides: tuple[Scores, Scores], places: list[np.ndarray], metric: str, named: dict[str, object]
) -> _Pair:
    """A metric of one setting in both results, of the seeds of both if they have any."""
    seeds = _common_seeds(sides, places)
    if seeds:
        places = [at[s.rows["seed"].iloc[at].isin(seeds)] for s, at in zip(sides, places)]
    first, second = (scores.mean(metric, at) for scores, at in zip(sides, places))
    paired = len(first.by_seed) == len(second.by_seed) == len(seeds)
    return _Pair(named, first, second, len(seeds) if paired else 0)


def _rows_of(metric: str, pairs: list[_Pair]) -> Iterator[dict[str, object]]:
    """The rows of a metric; noise between seeds is pooled over settings paired alike."""
    for paired in (True, False):
        alike = [pair for pair in pairs if (pair.seeds > 0) == paired]
        noise = pooled_noise([sample for pair in alike for sample in pair.samples()])
        for pair in alike:
            low, high, p = difference_interval(pair.first, pair.second, noise, paired=paired)
            yield {
                **pair.named,
                "seeds": pair.seeds,
                "metric": metric,
                "first": pair.first.value,
                "second": pair.second.value,
                "difference": pair.difference,
                "low": low,
                "high": high,
                "p": p,
            }


def pooled_noise(samples: Sequence[np.ndarray]) -> Noise:
    """The standard deviation within several samples, pooled.

    Args:
        samples: Values each.

    Returns:
        The noise; unknown where each sample has one value.
    """
    df = sum(len(sample) - 1 for sample in samples)
    squares = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in samples)
    return Noise(float(np.sqrt(squares / df)), df) if df else Noise(0.0, 0)


def difference_interval(
    first: Mean, second: Mean, noise: Noise, *, paired: bool
) -> tuple[float, float, float]:
    """The 95 % interval of a difference of two means of the same classes, and its p value.

    Args:
        first: A mean.
        second: Another one, of the same classes in the same order.
        noise: The noise between seeds: of their differences if they are paired, else of each.
        paired: Whether their seeds are the same ones.

    Returns:
        The ends of the interval and p by Student's t, the error over classes from bootstrap; NaN
        where there is one seed and one class.
    """
    difference, classes = second.value - first.value, min(first.classes, second.classes)
    counts = [len(mean.by_seed) for mean in (first, second)]
    rest = noise.variance(counts[0] if paired else 1 / (1 / counts[0] + 1 / counts[1]))
    shared = float(np.nanvar(second.class_draws - first.class_draws))
    parts = [(shared * classes / max(classes - 1, 1), classes), rest]
    df, error = freedom(parts), float(np.sqrt(sum(v for v, n in parts if n > 1)))
    if not df:
        return float("nan"), float("nan"), float("nan")
    scale = max(abs(first.value), abs(second.value), 1e-12)
    if error <= 1e-9 * scale:
        return difference, difference, float(abs(difference) <= 1e-6 * scale)
    reach = t_limit(df) * error
    return difference - reach, difference + reach, t_tail(difference / error, df)
