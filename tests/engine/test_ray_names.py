"""Names of Ray without a promise: whoever raises its bound in pyproject.toml looks here first."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import ray
import small
from ray.air.execution._internal.actor_manager import RayActorManager

from oneshot.engine import ray_connection, tune


def test_ray_still_has_what_is_changed_or_called_here() -> None:
    """Names without a promise, of the Ray that pyproject.toml allows: whoever raises its bound
    looks here first.
    """
    failed = inspect.unwrap(RayActorManager._actor_task_failed)
    assert list(inspect.signature(failed).parameters) == ["self", "tracked_actor_task", "exception"]
    assert not issubclass(ray.exceptions.OutOfMemoryError, ray.exceptions.RayActorError), (
        "the change is no longer needed"
    )
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import inspect, ray; print(inspect.signature(ray._private.worker.print_to_stdstream))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.startswith("(data, ignore_prefix"), (
        "in a process of its own, as a run changes it"
    )
    assert (
        next(
            iter(inspect.signature(ray._private.services.canonicalize_bootstrap_address).parameters)
        )
        == "addr"
    )
    assert (
        "atexit.register(shutdown, "
        in Path(str(inspect.getsourcefile(ray._private.worker))).read_text()
    )
    assert (
        "warn_if_disabled"
        in inspect.signature(
            ray_connection.token_setup.maybe_enable_token_auth_if_token_available
        ).parameters
    )
    assert callable(ray_connection.AuthenticationTokenLoader.instance().get_token_for_http_header)


def test_ray_still_reads_the_variables_that_are_set_here() -> None:
    package = Path(ray.__file__).parent
    names = set(re.findall(r"\b(?:TUNE|RAY_AIR)_[A-Z_]+\b", Path(tune.__file__).read_text()))
    read = "\n".join(
        p.read_text() for p in [*package.glob("tune/**/*.py"), *package.glob("air/**/*.py")]
    )
    assert len(names) >= 6 and all(f'"{name}"' in read for name in names), [
        n for n in names if n not in read
    ]


def test_the_project_asks_for_a_ray_with_tokens_and_for_none_that_was_not_looked_at() -> None:
    import tomllib

    asked = tomllib.loads((small.ROOT / "pyproject.toml").read_text())["project"]
    rays = [
        line
        for line in [*asked["dependencies"], *asked["optional-dependencies"]["cluster"]]
        if line.startswith("ray[")
    ]
    bounds = [re.search(r">=2\.(\d+),<2\.(\d+)$", line) for line in rays]
    minor = int(ray.__version__.split(".")[1])
    assert len(bounds) == 2 and all(
        b and int(b[1]) == 52 and int(b[1]) <= minor < int(b[2]) == minor + 1 for b in bounds
    ), rays
