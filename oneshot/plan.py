"""What a run is about to do: the points of a sweep held against the records that are there. No torch, no Ray; writes nothing but tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneshot import notes, rows, settings, where
from oneshot.points import COMMON, Point, expand
from oneshot.rows import Log
from oneshot.store import Store
from oneshot.sweep import Sweep

CPU_RATE = 2.5e10  # multiply-adds a second and core: a first guess, until rows of this results folder say better
REFERENCE_WORK = 1e9


@dataclass
class Plan:
    """points: those selected, references first. to_run: those of them that have no result yet."""

    sweep: Sweep
    store: Store
    log: Log
    all_points: list[Point]
    points: list[Point]
    to_run: list[Point]
    cpus: int = 1
    _kinds: set[tuple[Any, ...]] = field(default_factory=set)

    def status(self, point: Point) -> str:
        """`done`, `diverged`, `failed`, or `missing` when there is no record."""
        record = self.log.records.get(point.point_id)
        return record.row["status"] if record else "missing"

    def counts(self) -> Counter[str]:
        return Counter(self.status(p) for p in self.points)

    def current_records(self) -> list[rows.Record]:
        """The records of this sweep's settings: any axis value and seed, but the same fixed settings, critics and versions."""
        if not self._kinds:
            self._kinds = {signature(p.row(), self.sweep.axes) for p in self.all_points}
        order = {p.point_id: i for i, p in enumerate(self.all_points)}
        chosen = [r for r in list(self.log.records.values()) if signature(r.row, self.sweep.axes) in self._kinds]
        return sorted(chosen, key=lambda r: (order.get(r.row["point_id"], len(order)), r.row["point_id"]))

    def fold(self, records: Sequence[rows.Record] | None = None, whole: bool = True) -> None:
        """Write the tables of these records, or of all current ones; not whole: large tables of arrays may wait for a later fold."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        records = self.current_records() if records is None else records
        latest = max(records, key=lambda r: r.row.get("finished_at") or "", default=None)
        meta = {"question": self.sweep.question, "model": self.sweep.model, "revision": latest.row.get("git_revision") if latest else ""}
        rows.fold(self.store, self.sweep.name, records, self.sweep.axes, meta, whole=whole)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(self.critic_rows()), sink)
        self.store.write(f"{self.sweep.name}/critics.parquet", sink.getvalue().to_pybytes())

    def measure(self) -> str:
        """By which column points are better, the lower the better: distance to people, or NELBO where no critic scores."""
        return "human_distance" if any(p.scored for p in self.points) else "nelbo"

    def critic_rows(self) -> list[dict[str, Any]]:
        """The quality of every critic of the sweep that is in the store, one row each."""
        specs = {spec.id: spec for p in self.points for spec in (p.simclr, p.protonet) if spec.id}
        found = [row for s in specs.values() if (row := notes.stored(self.store, s.quality_key)) is not None]
        names = dict.fromkeys(k for row in found for k in row if k not in ("curve", "settings"))
        return [{k: row.get(k) for k in names} for row in found]

    def stale(self) -> list[str]:
        """Why rows of the same assignment are not reused, with counts: the reason users miss most."""
        here = {_assignment(p.row(), self.sweep.axes): p.row() for p in self.all_points}
        reasons: Counter[str] = Counter()
        for point_id, record in self.log.records.items():
            now = here.get(_assignment(record.row, self.sweep.axes))
            if now and now["point_id"] != point_id:
                reasons[_difference(now, record.row)] += 1
        return [f"{count:,} rows: {reason}" for reason, count in reasons.most_common()]

    def seconds_per_work(self) -> tuple[float, str]:
        """Seconds of one multiply-add on one trial slot, and where the figure comes from."""
        pairs = [
            (r.row["train_seconds"], _row_work(r.row))
            for r in self.log.records.values()
            if r.row["status"] == "done" and r.row.get("train_seconds")
        ]
        if pairs:
            device = next(r.row["device"] for r in self.log.records.values() if r.row.get("train_seconds"))
            return sum(s for s, _ in pairs) / sum(w for _, w in pairs), f"from {len(pairs):,} rows on {device}"
        return 1 / CPU_RATE, "a rough guess from operation counts; run --limit 2 for a better one"


def make(
    chosen: Sweep,
    store: Store,
    condition: str = "",
    limit: int | None = None,
    retry_failed: bool = False,
    cpus: int = 1,
    rows_only: bool = False,
) -> Plan:
    """Expand a sweep, select, and hold it against the store; rows_only for a plan that is looked at and never folded.

    Raises SweepError, WhereError or NewerFormat.
    """
    rows.check_format(store, chosen.name)
    everything = expand(chosen)
    log = Log(store, chosen.name, rows_only)
    log.update()

    def status(point: Point) -> str:
        record = log.records.get(point.point_id)
        return record.row["status"] if record else "missing"

    points = everything
    if condition:
        known = {**everything[-1].row(), "status": ""}
        test = where.compile(condition, known)
        points = [p for p in everything if p.model != chosen.model or test({**p.row(), "status": status(p)})]
    wanted = {"missing", "failed"} if retry_failed else {"missing"}
    to_run = [p for p in points if status(p) in wanted]
    if limit is not None:
        first = {p.point_id for p in [p for p in to_run if p.model == chosen.model][:limit]}
        to_run = [p for p in to_run if p.model != chosen.model or p.point_id in first]
    return Plan(chosen, store, log, everything, points, to_run, cpus)


def critic_text(row: Mapping[str, Any]) -> str:
    """The quality of a critic in words."""
    name = f"{row['critic']} {row['critic_id'][:6]}"
    if row["critic"] == "protonet":
        percent = f"{row['test_recognizability']:.1f} % of real test drawings"
        return f"{name} recognises {percent}, {row['test_ways']}-way one-shot (chance {row['chance_recognizability']:.0f} %)"
    levels = f"knowing nothing {row['chance_loss']:.2f}, perfect {row['orthogonal_loss']:.2f}"
    return f"{name} has test NT-Xent {row['test_loss']:.2f} (batch {row['test_batch']}: {levels})"


def signature(row: Mapping[str, Any], axes: Sequence[str]) -> tuple[Any, ...]:
    """What rows of one table share: the family, everything fixed, the critics and the versions of the code."""
    names = [n for n in (*COMMON, *settings.head("models", row["model"]).fields) if n not in axes]
    return (
        row["model"],
        *(row.get(n) for n in names),
        *(row.get(n) for n in ("simclr_id", "protonet_id", "family_version", "metric_versions")),
    )


def _assignment(row: Mapping[str, Any], axes: Sequence[str]) -> tuple[Any, ...]:
    return (row["model"], row["seed"], *(row.get(a) for a in axes))


def _difference(now: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    """In what an old row differs from the point that replaces it."""
    if now["family_version"] != old.get("family_version"):
        return f"{now['model']} is version {now['family_version']}, theirs {old.get('family_version')}: trained again"
    if now["metric_versions"] != old.get("metric_versions"):
        return f"metrics are {now['metric_versions']}, theirs {old.get('metric_versions')}: scored again"
    changed = [n for n in now if n not in ("point_id", "train_id", "sample_id") and now[n] != old.get(n)]
    return ", ".join(f"{n} is {now[n]}, theirs {old.get(n)}" for n in changed[:3]) or "made with another version"


def trial_work(points: Sequence[Point]) -> float:
    """Multiply-adds of all trainings of these points; a constant each for families that learn nothing."""
    return sum(_row_work(p.row()) for p in {p.train_id: p for p in points}.values())


def _row_work(row: Mapping[str, Any]) -> float:
    head = settings.head("models", row["model"])
    if not hasattr(head.config, "work"):
        return REFERENCE_WORK
    config = head.config(**{n: row[n] for n in head.fields})
    images = settings.constant("data", row["dataset"], "TRAIN_IMAGES")[row["split"]]
    return config.work(images, row["image_size"]) + REFERENCE_WORK


def estimate(plan: Plan) -> tuple[float, str]:
    """Seconds that the trainings still to run take on this machine, and the basis of the figure."""
    rate, basis = plan.seconds_per_work()
    trainings = {p.train_id: p for p in plan.to_run}
    stored = {i for i in trainings if plan.store.exists(f"store/trainings/{i}/training.pt")}
    work = sum(trial_work([p]) if i not in stored else REFERENCE_WORK for i, p in trainings.items())
    return work * rate / max(plan.cpus, 1), basis
