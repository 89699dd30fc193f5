"""For tests of caches: processes that begin together, images, what must not be called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from oneshot import data


def run_at_once(code: str, count: int) -> list[str]:
    """The output of `count` processes that run this code at once; all must succeed."""
    root = Path(data.__file__).parents[2]
    command = [sys.executable, "-W", "error", "-c", code]
    processes = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return outputs


def chunks() -> Iterator[np.ndarray]:
    """Images of 3 x 2 x 3 bytes, in two parts."""
    yield np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    yield np.full((1, 2, 3), 7, np.uint8)


def not_asked(*_: Any) -> NoReturn:
    """In place of what must not be called, as the cache has it."""
    raise AssertionError("asked again")
