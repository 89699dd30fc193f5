"""Files as MNIST has them."""

from __future__ import annotations

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file that holds this array of uint8."""
    return (
        bytes([0, 0, 8, array.ndim])
        + b"".join(n.to_bytes(4, "big") for n in array.shape)
        + array.tobytes()
    )
