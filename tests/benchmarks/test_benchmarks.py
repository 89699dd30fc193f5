"""Every benchmark can be imported and asked for its flags, so that none rots unseen; the simulation
of a cluster runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import small

from oneshot.engine import queue

FOLDER = small.ROOT / "benchmarks"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """They import each other by name, as scripts of one folder do; what they import or set goes
    with the test.
    """
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and Path(str(sys.modules[name].__file__)).parent == FOLDER
        ):
            del sys.modules[name]


def loaded(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_there_are_benchmarks() -> None:
    assert {"run", "harness", "cluster_simulation"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_benchmark_is_imported_and_tells_its_flags(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = loaded(name)
    assert module.__doc__
    main = getattr(module, "main", None)
    if main is None or "parse_args" not in main.__code__.co_names:
        return  # a part of others, or without flags
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0 and "usage:" in capsys.readouterr().out


def test_a_small_cluster_is_simulated() -> None:
    """Every design ends with all points done, not faster than an ideal one, and leaves the
    project's constants as they were.
    """
    module, before = loaded("cluster_simulation"), (queue.BATCH_SECONDS, queue.BATCHES_PER_SECOND)
    cluster, costs = module.Cluster(2, 4), module.Costs()
    for design in module.designs(cluster, costs):
        found = module.simulate(10.0, 100, cluster, design, costs)
        assert (
            found["ideal"] < found["makespan"] < 100 * found["ideal"]
            and 0 < found["efficiency"] < 1
            and found["turns"] >= 8
        )
    assert before == (queue.BATCH_SECONDS, queue.BATCHES_PER_SECOND) and math.isfinite(
        queue.BATCHES_PER_SECOND
    )
