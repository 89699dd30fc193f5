"""Training, the state of a training, and Checkpoint, its place in the store while unfinished."""

from __future__ import annotations

import io
import math
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from oneshot.store.store import DamagedFile, Store, sealed, unsealed

TRIES = 5  # of writing a checkpoint that others write, too
STORED_AS = {"optimizer_state": "game"}  # names in files of all versions, where they differ


@dataclass
class Training:
    """The state of a training.

    Args:
        end: weights after the last epoch.
        best: weights after the epoch of the lowest `best_loss`; at the end of a training in which
            no epoch could be the best, those of `end`.
        best_epoch: that epoch, counted from 0; -1 where there is none.
        best_loss: the validation loss, or what else the family monitors, of that epoch.
        epochs_done: finished epochs.
        seconds: its share of the time of its stack.
        curve: losses and step sizes, a column each, one value an epoch.
        optimizer_state: what a resume needs besides the weights.
        how: the way of training in words, as in "stack of 17, graph".
    """

    end: dict[str, Tensor]
    best: dict[str, Tensor]
    best_epoch: int = -1
    best_loss: float = math.inf
    epochs_done: int = 0
    seconds: float = 0.0
    curve: dict[str, list[float]] = field(default_factory=dict)
    optimizer_state: dict[str, Any] = field(default_factory=dict)
    how: str = ""

    def to_bytes(self, weights_only: bool) -> bytes:
        """The file of a checkpoint, or of a finished training.

        Args:
            weights_only: leave out the state of the optimizer, which a finished training needs
                no more.
        """
        state = {STORED_AS.get(name, name): value for name, value in vars(self).items()}
        if weights_only:
            del state[STORED_AS["optimizer_state"]]
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes, where: str = "a training") -> Training:
        """The training in the bytes of `to_bytes`.

        Args:
            data: the bytes.
            where: what they are, for the error.

        Returns:
            The training.

        Raises:
            DamagedFile: there is none in them.
        """
        try:
            state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
            ours = {stored: name for name, stored in STORED_AS.items()}
            return Training(**{ours.get(name, name): value for name, value in state.items()})
        except MemoryError:
            raise
        except Exception as error:
            # whatever torch meets in bytes of another version or another program
            what = str(error).strip().split("\n")[0]
            raise DamagedFile(
                f"{where} holds no training of this version ({type(error).__name__}: {what})"
            ) from None


class Checkpoint:
    """The place of an unfinished training in the store.

    A checkpoint never gives way to one of fewer epochs. So a worker that was given up, and still
    trains somewhere, cannot undo what the one that took over has saved: each save replaces the
    version that this worker read or wrote itself, and if another is there, the one that is further
    stays. Both are the same training, as it depends on its seed alone.

    Args:
        store: where.
        key: of the checkpoint.
        every_seconds: after how long the next one is due.
        writes: False in those of several processes that only follow.
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
        """The training as it was saved last, or None.

        A damaged file is set aside with a warning, and the training starts from its beginning.
        """
        try:
            return self._fetch()
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

    def _fetch(self) -> Training:
        """The training that is there, whose version the next save replaces."""
        data, version = self.store.fetch(self.key)
        where = self.store.path(self.key)
        training = Training.from_bytes(unsealed(data, where), where)
        self._version = version
        return training

    def due(self) -> bool:
        """Whether the last one is older than `every_seconds`."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, training: Training) -> None:
        """Write the training, unless one that is further is there."""
        if not self.writes:
            return
        data = sealed(training.to_bytes(weights_only=False))
        for _ in range(TRIES):
            if version := self.store.exchange(self.key, data, self._version):
                self._version = version
                break
            try:
                if self._fetch().epochs_done >= training.epochs_done:
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
