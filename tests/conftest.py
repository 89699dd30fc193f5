"""Fixtures shared by all tests; `tests/README.md` says how tests are written."""

from __future__ import annotations

import copy
import fcntl
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3
import small

ROOT = Path(__file__).parent.parent
# another number, to see that no test depends on it
THREADS = os.environ.get("ONESHOT_TEST_THREADS", "1")

# Two workers of pytest-xdist share the processors; what they start inherits this, and threads that
# wait only cost time.
os.environ.setdefault("OMP_NUM_THREADS", THREADS)

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell's background job ignores it, and so would every run that a test interrupts


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests come first: `make test` gives a file to one worker of pytest-xdist.

    What begins last ends last: a long file that begins at the end would leave the other processor
    idle. Where slow tests run, what only repeats the beginning of one is left out.
    """
    if not config.option.markexpr.startswith("not slow"):
        items[:] = [item for item in items if not item.get_closest_marker("shorter")]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data files that are not part of the repository; tests that need them skip
    when it is absent.
    """
    folder = Path(os.environ.get("ONESHOT_DATA_FILES", ROOT.parent / "shared" / "data"))
    if not (folder / "omniglot_105_packed.npz").is_file():
        pytest.skip(
            f"needs omniglot_105_packed.npz, not in {folder} (set ONESHOT_DATA_FILES to the folder"
            " that holds it)"
        )
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a working folder of the test's own, and no proxy between it and its server."""
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> None:
    """One thread in torch, as tests run beside each other and beside worker processes."""
    import torch

    torch.set_num_threads(int(THREADS))


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Torch's global generator begins each test alike, whatever ran before on this worker."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def s3_started() -> Iterator[s3.Server]:
    """The S3 server of all tests of a process; ask for `s3_server` instead."""
    pytest.importorskip("moto")
    started = s3.Server()
    yield started
    started.stop()


numbers = itertools.count(1)


@pytest.fixture
def s3_server(s3_started: s3.Server, monkeypatch: pytest.MonkeyPatch) -> s3.Server:
    """An S3 server with a fresh bucket, a folder of which is `uri`. Its credentials are in the
    environment; its log is empty.
    """
    for name, value in s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    fresh = copy.copy(s3_started)
    fresh.bucket = f"bucket-{next(numbers)}"
    fresh.uri = s3_started.uri.replace(f"s3://{s3_started.bucket}/", f"s3://{fresh.bucket}/")
    fresh._ask(f"/{fresh.bucket}", "PUT")
    fresh.log()
    return fresh


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    """Ray with two processors, for the tests of a file: runs in this process, as by `small.main`,
    join it instead of starting their own.

    For tests that end none of its processes. It is stopped after the file, as a cluster of several
    nodes (`clusters.cluster`) cannot be driven by a process that has another.
    """
    with small.ray_here():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small sweep and its results, run once on Ray; for all workers of
    pytest-xdist the same, and for all calls of pytest to which $ONESHOT_FINISHED gives one folder.
    Not to be changed.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(os.environ.get("ONESHOT_FINISHED") or base) / "finished"
    with (folder.parent / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "stderr.txt").exists():
            folder.mkdir(exist_ok=True)
            with small.ray_here():
                done = small.main(small.write_sweep(folder), "--results", folder / "results")
            assert done.returncode == 0, done.stderr
            (folder / "stdout.txt").write_text(done.stdout)
            (folder / "stderr.txt").write_text(done.stderr)
    return folder
