"""Running a sweep: inputs first, then every trial, in this process or on Ray; records folded into tables all the while.

Points are enumerated beforehand, a point is done when its record is in the store, and a resume is a new run over the points without one.
An engine only executes: nothing that it counts or saves is trusted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import signal
import subprocess
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from oneshot import inputs, trial
from oneshot.lease import Lease
from oneshot.plan import Plan, critic_text, trial_work
from oneshot.points import STACK_ON_CPU, STACK_ON_GPU, Point
from oneshot.progress import Progress, Running, State
from oneshot.trial import Job

ROUNDS = 3  # how often trials that vanished without a record are started anew
FOLD_SECONDS = 5.0
STOP_SECONDS = 30.0


@dataclass
class Options:
    """How to run. address: the Ray cluster to join, "" for this machine. max_stack: None for the default of the device."""

    address: str = ""
    gpus_per_trial: float | None = None
    cpus_per_trial: float = 1.0
    checkpoint_seconds: float = 60.0
    fresh_workers: bool = False
    stop_on_failure: bool = False
    max_stack: int | None = None
    drop_weights: bool = False


@dataclass
class Outcome:
    """How a run ended."""

    counts: dict[str, int]
    left: int
    seconds: float
    signal: int = 0
    new_rows: list[dict[str, Any]] = field(default_factory=list)


class Stop:
    """Ctrl-C and SIGTERM: the first asks every trial to save and end, the second ends at once."""

    def __init__(self, job: Job, say: Callable[[str], None]):
        self.job, self.say = job, say
        self.signal = 0
        self.asked_at = 0.0
        self.preparing = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        self.job.store.delete(self.job.stop_key())
        if threading.current_thread() is threading.main_thread():
            self._old = {s: signal.signal(s, self._handle) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self.job.store.delete(self.job.stop_key())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal or self.preparing:
            self.signal = number
            raise KeyboardInterrupt
        self.ask(number)
        self.say("Stopping: no new trials; running ones save a checkpoint (at most 30 s).")
        self.say("   Ctrl-C again stops at once; finished points are safe either way.")

    def ask(self, number: int = 0) -> None:
        """Ask the trials to stop, wherever they run."""
        self.signal, self.asked_at = number, time.monotonic()
        self.job.store.write(self.job.stop_key(), b"stop")

    def asked(self) -> bool:
        return self.asked_at > 0

    def overdue(self) -> bool:
        return self.asked() and time.monotonic() - self.asked_at > STOP_SECONDS


def revision() -> str:
    """The git revision of this package's checkout, with "+changes" where files differ from it; "" outside a checkout."""
    folder = Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
    return ""


def run(plan: Plan, options: Options, make_engine: Callable[[Driver], Engine]) -> Outcome:
    """Compute every point of the plan that is to run, on the engine made. Raises lease.Taken if another driver runs this sweep."""
    store, name = plan.store, plan.sweep.name
    provenance = {"git_revision": revision()}
    job = Job(store, name, checkpoint_seconds=options.checkpoint_seconds, drop_weights=options.drop_weights, provenance=provenance)
    state = State(name, len(plan.points), before=len(plan.points) - len(plan.to_run), work=max(trial_work(plan.to_run), 1.0))
    state.by_likelihood = plan.measure() == "nelbo"
    state.nearest_distance, state.nearest = _nearest(plan, [r.row for r in plan.current_records()])
    with Lease(store, name), Progress(state) as progress:
        driver = Driver(plan, job, options, state, progress)
        with Stop(job, progress.say) as stop, driver.folding():
            driver.stop = stop
            try:
                with make_engine(driver) as engine:
                    stop.preparing = True
                    engine.prepare(plan.points)
                    stop.preparing = False
                    _echo_critics(plan, progress)
                    driver.run_all(engine)
            except KeyboardInterrupt:
                stop.signal = stop.signal or signal.SIGINT
        return driver.outcome(stop)


def _nearest(plan: Plan, found: Sequence[dict[str, Any]]) -> tuple[float, str]:
    """The done point of the sweep's model that is nearest to people, or of lowest NELBO where no critic scores, in words."""
    by = plan.measure()
    best = min(
        (r for r in found if r["status"] == "done" and r["model"] == plan.sweep.model and r.get(by) is not None),
        key=lambda r: r[by],
        default=None,
    )
    if best is None:
        return float("inf"), ""
    return best[by], ", ".join(f"{a} {best[a]:g}" if isinstance(best[a], float) else f"{a} {best[a]}" for a in [*plan.sweep.axes, "seed"])


def _echo_critics(plan: Plan, progress: Progress) -> None:
    for row in plan.critic_rows():
        progress.event(critic_text(row))


