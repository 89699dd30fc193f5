"""Random streams: every random number comes from (seed, purpose, index), and nothing seeds
globally.

The same seed gives the same batches and the same noise to every point (common random numbers), in a
solo or a stacked run, on any batch size, and after a resume.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key(seed: int, *purpose: object) -> int:
    """A 63-bit seed for one purpose, the same on every machine and Python version."""
    text = ":".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A NumPy generator (Philox, counter-based) for one purpose."""
    return np.random.Generator(np.random.Philox(key=key(seed, *purpose)))


def normal_per_drawing(
    seed: int, classes: np.ndarray, drawings: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Standard normal noise, float32 [B, *shape]: row i depends only on (seed, classes[i],
    drawings[i]), not on the batch it is in.
    """
    rows = [
        generator(seed, "draw", c, d).standard_normal(shape, dtype=np.float32)
        for c, d in zip(classes.tolist(), drawings.tolist())
    ]
    return np.stack(rows) if rows else np.empty((0, *shape), np.float32)
