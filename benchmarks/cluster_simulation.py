"""100,000 points on 1,000 nodes that may be lost, simulated: what saturates first, and what each
measure against it gains.

    python benchmarks/cluster_simulation.py [--quick] [--turn-ms MS] [--report-ms MS]

A discrete-event simulation; nothing here runs a training. Who takes which trial is decided by
`oneshot.engine.queue.WorkQueue` itself. The driver is one server with a queue: handing out and
ending a batch, each report and each record cost it the seconds of `Costs`. Compaction takes its
share of that processor. A trial that reports waits until the driver has read the report. Stop
polls share what the store gives (AWS: 3,500 writes and 5,500 reads a second and prefix). Reports
and polls are a fluid; batches, trials and lost nodes are events.

Measured (sections 4 and 7 of RESULTS.md): a turn, a record, folds, the requests of a write, a read
and a look. Assumed, not measured: 3 ms a report (--report-ms), 30 ms a request to an object store,
nodes that start within 2 to 4 minutes, 3 s to start a worker, one loss in 20 node-hours. A trial
whose node is lost continues from its checkpoint, on average half an interval back.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import json
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from harness import OUT, Row, Table, parser

from oneshot.engine import queue
from oneshot.engine.queue import WorkQueue

NODES, PER_NODE, POINTS = 1000, 8, 100_000
LENGTHS = {"10 s": 10.0, "1 min": 60.0, "10 min": 600.0, "1 h": 3600.0}
WRITES, READS = 3500.0, 5500.0  # a second and prefix, as AWS documents


@dataclass(frozen=True)
class Costs:
    """Seconds of the driver, unless said otherwise; those without a section are assumed."""

    turn: float = 0.026  # hand out a turn and end it, section 4
    report: float = 0.003  # read one report: assumed
    record: float = 0.00045  # read and check a record, section 7
    fold: float = 4.5e-5  # a fold in the middle of a run, a row, section 7
    whole_fold: float = 2.0e-4  # all tables from memory, a row: before parts, section 7
    end_fold: float = 9.1e-5  # all tables from parts, a row, section 7
    request: float = 0.03  # a request to an object store, waited for
    worker: float = 3.0  # start of a worker process, not of the driver
    begin: float = 4.0  # the engine's own start and end


@dataclass(frozen=True)
class Design:
    """What the project does. pending: workers asked for ahead. poll_requests, write_requests:
    requests of a stop poll and of a write.
    """

    name: str
    report_every: float = 1.0
    poll_every: float = 1.0
    poll_requests: int = 2
    write_requests: int = 3
    record_waits: int = 3  # requests that the driver waits for at each record
    turn_seconds: float = queue.BATCH_SECONDS
    pending: int = 16
    parts: bool = True
    adaptive_pause: bool = True


@dataclass(frozen=True)
class Cluster:
    nodes: int = NODES
    per_node: int = PER_NODE
    boot: tuple[float, float] = (120.0, 240.0)
    losses: float = 0.05  # a node and hour
    remote: bool = True
    checkpoint_every: float = 60.0

    @property
    def slots(self) -> int:
        return self.nodes * self.per_node


class Simulation:
    """One sweep of trials of equal length. Progress of trials at work has a clock of its own, as
    all wait for driver and store alike.
    """

    def __init__(
        self,
        length: float,
        points: int,
        cluster: Cluster,
        design: Design,
        costs: Costs,
        seed: int = 0,
    ):
        self.length, self.points, self.cluster, self.design, self.costs = (
            length,
            points,
            cluster,
            design,
            costs,
        )
        self.rng = np.random.default_rng(seed)
        self.turns = WorkQueue([1.0] * points, cluster.slots, points)
        # seconds; seconds of a trial at work; seconds of the driver
        self.now = self.progress = self.served = 0.0
        # seconds of work that wait at the driver; of them, of reports
        self.backlog = self.reports = 0.0
        # (time, order, what, slot or node, generation)
        self.events: list[tuple[float, int, str, int, int]] = []
        self.ends: list[tuple[float, int, int, int]] = []  # (progress, order, slot, generation)
        self.asked: deque[tuple[float, str, int, int]] = deque()  # (served, what, slot, generation)
        self.order = itertools.count()
        self.up = [False] * cluster.nodes
        self.generation = [0] * cluster.slots
        # slot: turn, trials left, begun, progress at the begin of its trial
        self.turn: dict[int, tuple[str, list[int], float, float]] = {}
        self.credit: dict[int, float] = {}  # of a trial, what its checkpoint holds
        self.warm: set[int] = set()
        # (slot, generation), by whether its worker is warm
        self.free: dict[bool, deque[tuple[int, int]]] = {True: deque(), False: deque()}
        self.pending = self.done = self.lost = self.handed = 0
        self.lost_work = self.busy_driver = self.busy_slots = self.fold_share = 0.0
        self.peak = dict(reads=0.0, writes=0.0, slow=1.0, fold_seconds=0.0, list_requests=0.0)

    def at(self, time: float, what: str, who: int, generation: int = 0) -> None:
        heapq.heappush(self.events, (time, next(self.order), what, who, generation))

    def run(self) -> dict[str, float]:
        """Until every point is done; the makespan and what was busy."""
        low, high = self.cluster.boot
        for node in range(self.cluster.nodes):
            self.at(self.rng.uniform(low, high) if high else 0.0, "up", node)
        self.at(0.0, "fold", 0)
        while self.done < self.points:
            self._step()
        final = self.points * (self.costs.end_fold if self.design.parts else self.costs.whole_fold)
        makespan = self.now + self.costs.begin + final
        ideal = self.length * self.points / self.cluster.slots
        return dict(
            makespan=makespan,
            ideal=ideal,
            efficiency=ideal / makespan,
            driver=self.busy_driver / self.now,
            turns=self.handed,
            lost_nodes=self.lost,
            lost_work=self.lost_work / (self.length * self.points),
            **self.peak,
        )

    # -- the fluid: reports and polls

    def _rates(self) -> tuple[float, float]:
        """Progress a second of a trial at work, and the speed of the driver."""
        working = len(self.turn)
        if not working:
            return 1.0, 1.0 - self.fold_share
        waiting = min(self.reports / self.costs.report, working) if self.costs.report else 0.0
        polls = (
            working * self.design.poll_requests / self.design.poll_every
            if self.cluster.remote
            else 0.0
        )
        slowed = min(1.0, READS / polls) if polls else 1.0
        return max(1.0 - waiting / working, 1e-4) * slowed, 1.0 - self.fold_share

    def _advance(self, until: float) -> None:
        step, (rate, speed) = until - self.now, self._rates()
        if step <= 0:
            return
        arrivals = len(self.turn) * rate / self.design.report_every * self.costs.report * step
        done = min(self.backlog + arrivals, speed * step)
        share = (self.reports + arrivals) / max(self.backlog + arrivals, 1e-12)
        self.reports = max(self.reports + arrivals - done * share, 0.0)
        self.backlog = max(self.backlog + arrivals - done, 0.0)
        self.served += speed * step
        self.busy_driver += done + self.fold_share * step
        self.busy_slots += len(self.turn) * rate * step
        self.progress += rate * step
        self.now = until
        self._note(rate)

    def _note(self, rate: float) -> None:
        """Keep the highest loads seen."""
        working, design, remote = len(self.turn), self.design, self.cluster.remote
        ending = working * rate / self.length
        reads = working * design.poll_requests / design.poll_every + ending * (
            1 + design.record_waits
        )
        writes = design.write_requests * (
            working / self.cluster.checkpoint_every * (self.length > 60) + 3 * ending + 0.2
        )
        self.peak["reads"] = max(self.peak["reads"], reads * remote)
        self.peak["writes"] = max(self.peak["writes"], writes * remote)
        self.peak["slow"] = min(self.peak["slow"], rate)

    # -- events

    def _step(self) -> None:
        """Go on to the next event, or a little further: the fluid changes slowly."""
        rate, speed = self._rates()
        moments = [self.now + min(max(self.length / 20, 0.05), 2.0)]
        if self.events:
            moments.append(self.events[0][0])
        if self.ends:
            moments.append(self.now + max(self.ends[0][0] - self.progress, 0.0) / rate)
        if self.asked:
            moments.append(self.now + max(self.asked[0][0] - self.served, 0.0) / max(speed, 1e-3))
        # what lies so near together is one step
        self._advance(max(min(moments), self.now + min(self.length / 100, 1.0)))
        while self.events and self.events[0][0] <= self.now + 1e-9:
            _, _, what, who, generation = heapq.heappop(self.events)
            getattr(self, f"_on_{what}")(who, generation)
        while self.asked and self.asked[0][0] <= self.served + 1e-9:
            _, what, slot, generation = self.asked.popleft()
            getattr(self, f"_on_{what}")(slot, generation)
        while self.ends and self.ends[0][0] <= self.progress + 1e-9:
            _, _, slot, generation = heapq.heappop(self.ends)
            self._on_end(slot, generation)
        self._hand_out()

    def _ask(self, seconds: float, what: str, slot: int) -> None:
        """Work for the driver, behind all that waits."""
        self.backlog += seconds
        self.asked.append((self.served + self.backlog, what, slot, self.generation[slot]))

    def _hand_out(self) -> None:
        """Ask the driver for turns for free slots; for workers that must start first, only so many
        at a time.
        """
        for warm, free in self.free.items():
            while free and self.turns.pending and (warm or self.pending < self.design.pending):
                slot, generation = free.popleft()
                if generation == self.generation[slot]:
                    self.pending += not warm
                    self._ask(self.costs.turn, "handed", slot)

    def _on_up(self, node: int, generation: int) -> None:
        self.up[node] = True
        first = node * self.cluster.per_node
        self.free[False].extend(
            (slot, self.generation[slot]) for slot in range(first, first + self.cluster.per_node)
        )
        if self.cluster.losses:
            self.at(self.now + self.rng.exponential(3600 / self.cluster.losses), "lose", node)

    def _on_lose(self, node: int, generation: int) -> None:
        """The node goes, and another comes in its place; its trials go back, with what their
        checkpoints hold.
        """
        self.up[node] = False
        self.lost += 1
        for slot in range(node * self.cluster.per_node, (node + 1) * self.cluster.per_node):
            self.generation[slot] += 1
            self.pending -= slot not in self.warm and self._is_asked(slot)
            self.warm.discard(slot)
            if slot in self.turn:
                name, _, _, since = self.turn.pop(slot)
                trial = self.turns.running[name][0] if self.turns.running[name] else None
                if trial is not None:
                    made = self.credit.get(trial, 0.0) + self.progress - since
                    kept = max(
                        made - self.rng.uniform(0, self.cluster.checkpoint_every),
                        self.credit.get(trial, 0.0),
                    )
                    self.lost_work += made - kept
                    self.credit[trial] = kept
                self.turns.close_batch(name)
        self.at(self.now + self.rng.uniform(*self.cluster.boot), "up", node)

    def _is_asked(self, slot: int) -> bool:
        return any(s == slot for _, _, s, _ in self.asked)

    def _on_handed(self, slot: int, generation: int) -> None:
        if generation != self.generation[slot]:
            return
        if slot in self.warm:
            self._on_begin(slot, generation)
        else:
            self.at(self.now + self.costs.worker, "begin", slot, generation)

    def _on_begin(self, slot: int, generation: int) -> None:
        if slot not in self.warm and generation == self.generation[slot]:
            self.warm.add(slot)
            self.pending -= 1
        if generation != self.generation[slot]:
            self.pending -= 1
            return
        name = f"{slot}/{next(self.order)}"
        trials = self.turns.next_batch(name)
        if not trials:
            self.free[True].append((slot, generation))
            return
        self.handed += 1
        self.turn[slot] = (name, trials, self.now, self.progress)
        self._begin_trial(slot)

    def _begin_trial(self, slot: int) -> None:
        name, trials, begun, _ = self.turn[slot]
        self.turn[slot] = (name, trials, begun, self.progress)
        left = max(self.length - self.credit.get(trials[0], 0.0), 1e-3)
        heapq.heappush(
            self.ends, (self.progress + left, next(self.order), slot, self.generation[slot])
        )

    def _on_end(self, slot: int, generation: int) -> None:
        """A trial ends: its record is there; the worker goes on with its turn unless that has
        become too long.
        """
        if generation != self.generation[slot] or slot not in self.turn:
            return
        name, trials, begun, _ = self.turn[slot]
        index = trials.pop(0)
        self.turns.end_trial(name, index, self.length)
        self.done += 1
        self.backlog += self.costs.record + (
            self.design.record_waits * self.costs.request if self.cluster.remote else 0.0
        )
        if trials and self.now - begun <= self.turns.max_seconds:
            self._begin_trial(slot)
            return
        del self.turn[slot]
        self.turns.close_batch(name)
        self.free[True].append((slot, generation))

    def _on_fold(self, who: int, generation: int) -> None:
        """A fold of what is done, then the pause after it: both as one share of the driver's
        processor.
        """
        seconds = self.done * (self.costs.fold if self.design.parts else self.costs.whole_fold)
        lists = math.ceil(max(self.done, 1) / 1000)
        waits = lists * self.costs.request if self.cluster.remote else 0.0
        pause = max(5.0, 20 * (seconds + waits)) if self.design.adaptive_pause else 5.0
        self.fold_share = seconds / (seconds + waits + pause)
        self.peak["fold_seconds"] = max(self.peak["fold_seconds"], seconds + waits)
        self.peak["list_requests"] = max(self.peak["list_requests"], float(lists))
        self.at(self.now + seconds + waits + pause, "fold", 0)


def simulate(
    length: float, points: int, cluster: Cluster, design: Design, costs: Costs
) -> dict[str, float]:
    """One sweep, with turns as long as the design has them, whatever the number of slots."""
    before = queue.BATCH_SECONDS, queue.BATCHES_PER_SECOND
    queue.BATCH_SECONDS, queue.BATCHES_PER_SECOND = design.turn_seconds, math.inf
    start = time.perf_counter()
    try:
        found = Simulation(length, points, cluster, design, costs).run()
    finally:
        queue.BATCH_SECONDS, queue.BATCHES_PER_SECOND = before
    return found | {"simulated_in": time.perf_counter() - start}


def designs(cluster: Cluster, costs: Costs) -> list[Design]:
    """Reports and polls once a second whatever the size, then one measure after the other, each
    kept.
    """
    slots = cluster.slots
    poll = max(1.0, slots / 1000)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("nothing scaled", dict(parts=False)),
        ("+ parts", dict(parts=True)),
        (
            "+ stop poll every slots/1000 s; one request a poll and a write",
            dict(poll_requests=1, write_requests=1, poll_every=poll),
        ),
        ("+ reports every slots/100 s", dict(report_every=max(1.0, slots / 100))),
        ("+ records by listing, 16 reads at a time, off the loop", dict(record_waits=0)),
        ("+ workers asked for ahead: 200", dict(pending=200)),
        ("+ turns of slots/100 s", dict(turn_seconds=max(5.0, slots / 100))),
        ("the last, with 5 s between folds", dict(adaptive_pause=False)),
    ]
    made, fields = [], dict[str, Any]()
    for name, more in steps:
        fields |= more
        made.append(Design(name, **fields))
    return made


def validation(costs: Costs) -> list[Row]:
    """The measured benchmark of section 4, simulated: trivial points on two slots, local store."""
    path = OUT / "engine.json"
    measured = {500: 13.0, 2000: 12.8}
    if path.exists():
        kept = json.loads(path.read_text())
        measured = {
            500: float(np.median([r["seconds"] for r in kept["ours"]])),
            2000: kept["large"]["seconds"],
        }
    here = Cluster(1, 2, boot=(0.0, 0.0), losses=0.0, remote=False)
    lines = []
    for count, seconds in measured.items():
        found = simulate(0.004, count, here, Design("as it is"), costs)["makespan"]
        error = 100 * (found - seconds) / seconds
        note = (
            f"error {error:+.0f} %; 4 ms a trial, {costs.begin:g} s of Ray's start and end,"
            f" {costs.worker:g} s a worker"
        )
        lines.append(
            Row(
                10,
                f"{count:,} trivial points on 2 slots, simulated against measured",
                f"{found:.1f} s",
                f"{seconds:.1f} s",
                note=note,
            )
        )
    return lines


def report(points: int, cluster: Cluster, costs: Costs) -> None:
    """Simulate every length with every design; print and save."""
    table, runs = Table("cluster_simulation"), list[dict[str, Any]]()
    table.add(*validation(costs))
    for text, length in LENGTHS.items():
        for design in designs(cluster, costs):
            found = simulate(length, points, cluster, design, costs)
            runs.append({"length": length, **dataclasses.asdict(design), **found})
            note = (
                f"ideal {found['ideal']:,.0f} s; driver {100 * found['driver']:.0f} %, slowest"
                f" trial speed {100 * found['slow']:.0f} %, reads {found['reads']:,.0f}/s, writes"
                f" {found['writes']:,.0f}/s, {found['turns']:,.0f} turns, longest fold"
                f" {found['fold_seconds']:.0f} s, {found['lost_nodes']:.0f} nodes lost,"
                f" {100 * found['lost_work']:.2f} % of work repeated"
            )
            what = f"{text} a trial: {design.name}"
            table.add(
                Row(
                    10,
                    what,
                    f"{found['makespan']:,.0f} s, {100 * found['efficiency']:.0f} % of ideal",
                    note=note,
                )
            )
    table.note(
        runs=runs,
        costs=dataclasses.asdict(costs),
        points=points,
        cluster=dataclasses.asdict(cluster),
    )


def main() -> None:
    p = parser(__doc__)
    p.add_argument(
        "--turn-ms",
        type=float,
        default=1000 * Costs.turn,
        help="driver time of a turn [%(default)g]",
    )
    p.add_argument(
        "--report-ms",
        type=float,
        default=1000 * Costs.report,
        help="driver time of a report [%(default)g]",
    )
    options = p.parse_args()
    costs = Costs(turn=options.turn_ms / 1000, report=options.report_ms / 1000)
    if options.quick:
        report(1000, Cluster(10, PER_NODE), costs)
    else:
        report(POINTS, Cluster(), costs)


if __name__ == "__main__":
    main()
