"""Random numbers, each from (seed, purpose, index); nothing seeds globally.

The same seed gives the same batches and the same noise to every point (common random numbers), in a
solo or a stacked run, on any batch size, and after a resume.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key(seed: int, *purpose: object) -> int:
    """A seed for one purpose, the same on every machine and Python version.

    Args:
        seed: of the point.
        purpose: words and numbers that name it.

    Returns:
        63 bits.
    """
    text = ":".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A generator (Philox, counter-based) for one purpose.

    Args:
        seed: of the point.
        purpose: words and numbers that name it.

    Returns:
        A generator of NumPy.
    """
    return np.random.Generator(np.random.Philox(key=key(seed, *purpose)))


def normal_per_drawing(
    seed: int,
    classes: np.ndarray,
    drawings: np.ndarray,
    shape: tuple[int, ...],
    purpose: str = "draw",
) -> np.ndarray:
    """Standard normal noise of drawings, each independent of the batch it is in.

    Args:
        seed: of the point.
        classes: class of each drawing, [B].
        drawings: its number among those of the class, [B].
        shape: of the noise of a drawing.
        purpose: a word that names what the noise is for.

    Returns:
        float32 [B, *shape]; row i depends only on (seed, purpose, classes[i], drawings[i]).
    """
    rows = [
        generator(seed, purpose, c, d).standard_normal(shape, dtype=np.float32)
        for c, d in zip(classes.tolist(), drawings.tolist())
    ]
    return np.stack(rows) if rows else np.empty((0, *shape), np.float32)