class Driver:
    """The state of one run: which points are still without a record, and the folding of records into tables."""

    stop: Stop

    def __init__(self, plan: Plan, job: Job, options: Options, state: State, progress: Progress):
        self.plan, self.job, self.options, self.state, self.progress = plan, job, options, state, progress
        self.new_rows: list[dict[str, Any]] = []
        self.waiting = {p.point_id: p for p in plan.to_run}
        self.began = time.monotonic()
        self.unfolded = False
        self._lock = threading.Lock()

    def run_all(self, engine: Engine) -> None:
        """Run all trials; those that vanished without a record again, then leave a `failed` row for what is still without one.

        Only the first round stacks trainings and lets short trials share a turn: a point that takes its worker down takes no others along
        after that.
        """
        for number in range(ROUNDS):
            first = number == 0
            trials = trial.group(self._left(), engine.max_stack() if first else 1, engine.slots())
            engine.run(trials, alone=not first)
            self.take_records()
            if self.stop.asked() or not self.waiting:
                return
        for point in self._left():
            lost = RuntimeError(f"the worker of this point died in each of {ROUNDS} rounds (out of memory, or killed)")
            trial.record_failure(point, lost, self.job)
        self.take_records()

    def _left(self) -> list[Point]:
        """The points to run that have no record yet, in the sweep's order."""
        with self._lock:
            return list(self.waiting.values())

    def take_records(self, points: Sequence[Point] | None = None) -> bool:
        """Read new records (of these points only, if given) and count them; True if there were any."""
        with self._lock:
            read = self.plan.log.update(None if points is None else [p.point_id for p in points])
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
        if row["status"] != "done":
            self.progress.failure(row["status"], row, self.plan.sweep.axes)
            if row["status"] == "failed" and self.options.stop_on_failure and not self.stop.asked():
                self.progress.say("Stopping at the first failure, as asked.")
                self.stop.ask()

    @contextlib.contextmanager
    def folding(self) -> Iterator[None]:
        """Fold records into the tables every few seconds, never more than a twentieth of the time, and at the end."""
        end = threading.Event()

        def loop() -> None:
            pause = FOLD_SECONDS
            while not end.wait(pause):
                start = time.monotonic()
                try:
                    self.take_records()
                    if self.unfolded:
                        self.fold()
                except OSError as error:  # a full disk must not end the run: records are retried at the end
                    self.progress.event(f"tables not written: {error}")
                pause = max(FOLD_SECONDS, 20 * (time.monotonic() - start))

        thread = threading.Thread(target=loop, name="fold", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            self.take_records()
            self.fold()

    def fold(self) -> None:
        """Write the tables of all points of the sweep that have a record."""
        with self._lock:
            self.unfolded = False
            records = self.plan.current_records()
        self.plan.fold(records)  # without the lock: whoever counts records need not wait for a file of all curves
        self.state.folded_at = time.monotonic()

    def outcome(self, stop: Stop) -> Outcome:
        return Outcome(dict(self.state.counts), len(self.waiting), time.monotonic() - self.began, stop.signal, self.new_rows)


class Engine(contextlib.AbstractContextManager["Engine"]):
    """Where trials run."""

    def __init__(self, driver: Driver):
        self.driver, self.job, self.state = driver, driver.job, driver.state

    def prepare(self, points: Sequence[Point]) -> None:
        """Compute the inputs that these points lack."""
        distinct = {(*inputs.keys(p).values(), str(inputs.images_beside(p)), p.settings["image_size"]): p for p in points}
        for point in distinct.values():
            if inputs.images_beside(point) or inputs.missing(point, self.job.store):
                self.state.phase = "preparing critics" if point.scored else "preparing images"
                self._prepare(point)
        self.state.phase = ""

    @abstractmethod
    def _prepare(self, point: Point) -> None:
        """Compute what one point lacks of its inputs."""

    @abstractmethod
    def run(self, trials: Sequence[Sequence[Point]], alone: bool = False) -> None:
        """Run these trials to their end, or until a stop is asked for. alone: none of them shares anything with another."""

    def slots(self) -> int:
        """How many trials run side by side."""
        return 1

    def device(self) -> str:
        """Where trials run: `cuda` or `cpu`."""
        return default_device()

    def max_stack(self) -> int:
        """Most trainings that train as one stacked model."""
        asked = self.driver.options.max_stack
        return asked or (STACK_ON_GPU if self.device().startswith("cuda") else STACK_ON_CPU)

    def begin(self, name: str, points: Sequence[Point]) -> None:
        """Show a trial as running."""
        self.state.running[name] = Running(trial_label(points, self.driver.plan.sweep.axes), len(points), trial_work(points))

    def follow(self, name: str, points: Sequence[Point], doing: str, done: int, total: int) -> None:
        """Show what a trial is at; past its training, take the records of those of its points that have one already."""
        if name in self.state.running:
            one = self.state.running[name]
            one.doing, one.done, one.total = doing, done, total
        if doing != "epoch" and len(points) > 1:
            self.driver.take_records(points)

    def phase(self, what: str, epoch: int, epochs: int, losses: dict[str, Any]) -> None:
        """Show how far a critic's training is; a line each tenth of it where nothing is repainted."""
        numbers = " ".join(f"{k}={v:.4g}" for k, v in losses.items() if isinstance(v, float))
        text = f"{what} epoch {epoch}/{epochs}  {numbers}" if losses else what
        self.state.phase = f"preparing {text}"
        if not self.driver.progress.live and (not losses or epoch % max(epochs // 5, 1) == 0):
            self.driver.progress.event(f"preparing {text}")


class LocalEngine(Engine):
    """Everything in this process, one trial after the other: for debugging, and where Ray cannot run."""

    def __exit__(self, *exc: object) -> None:
        return None

    def _prepare(self, point: Point) -> None:
        inputs.prepare(point, self.job.store, torch.device(default_device()), self.phase)

    def run(self, trials: Sequence[Sequence[Point]], alone: bool = False) -> None:
        job = dataclasses.replace(self.job, device=default_device())
        for group in trials:
            if self.driver.stop.asked():
                return
            name = group[0].train_id
            self.begin(name, group)
            statuses = trial.run(group, job, functools.partial(self.follow, name, group))
            self.state.end_trial(name, bool(statuses))
            self.driver.take_records(group)


def trial_label(points: Sequence[Point], axes: Sequence[str]) -> str:
    """A trial in words: its first point; of a stack also the last, as in `beta=0 seed=44 .. beta=4 seed=44 (17 stacked)`."""
    trainings = list({p.train_id: p for p in points}.values())
    first = trainings[0].label(axes)
    return first if len(trainings) == 1 else f"{first} .. {trainings[-1].label(axes)} ({len(trainings)} stacked)"


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
