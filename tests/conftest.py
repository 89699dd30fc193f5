"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import small

ROOT = Path(__file__).parent.parent

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell's background job ignores it, and so would every run that a test interrupts


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data files that are not part of the repository; tests that need them skip when it is absent."""
    folder = Path(os.environ.get("ONESHOT_DATA_FILES", ROOT.parent / "shared" / "data"))
    if not (folder / "omniglot_105_packed.npz").is_file():
        pytest.skip(f"needs omniglot_105_packed.npz, not in {folder} (set ONESHOT_DATA_FILES to the folder that holds it)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run beside each other and beside worker processes: threads that wait for each other only cost time."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small sweep and its results, run once on Ray."""
    folder = tmp_path_factory.mktemp("finished")
    done = small.run(small.write_sweep(folder), "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder
