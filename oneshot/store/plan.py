"""What a run is about to do: the points of a sweep compared with the records that are there.

No torch, no Ray; writes nothing but tables. Records may be older than this
version of the code: settings may be missing in them, and families may be gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneshot.store import notes
from oneshot.store.compaction import check_format, compact
from oneshot.store.log import Log
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep import Sweep, families, shards
from oneshot.sweep import filter as where
from oneshot.sweep.expansion import expand
from oneshot.sweep.graders import any_from_drawings, need_weights
from oneshot.sweep.point import Point
from oneshot.sweep.settings import COMMON, SettingError
from oneshot.sweep.shards import Shard
from oneshot.types import Status

# what the quality of a critic holds besides the columns of its table
NOT_SHOWN = ("curve", "settings", "class_accuracy", "confusion")


# ids follow from the rest, and what images are is told by their fingerprint, not by their place
NOT_COMPARED = ("point_id", "train_id", "tune_id", "sample_id", "data_path")


class NothingSelected(ValueError):
    """No point of the sweep fulfils the condition; `help` says what its columns hold."""

    def __init__(self, condition: str, help: str):
        super().__init__(f"no point fulfils {condition!r}")
        self.help = help


class CannotChoose(ValueError):
    """Rows or what is installed allow no choice of points; `help` says what to do."""

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help


@dataclass
class Plan:
    """What a run of a sweep is about to do.

    Args:
        sweep: what is asked.
        store: where its results are.
        log: the records that are there.
        all_points: of the sweep, references first.
        points: those selected.
        to_run: those of them that are run, in this order: without a result, or to be run again.
        cpus: cores of this machine.
        shard: the part of the sweep that is selected; None for all of it.
        reasons: why points were chosen by the rows that are there, by point_id.
    """

    sweep: Sweep
    store: Store
    log: Log
    all_points: list[Point]
    points: list[Point]
    to_run: list[Point]
    cpus: int = 1
    shard: Shard | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    _kinds: set[tuple[Any, ...]] = field(default_factory=set)

    def status(self, point: Point) -> str:
        """`done`, `diverged`, `failed`, or `missing` when there is no record."""
        record = self.log.records.get(point.point_id)
        return record.row["status"] if record else Status.MISSING

    def counts(self) -> Counter[str]:
        """How many of the selected points have each status."""
        return Counter(self.status(p) for p in self.points)

    @property
    def before(self) -> int:
        """How many of the selected points have a result and are not run again."""
        again = {p.point_id for p in self.to_run}
        return sum(
            p.point_id not in again and self.status(p) != Status.MISSING for p in self.points
        )

    def trainings(self) -> tuple[set[str], set[str]]:
        """The train_ids of finished trainings, and of those that left a checkpoint.

        Of tunings, too, their tune_ids. One whose weights were dropped counts as finished where
        its drawings are all that is needed.
        """
        ended, begun, dropped = set(), set(), set()
        tuned = any(p.tune_id != p.train_id for p in self.all_points)
        folders = ("store/trainings", "store/tunings") if tuned else ("store/trainings",)
        for key in (key for folder in folders for key in self.store.keys(folder)):
            train_id, _, name = key.split("/", 2)[2].partition("/")
            if name == "training.pt":
                ended.add(train_id)
            elif name == "summary.pt":
                dropped.add(train_id)
            elif name.startswith("checkpoint") and name.endswith(".pt"):
                begun.add(train_id)
        if dropped := dropped - ended:
            drawn = {key.split("/")[2] for key in self.store.keys("store/drawings")}
            lacking = {
                of
                for p in self.to_run
                if p.sample_id not in drawn or need_weights(p.graders)
                for of in (p.train_id, p.tune_id)
            }
            ended |= dropped - lacking
        return ended, begun

    def current_records(self) -> list[Record]:
        """The records of this sweep's settings, in the order of its points.

        They may have any axis value and seed, but the same fixed settings, critics and versions.
        """
        if not self._kinds:
            self._kinds = {s for p in self.all_points if (s := signature(p.row(), self.sweep.axes))}
        order = {p.point_id: i for i, p in enumerate(self.all_points)}
        chosen = [
            r
            for r in list(self.log.records.values())
            if signature(r.row, self.sweep.axes) in self._kinds
        ]
        return sorted(
            chosen, key=lambda r: (order.get(r.row["point_id"], len(order)), r.row["point_id"])
        )

    def compact(self, records: Sequence[Record] | None = None, whole: bool = True) -> None:
        """Write the tables of records.

        Args:
            records: which; all current ones if None.
            whole: False if large tables of arrays may wait for a later call.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        records = self.current_records() if records is None else records
        latest = max(records, key=lambda r: r.row.get("finished_at") or "", default=None)
        meta = {
            "question": self.sweep.question,
            "model": self.sweep.model,
            "revision": latest.row.get("git_revision") if latest else "",
        }
        compact(self.store, self.sweep.name, records, self.sweep.axes, meta, whole, self.log.parts)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(self.critic_rows()), sink)
        self.store.write(f"{self.sweep.name}/critics.parquet", sink.getvalue().to_pybytes())

    def measure(self) -> str:
        """By which column points are compared.

        Returns:
            "human_distance", the distance to people, the lower the better; "mode_distance", that of
            the shares of the modes from the data's, of points of the plane, the lower the better;
            "hits_missing" of greys, the higher the better; "classified_gain" of few shots, the
            higher the better; "nelbo" where nothing scores drawings, the lower the better.
        """
        if any(p.scored for p in self.points):
            return "human_distance"
        if any("modes" in p.graders for p in self.points):
            return "mode_distance"
        if any("few_shot" in p.graders for p in self.points):
            return "classified_gain"
        classified = any(any_from_drawings(p.graders, own=False) for p in self.points)
        return "hits_missing" if classified else "nelbo"

    def critic_rows(self) -> list[dict[str, Any]]:
        """The quality of every critic of the sweep that is in the store, one row each."""
        # the tables that a shard writes are those of all shards
        points = self.all_points if self.shard else self.points
        specs = {spec.id: spec for p in points for spec in p.critics.values()}
        found = [
            row
            for s in specs.values()
            if (row := notes.stored(self.store, s.quality_key)) is not None
        ]
        names = dict.fromkeys(k for row in found for k in row if k not in NOT_SHOWN)
        return [{k: row.get(k) for k in names} for row in found]

    def stale(self) -> list[str]:
        """Why rows of the same assignment are not used again, with counts, in words."""
        here = {_assignment(p.row(), self.sweep.axes): p.row() for p in self.all_points}
        reasons: Counter[str] = Counter()
        for point_id, record in self.log.records.items():
            now = here.get(_assignment(record.row, self.sweep.axes))
            if now and now["point_id"] != point_id:
                reasons[_difference(now, record.row)] += 1
        return [f"{count:,} rows: {reason}" for reason, count in reasons.most_common()]


