"""The benchmarks of engine and tables run, and write rows that a table can be made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rows_of(name: str) -> list[dict[str, object]]:
    """Run benchmarks/NAME.py --quick and return the rows that it wrote; figures of a whole run that
    lie there are put back.
    """
    out = ROOT / f"benchmarks/out/{name}.json"
    before = out.read_bytes() if out.exists() else None
    try:
        command = [sys.executable, str(ROOT / f"benchmarks/{name}.py"), "--quick"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(out.read_text())["rows"]
    finally:
        out.unlink(missing_ok=True)
        if before is not None:
            out.write_bytes(before)
    assert len(done.stdout.splitlines()) == len(found)
    return found


def test_tables() -> None:
    found = rows_of("tables")
    assert {r["item"] for r in found} == {6} and sum(r["target"] != "" for r in found) == 4
    assert sum(r["ratio"] is not None for r in found) == 2


@pytest.mark.slow
def test_engine() -> None:
    found = rows_of("engine")
    assert {r["item"] for r in found} == {5} and len(found) == 5
    ratio = next(r["ratio"] for r in found if "default" in str(r["what"]))
    assert isinstance(ratio, float) and ratio > 0
