"""Small JSON files with a checksum at their end: readable, and checked whenever they are read."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from typing import Any

from oneshot.store.store import Store


def encode(values: Mapping[str, Any]) -> bytes:
    """One JSON object on two lines: the values, then the SHA-256 of the first line."""
    body = f"{json.dumps(values)[:-1]},\n"
    return (body + f'"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n').encode()


def decode(data: bytes) -> dict[str, Any]:
    """The values in these bytes. Notes of earlier versions are one line and have no checksum.

    Raises:
        ValueError: they are not what was written.
    """
    body, _, last = data.rstrip(b"\n").rpartition(b"\n")
    values = json.loads(data)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    if body and json.loads(b"{" + last).get("sha256") != hashlib.sha256(body + b"\n").hexdigest():
        raise ValueError("checksum wrong")
    values.pop("sha256", None)
    return values


def stored(store: Store, key: str) -> dict[str, Any] | None:
    """The note under a key.

    Args:
        store: where it is.
        key: of the note.

    Returns:
        Its values; None where there is none, or, with a warning, where it is damaged.
    """
    try:
        return decode(store.read(key))
    except FileNotFoundError:
        return None
    except ValueError as error:
        warnings.warn(f"{store.path(key)} is damaged ({error}); it is made again", stacklevel=2)
        return None