def make(
    chosen: Sweep,
    store: Store,
    condition: str = "",
    limit: int | None = None,
    retry_failed: bool = False,
    cpus: int = 1,
    rows_only: bool = False,
    shard: Shard | None = None,
) -> Plan:
    """Expand a sweep, select, and hold it against the store.

    Args:
        chosen: the sweep.
        store: where its results are.
        condition: a filter of its model's points; references stay.
        limit: the most points of the model that are to run.
        retry_failed: whether failed points are to run.
        cpus: cores of this machine.
        rows_only: for a plan that is only shown and writes no tables.
        shard: the part of the sweep that is selected; None for all of it.

    Returns:
        The plan.

    Raises:
        SweepError: a mistake in the sweep.
        FilterError: a mistake in the condition.
        NewerFormat: the results are of a newer version.
        NothingSelected: the condition holds for no point of the model.
    """
    check_format(store, chosen.name)
    everything = expand(chosen)
    log = Log(store, chosen.name, rows_only)
    log.update()

    def status(point: Point) -> str:
        record = log.records.get(point.point_id)
        return record.row["status"] if record else Status.MISSING

    points = everything
    if condition:
        known = {**everything[-1].row(), "status": ""}
        test = where.compile(condition, known)
        points = [
            p
            for p in everything
            if p.model != chosen.model or test({**p.row(), "status": status(p)})
        ]
        if not any(p.model == chosen.model for p in points):
            raise NothingSelected(
                condition,
                _held(condition, [p for p in everything if p.model == chosen.model], status),
            )
    if shard:
        part_of = shards.assign(everything, shard.count)
        points = [p for p in points if part_of[p.train_id] == shard.index]
    wanted = {Status.MISSING, Status.FAILED} if retry_failed else {Status.MISSING}
    to_run = [p for p in points if status(p) in wanted]
    if chosen.order != "product":
        from oneshot.sweep.ordering import in_run_order  # imports NumPy

        to_run = in_run_order(chosen, everything, to_run)
    if limit is not None:
        first = {p.point_id for p in [p for p in to_run if p.model == chosen.model][:limit]}
        to_run = [p for p in to_run if p.model != chosen.model or p.point_id in first]
    return Plan(chosen, store, log, everything, points, to_run, cpus, shard)


