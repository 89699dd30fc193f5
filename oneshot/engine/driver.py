"""Running a sweep: inputs first, then every trial, in this process or on Ray; records folded into
tables all the while.

Points are enumerated beforehand, a point is done when its record is in the store, and a resume is a
new run over the points without one. An engine only executes: nothing that it counts or saves is
trusted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import platform
import signal
import subprocess
import threading
import time
import uuid
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from oneshot.console.progress import Progress, Running, State
from oneshot.console.text import value_text
from oneshot.store.estimate import trial_work
from oneshot.store.lease import Lease
from oneshot.store.plan import Plan, critic_text
from oneshot.store.store import Unavailable, Unwritable
from oneshot.sweep.grouping import STACK_ON_CPU, STACK_ON_GPU
from oneshot.sweep.point import Point
from oneshot.trial import inputs, prepare, trial
from oneshot.trial.trial import Job
from oneshot.types import Status

ROUNDS = 3  # how often a point is tried whose worker dies
SHRINK = 8  # each round stacks so many times fewer trainings than the one before
FOLD_SECONDS = 5.0
STOP_SECONDS = 30.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# of all trials together: what an object store and one driver bear with ease
LOOKS_A_SECOND, REPORTS_A_SECOND = 500.0, 100.0
SHOWN_LOSSES = 5


@dataclass
class Options:
    """How to run. address: the Ray cluster to join, "" for this machine. max_stack: None for the
    default of the device.
    """

    address: str = ""
    gpus_per_trial: float | None = None
    cpus_per_trial: float = 1.0
    workers_per_trial: int = 1
    checkpoint_seconds: float = 60.0
    fresh_workers: bool = False
    stop_on_failure: bool = False
    max_stack: int | None = None
    drop_weights: bool = False


@dataclass
class Outcome:
    """How a run ended. trouble: what ended it before its time, in words."""

    counts: dict[str, int]
    left: int
    seconds: float
    signal: int = 0
    trouble: str = ""
    new_rows: list[dict[str, Any]] = field(default_factory=list)


class WorkerDied(RuntimeError):
    """The error of a point whose worker died as often as it was tried."""


class Stop:
    """Ctrl-C, SIGTERM, SIGHUP and a reader that left: the first asks every trial to save and end,
    the second ends at once.

    The first word comes at once, whatever the store does: the request to the trials is written by a
    thread of its own.

    signal: the number of the one that was heard, 0 for none. preparing: nothing runs yet that could
    save.
    """

    def __init__(self, job: Job, say: Callable[[str], None]):
        self.job, self.say = job, say
        self.signal = 0
        self.asked_at = 0.0
        self.preparing = False
        self._old: dict[int, Any] = {}
        self._writer: threading.Thread | None = None

    def __enter__(self) -> Stop:
        self.listen()
        return self

    def listen(self) -> None:
        """Hear signals, also after a library has put its own handlers in the place of ours. SIGHUP
        that `nohup` shuts out stays out.
        """
        if threading.current_thread() is threading.main_thread():
            heard = [
                s
                for s in STOPPING
                if s != signal.SIGHUP or signal.getsignal(s) is not signal.SIG_IGN
            ]
            old: dict[int, Any] = {s: signal.signal(s, self._handle) for s in heard}
            self._old = self._old or old

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        if self._writer is not None:
            self._writer.join()
            with contextlib.suppress(OSError):
                self.job.store.delete(self.job.stop_key())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        if self.preparing:
            self.signal = number
            self.say("Stopping: no trial has begun; what is prepared by now stays.")
            raise KeyboardInterrupt
        self.say("Stopping: no new trials; running ones save a checkpoint (at most 30 s).")
        self.say("   Ctrl-C again stops at once; finished points are safe either way.")
        self.ask(number)

    def ask(self, number: int = 0) -> None:
        """Ask the trials to stop, wherever they run."""
        self.signal, self.asked_at = number or self.signal, time.monotonic()
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="stop", daemon=True)
            self._writer.start()

    def _write(self) -> None:
        # where nothing can be written, the trials find that out themselves
        with contextlib.suppress(Exception):
            self.job.store.write(self.job.stop_key(), b"stop")

    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self.asked_at > 0

    def overdue(self) -> bool:
        """Whether trials have had their time to save."""
        return self.asked() and time.monotonic() - self.asked_at > STOP_SECONDS


def revision() -> str:
    """The git revision of this package's checkout, with "+changes" where files differ from it; ""
    outside a checkout.
    """
    folder = Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "-uno"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
    return ""


def run(
    plan: Plan, options: Options, make_engine: Callable[[Driver], Engine], manifest: bytes = b""
) -> Outcome:
    """Compute every point of the plan that is to run, on the engine made.

    Args:
        plan: the points, and the store of their results.
        options: how to run.
        make_engine: the engine of a driver.
        manifest: what RESULTS/<sweep>/sweep.json says of this run; written once no other driver
            runs the sweep.

    Raises:
        lease.Taken: another driver runs this sweep; Unavailable: the store takes no lease.
    """
    store, name = plan.store, plan.sweep.name
    job = Job(
        store,
        name,
        uuid.uuid4().hex[:8],
        options.checkpoint_seconds,
        options.drop_weights,
        options.workers_per_trial,
        provenance={"git_revision": revision()},
        failed={
            p.point_id: plan.log.version(p.point_id)
            for p in plan.to_run
            if plan.status(p) == Status.FAILED
        },
    )
    before = plan.before
    state = State(name, before + len(plan.to_run), before, work=max(trial_work(plan.to_run), 1.0))
    state.by_likelihood = plan.measure() == "nelbo"
    state.nearest_distance, state.nearest = _nearest(plan, [r.row for r in plan.current_records()])
    progress = Progress(state)
    driver = Driver(plan, job, options, state, progress)
    progress.gone = driver.without_reader
    lease = Lease(store, name, driver.tell, driver.overtaken, say=progress.say)
    with lease, progress, driver.stop as stop, driver.folding():
        driver.lease = lease
        try:
            if manifest:
                store.write(f"{name}/sweep.json", manifest)
            with make_engine(driver) as engine:
                stop.preparing = True
                engine.prepare(plan.points)
                stop.preparing = False
                _echo_critics(plan, progress)
                driver.run_all(engine)
        except KeyboardInterrupt:
            stop.signal = stop.signal or signal.SIGINT
        except Unavailable as error:
            driver.trouble = driver.trouble or str(error)
    return driver.outcome()


def _nearest(plan: Plan, found: Sequence[dict[str, Any]]) -> tuple[float, str]:
    """The done point of the sweep's model that is nearest to people, or of lowest NELBO where no
    critic scores, in words.
    """
    by = plan.measure()
    best = min(
        (
            r
            for r in found
            if r["status"] == Status.DONE
            and r["model"] == plan.sweep.model
            and r.get(by) is not None
        ),
        key=lambda r: r[by],
        default=None,
    )
    if best is None:
        return float("inf"), ""
    return best[by], ", ".join(
        f"{a} {best[a]:g}" if isinstance(best[a], float) else f"{a} {best[a]}"
        for a in [*plan.sweep.axes, "seed"]
    )


def _echo_critics(plan: Plan, progress: Progress) -> None:
    for row in plan.critic_rows():
        progress.event(critic_text(row))


class Driver:
    """The state of one run: which points are still without a record, and the folding of records
    into tables.

    machines: where each worker at work is, host by worker. trouble: why the run ends before its
    time.
    """

    def __init__(self, plan: Plan, job: Job, options: Options, state: State, progress: Progress):
        self.plan, self.job, self.options, self.state, self.progress = (
            plan,
            job,
            options,
            state,
            progress,
        )
        self.stop = Stop(job, progress.say)
        self.trouble = ""
        self.machines: dict[str, str] = {}
        self.at_work: dict[str, Sequence[Point]] = {}
        self.started = time.time()
        self.attempt = 0
        self._ends: dict[str, str] = {}
        self._shown_losses = 0
        self.new_rows: list[dict[str, Any]] = []
        self.waiting = {p.point_id: p for p in plan.to_run}
        self.began = time.monotonic()
        self.unfolded = False
        self.lease: Lease | None = None
        self._lock = threading.Lock()

    def holds(self) -> bool:
        """Whether this driver may still write tables and records: not once another one holds the
        sweep.
        """
        return self.lease is None or self.lease.held()

    def run_all(self, engine: Engine) -> None:
        """Run all trials; those whose worker died without a record again, then leave a `failed` row
        for what is still without one.

        Each round stacks fewer trainings, and only in the first do short trials share a turn: a
        point that takes its worker down takes no others along in the end.
        """
        for self.attempt in range(ROUNDS):
            trials = trial.group(
                self._left(), max(engine.max_stack() // SHRINK**self.attempt, 1), engine.slots()
            )
            engine.run(trials, self.attempt)
            self.take_records()
            if self.stop.asked() or not self.waiting:
                return
            self.take_records(self._left(), at_once=True)  # a listing may lag
            if not self.waiting:
                return
        for point in self._left():
            how = self._ends.get(point.point_id, "it vanished without a word")
            text = f"the worker of this point died in each of {ROUNDS} rounds; the last time, {how}"
            if self.holds():
                trial.record_failure(point, WorkerDied(text), self.job)
        self.take_records(self._left(), at_once=True)

    def lost_machine(self, host: str, trials: int) -> None:
        """Say that a machine is gone, and what becomes of its trials."""
        self.progress.event(
            f"lost machine {host}: {trials} trials run again elsewhere, from their checkpoints"
        )

    def lost_worker(self, how: str, host: str, points: Sequence[Point]) -> None:
        """Note why the worker of these points died; they are tried again in the next round."""
        self._ends |= {p.point_id: how for p in points}
        self._shown_losses += 1
        if points and self._shown_losses <= SHOWN_LOSSES:
            label = trial_label(points, self.plan.sweep.axes)
            self.progress.event(
                f"lost worker on {host} at {label} (try {self.attempt + 1} of {ROUNDS}): {how}"
            )

    def without_store(self, text: str, unwritable: bool, host: str) -> None:
        """A trial could not reach the results. The run ends where that is for good: they take no
        files, or the driver cannot write either.

        Else it is that machine's trouble alone.
        """
        if unwritable:
            return self.end_for(text)
        key = f"{self.job.sweep}/probe-{self.job.run}"
        try:
            self.job.store.write(key, b"")
            self.job.store.delete(key)
        except OSError as error:
            self.end_for(str(error))
        else:
            self.progress.event(
                f"{host} cannot reach the results ({text}); its trial is tried again in the next"
                " round"
            )

    def end_for(self, trouble: str) -> None:
        """End the run for this reason, once."""
        if not self.trouble:
            self.trouble = trouble
            self.progress.say(f"Stopping: {trouble}")
            self.stop.ask()

    def without_reader(self) -> None:
        """Whoever read what this run says is gone, as `| head` is after its lines: end as after
        Ctrl-C, as pipes do.
        """
        if not self.stop.asked():
            self.stop.ask(signal.SIGPIPE)
            if self.stop.preparing:  # nothing there asks whether to stop
                os.kill(os.getpid(), signal.SIGINT)

    def overtaken(self, text: str) -> None:
        """Another driver holds the sweep now: end without waiting for the trials, whose work it can
        use.
        """
        self.trouble = text
        self.progress.say(f"Stopping: {text}")
        self.stop.asked_at = time.monotonic() - STOP_SECONDS - 1

    def has_all(self, points: Sequence[Point]) -> bool:
        """Whether none of these points waits for its record any more."""
        return not any(p.point_id in self.waiting for p in points)

    def tell(self) -> dict[str, Any]:
        """What others may know of this run while it goes on: it stands beside the lease."""
        running = {
            name: points
            for name, points in list(self.at_work.items())
            if name in self.state.running
        }
        points = [p for trial_points in running.values() for p in trial_points]
        axes = {
            axis: dict(Counter(value_text(p.settings[axis]) for p in points if axis in p.axes))
            for axis in self.plan.sweep.axes
        }
        return {
            "started": self.started,
            "phase": self.state.phase,
            "running": axes,
            "running_points": len(points),
            "trials": len(running),
            "machines": dict(Counter(list(self.machines.values()))),
            "per_minute": self.state.per_minute(),
            "left": self.state.left(),
        }

    def _left(self) -> list[Point]:
        """The points to run that have no record yet, in the sweep's order."""
        with self._lock:
            return list(self.waiting.values())

    def take_records(self, points: Sequence[Point] | None = None, at_once: bool = False) -> bool:
        """Read new records (of these points only, if given) and count them; True if there were any.

        On an object store, where each costs requests, single points wait for the next listing
        unless they are wanted at once.
        """
        if points is not None and not at_once and self.plan.store.local("") is None:
            return False
        with self._lock:
            ids = (
                None
                if points is None
                else [p.point_id for p in points if p.point_id in self.waiting]
            )
            read = self.plan.log.update(ids)
            found = [r for r in read if r.row["point_id"] in self.waiting]
            for record in found:
                self._count(record.row)
            return bool(found)

    def _count(self, row: dict[str, Any]) -> None:
        self.waiting.pop(row["point_id"])
        self.new_rows.append(row)
        self.unfolded = True
        self.state.end_point(row["status"])
        distance, words = _nearest(self.plan, [row])
        if distance < self.state.nearest_distance:
            self.state.nearest_distance, self.state.nearest = distance, words
        if row["status"] != Status.DONE:
            self.progress.failure(row["status"], row, self.plan.sweep.axes)
            if (
                row["status"] == Status.FAILED
                and self.options.stop_on_failure
                and not self.stop.asked()
            ):
                self.progress.say("Stopping at the first failure, as asked.")
                self.stop.ask()

    @contextlib.contextmanager
    def folding(self) -> Iterator[None]:
        """Fold records into the tables every few seconds, never more than a twentieth of the time,
        and at the end.
        """
        end = threading.Event()

        def loop() -> None:
            pause = FOLD_SECONDS
            while not end.wait(pause):
                start = time.monotonic()
                try:
                    self.take_records()
                    if self.unfolded:
                        self.fold(whole=False)
                except Exception as error:
                    # a full disk must not end the run: records are retried at the end
                    self.progress.event(f"tables not written: {_words(error)}")
                pause = max(FOLD_SECONDS, 20 * (time.monotonic() - start))

        thread = threading.Thread(target=loop, name="fold", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            try:
                self.take_records()
                self.fold()
            except Exception as error:
                self.progress.event(f"tables not written: {_words(error)}")
                self.trouble = self.trouble or f"tables not written: {_words(error)}"

    def fold(self, whole: bool = True) -> None:
        """Write the tables of all points of the sweep that have a record; not whole: large tables
        of arrays may wait for the end.

        Nothing is written once another driver holds the sweep: the tables are its own then.
        """
        if not self.holds():
            return
        with self._lock:
            self.unfolded = False
            records = self.plan.current_records()
        # without the lock: whoever counts records need not wait for a file of all curves
        self.plan.compact(records, whole)
        self.state.folded_at = time.monotonic()

    def outcome(self) -> Outcome:
        seconds, signal = time.monotonic() - self.began, self.stop.signal
        return Outcome(
            dict(self.state.counts), len(self.waiting), seconds, signal, self.trouble, self.new_rows
        )


class Engine(contextlib.AbstractContextManager["Engine"]):
    """Where trials run."""

    def __init__(self, driver: Driver):
        self.driver, self.job, self.state = driver, driver.job, driver.state

    def prepare(self, points: Sequence[Point]) -> None:
        """Compute the inputs that these points lack."""
        distinct = {
            (*inputs.keys(p).values(), str(inputs.images_beside(p)), p.settings["image_size"]): p
            for p in points
        }
        for point in distinct.values():
            if inputs.images_beside(point) or prepare.missing(point, self.job.store):
                self.state.phase = "preparing critics" if point.scored else "preparing images"
                self._prepare(point)
        self.state.phase = ""

    @abstractmethod
    def _prepare(self, point: Point) -> None:
        """Compute what one point lacks of its inputs."""

    @abstractmethod
    def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
        """Run these trials to their end, or until a stop is asked for.

        attempt: the round; in all but the first, no trial shares a worker's turn with another, and
        each has twice the room of before.
        """

    def slots(self) -> int:
        """How many trials run side by side."""
        return 1

    def device(self) -> str:
        """Where trials run: `cuda` or `cpu`."""
        return default_device()

    def max_stack(self) -> int:
        """Most trainings that train as one stacked model."""
        asked = self.driver.options.max_stack
        if self.driver.options.workers_per_trial > 1:
            return 1
        return asked or (STACK_ON_GPU if self.device().startswith("cuda") else STACK_ON_CPU)

    def paced(self) -> Job:
        """The job with how often trials look for a stop and report, for as many as run side by
        side.
        """
        slots = self.slots()
        look = slots / LOOKS_A_SECOND if self.job.store.local("") is None else 0.0
        return dataclasses.replace(
            self.job, stop_poll_seconds=look, report_seconds=max(slots / REPORTS_A_SECOND, 1.0)
        )

    def begin(self, name: str, points: Sequence[Point]) -> None:
        """Show a trial as running."""
        self.driver.at_work = {
            n: p for n, p in self.driver.at_work.items() if n in self.state.running
        } | {name: points}
        self.state.running[name] = Running(
            trial_label(points, self.driver.plan.sweep.axes), len(points), trial_work(points)
        )

    def follow(
        self,
        name: str,
        points: Sequence[Point],
        doing: str,
        done: int,
        total: int,
        loss: float = math.nan,
    ) -> None:
        """Show what a trial is at; past its training, take the records of those of its points that
        have one already.
        """
        if (one := self.state.running.get(name)) is not None:
            one.doing, one.done, one.total, one.loss = doing, done, total, loss
        if doing != "epoch" and len(points) > 1:
            self.driver.take_records(points)

    def phase(self, what: str, epoch: int, epochs: int, losses: dict[str, Any]) -> None:
        """Show how far a critic's training is; a line each tenth of it where nothing is
        repainted.
        """
        numbers = " ".join(f"{k}={v:.4g}" for k, v in losses.items() if isinstance(v, float))
        text = f"{what} epoch {epoch}/{epochs}  {numbers}" if losses else what
        self.state.phase = text if text.startswith("waiting ") else f"preparing {text}"
        if not self.driver.progress.live and (not losses or epoch % max(epochs // 5, 1) == 0):
            self.driver.progress.event(self.state.phase)


class LocalEngine(Engine):
    """Everything in this process, one trial after the other: for debugging, and where Ray cannot
    run.
    """

    def __exit__(self, *exc: object) -> None:
        return None

    def _prepare(self, point: Point) -> None:
        prepare.prepare(point, self.job.store, torch.device(default_device()), self.phase)

    def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
        job = dataclasses.replace(
            self.job, device=default_device(), stop_requested_here=self.driver.stop.asked
        )
        for group in trials:
            if self.driver.stop.asked():
                return
            name, statuses = group[0].train_id, {}
            self.begin(name, group)
            try:
                try:
                    statuses = trial.run(group, job, functools.partial(self.follow, name, group))
                except (Exception, SystemExit) as error:
                    if isinstance(error, Unavailable):
                        raise
                    statuses = {p.point_id: trial.record_failure(p, error, job) for p in group}
            except Unavailable as error:
                self.driver.without_store(
                    str(error), isinstance(error, Unwritable), platform.node()
                )
            self.state.end_trial(name, bool(statuses))
            self.driver.take_records(group)


def trial_label(points: Sequence[Point], axes: Sequence[str]) -> str:
    """A trial in words: its first point; of a stack also the last, as in `beta=0 seed=44 .. beta=4
    seed=44 (17 stacked)`.
    """
    trainings = list({p.train_id: p for p in points}.values())
    first = trainings[0].label(axes)
    return (
        first
        if len(trainings) == 1
        else f"{first} .. {trainings[-1].label(axes)} ({len(trainings)} stacked)"
    )


def _words(error: Exception) -> str:
    """An error of writing tables in words."""
    return str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
