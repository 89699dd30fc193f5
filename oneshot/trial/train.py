"""The second step of a trial: a trained family for each training, stored before or trained now."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from oneshot import rng
from oneshot.contracts import TrainedFamily
from oneshot.nn import data_parallel
from oneshot.store.store import DamagedFile, Store, Unavailable
from oneshot.sweep import families
from oneshot.sweep.point import Point
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.loop import Diverged, Stopped, Tick, fit
from oneshot.trial import machine
from oneshot.trial.failure import traceback_text
from oneshot.trial.files import MissingInput, local_file
from oneshot.trial.inputs import Inputs
from oneshot.trial.job import Job


@dataclass
class Trained:
    """A family ready to draw, and what it cost.

    Attributes:
        family: a TrainedFamily, or a ReferenceFamily, which learns nothing.
        training: weights and curve; None of a reference, and of a training of which only the
            drawings are left.
        tuning: what moved after the training, and its curve; None where nothing is tuned.
    """

    family: Any
    training: Training | None
    tuning: Training | None = None

    @property
    def parameters(self) -> int:
        """How many parameters the family trained; 0 of a reference."""
        return sum(p.numel() for p in self.family.parameters()) if self.family.trained else 0


Outcomes = dict[str, Trained | BaseException]  # by train_id, or tune_id
Member = tuple[Point, TrainedFamily]  # of a stack: a point, and its family before the training
Resolve = Callable[[Sequence[Point]], tuple[Outcomes, list[Member]]]
Fit = Callable[[Sequence[Member]], Outcomes]


def train(
    points: Sequence[Point],
    given: Inputs,
    job: Job,
    report: Tick,
    is_drawn: Callable[[str], bool] = lambda train_id: False,
) -> Outcomes:
    """The stored training of each point, or a new one, continued from its checkpoint.

    New trainings are one stack, or as many stacks as the memory of the device asks for. A stack
    that raises is trained again as two halves, one after the other, each from what is stored of
    it. So a stack that is too large for the device shrinks, and a point that raises ends alone.

    Args:
        points: one of each training; they share inputs and train-stage shapes.
        given: the inputs of the points.
        job: store and device.
        report: is called with ("epoch", epoch, epochs, loss=...) after each epoch.
        is_drawn: whether what a training was for is drawn, so that it need not be had again where
            its weights are gone.

    Returns:
        By train_id: the trained family, or what its training raised.

    Raises:
        Stopped: the run was asked to stop; checkpoints are written.
        Unavailable: the results cannot be reached.
    """

    def resolve(some: Sequence[Point]) -> tuple[Outcomes, list[Member]]:
        return _resolve(some, job, is_drawn)

    def fit(members: Sequence[Member]) -> Outcomes:
        return fit_stack(members, given, job, report)

    peers = data_parallel.current_group()
    if peers.size > 1:  # the other workers wait for this word; what raises here ends the group
        outcomes, untrained = resolve(points)
        return outcomes | (fit(untrained) if peers.broadcast_flag(bool(untrained)) else {})
    return in_stacks(points, job, resolve, fit, lambda point: point.train_id)


def in_stacks(
    points: Sequence[Point], job: Job, resolve: Resolve, fit: Fit, name: Callable[[Point], str]
) -> Outcomes:
    """Compute what is not stored of some points as one stack, or as many as memory asks for.

    A stack that raises is computed again as two halves, each from what is stored of it.

    Args:
        points: that can be one stack.
        job: device and threads.
        resolve: says what is stored of points, and gives the families of the others.
        fit: computes a stack.
        name: of a point's outcome.

    Returns:
        By name: what `resolve` and `fit` gave, or what a stack of one raised.

    Raises:
        Stopped: the run was asked to stop.
        Unavailable: the results cannot be reached.
    """
    outcomes, untrained = resolve(points)
    stacks = [untrained] if untrained else []
    while stacks:
        stack = stacks.pop()
        most = machine.most_in_memory(*stack[0], job) if len(stack) > 1 else 1
        if len(stack) > most:
            stacks.append(stack[most:])
            stack = stack[:most]
        try:
            outcomes |= fit(stack)
            continue
        except (Stopped, Unavailable):
            raise
        except (Exception, SystemExit) as error:
            if len(stack) == 1:
                error.add_note(traceback_text(error))
                # the frames of a traceback hold the tensors
                outcomes[name(stack[0][0])] = error.with_traceback(None)
                continue
        torch.cuda.empty_cache()  # outside the handler, whose traceback holds the tensors
        half = len(stack) // 2
        for part in (stack[half:], stack[:half]):  # the first half is next
            stored, untrained = resolve([point for point, _ in part])
            outcomes |= stored
            stacks += [untrained] if untrained else []
    return outcomes


def _resolve(
    points: Sequence[Point], job: Job, is_drawn: Callable[[str], bool]
) -> tuple[Outcomes, list[Member]]:
    """References and stored trainings as outcomes; fresh families of points to be trained."""
    outcomes: Outcomes = {}
    untrained: list[Member] = []
    for point in points:
        family = build(point)
        if not family.trained:
            outcomes[point.train_id] = Trained(family, None)
        elif (training := stored_training(point, job)) is not None:
            outcomes[point.train_id] = Trained(family, training)
        elif is_drawn(point.train_id):
            outcomes[point.train_id] = Trained(family, stored_under(summary_key(point), job))
        else:
            untrained.append((point, family))
    return outcomes, untrained


def fit_stack(members: Sequence[Member], given: Inputs, job: Job, report: Tick) -> Outcomes:
    """Train these families as one stack, and store each of the trainings.

    Args:
        members: points and their fresh families, all of one shape.
        given: the inputs of the points.
        job: store and device.
        report: is called with ("epoch", epoch, epochs, loss=...) after each epoch.

    Returns:
        By train_id: the trained family, or the Diverged of a training whose loss is not finite.
        Nothing in workers that only help the first one of their group.

    Raises:
        Stopped: the run was asked to stop; checkpoints are written.
    """
    device, first = torch.device(job.device), data_parallel.current_group().rank == 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    points, families = [p for p, _ in members], [f for _, f in members]
    for point, family in members:
        start_from_file(point, family, job.store)
    greys = given.greys(families[0].config)
    checkpoints = [
        Checkpoint(
            job.store,
            f"store/trainings/{point.train_id}/checkpoint.pt",
            job.checkpoint_seconds,
            writes=first,
            finished=training_key(point),
        )
        for point in points
    ]
    batches = batches_for(families[0], given.data, given.exemplars, device, greys)
    if isinstance(batches, LabelledBatches):
        for family in families:
            family.set_trained_classes(batches.trained_classes)
    trainings = fit(
        families,
        batches,
        points[0].seed,
        checkpoints,
        lambda epoch, epochs, row: report(
            "epoch", epoch, epochs, loss=row.get("train_loss", math.nan)
        ),
        job.stop_requested,
        accelerated=device.type == "cuda",
    )
    outcomes: Outcomes = {}
    if not first:
        return outcomes
    for point, family, checkpoint, training in zip(points, families, checkpoints, trainings):
        keep(training, training_key(point), checkpoint, job)
        if isinstance(training, Diverged):
            outcomes[point.train_id] = training
        else:
            outcomes[point.train_id] = Trained(family, training)
    return outcomes


def keep(training: Training | Diverged, key: str, checkpoint: Checkpoint, job: Job) -> None:
    """Store what a training, or a tuning, came to, unless it diverged; its checkpoint goes.

    Args:
        training: that ended.
        key: where it is stored.
        checkpoint: of it.
        job: its store.
    """
    if not isinstance(training, Diverged):
        job.store.seal(key, training.to_bytes(weights_only=True))
    job.store.delete(checkpoint.key)


def build(point: Point) -> Any:
    """The family object of a point, untrained; its initial weights depend on the seed alone."""
    module = families.module("models", point.model)
    config = module.Config(**point.config())
    if not module.FAMILY.trained:
        return module.FAMILY(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.key(point.seed, "weights"))
        return module.FAMILY(config, point.settings["image_size"])


def start_from_file(point: Point, family: TrainedFamily, store: Store) -> None:
    """Put the weights of the point's weights_file, if it names one, into its untrained family.

    Args:
        point: whose family.
        family: as `build` makes it.
        store: holds the content of the file.

    Raises:
        MissingInput: the store does not have it.
        StateFileError: it does not fit.
    """
    if "weights_file" in point.files:
        file = local_file(point.settings["weights_file"], point.files["weights_file"], store)
        family.load_state_dict(family.published_state(file))


def training_key(point: Point) -> str:
    """Where the store keeps the finished training of a point."""
    return f"store/trainings/{point.train_id}/training.pt"


def summary_key(point: Point) -> str:
    """Where the store keeps what is left of a training whose weights were dropped."""
    return f"store/trainings/{point.train_id}/summary.pt"


def drop_weights(point: Point, job: Job) -> None:
    """Delete the finished training of a point; its curve and cost stay.

    Args:
        point: whose training.
        job: its store.
    """
    keep_summary(training_key(point), summary_key(point), job)


def keep_summary(key: str, summary: str, job: Job) -> None:
    """Delete a finished training, or tuning; its curve and cost stay.

    Args:
        key: where it is stored.
        summary: where what stays is stored.
        job: its store.
    """
    if (training := stored_under(key, job)) is not None:
        rest = dataclasses.replace(training, end={}, best={})
        job.store.seal(summary, rest.to_bytes(weights_only=True))
        job.store.delete(key)


def stored_training(point: Point, job: Job) -> Training | None:
    """The finished training of a point.

    Args:
        point: whose training.
        job: its store.

    Returns:
        The training; None if there is none, or a damaged one, which is set aside.
    """
    return stored_under(training_key(point), job)


def stored_under(key: str, job: Job) -> Training | None:
    """The finished training, or tuning, under a key.

    Args:
        key: of the store.
        job: its store.

    Returns:
        The training; None if there is none, or a damaged one, which is set aside.
    """
    try:
        return Training.from_bytes(job.store.unseal(key), job.store.path(key))
    except FileNotFoundError:
        return None
    except DamagedFile:
        job.store.set_aside(key)
        return None


def load_weights(point: Point, trained: Trained, device: torch.device) -> None:
    """Put the weights and settings that a point draws with into the family of its training.

    Args:
        point: its setting `weights` is "best" or "end"; sample and score settings are its own.
        trained: the family, which was built for the first point of its training.
        device: where the family goes.
    """
    family, tuning = trained.family, trained.tuning
    gone = [t for t in (trained.training, tuning) if t is not None and not t.end]
    if trained.training is None or gone:
        raise MissingInput(
            f"the weights of training {point.train_id} were dropped, and its drawings are no longer"
            " whole. Run again with --retry-failed: it is trained again"
        )
    family.config = type(family.config)(**point.config())
    family.to(device).load_state_dict(getattr(trained.training, point.settings["weights"]))
    if tuning is not None:
        family.load_state_dict(tuning.end, strict=False)  # what was frozen is as before
