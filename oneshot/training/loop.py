"""fit: the one training loop, for one model or a stack of them. Batches and noise come from (seed,
epoch, step), so that a resumed training
equals an unbroken one and a stacked training the same point trained alone.
"""

from __future__ import annotations

import io
import math
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import TrainedFamily
from oneshot.nn import data_parallel
from oneshot.store.store import DamagedFile, Store, sealed, unsealed
from oneshot.training.batches import Material
from oneshot.training.cuda_graph import Rounds
from oneshot.training.stack import Stack, matrix_products

Report = Callable[[int, int, dict[str, float]], None]
Tick = Callable[..., None]  # (what, done, total), with the loss after an epoch
CHECKPOINT_TRIES = 5  # of a checkpoint that others write, too
WRITERS = 8  # checkpoints of a stack that are written side by side


class Diverged(RuntimeError):
    """The loss, the weights or the drawings became non-finite. A result, not a failure; `training`
    is what went before.
    """

    def __init__(self, message: str, training: Training | None = None):
        super().__init__(message)
        self.training = training


class Stopped(RuntimeError):
    """The training was asked to stop; its checkpoints are written."""


def watch(report: Tick, stop: Callable[[], bool]) -> Tick:
    """What long work calls with (what, done, total) batch by batch: it passes that on, if it is
    named, and raises Stopped within a second
    of stop()."""
    asked = -math.inf

    def tick(what: str, done: int, total: int) -> None:
        nonlocal asked
        if what:
            report(what, done, total)
        if time.monotonic() - asked >= 1:
            asked = time.monotonic()
            if stop():
                raise Stopped(f"at {what or 'work'}: {done} of {total}")

    return tick


def unwatched(what: str, done: int, total: int, loss: float = math.nan) -> None:
    """The tick of work that nobody watches."""


@dataclass
class Training:
    """The state of a training: weights at the end and at the lowest validation loss (or of what
    else the family monitors: `best_loss`), and
    the curve, one value a column and epoch.

    seconds: its share of the time of its stack. game: what a resume needs besides the weights. how:
    in words, as in "stack of 17, graph".
    """

    end: dict[str, Tensor]
    best: dict[str, Tensor]
    best_epoch: int = -1
    best_loss: float = math.inf
    epochs_done: int = 0
    seconds: float = 0.0
    curve: dict[str, list[float]] = field(default_factory=dict)
    game: dict[str, Any] = field(default_factory=dict)
    how: str = ""

    def to_bytes(self, weights_only: bool) -> bytes:
        """The file of a checkpoint, or of a finished training, which needs no optimiser state."""
        state = {k: v for k, v in vars(self).items() if not (weights_only and k == "game")}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes, where: str = "a training") -> Training:
        """The training in the bytes of `to_bytes`. Raises DamagedFile, which names `where`, if
        there is none in them.
        """
        try:
            return Training(**torch.load(io.BytesIO(data), weights_only=True, map_location="cpu"))
        except MemoryError:
            raise
        except Exception as error:
            # whatever torch meets in bytes of another version or another program
            what = str(error).strip().split("\n")[0]
            raise DamagedFile(
                f"{where} holds no training of this version ({type(error).__name__}: {what})"
            ) from None


def noise(
    seed: int, purpose: tuple[object, ...], count: int, shape: tuple[int, ...], device: torch.device
) -> Tensor:
    """Standard normal [count, *shape], drawn on the device it is used on: a GPU sees other numbers
    than a CPU, but always the same.
    """
    generator = torch.Generator(device).manual_seed(rng.key(seed, *purpose))
    return torch.randn((count, *shape), generator=generator, device=device)


class Checkpoint:
    """Where an unfinished training lies in the store. A damaged file is set aside with a warning
    and training starts afresh.

    A checkpoint never gives way to one of fewer epochs. So a worker that was given up, and still
    trains somewhere, cannot undo what the one that took over has saved: each save replaces the
    version that this worker read or wrote itself, and if another is there, the one that is further
    stays. Both are the same training, as it depends on its seed alone.

    Args:
        store: where.
        key: of the checkpoint.
        every_seconds: after how long the next one is due.
        writes: not in those of several peers who only follow.
        finished: the key of the finished training; once it is there, no checkpoint is needed.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        every_seconds: float = 60.0,
        writes: bool = True,
        finished: str = "",
    ):
        self.store, self.key, self.every_seconds, self.writes = store, key, every_seconds, writes
        self.finished = finished
        self._version = ""
        self._last = time.monotonic()

    def load(self) -> Training | None:
        """The training as it was saved last, or None."""
        try:
            return self._there()[0]
        except FileNotFoundError:
            return None
        except DamagedFile as error:
            if not self.writes:
                return None
            aside = self.store.set_aside(self.key)
            warnings.warn(
                f"{error}; kept as {aside}, this training starts from its beginning", stacklevel=2
            )
            return None

    def _there(self) -> tuple[Training, str]:
        data, version = self.store.fetch(self.key)
        where = self.store.path(self.key)
        training = Training.from_bytes(unsealed(data, where), where)
        self._version = version
        return training, version

    def due(self) -> bool:
        """Whether the last one is older than `every_seconds`."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, training: Training) -> None:
        """Write the training, unless one that is further is there."""
        if not self.writes:
            return
        data = sealed(training.to_bytes(weights_only=False))
        for _ in range(CHECKPOINT_TRIES):
            if version := self.store.exchange(self.key, data, self._version):
                self._version = version
                break
            try:
                if self._there()[0].epochs_done >= training.epochs_done:
                    break
            except FileNotFoundError:
                # another worker has finished and deleted it, or it was set aside
                self._version = ""
                if self.finished and self.store.exists(self.finished):
                    break
            except DamagedFile:
                self.store.set_aside(self.key)
                self._version = ""
        self._last = time.monotonic()


