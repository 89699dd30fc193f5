"""How long what a run is about to do will take: the work of trainings, and their seconds. No torch.

The work of a training is its multiply-adds, from the counted cost of its model. Seconds follow from
those of the rows that are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from oneshot.paths import DataError
from oneshot.store import costs
from oneshot.store.costs import Shape
from oneshot.store.plan import Plan
from oneshot.sweep import families
from oneshot.sweep.point import Point, declared
from oneshot.types import Status

# multiply-adds a second and core: a first guess, until rows of this results folder say better
CPU_RATE = 2.5e10
REFERENCE_WORK = 1e9  # of drawing and scoring a point


def trial_work(points: Sequence[Point]) -> float:
    """Multiply-adds of all trainings and tunings of these points; a constant each where unknown.

    Args:
        points: of one trial or of many.
    """
    distinct = {p.train_id: p for p in points}.values()
    return sum(_work(p.model, p.settings) or REFERENCE_WORK for p in distinct) + _tunings(points)


def row_work(row: Mapping[str, Any]) -> float | None:
    """Multiply-adds of the training of a row; None where it is not known.

    Args:
        row: of any version; a setting that is younger than the row counts as its default.
    """
    return _work(row["model"], row)


def shapes(points: Sequence[Point]) -> list[Shape]:
    """The different shapes of models that these points train.

    Args:
        points: of any families.
    """
    found = (Shape.of(p.model, p.settings) for p in {p.train_id: p for p in points}.values())
    return list(dict.fromkeys(filter(None, found)))


def uncounted(plan: Plan) -> list[Shape]:
    """The shapes whose cost an estimate needs and which have not been counted.

    Args:
        plan: of a sweep; its rows matter, too, as their seconds are held against their work.
    """
    if not (wanted := shapes(plan.to_run)):
        return []
    there = [r.row for r in list(plan.log.records.values()) if r.row.get("train_seconds")]
    trained = filter(None, (Shape.of(row["model"], row) for row in there))
    return [s for s in costs.telling([*wanted, *trained]) if costs.load(s) is None]


def _tunings(points: Sequence[Point]) -> float:
    """Multiply-adds of the tunings of these points: steps x images x those of an image."""
    total = 0.0
    for point in {p.tune_id: p for p in points if p.tune_id != p.train_id}.values():
        shape = Shape.of(point.model, point.settings)
        if shape and (cost := costs.estimate(shape)):
            images = point.settings["tune_steps"] * point.settings["tune_batch"]
            total += images * cost.products + REFERENCE_WORK
    return total


def _work(model: str, values: Mapping[str, Any]) -> float | None:
    """Epochs x images x multiply-adds of an image, and a constant for drawing and scoring."""
    shape = Shape.of(model, values)
    cost = costs.estimate(shape) if shape else None
    if cost is None:
        return None
    fields = families.declaration("models", model).fields

    def value(name: str) -> Any:
        known = values.get(name)
        return fields[name].default if known is None and name in fields else known

    try:
        copies = value("augmented_copies") or 0
        copies = value("set_size") - 1 if copies < 0 else copies
        images = declared(values, "TRAIN_IMAGES")[values["split"]]
        if most := value("images_per_class"):
            classes = declared(values, "CLASSES")
            images = min(images, most * classes)
        if steps := value("epoch_steps"):
            of_sets = value("set_size")
            drawn = steps * value("batch_size") * (of_sets or 1)
            images = min(images, drawn) if of_sets else drawn  # a set is in an epoch once
        return value("epochs") * images * (1.0 + copies) * cost.products + REFERENCE_WORK
    except (KeyError, TypeError, FileNotFoundError, DataError):
        # an old row, perhaps of a data set that is gone
        return None


class OnDevice(NamedTuple):
    """What is still to run takes so long on one trial slot of a device, by its rows.

    Attributes:
        device: its name, as rows have it.
        rows: how many rows of it tell.
        seconds: of training, drawing and scoring.
    """

    device: str
    rows: int
    seconds: float


def by_device(plan: Plan, work: float) -> list[OnDevice]:
    """How long what is still to run takes on each device of which there are rows.

    Args:
        plan: of a sweep.
        work: of that, as `work_left` gives it.

    Returns:
        The device with the most rows first.
    """
    found = []
    for device, rows in _timed_rows(plan).items() if work else ():
        beside = [(r.get("draw_seconds") or 0) + (r.get("score_seconds") or 0) for r, _ in rows]
        each = sum(beside) / len(rows)
        found.append(OnDevice(device, len(rows), work * _rate(rows) + each * len(plan.to_run)))
    return found


def estimate(plan: Plan, work: float) -> tuple[float | None, str]:
    """Seconds that the trainings still to run take on this machine, and the basis of the figure.

    Args:
        plan: of a sweep.
        work: of these trainings, as `work_left` gives it.

    Returns:
        Both, by the rows of the device with most of them; or None and the reason where there is no
        figure.
    """
    if not work:
        return None, _why_no_estimate(plan)
    rate = 1 / CPU_RATE
    basis = "a rough guess from operation counts; run --limit 2 for a better one"
    if timed := _timed_rows(plan):
        device, rows = next(iter(timed.items()))
        rate, basis = _rate(rows), f"from {len(rows):,} rows on {device}"
    return work * rate / max(plan.cpus, 1), basis + _how_counted(plan)


def work_left(plan: Plan) -> float:
    """Multiply-adds of the trainings and tunings still to run; 0 where they are not known.

    Args:
        plan: of a sweep, whose store is listed.
    """
    trained = {p.train_id: p for p in plan.to_run if Shape.of(p.model, p.settings)}
    works = {i: w for i, p in trained.items() if (w := _work(p.model, p.settings))}
    if not works:
        return 0.0
    stored, _ = plan.trainings()
    usual = sum(works.values()) / len(works)  # of models of a kind that is not counted
    work = sum(REFERENCE_WORK if i in stored else works.get(i, usual) for i in trained)
    return work + _tunings([p for p in plan.to_run if p.tune_id not in stored])


Timed = list[tuple[Mapping[str, Any], float]]  # rows that trained, with the work of that


def _timed_rows(plan: Plan) -> dict[str, Timed]:
    """The rows of trainings whose seconds and work are known, by device; most rows first."""
    found: dict[str, Timed] = {}
    for row in (r.row for r in plan.log.records.values()):
        if row["status"] == Status.DONE and row.get("train_seconds") and (work := row_work(row)):
            found.setdefault(row.get("device") or "a device not told", []).append((row, work))
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _rate(rows: Timed) -> float:
    """Seconds of one multiply-add on one trial slot."""
    return float(sum(row["train_seconds"] for row, _ in rows) / sum(work for _, work in rows))


def _why_no_estimate(plan: Plan) -> str:
    if not plan.to_run:
        return "nothing is to run"
    if not shapes(plan.to_run):
        return f"{plan.sweep.model} trains nothing"
    return f"the work of {plan.sweep.model} is not counted yet"


def _how_counted(plan: Plan) -> str:
    """A remark where the work of some models follows from that of others."""
    wanted = shapes(plan.to_run)
    counted = sum(costs.load(shape) is not None for shape in wanted)
    if counted == len(wanted):
        return ""
    return f"; {counted} of {len(wanted)} model shapes counted, the others interpolated"
