"""Reading the batches of CIFAR-10 and CIFAR-100: pickles of arrays, and of nothing else."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oneshot.paths import DataError

CHANNELS, SIDE = 3, 32  # of a photograph, pixels

# what NumPy names in a pickle of an array; its module has another name in NumPy 1 and 2
_rebuild_array = np.empty(0).__reduce__()[0]
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _rebuild_array,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


@dataclass(frozen=True)
class Batches:
    """The batches of one of the two data sets.

    Args:
        title: of the data set, as people call it.
        labels: what a batch calls the list of its labels.
        classes: how many there are.
        help: what to do about a damaged file, as the end of a message.
    """

    title: str
    labels: bytes
    classes: int
    help: str

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Read one batch.

        Returns:
            Images uint8 [n, 3, 32, 32] and classes int64 [n].

        Raises:
            DataError: absent, damaged, or something else in it.
        """
        try:
            with path.open("rb") as file:
                batch = _Unpickler(file, self.title).load()
            data, labels = batch[b"data"], batch[self.labels]
        except FileNotFoundError as error:
            raise DataError(f"{path} is missing{self.help}") from error
        except Exception as error:
            # damaged pickles raise nearly anything: UnpicklingError, EOFError, ValueError,
            # KeyError, OSError
            raise self._not_one(path, str(error) or type(error).__name__) from error
        values = CHANNELS * SIDE * SIDE
        if (
            not isinstance(data, np.ndarray)
            or data.dtype != np.uint8
            or data.ndim != 2
            or data.shape[1] != values
        ):
            raise self._not_one(path, f"its data are not uint8 [n, {values}]")
        if (
            not isinstance(labels, list)
            or len(labels) != len(data)
            or not all(type(i) is int and 0 <= i < self.classes for i in labels)
        ):
            numbers = f"{len(data)} numbers in 0 .. {self.classes - 1}"
            raise self._not_one(path, f"its labels are not {numbers}")
        return data.reshape(-1, CHANNELS, SIDE, SIDE), np.array(labels, np.int64)

    def _not_one(self, path: Path, reason: str) -> DataError:
        """The error for a file that is no batch of the data set."""
        return DataError(f"{path} is no batch of {self.title}: {reason}{self.help}")


class _Unpickler(pickle.Unpickler):
    """Takes NumPy arrays and plain values only, as a pickle may otherwise run any code."""

    def __init__(self, file: Any, title: str):
        super().__init__(file, encoding="bytes")  # written by Python 2
        self._title = title

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no batch of {self._title} does"
            )
        return ALLOWED[module, name]
