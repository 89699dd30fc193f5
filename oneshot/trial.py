"""A trial: one training and everything drawn and scored from it. Whatever happens here, each of its points ends as one record.

points that share a train_id -> inputs -> fit (or the stored training) -> draw (or the stored drawings) -> grade -> commit
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import importlib
import io
import itertools
import platform
import resource
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oneshot import inputs, rows, sample
from oneshot.contracts import TrainedFamily
from oneshot.episodes import Drawings
from oneshot.inputs import Inputs
from oneshot.points import Point
from oneshot.rows import Record
from oneshot.score import grade
from oneshot.store import DamagedFile, Store
from oneshot.train import Checkpoint, Diverged, Material, Stopped, Training, fit

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """What the driver tells every trial of a run."""

    store: Store
    sweep: str
    device: str = "cpu"
    threads: int = 0
    checkpoint_seconds: float = 60.0
    provenance: dict[str, Any] = field(default_factory=dict)

    def stop_key(self) -> str:
        return f"{self.sweep}/stop"


def run(points: Sequence[Point], job: Job, report: Report = lambda *_: None) -> dict[str, str]:
    """Compute the records of points that share one training; returns the status of each point by point_id.

    An exception becomes a row with status `failed` (`diverged` for non-finite losses). Points of a training that was asked to stop get
    no record and no status; they continue from their checkpoint when the sweep is run again.
    """
    if job.threads:
        torch.set_num_threads(job.threads)
    statuses: dict[str, str] = {}
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            given = inputs.load(points[0], job.store, torch.device(job.device))
            trained = _train(points[0], given, job, report)
    except Stopped:
        return {}
    except Exception as error:
        return {p.point_id: _fail(p, error, getattr(error, "training", None), job, output) for p in points}
    for _, group in itertools.groupby(points, key=lambda p: p.sample_id):
        drawn: Drawn | None = None
        for point in group:
            try:
                with contextlib.redirect_stdout(output):
                    given = inputs.load(point, job.store, torch.device(job.device))
                    drawn = drawn or _draw(point, given, trained, job)
                    statuses[point.point_id] = _grade(point, given, trained, drawn, job)
            except Exception as error:
                statuses[point.point_id] = _fail(point, error, trained.training, job, output)
    return statuses


@dataclass
class Trained:
    """A family ready to draw, and what it cost."""

    family: Any
    training: Training | None
    parameters: int = 0


@dataclass
class Drawn:
    drawings: Drawings
    seconds: float


def build(point: Point) -> Any:
    """The family object of a point, untrained; its initial weights depend on the seed alone."""
    module = importlib.import_module(f"oneshot.models.{point.model}")
    config = module.Config(**point.config())
    if not module.FAMILY.trained:
        return module.FAMILY(config)
    from oneshot import streams

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.key(point.seed, "weights"))
        return module.FAMILY(config, point.settings["image_size"])


def _train(point: Point, given: Inputs, job: Job, report: Report) -> Trained:
    """The stored training of this train_id, or a new one, continued from its checkpoint if one was left."""
    family = build(point)
    if not family.trained:
        return Trained(family, None)
    device = torch.device(job.device)
    family.to(device)
    count = sum(p.numel() for p in family.parameters())
    key = f"store/trainings/{point.train_id}/training.pt"
    try:
        training = Training.from_bytes(job.store.unseal(key))
        return Trained(family, training, count)
    except FileNotFoundError:
        pass
    except DamagedFile:
        job.store.set_aside(key)
    checkpoint = Checkpoint(job.store, f"store/trainings/{point.train_id}/checkpoint.pt", job.checkpoint_seconds)
    material = Material.of(given.data, given.exemplars, family.config.schedule_classes, device)
    training = fit(
        family, material, point.seed, checkpoint, lambda epoch, epochs, _: report(epoch, epochs), lambda: job.store.exists(job.stop_key())
    )
    job.store.seal(key, training.to_bytes(weights_only=True))
    job.store.delete(checkpoint.key)
    return Trained(family, training, count)


def _draw(point: Point, given: Inputs, trained: Trained, job: Job) -> Drawn:
    """The stored drawings of this sample_id, or new ones."""
    key = f"store/drawings/{point.sample_id}/drawings.npz"
    start = time.monotonic()
    with contextlib.suppress(FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, OSError):  # a damaged file is drawn again
        return Drawn(sample.from_bytes(job.store.read(key)), 0.0)
    family, n = trained.family, point.settings["drawings_per_class"]
    if isinstance(family, TrainedFamily):
        assert trained.training is not None
        family.load_state_dict(getattr(trained.training, point.settings["weights"]))
        drawings = sample.draw(family, given.data, given.exemplars, n, point.seed, torch.device(job.device))
    else:
        drawings = family.draw(given.data, given.exemplars, n, point.seed)
    job.store.write(key, sample.to_bytes(drawings))
    return Drawn(drawings, time.monotonic() - start)


def _grade(point: Point, given: Inputs, trained: Trained, drawn: Drawn, job: Job) -> str:
    start = time.monotonic()
    drawings, training = drawn.drawings, trained.training
    grades = grade(drawings, given.critics, point.settings["protocol"], given.human)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, label=drawings.label, **{k: v.astype(np.float32) for k, v in grades.drawings.items()})  # type: ignore[arg-type]
    job.store.write(f"store/scores/{point.point_id}.npz", buffer.getvalue())
    row = _row(point, "done", job) | grades.totals
    row |= dict(drawings=len(drawings.images), constant_drawings=drawings.constant, parameters=trained.parameters)
    row |= dict(draw_seconds=drawn.seconds, score_seconds=time.monotonic() - start, peak_memory_mb=_peak_memory_mb(job.device))
    row |= dict(epochs_done=training.epochs_done, train_seconds=training.seconds) if training else dict(epochs_done=0, train_seconds=0.0)
    counts = np.bincount(drawings.label, minlength=len(drawings.exemplars)).tolist()
    classes = {"class_name": list(drawings.class_names), "drawings": counts, **grades.classes}
    rows.commit(job.store, job.sweep, Record(row, classes, training.curve if training else {}))
    return "done"


def _fail(point: Point, error: Exception, training: Training | None, job: Job, output: io.StringIO) -> str:
    """Turn an exception into a row, with the traceback in a log file that the row names."""
    status = "diverged" if isinstance(error, Diverged) else "failed"
    log = f"{job.sweep}/logs/{point.point_id}.txt"
    with contextlib.suppress(OSError):
        job.store.write(log, (output.getvalue() + "".join(traceback.format_exception(error))).encode())
    row = _row(point, status, job) | dict(error_type=type(error).__name__, error=str(error)[:2000], log=job.store.path(log))
    if training:
        row |= dict(epochs_done=training.epochs_done, train_seconds=training.seconds)
    rows.commit(job.store, job.sweep, Record(row, curves=training.curve if training else {}))
    return status


def record_failure(point: Point, error: Exception, job: Job) -> None:
    """A `failed` row for a point whose worker can no longer write one."""
    _fail(point, error, None, job, io.StringIO())


def _row(point: Point, status: str, job: Job) -> dict[str, Any]:
    """Identity, settings and provenance of a row."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    device = torch.cuda.get_device_name() if job.device.startswith("cuda") else _processor()
    here = dict(python=platform.python_version(), torch=torch.__version__, host=platform.node(), device=device, finished_at=now)
    return {"status": status, **point.row(), "sweep": job.sweep, **job.provenance, **here}


@functools.cache
def _processor() -> str:
    """The processor's model name, or its architecture where the system does not tell."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if named:
            return named[0]
    return platform.processor() or platform.machine()


def _peak_memory_mb(device: str) -> float:
    """Peak memory of the device, or of this process on a CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def group(points: Sequence[Point]) -> list[list[Point]]:
    """Points in trials: those that share a training together, those that share drawings side by side; in the order of their first point."""
    trials: dict[str, list[Point]] = {}
    for point in points:
        trials.setdefault(point.train_id, []).append(point)
    return [sorted(trial, key=lambda p: p.sample_id) for trial in trials.values()]


def without_place(point: Point) -> Point:
    """A point as it travels to a worker."""
    return dataclasses.replace(point, place="")
