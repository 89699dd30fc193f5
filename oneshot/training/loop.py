"""fit: the one training loop, for one model or a stack of them.

Batches and noise come from (seed, epoch, step), so that a resumed training equals an unbroken one
and a stacked training the same point trained alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import TrainedFamily
from oneshot.nn import data_parallel
from oneshot.training.batch_source import Batches
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.cuda_graph import StepRunner
from oneshot.training.phase import is_tuning, moving_state, phase_of
from oneshot.training.stack import Stack, matrix_products

Report = Callable[[int, int, dict[str, float]], None]
Tick = Callable[..., None]  # (what, done, total), with the loss after an epoch
WRITERS = 8  # checkpoints of a stack that are written side by side


class Diverged(RuntimeError):
    """The loss, the weights or the drawings became non-finite: a result, not a failure.

    Args:
        message: what is not finite, and when.
        training: what went before.
    """

    def __init__(self, message: str, training: Training | None = None):
        super().__init__(message)
        self.training = training


class Stopped(RuntimeError):
    """The training was asked to stop; its checkpoints are written."""


def watch(report: Tick, stop: Callable[[], bool]) -> Tick:
    """A function that long work calls batch by batch, with (what, done, total).

    Args:
        report: gets these, where `what` is not empty.
        stop: whether a stop is requested; called at most once a second.

    Returns:
        The function; it raises Stopped within a second of a request.
    """
    last_check = -math.inf

    def tick(what: str, done: int, total: int) -> None:
        nonlocal last_check
        if what:
            report(what, done, total)
        if time.monotonic() - last_check >= 1:
            last_check = time.monotonic()
            if stop():
                raise Stopped(f"at {what or 'work'}: {done} of {total}")

    return tick


def unwatched(what: str, done: int, total: int, loss: float = math.nan) -> None:
    """The function that work calls whose progress nobody follows; takes what `watch` takes.

    Args:
        what: kind of work.
        done: of total.
        total: batches, epochs or drawings.
        loss: after an epoch.
    """


def noise(
    seed: int, purpose: tuple[object, ...], count: int, shape: tuple[int, ...], device: torch.device
) -> Tensor:
    """Standard normal noise, drawn on the device it is used on.

    A GPU draws other numbers than a CPU, but always the same.

    Args:
        seed: of the point.
        purpose: what it is for, as ("noise", epoch, step).
        count: of items.
        shape: of the noise of an item.
        device: of the training.

    Returns:
        [count, *shape].
    """
    generator = torch.Generator(device).manual_seed(rng.key(seed, *purpose))
    return torch.randn((count, *shape), generator=generator, device=device)


def fit(
    models: Sequence[TrainedFamily],
    batches: Batches,
    seed: int,
    checkpoints: Sequence[Checkpoint],
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    accelerated: bool = False,
) -> list[Training | Diverged]:
    """Train, or tune, models of one shape as one stack, for the epochs that their settings say.

    Args:
        models: each continues from its own checkpoint, if there is one.
        batches: that all of them train on.
        seed: of batches and noise.
        checkpoints: one a model.
        report: called after every epoch with (epoch, epochs, curve row of the first model).
        stop: whether a stop is requested; called after every epoch and at most every second
            within one.
        accelerated: compiled, and as a CUDA graph; needs a GPU.

    Returns:
        The training of each model, or the Diverged of one whose loss or gradient became
        non-finite.

    Raises:
        Stopped: as requested; checkpoints are saved.
    """
    members = [_Member.load(model, checkpoint) for model, checkpoint in zip(models, checkpoints)]
    epochs, agree = phase_of(models[0]).epochs, data_parallel.current_group().broadcast_flag

    def stop_requested() -> bool:
        return agree(stop())

    with matrix_products(getattr(models[0].config, "precision", "float32")):
        run: _StackRun | None = None
        while chosen := _least_trained(members, epochs):
            if run is None or run.outdated(chosen):
                if run is not None:
                    run.write_back()
                run = None  # frees its memory first
                run = _StackRun(chosen, batches, seed, accelerated)
            row = run.epoch(stop_requested)
            done = max(m.training.epochs_done for m in chosen)
            if row is not None:
                report(done, epochs, row)
            if row is None or (stop_requested() and _least_trained(members, epochs)):
                run.save()
                raise Stopped(f"after epoch {done} of {epochs}")
            if any(m.checkpoint.due() for m in chosen):
                run.save()
    return [m.diverged or m.training for m in members]


@dataclass
class _Member:
    """One model of a stack: its checkpoint, its training so far, and whether it has diverged."""

    model: TrainedFamily
    checkpoint: Checkpoint
    training: Training
    diverged: Diverged | None = None

    @staticmethod
    def load(model: TrainedFamily, checkpoint: Checkpoint) -> _Member:
        """A member that continues from its checkpoint, or begins."""
        training = checkpoint.load()
        if training is None:
            weights = {k: v.detach().cpu().clone() for k, v in moving_state(model).items()}
            training = Training(weights, weights)
        else:
            model.load_state_dict(training.end, strict=not is_tuning(model))
        return _Member(model, checkpoint, training)


def _least_trained(members: Sequence[_Member], epochs: int) -> list[_Member]:
    """The members that train next: those with the fewest epochs done, so that members resumed at
    different epochs come to the same one.
    """
    alive = [m for m in members if m.diverged is None and m.training.epochs_done < epochs]
    least = min((m.training.epochs_done for m in alive), default=0)
    return [m for m in alive if m.training.epochs_done == least]


class _StackRun:
    """Members that train as one stack from the same epoch on."""

    def __init__(self, members: Sequence[_Member], batches: Batches, seed: int, accelerated: bool):
        self.members, self.batches, self.seed = list(members), batches, seed
        self.stack = Stack([m.model for m in members], batches.device, accelerated)
        for k, one in enumerate(members):
            if one.training.optimizer_state:
                self.stack.restore(k, one.training.optimizer_state)
        by_graph = accelerated and self.stack.peers.size == 1
        self.runner = StepRunner(self.stack, batches.batch, by_graph)
        self.end = self.best = self.stack.snapshot()
        # members whose best weights in `best` are newer than in their training
        self.new_best = torch.zeros(len(members), dtype=torch.bool)
        self.hyper_names = list(members[0].model.hyper(0))
        first = self.stack.players[0].player
        self.monitor, self.least = f"validation_{first.monitor}", first.least

    def outdated(self, members: Sequence[_Member]) -> bool:
        """Whether a new stack of these members pays.

        It does when others have come up to this epoch, or when a third of the members only take
        up room.
        """
        left = [m for m in self.members if any(m is other for other in members)]
        return len(left) < len(members) or 3 * len(left) <= 2 * len(self.members)

    def epoch(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Train, evaluate and move the schedule by one epoch; None if it was broken off."""
        begun, epoch = time.monotonic(), self.alive()[0][1].training.epochs_done
        means = self._train(epoch, stop)
        # a broken-off epoch is repeated on resume: self.end still holds the end of the one before
        if means is None:
            return None
        columns = {f"train_{n}": v for n, v in means.items()} | self._evaluate()
        monitored, epochs = columns[self.monitor], phase_of(self.members[0].model).epochs
        fading = (epochs - epoch - 1) / (epochs - epoch)
        columns["learning_rate"] = self.stack.end_epoch(monitored, fading)
        values = {n: v.double().cpu().tolist() for n, v in columns.items()}
        finite = self.stack.alive.cpu().tolist()
        self.end = self.stack.snapshot()
        seconds = (time.monotonic() - begun) / len(self.alive())
        rows = [{n: v[k] for n, v in values.items()} for k in range(len(self.members))]
        improved = torch.zeros(len(self.members), dtype=torch.bool)
        for k, one in self.alive():
            improved[k] = self._record(one, epoch, rows[k], finite[k], seconds)
        if improved.any():
            self.new_best |= improved
            self.best.copy_rows(self.end, improved.to(self.batches.device))
        alive = self.alive()
        if all(m.training.epochs_done == epochs for _, m in alive):
            self.write_back(last=True)
        return rows[alive[0][0]] if alive else rows[0]

    def alive(self) -> list[tuple[int, _Member]]:
        """The members that have not diverged, each with its row of the stack."""
        return [(k, m) for k, m in enumerate(self.members) if m.diverged is None]

    def _record(
        self, one: _Member, epoch: int, row: dict[str, float], finite: bool, seconds: float
    ) -> bool:
        """Note an epoch in a member's training, or its divergence; True for a new best epoch."""
        training = one.training
        if not finite or not math.isfinite(row["train_loss"]):
            what = "the gradient is not finite"
            if not math.isfinite(row["train_loss"]):
                what = f"the loss is {row['train_loss']}"
            one.diverged = Diverged(f"{what} in epoch {epoch}", training)
            return False
        row = {"epoch": epoch, **row}
        # a player that did not move in an epoch has no losses of it
        for name in {**training.curve, **row}:
            before = [math.nan] * training.epochs_done
            training.curve.setdefault(name, before).append(row.get(name, math.nan))
        training.epochs_done, training.how = epoch + 1, self.how()
        training.seconds += seconds
        if self.least <= row[self.monitor] < training.best_loss:
            training.best_loss, training.best_epoch = row[self.monitor], epoch
            return True
        return False

    def how(self) -> str:
        """How this stack trains, in words."""
        way = "graph" if self.runner.by_graph else "eager"
        if self.stack.peers.size > 1:
            return f"{self.stack.peers.size} workers, {way}"
        return way if len(self.members) == 1 else f"stack of {len(self.members)}, {way}"

    def write_back(self, last: bool = False) -> None:
        """Copy weights and optimizer state from the stack into the trainings; no state after the
        last epoch.
        """
        for k, one in self.alive():
            one.training.end = self.end.weights(k)
            if self.new_best[k]:
                one.training.best = self.best.weights(k)
            elif last and one.training.best_epoch < 0:  # no epoch could be the best
                one.training.best = one.training.end
            one.training.optimizer_state = {} if last else self.end.state(k)

    def save(self) -> None:
        """Checkpoint every member that has done an epoch."""
        self.write_back()
        due = [m for _, m in self.alive() if 0 < m.training.epochs_done < phase_of(m.model).epochs]
        if len(due) <= 1:
            for one in due:
                one.checkpoint.save(one.training)
            return
        with ThreadPoolExecutor(min(WRITERS, len(due))) as pool:  # the device waits meanwhile
            list(pool.map(lambda one: one.checkpoint.save(one.training), due))

    def _train(self, epoch: int, stop: Callable[[], bool]) -> dict[str, Tensor] | None:
        """The means of the losses over the training items with finite ones, each [K], or None if
        broken off.
        """
        template, device = self.stack.template, self.batches.device
        hyper = self._hyper([m.model.hyper(epoch) for m in self.members])
        sums: dict[str, Tensor] = {}
        # a player who moves at every fifth batch has losses of as many
        counts: dict[str, Tensor] = {}
        last_check = time.monotonic()
        specs = self.batches.epoch(self.seed, epoch, phase_of(template).batch_size)
        for step, spec in enumerate(specs):
            size = len(spec["index"])
            given = noise(self.seed, ("noise", epoch, step), size, template.noise_shape, device)
            means = self.runner.step(spec, given, hyper)
            finite = torch.isfinite(means["loss"])
            for name, value in means.items():
                sums[name] = sums.get(name, 0) + torch.where(finite, value * size, 0.0)
                counts[name] = counts.get(name, 0) + finite * size
            late = time.monotonic() - last_check > 1
            if (data_parallel.current_group().size > 1 or late) and stop():
                return None
            last_check = time.monotonic() if late else last_check
        return {name: value / counts[name] for name, value in sums.items()}

    def _evaluate(self) -> dict[str, Tensor]:
        """Losses on the classes that drive the schedule, every train-stage weight at 1, the same
        noise at each epoch: means, each [K].
        """
        batches, template = self.batches, self.stack.template
        ones = self._hyper([dict.fromkeys(self.hyper_names, 1.0)] * len(self.members))
        sums: dict[str, Tensor] = {}
        count = 0
        for step, spec in enumerate(batches.validation()):
            size = len(spec["index"])
            count += size
            purpose = ("validation", step)
            given = noise(self.seed, purpose, size, template.noise_shape, batches.device)
            mine, given, share = self.stack.peers.shard(spec, given)
            for name, value in self.stack.losses(batches.batch(mine), given, ones).items():
                sums[name] = sums.get(name, 0) + value.mean(1) * (share * size)
        return {f"validation_{n}": self.stack.peers.all_reduce(v) / count for n, v in sums.items()}

    def _hyper(self, values: Sequence[dict[str, float]]) -> dict[str, Tensor]:
        """Hyperparameters by name, each [K], on the device."""
        device = self.batches.device
        return {
            n: torch.tensor([one[n] for one in values], dtype=torch.float32, device=device)
            for n in self.hyper_names
        }
