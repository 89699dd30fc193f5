"""Values of settings: as plain Python values, and in words."""

from __future__ import annotations

import enum
import os
from typing import Any

PLAIN = (int, float, bool, str, type(None))
SHOWN = 80  # most characters of a value in a message


def plain(value: Any) -> Any:
    """The Python value of what stands for one: a numpy scalar, a member of an Enum, a path.

    Exact: `np.float32(0.1)` is 0.10000000149011612. Whatever is not such a value is returned as it
    is.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        item = value.item()
        return float(item) if hasattr(item, "dtype") else item  # a long double's item is itself
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return os.fsdecode(value) if isinstance(value, os.PathLike) else value


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, which True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value as Python writes it, in one line of at most 80 characters, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8, which half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
