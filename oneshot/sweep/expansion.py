"""A sweep expands to points: settings are resolved, validated, and no point is given twice."""

from __future__ import annotations

from collections.abc import Sequence

from oneshot.sweep import families, own_metrics
from oneshot.sweep.definition import Sweep
from oneshot.sweep.graders import any_from_drawings
from oneshot.sweep.own_metrics import OwnMetric
from oneshot.sweep.parts import SweepError
from oneshot.sweep.point import Point, kind_of
from oneshot.sweep.point_maker import PointMaker
from oneshot.sweep.resolver import Resolver, defaults
from oneshot.sweep.settings import COMMON
from oneshot.types import is_class_split

MOST_PROBLEMS = 10  # so many are reported at once


def expand(sweep: Sweep) -> list[Point]:
    """All points of a sweep, in its order, references first.

    Raises:
        SweepError: with the first ten of all mistakes; everything is validated here.
    """
    # Resolve: every setting of every row, each distinct value checked once.
    resolver = Resolver(sweep)
    rows = [row for part in sweep.parts for row in resolver.rows_of(part)]
    # Validate: what settings that are allowed exclude together.
    resolver.check_together(rows)
    _refuse(list(resolver.problems.items()))
    # Make the points, and with them their ids.
    metrics = own_metrics.known(sweep.metrics)
    maker, seeds = PointMaker(resolver.critics, sweep.critic_seed, metrics), sweep.seed_list()
    points = [
        maker.make(resolver.family, row.base, row.given, seed, resolver.axes, row.place)
        for row in rows
        for seed in seeds
    ]
    # No point may be given twice.
    _refuse(_duplicates(points, sweep.axes))
    _refuse(_unused(metrics, points))
    return _references(sweep, maker, points) + points


def count(sweep: Sweep) -> int:
    """How many points of its own model a sweep has, without making them.

    What settings exclude together is asked of the first and the last row of each part alone, and
    points that are given twice are counted twice: `expand` finds these mistakes.

    Raises:
        SweepError: as `expand` for everything else that is wrong.
    """
    resolver, rows_in_all = Resolver(sweep), 0
    for part in sweep.parts:
        rows = resolver.rows_of(part) if part.kind == "line" else resolver.end_rows_of(part)
        resolver.check_together([rows[0], rows[-1]] if rows else [])
        rows_in_all += len(rows) if part.kind == "line" else len(part.rows)
    _refuse(list(resolver.problems.items()))
    return rows_in_all * len(sweep.seed_list())


def _refuse(problems: list[tuple[str, str]]) -> None:
    """Raise SweepError if there are mistakes: their messages, with where each was made."""
    if problems:
        raise SweepError(problems[:MOST_PROBLEMS])


def _duplicates(points: Sequence[Point], axes: Sequence[str]) -> list[tuple[str, str]]:
    """The points that are given twice, with where."""
    first: dict[str, Point] = {}
    problems = []
    for point in points:
        other = first.setdefault(point.point_id, point)
        if other is not point:
            places = " and ".join(dict.fromkeys([other.place, point.place]))
            problems.append((f"one point is given twice: {point.label(axes)}", places))
    return problems


def _unused(metrics: Sequence[OwnMetric], points: Sequence[Point]) -> list[tuple[str, str]]:
    """The metrics of the user's that score no point, with the kinds of drawings that there are."""
    if not metrics:
        return []
    used = {name for point in points for name, _, _ in point.metrics}
    kinds = {kind_of(p.settings["dataset"], p.settings["colour"]) for p in points}
    drawn = any(p.settings["drawings_per_class"] for p in points)
    there = f"the drawings are {', '.join(sorted(kinds))}" if drawn else "nothing is drawn"
    return [
        (f"metrics: {m.name} scores {', '.join(m.kinds)}, and {there}", m.file.shown)
        for m in metrics
        if m.name not in used
    ]


def _references(sweep: Sweep, maker: PointMaker, points: Sequence[Point]) -> list[Point]:
    """The points of the reference families, one for each data on which models are scored.

    Of those for base and novel classes, one also for each value of the settings that they share
    with the model, as the number of shots.
    """
    common = [name for name in COMMON if name != "variant"]
    model = families.declaration("models", sweep.model).fields
    names = [name for name in sweep.references if name != sweep.model]
    known = {name: families.declaration("models", name) for name in names}
    own = {
        name: [n for n in family.fields if families.on_class_splits(name) and n in model]
        for name, family in known.items()
    }
    shared = list(dict.fromkeys([*common, *(n for settings in own.values() for n in settings)]))
    values = dict.fromkeys(
        tuple(point.settings[name] for name in shared)
        for point in points
        if any_from_drawings(point.graders)
    )
    references: dict[str, Point] = {}
    for given in (dict(zip(shared, some)) for some in values):
        kind = kind_of(given["dataset"], given["colour"])
        few_shot = is_class_split(given["split"])
        for name, family in known.items():
            if families.on_class_splits(name) == few_shot and kind in families.kinds(name):
                base = defaults(family) | {n: given[n] for n in (*common, *own[name])}
                if name == "human":
                    base["file"] = base["human_file"]
                point = maker.make(family, base, {}, sweep.seed_list()[0], (), "")
                references.setdefault(point.point_id, point)
    return list(references.values())
