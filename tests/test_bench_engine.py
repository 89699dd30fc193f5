"""Every benchmark can be imported; those of engine and tables run, and write rows that a table can be made of."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def names_of_ours(module: ModuleType, source: str) -> Iterator[tuple[str, str]]:
    """The names that a program takes from modules of ours, wherever it does: (module, name)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("oneshot"):
            yield from ((str(node.module), one.name) for one in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = getattr(module, node.value.id, None)
            if isinstance(owner, ModuleType) and owner.__name__.startswith("oneshot"):
                yield owner.__name__, node.attr


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_a_benchmark_can_be_imported_and_takes_from_ours_what_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a script, beside its neighbours; what it does with the names is seen only where it runs."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), str(ROOT), *sys.path])
    before = set(sys.modules)
    try:
        module = importlib.import_module(name)
        wanted = set(names_of_ours(module, (ROOT / f"benchmarks/{name}.py").read_text()))
        missing = [(owner, one) for owner, one in sorted(wanted) if not found(owner, one)]
        assert not missing, f"benchmarks/{name}.py takes what is not there: {missing}"
    finally:  # its neighbours have names that others may want, such as `run`
        for one in set(sys.modules) - before:
            if str(ROOT / "benchmarks") == str(Path(getattr(sys.modules[one], "__file__", None) or "/").parent):
                del sys.modules[one]


def found(owner: str, name: str) -> bool:
    """Whether a module or package of ours has this name."""
    module = importlib.import_module(owner)
    return hasattr(module, name) or (hasattr(module, "__path__") and importlib.util.find_spec(f"{owner}.{name}") is not None)


def rows_of(name: str) -> list[dict[str, object]]:
    """Run benchmarks/NAME.py --quick and return the rows that it wrote; figures of a whole run that lie there are put back."""
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