def _held(condition: str, points: Sequence[Point], status: Callable[[Point], str]) -> str:
    """What the columns of a condition hold, as in `beta is 0.0 .. 4.0 (17 values)`."""
    rows = [{**p.row(), "status": status(p)} for p in points]
    parts = []
    for name in sorted(where.columns(condition)):
        values = [
            f"{v:g}" if isinstance(v, float) else str(v)
            for v in dict.fromkeys(row[name] for row in rows)
        ]
        few = (
            ", ".join(values)
            if len(values) <= 5
            else f"{values[0]} .. {values[-1]} ({len(values)} values)"
        )
        parts.append(f"{name} is {few}")
    return "; ".join(parts) or "leave --where out for all points"


def critic_text(row: Mapping[str, Any]) -> str:
    """The quality of a critic in words."""
    name = f"{row['critic']} {row['critic_id'][:6]}"
    if row["critic"] in ("classifier", "base_classifier"):
        of = "real test images" if row["critic"] == "classifier" else "real images of base classes"
        return (
            f"{name} tells {row['test_accuracy']:.1f} % of {row['test_images']:,} {of}"
            f" (chance {row['chance_accuracy']:.0f} %; worst class {row['worst_class']}:"
            f" {row['worst_accuracy']:.1f} %), calibration error {row['calibration_error']:.3f}"
        )
    if row.get("test_recognizability") is not None:  # ProtoNet, and critics of the user's
        percent = f"{row['test_recognizability']:.1f} % of real test drawings"
        return (
            f"{name} recognises {percent}, {row['test_ways']}-way one-shot (chance"
            f" {row['chance_recognizability']:.0f} %)"
        )
    levels = f"knowing nothing {row['chance_loss']:.2f}, perfect {row['orthogonal_loss']:.2f}"
    return f"{name} has test NT-Xent {row['test_loss']:.2f} (batch {row['test_batch']}: {levels})"


def signature(row: Mapping[str, Any], axes: Sequence[str]) -> tuple[Any, ...] | None:
    """What the rows of one table share.

    Args:
        row: of a record.
        axes: settings that may differ.

    Returns:
        Family, fixed settings, critics and versions of the code; None for a row of a family that
        this version does not have.
    """
    known = _family_settings(row["model"])
    if known is None:
        return None
    return (
        row["model"],
        *(row.get(n) for n in known if n not in axes),
        *(row.get(n) for n in ("simclr_id", "protonet_id", "family_version", "metric_versions")),
        row.get("classifier_id") or "",  # rows of earlier versions have none
    )


@families.kept
def _family_settings(model: str) -> tuple[str, ...] | None:
    """The names of all settings of a family; None if there is no such family."""
    try:
        names = (*COMMON, *families.declaration("models", model).fields)
    except SettingError:
        return None
    # the same images may lie elsewhere
    return tuple(name for name in names if name != "data_path")


def _assignment(row: Mapping[str, Any], axes: Sequence[str]) -> tuple[Any, ...]:
    return (row["model"], row.get("seed"), *(row.get(a) for a in axes))


def _difference(now: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    """In what an old row differs from the point that replaces it."""
    if now["family_version"] != old.get("family_version"):
        theirs = old.get("family_version")
        return f"{now['model']} is version {now['family_version']}, theirs {theirs}: trained again"
    if now["metric_versions"] != old.get("metric_versions"):
        theirs = old.get("metric_versions")
        again = "scored again, from stored drawings where these are there"
        return f"metrics are {now['metric_versions']}, theirs {theirs}: {again}"
    changed = [n for n in now if n not in NOT_COMPARED and now[n] != old.get(n)]
    parts = [
        f"{n} is {now[n]}, theirs {old[n]}" if n in old else f"{n} is {now[n]}, unknown to theirs"
        for n in changed[:3]
    ]
    return ", ".join(parts) or "made with another version"