def fit(
    models: Sequence[TrainedFamily],
    material: Material,
    seed: int,
    checkpoints: Sequence[Checkpoint],
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    accelerated: bool = False,
) -> list[Training | Diverged]:
    """Train models of one shape as one stack for config.epochs epochs, each continuing from its own
    checkpoint if there is one.

    report(epoch, epochs, curve row of the first model at work) is called after every epoch; stop()
    is asked after every epoch and at most every second within one. accelerated: compiled, and as a
    CUDA graph; needs a GPU. Returns the training of each model, or the Diverged of one whose loss
    or gradient became non-finite. Raises Stopped (checkpoints saved) when asked to stop.
    """
    slices = [_Slice.begin(model, checkpoint) for model, checkpoint in zip(models, checkpoints)]
    agree = data_parallel.current_group().broadcast_flag

    def stopped() -> bool:
        return agree(stop())

    with matrix_products(getattr(models[0].config, "precision", "float32")):
        crew: _Crew | None = None
        while members := _next(slices, models[0].config.epochs):
            if crew is None or crew.outdated(members):
                if crew is not None:
                    crew.write_back()
                crew = None  # gives its memory back first
                crew = _Crew(members, material, seed, accelerated)
            row = crew.epoch(stopped)
            done, epochs = max(s.training.epochs_done for s in members), models[0].config.epochs
            if row is not None:
                report(done, epochs, row)
            if row is None or (stopped() and _next(slices, epochs)):
                crew.save()
                raise Stopped(f"after epoch {done} of {epochs}")
            if any(s.checkpoint.due() for s in members):
                crew.save()
    return [s.diverged or s.training for s in slices]


@dataclass
class _Slice:
    """One model of a stack, with where it stands."""

    model: TrainedFamily
    checkpoint: Checkpoint
    training: Training
    diverged: Diverged | None = None

    @staticmethod
    def begin(model: TrainedFamily, checkpoint: Checkpoint) -> _Slice:
        training = checkpoint.load()
        if training is None:
            weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            training = Training(weights, weights)
        else:
            model.load_state_dict(training.end)
        return _Slice(model, checkpoint, training)


def _next(slices: Sequence[_Slice], epochs: int) -> list[_Slice]:
    """Who trains next: those that have done the fewest epochs, so that slices resumed at different
    epochs fall into step.
    """
    alive = [s for s in slices if s.diverged is None and s.training.epochs_done < epochs]
    least = min((s.training.epochs_done for s in alive), default=0)
    return [s for s in alive if s.training.epochs_done == least]


