"""What values of flags may be, each with a message that says what is wrong."""

from __future__ import annotations

import argparse
import math

from oneshot.sweep import shards

SAMPLERS = ("optuna",)  # that --suggest can ask; each is the name of its package


def positive(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return value


def shard(text: str) -> str:
    """A part of a sweep."""
    try:
        return str(shards.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def amount(text: str) -> float:
    """A number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


def more_than_none(text: str) -> float:
    """A number above 0."""
    if not (value := amount(text)):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value


def sampler(text: str) -> str:
    """A sampler, and after a colon how many points it is asked for."""
    name, colon, number = text.partition(":")
    if name not in SAMPLERS:
        raise argparse.ArgumentTypeError(f"{name!r} is no sampler; known: {', '.join(SAMPLERS)}")
    if colon:
        positive(number)
    return text


def seconds(text: str) -> float:
    """Seconds between two looks."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds; SWEEP stands before --watch"
        ) from None
    if not 0.1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is outside 0.1 .. 86400 seconds")
    return value
