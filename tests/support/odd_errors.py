"""Exceptions that are hard to tell and to send."""

from __future__ import annotations

import threading


class Unprintable(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Unpicklable(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, text: str):
        super().__init__(text)
        self.lock = threading.Lock()
