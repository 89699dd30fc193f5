"""The third step of a trial: drawings of a trained family, stored before or drawn now."""

from __future__ import annotations

import dataclasses
import time
import warnings
from dataclasses import dataclass

import torch

from oneshot.contracts import ReferenceFamily, SheetFamily, TrainedFamily
from oneshot.scoring import sample, sheet_files, sheets
from oneshot.store.store import DamagedFile
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick
from oneshot.trial.files import local_file
from oneshot.trial.inputs import Inputs
from oneshot.trial.job import Job
from oneshot.trial.train import Trained, load_weights
from oneshot.types import Drawings


@dataclass
class Drawn:
    """The drawings of a point, and how many seconds they took: 0 if they were stored."""

    drawings: Drawings
    seconds: float


def drawings_key(point: Point) -> str:
    """Where the store keeps the drawings of a point."""
    return f"store/drawings/{point.sample_id}/drawings.npz"


def draw(point: Point, given: Inputs, trained: Trained, job: Job, tick: Tick) -> Drawn:
    """The stored drawings of a point's sample_id, or new ones, which are stored, and their sheets.

    Damaged drawings are set aside with a warning, and drawn again.

    Args:
        point: how many drawings a class, from which weights, and the seed of the noise.
        given: images and exemplars.
        trained: the family.
        job: store and device.
        tick: is called with ("drawing", done, total) batch by batch.

    Returns:
        Drawings for the exemplars of the test classes.

    Raises:
        Stopped: the run was asked to stop.
        Diverged: the model draws non-finite pixels.
    """
    key = drawings_key(point)
    start = time.monotonic()
    try:
        return Drawn(sample.from_bytes(job.store.read(key), job.store.path(key)), 0.0)
    except FileNotFoundError:
        pass
    except DamagedFile as error:
        warnings.warn(f"{error}; kept as {job.store.set_aside(key)}, drawn again", stacklevel=2)
    family, n = trained.family, point.settings["drawings_per_class"]
    if n == 0:
        return Drawn(sample.none(given.data), 0.0)
    if isinstance(family, TrainedFamily):
        device = torch.device(job.device)
        load_weights(point, trained, device)
        drawings = sample.draw(
            family, given.data, given.exemplars, n, point.seed, device, tick=tick
        )
        # before the drawings: where those are stored, nothing is drawn any more
        if isinstance(family, SheetFamily):
            for name, images in sheets.make(family, given.data, device).items():
                key_of_sheet = sheet_files.key(point.sample_id, name)
                job.store.write(key_of_sheet, sheet_files.to_bytes(images))
    else:
        reference = _of_point(family, point, job)
        drawings = reference.draw(given.data, given.exemplars, n, point.seed)
    job.store.write(key, sample.to_bytes(drawings))
    return Drawn(drawings, time.monotonic() - start)


def _of_point(family: ReferenceFamily, point: Point, job: Job) -> ReferenceFamily:
    """The family with the point's own sample settings, as it was built for the first of its trial,
    and with the files of its settings as they lie on this machine.
    """
    config = type(family.config)(**point.config())
    files = {
        name: local_file(point.settings[name], content, job.store)
        for name, content in point.files.items()
        if name in point.config()
    }
    return type(family)(dataclasses.replace(config, **files))
