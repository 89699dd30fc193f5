"""Which points of a sweep run next, chosen by the rows that are there: `--refine` and `--suggest`.

Both choose among the points of the sweep's own grid, so that rows stay comparable and the grid can
be completed later by a run without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oneshot.metrics.distance import UNIT_DIVERSITY, UNIT_RECOGNIZABILITY
from oneshot.store import map_search, suggest
from oneshot.store.plan import CannotChoose, Plan
from oneshot.store.tables import LARGEST_FIRST
from oneshot.sweep.point import Point
from oneshot.sweep.positions import axis_values, cells_of, positions
from oneshot.types import Status

LEAST_ROWS = 4  # from which a map can be refined
BEGUN = "its training was begun"


def narrow(plan: Plan, refine: int | None, suggested: str) -> None:
    """Let a plan run chosen points only, references beside them, and note why each was chosen.

    A training that was begun goes on first.

    Args:
        plan: whose `to_run` and `reasons` change.
        refine: how many points to add to the map; None to ask a sampler instead.
        suggested: the sampler to ask, and after a colon for how many points.

    Raises:
        CannotChoose: there are too few rows, or no sampler.
    """
    name, _, number = suggested.partition(":")
    count = refine or int(number or suggest.DEFAULT_COUNT)
    grid = _Grid(plan)
    chosen = grid.begun()[:count]
    left = count - len(chosen)
    if left:
        chosen += grid.refined(left, chosen) if refine else grid.suggested(name, left, chosen)
    plan.reasons = {point.point_id: reason for point, reason in chosen}
    references = [p for p in plan.to_run if p.model != plan.sweep.model]
    plan.to_run = [*references, *(point for point, _ in chosen)]


Chosen = list[tuple[Point, str]]


class _Grid:
    """The cells of a sweep: points that differ in their seed alone are one."""

    def __init__(self, plan: Plan):
        self.plan, self.axes = plan, plan.sweep.axes
        self.cells = cells_of(plan.sweep, plan.all_points)
        firsts = [points[0] for points in self.cells]
        self.at = positions(firsts, self.axes)
        self.measure = plan.measure()
        self.sign = -1.0 if self.measure in LARGEST_FIRST else 1.0
        missing = {p.point_id for p in plan.to_run}
        self.missing = [[p for p in cell if p.point_id in missing] for cell in self.cells]
        self.rows = [[r for p in cell if (r := self._row(p))] for cell in self.cells]

    def _row(self, point: Point) -> Mapping[str, Any] | None:
        record = self.plan.log.records.get(point.point_id)
        return record.row if record else None

    def label(self, cell: int) -> str:
        """A cell in words."""
        return self.cells[cell][0].label(self.axes).rpartition(" seed=")[0]

    def begun(self) -> Chosen:
        """The points to run whose training left a checkpoint."""
        ended, begun = self.plan.trainings()
        going_on = begun - ended
        own = [point for cell in self.missing for point in cell]
        return [(p, BEGUN) for p in own if p.train_id in going_on or p.tune_id in going_on]

    def values(self, cell: int) -> list[float]:
        """What ranks the rows of a cell, as they are."""
        done = [row for row in self.rows[cell] if row["status"] == Status.DONE]
        return [value for row in done if (value := self.value(row)) is not None]

    def value(self, row: Mapping[str, Any]) -> float | None:
        """What ranks a row; None where it has no such number."""
        value = row.get(self.measure)
        return float(value) if value is not None and np.isfinite(value) else None

    def refined(self, count: int, chosen: Chosen) -> Chosen:
        """Points between rows whose places differ most, and where the best value is expected."""
        places, measured = self._places()
        if len(measured) < LEAST_ROWS:
            raise CannotChoose(
                f"there is nothing to refine yet: {len(measured)} places of the grid have a row,"
                f" {LEAST_ROWS} are needed",
                'run some points first, as with --limit 16; order="spread" in the sweep file'
                " lets them cover the grid",
            )
        taken = self._cells_of(chosen)
        free = [c for c, points in enumerate(self.missing) if points and not self.rows[c]]
        free = [c for c in free if c not in taken]
        if not free and not chosen:
            raise CannotChoose(
                "there is nothing left to refine: every place of the grid has a row",
                "leave --refine out to run the other seeds",
            )
        values = np.array([self.sign * np.mean(self.values(c)) for c in measured])
        known = map_search.Known(self.at[measured], places, values)
        tried = {c for c, rows in enumerate(self.rows) if rows} - set(measured) | taken
        picks = map_search.choose(known, self.at[free], count, self.at[sorted(tried)])
        found = []
        for pick in picks:
            one, other = (self.label(measured[index]) for index in sorted(pick.between))
            reason = f"between {one} and {other}, {pick.apart:.2f} apart"
            if pick.for_best:
                reason = f"{self.measure} {self.sign * pick.expected:.3g} expected, {reason}"
            found.append((self.missing[free[pick.candidate]][0], reason))
        return found

    def _places(self) -> tuple[np.ndarray, list[int]]:
        """Where cells lie on the map, as the mean of their rows, and which cells have rows.

        The map is the plane where rows have it, else the ranking metric in standard deviations.
        """
        done = [[r for r in rows if r["status"] == Status.DONE] for rows in self.rows]
        on_plane = [[place for row in rows if (place := _on_plane(row))] for rows in done]
        if not any(on_plane):
            on_plane = [[[value] for value in self.values(c)] for c in range(len(self.cells))]
        measured = [c for c, found in enumerate(on_plane) if found and self.values(c)]
        if not measured:
            return np.zeros((0, 1)), []
        places = np.array([np.mean(on_plane[c], axis=0) for c in measured])
        if places.shape[1] == 1:
            places = places / max(float(places.std()), 1e-12)
        return places, measured

    def suggested(self, name: str, count: int, chosen: Chosen) -> Chosen:
        """Points nearest to those that a sampler asks for."""
        told = [
            (self._of(c), None if (value := self.value(row)) is None else self.sign * value)
            for c, rows in enumerate(self.rows)
            for row in rows
            if row["status"] in (Status.DONE, Status.DIVERGED)
        ]
        if told and all(value is None for _, value in told):
            raise CannotChoose(
                f"no row has {self.measure}, by which --suggest ranks points",
                "--refine needs none on the plane; a run without both takes the sweep's order",
            )
        taken = self._cells_of(chosen)
        free = [c for c, points in enumerate(self.missing) if points and c not in taken]
        firsts = [points[0] for points in self.cells]
        values = {axis: axis_values(firsts, axis) for axis in self.axes}
        try:
            asked = suggest.ask(name, values, [self._of(c) for c in free], told, count)
        except suggest.NotInstalled as error:
            raise CannotChoose(str(error), error.help) from error
        return [(self.missing[free[i]][0], reason) for i, reason in asked]

    def _cells_of(self, chosen: Chosen) -> set[int]:
        """The cells of points that are chosen already."""
        ids = {p.point_id for p, _ in chosen}
        return {c for c, points in enumerate(self.missing) for p in points if p.point_id in ids}

    def _of(self, cell: int) -> dict[str, Any]:
        """The values of a cell by axis."""
        settings = self.cells[cell][0].settings
        return {axis: settings[axis] for axis in self.axes}


def _on_plane(row: Mapping[str, Any]) -> list[float] | None:
    """The place of a row on the plane, in its units; None where it has none."""
    across, up = row.get("diversity_ratio"), row.get("recognizability")
    if across is None or up is None or not np.isfinite([across, up]).all():
        return None
    return [across / UNIT_DIVERSITY, up / UNIT_RECOGNIZABILITY]
