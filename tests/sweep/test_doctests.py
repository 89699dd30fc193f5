"""The examples in the docstrings of sweeps, metrics and the names of `oneshot` hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

ROOMS = ("oneshot.sweep", "oneshot.metrics", "oneshot.api")
MODULES = [
    f"{room}.{module.name}"
    for room in ROOMS
    for module in pkgutil.iter_modules(importlib.import_module(room).__path__)
]
# What a newcomer reads first, and learns from examples.
SHOWN = (
    "oneshot.sweep.definition",
    "oneshot.sweep.filter",
    "oneshot.sweep.parts",
    "oneshot.api.arrays",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
    assert results.attempted or name not in SHOWN
