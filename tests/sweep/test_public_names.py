"""The names that `oneshot` itself offers, and what it costs to import them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from made_sweeps import ROOT

import oneshot
from oneshot import sweep

HEAVY = {"torch", "ray", "pandas", "pyarrow", "matplotlib", "numpy"}


def test_the_package_offers_the_names_that_sweep_files_use() -> None:
    for name in ("Sweep", "grid", "line", "points", "steps"):
        assert getattr(oneshot, name) is getattr(sweep, name)
    assert {"run", "load", "model", "score", "TrainedModel", "grid"} <= set(oneshot.__all__)
    for name in oneshot.__all__:
        assert callable(getattr(oneshot, name)) and name in dir(oneshot)
    with pytest.raises(AttributeError, match="has no attribute 'girds'"):
        _ = oneshot.girds


@pytest.mark.parametrize("code", ["from oneshot import *", "import oneshot.sweep"])
def test_importing_them_loads_nothing_heavy(code: str) -> None:
    check = f"{code}; import sys; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
