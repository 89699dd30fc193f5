"""Blocks of bytes as a page carries them: compressed, inline as text or in files beside it."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

CHUNK = 1024  # points or samples of one block


def compressed(data: bytes) -> bytes:
    """Bytes as gzip, the same for the same bytes whenever they are written."""
    return gzip.compress(data, 9, mtime=0)


def inline(data: bytes) -> str:
    """Compressed bytes as text that HTML can hold."""
    return base64.b64encode(data).decode("ascii")


def json_bytes(value: Any) -> bytes:
    """A value as compact JSON; numbers that are not finite become null."""
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False).encode()


def short(value: float, digits: int = 6) -> float | None:
    """A number with few significant digits, for what is only drawn.

    Args:
        value: The number.
        digits: How many digits stay.

    Returns:
        The number; None where it is not finite.
    """
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def shortened(values: Iterable[float], digits: int = 6) -> list[float | None]:
    """Numbers with few significant digits.

    Args:
        values: The numbers.
        digits: How many digits stay.

    Returns:
        The numbers; None where one is not finite.
    """
    return [short(float(value), digits) for value in values]


def _plain(value: Any) -> Any:
    """A value of Python's own types; what is empty or not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str):
        # lone surrogates are no text that a page can hold
        return value and value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return None if pd.isna(value) else str(value)