class _Crew:
    """Slices that train as one stack from the same epoch on."""

    def __init__(self, members: Sequence[_Slice], material: Material, seed: int, accelerated: bool):
        self.members, self.material, self.seed = list(members), material, seed
        self.stack = Stack([s.model for s in members], material.device, accelerated)
        for k, one in enumerate(members):
            if one.training.game:
                self.stack.restore(k, one.training.game)
        self.rounds = Rounds(
            self.stack, material.batch, by_graph=accelerated and self.stack.peers.size == 1
        )
        self.end = self.best = self.stack.snapshot()
        self.fresh_best = torch.zeros(len(members), dtype=torch.bool)
        self.hyper_names = list(members[0].model.hyper(0))
        self.monitor = f"validation_{self.stack.sides[0].player.monitor}"

    def outdated(self, members: Sequence[_Slice]) -> bool:
        """A new stack pays when others have come up to this epoch, or when a third of the slices
        only take up room.
        """
        left = [s for s in self.members if any(s is m for m in members)]
        return len(left) < len(members) or 3 * len(left) <= 2 * len(self.members)

    def epoch(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """One pass over the training images, evaluation and schedule for every member; None if it
        was broken off.
        """
        begun, epoch = time.monotonic(), self.alive()[0][1].training.epochs_done
        means = self._train(epoch, stop)
        # a broken-off epoch is repeated on resume: self.end still holds the end of the one before
        if means is None:
            return None
        columns = {f"train_{n}": v for n, v in means.items()} | self._evaluate()
        monitored, epochs = columns[self.monitor], self.members[0].model.config.epochs
        columns["learning_rate"] = self.stack.end_epoch(
            monitored, (epochs - epoch - 1) / (epochs - epoch)
        )
        values = {n: v.double().cpu().tolist() for n, v in columns.items()}
        finite = self.stack.alive.cpu().tolist()
        self.end = self.stack.snapshot()
        seconds = (time.monotonic() - begun) / len(self.alive())
        rows = [{n: v[k] for n, v in values.items()} for k in range(len(self.members))]
        improved = torch.zeros(len(self.members), dtype=torch.bool)
        for k, one in self.alive():
            improved[k] = self._record(one, epoch, rows[k], finite[k], seconds)
        if improved.any():
            self.fresh_best |= improved
            self.best.take(self.end, improved.to(self.material.device))
        first = self.alive()
        if all(s.training.epochs_done == s.model.config.epochs for _, s in first):
            self.write_back(last=True)
        return rows[first[0][0]] if first else rows[0]

    def alive(self) -> list[tuple[int, _Slice]]:
        return [(k, s) for k, s in enumerate(self.members) if s.diverged is None]

    def _record(
        self, one: _Slice, epoch: int, row: dict[str, float], finite: bool, seconds: float
    ) -> bool:
        """Take the end of an epoch into the training of a slice, or its divergence; True for a new
        best epoch.
        """
        training = one.training
        if not finite or not math.isfinite(row["train_loss"]):
            what = (
                f"the loss is {row['train_loss']}"
                if not math.isfinite(row["train_loss"])
                else "the gradient is not finite"
            )
            one.diverged = Diverged(f"{what} in epoch {epoch}", training)
            return False
        row = {"epoch": epoch, **row}
        # a player that did not move in an epoch has no losses of it
        for name in {**training.curve, **row}:
            training.curve.setdefault(name, [math.nan] * training.epochs_done).append(
                row.get(name, math.nan)
            )
        training.epochs_done, training.how = epoch + 1, self.how()
        training.seconds += seconds
        if row[self.monitor] < training.best_loss:
            training.best_loss, training.best_epoch = row[self.monitor], epoch
            return True
        return False

    def how(self) -> str:
        """How this stack trains, in words."""
        way = "graph" if self.rounds.by_graph else "eager"
        if self.stack.peers.size > 1:
            return f"{self.stack.peers.size} workers, {way}"
        return way if len(self.members) == 1 else f"stack of {len(self.members)}, {way}"

    def write_back(self, last: bool = False) -> None:
        """Bring weights and state from the stack into the trainings; the state is not needed after
        the last epoch.
        """
        for k, one in self.alive():
            one.training.end = self.end.weights(k)
            if self.fresh_best[k]:
                one.training.best = self.best.weights(k)
            one.training.game = {} if last else self.end.state(k)

    def save(self) -> None:
        """Checkpoint every member that has done an epoch."""
        self.write_back()
        due = [
            one for _, one in self.alive() if 0 < one.training.epochs_done < one.model.config.epochs
        ]
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
        template, device = self.stack.template, self.material.device
        hyper = self._hyper([s.model.hyper(epoch) for s in self.members])
        sums: dict[str, Tensor] = {}
        # a player who moves at every fifth batch has losses of as many
        counts: dict[str, Tensor] = {}
        asked = time.monotonic()
        for step, item in enumerate(
            self.material.epoch(self.seed, epoch, template.config.batch_size)
        ):
            size = len(item["index"])
            given = noise(self.seed, ("noise", epoch, step), size, template.noise_shape, device)
            means = self.rounds.play(item, given, hyper)
            finite = torch.isfinite(means["loss"])
            for name, value in means.items():
                sums[name] = sums.get(name, 0) + torch.where(finite, value * size, 0.0)
                counts[name] = counts.get(name, 0) + finite * size
            late = time.monotonic() - asked > 1
            if (data_parallel.current_group().size > 1 or late) and stop():
                return None
            asked = time.monotonic() if late else asked
        return {name: value / counts[name] for name, value in sums.items()}

    def _evaluate(self) -> dict[str, Tensor]:
        """Losses on the classes that drive the schedule, every train-stage weight at 1, the same
        noise at each epoch: means, each [K].
        """
        material = self.material
        ones = self._hyper([dict.fromkeys(self.hyper_names, 1.0)] * len(self.members))
        sums: dict[str, Tensor] = {}
        count = 0
        for step, item in enumerate(material.validation()):
            count += len(item["index"])
            size = len(item["index"])
            given = noise(
                self.seed,
                ("validation", step),
                size,
                self.stack.template.noise_shape,
                material.device,
            )
            mine, given, share = self.stack.peers.shard(item, given)
            for name, value in self.stack.losses(material.batch(mine), given, ones).items():
                sums[name] = sums.get(name, 0) + value.mean(1) * (share * size)
        return {f"validation_{n}": self.stack.peers.all_reduce(v) / count for n, v in sums.items()}

    def _hyper(self, values: Sequence[dict[str, float]]) -> dict[str, Tensor]:
        """Hyperparameters by name, each [K], on the device."""
        device = self.material.device
        return {
            n: torch.tensor([one[n] for one in values], dtype=torch.float32, device=device)
            for n in self.hyper_names
        }
