"""Running a sweep: inputs first, then every trial, in this process or on Ray.

`run` is the whole story: take the lease on the sweep, prepare inputs, run rounds of trials, and
write records into tables all the while.
"""

from __future__ import annotations

import contextlib
import signal
import uuid
from collections.abc import Callable

from oneshot.console.outcome import Outcome
from oneshot.console.progress import Progress, State
from oneshot.engine.base import Engine
from oneshot.engine.budget import Budget, kept
from oneshot.engine.options import Options
from oneshot.engine.revision import git_revision
from oneshot.engine.sweep_run import ROUNDS, SweepRun, best_point
from oneshot.store import shards
from oneshot.store.estimate import trial_work
from oneshot.store.lease import Lease
from oneshot.store.plan import Plan, critic_text
from oneshot.store.store import Unavailable
from oneshot.trial import files, images, trial
from oneshot.trial.job import Job
from oneshot.types import Status

STACK_DIVISOR = 8  # each round stacks so many times fewer trainings than the one before


class WorkerDied(RuntimeError):
    """The error of a point whose worker died as often as it was tried."""


def run(
    plan: Plan, options: Options, make_engine: Callable[[SweepRun], Engine], manifest: bytes = b""
) -> Outcome:
    """Compute every point of the plan that is to run.

    Args:
        plan: the points, and the store of their results.
        options: how to run.
        make_engine: makes the engine of a run.
        manifest: what RESULTS/<sweep>/sweep.json says of this run; written once no other driver
            runs the sweep.

    Returns:
        How the run ended.

    Raises:
        lease.Taken: another driver runs this sweep, or this shard of it.
        Unavailable: the store takes no lease.
    """
    sweep_run = _make_run(plan, options)
    stop, progress, budget = sweep_run.stop, sweep_run.progress, Budget(options)
    name, shard = plan.sweep.name, plan.shard
    lease = Lease(
        plan.store,
        shards.folder(name, plan.all_points, shard) if shard else name,
        sweep_run.heartbeat,
        sweep_run.on_lease_lost,
        say=progress.say,
        title=shards.title(name, shard),
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(lease)
        shards.check_others(plan.store, name, plan.all_points, shard, progress.say)
        for context in (progress, stop, sweep_run.mirror, sweep_run.compacting()):
            stack.enter_context(context)
        sweep_run.lease = lease
        try:
            if manifest:
                plan.store.write(f"{name}/sweep.json", manifest)
            files.store_files(plan.to_run, plan.store)
            images.store_images(plan.points if plan.to_run else [], plan.store)
            with (
                make_engine(sweep_run) as engine,
                kept(budget, engine.held, sweep_run.on_spent),
            ):
                if not stop.requested():  # as while the engine started
                    stop.preparing = True
                    engine.prepare(plan.points)
                    stop.preparing = False
                    for row in plan.critic_rows():
                        progress.event(critic_text(row))
                    _run_rounds(sweep_run, engine)
        except KeyboardInterrupt:
            stop.signal = stop.signal or signal.SIGINT
        except Unavailable as error:
            sweep_run.abort_reason = sweep_run.abort_reason or str(error)
    return sweep_run.outcome()


def _make_run(plan: Plan, options: Options) -> SweepRun:
    """The state of a run at its beginning."""
    failed = [p for p in plan.to_run if plan.status(p) == Status.FAILED]
    job = Job(
        plan.store,
        plan.sweep.name,
        uuid.uuid4().hex[:8],
        options.checkpoint_seconds,
        options.drop_weights,
        options.workers_per_trial,
        provenance={"git_revision": git_revision()},
        failed={p.point_id: plan.log.version(p.point_id) for p in failed},
    )
    state = State(
        f"{plan.sweep.name} {plan.shard}" if plan.shard else plan.sweep.name,
        total=plan.before + len(plan.to_run),
        before=plan.before,
        work=max(trial_work(plan.to_run), 1.0),
        measure=plan.measure(),
    )
    rows = [r.row for r in plan.current_records()]
    state.nearest_distance, state.nearest = best_point(plan, rows)
    progress = Progress(state)
    sweep_run = SweepRun(plan, job, options, state, progress)
    progress.gone = sweep_run.on_reader_gone
    return sweep_run


def _run_rounds(sweep_run: SweepRun, engine: Engine) -> None:
    """Run all trials; those whose worker died without a record again, in further rounds.

    Each round stacks fewer trainings, and only in the first do short trials share a worker, so
    that a point that kills its worker takes no other point with it in the end. What is without a
    record after the last round gets a `failed` row.
    """
    for sweep_run.attempt in range(ROUNDS):
        max_stack = max(engine.max_stack() // STACK_DIVISOR**sweep_run.attempt, 1)
        points = sweep_run.missing_points()
        tuned = any(p.tune_id != p.train_id for p in points)
        trained = sweep_run.plan.trainings()[0] if tuned else set()
        engine.run(trial.group(points, max_stack, engine.slots(), trained), sweep_run.attempt)
        sweep_run.fetch_records()
        if sweep_run.stop.requested() or not sweep_run.missing:
            return
        sweep_run.fetch_records(sweep_run.missing_points(), at_once=True)  # a listing may lag
        if not sweep_run.missing:
            return
    for point in sweep_run.missing_points():
        text = (
            f"the worker of this point died in each of {ROUNDS} rounds; the last time,"
            f" {sweep_run.death_cause(point)}"
        )
        if sweep_run.holds_lease():
            trial.record_failure(point, WorkerDied(text), sweep_run.job)
    sweep_run.fetch_records(sweep_run.missing_points(), at_once=True)
