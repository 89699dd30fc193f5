"""The machine's cache: built once, checked, shared by processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from caches import chunks, not_asked, run_at_once

from oneshot import data
from oneshot.paths import DataError
from oneshot.store import machine_cache


@pytest.mark.filterwarnings("error")
def test_the_cache_is_built_once_and_mapped_read_only(own_cache: Path) -> None:
    array = machine_cache.cached("x.npy", (3, 2, 3), chunks)
    assert np.array_equal(array, np.concatenate(list(chunks())))
    again = machine_cache.cached("x.npy", (3, 2, 3), not_asked)
    assert isinstance(again, np.memmap) and again.mode == "r" and np.array_equal(again, array)
    assert not list(own_cache.glob(".*.part"))


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, (1, 1))  # damage within the same second is not seen by its time


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-5]), "mmap length"),
        (lambda p: p.write_bytes(p.read_bytes() + b"more"), "150 bytes, not 146"),
        (lambda p: p.write_bytes(b""), "No data left"),
        (lambda p: p.write_bytes(b"x" * 146), "allow_pickle|pickled|magic"),
        (lambda p: np.save(p, np.zeros((3, 2, 3), np.float32)), r"float32 \(3, 2, 3\), not uint8"),
        (
            lambda p: np.save(p, np.zeros((3, 3, 2), np.uint8)),
            r"uint8 \(3, 3, 2\), not uint8 \(3, 2, 3\)",
        ),
        (lambda p: p.with_suffix(".json").unlink(), "x.json is missing"),
        (lambda p: p.with_suffix(".json").write_text("{"), "Expecting"),
        (damage_flip, "does not match its checksum"),
    ],
)
def test_a_damaged_cache_file_is_named_and_built_again(
    own_cache: Path, damage: object, reason: str
) -> None:
    machine_cache.cached("x.npy", (3, 2, 3), chunks)
    assert callable(damage)
    damage(own_cache / "x.npy")
    with pytest.warns(RuntimeWarning, match=rf"x\.npy is damaged \(.*({reason})"):
        array = machine_cache.cached("x.npy", (3, 2, 3), chunks)
    assert np.array_equal(array, np.concatenate(list(chunks())))
    machine_cache.cached("x.npy", (3, 2, 3), not_asked)


@pytest.mark.filterwarnings("error")
def test_a_copied_cache_is_checked_by_content_and_used(own_cache: Path) -> None:
    machine_cache.cached("x.npy", (3, 2, 3), chunks)
    os.utime(own_cache / "x.npy", (1, 1))
    machine_cache.cached("x.npy", (3, 2, 3), not_asked)


def test_an_interrupted_or_short_build_leaves_nothing(own_cache: Path) -> None:
    def stops() -> Iterator[np.ndarray]:
        yield next(chunks())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        machine_cache.cached("x.npy", (3, 2, 3), stops)
    with pytest.raises(ValueError, match="3 images were made, not 4"):
        machine_cache.cached("x.npy", (4, 2, 3), chunks)
    assert [p.name for p in own_cache.iterdir()] == [".x.npy.lock"]


def test_a_cache_that_cannot_be_written_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"Not a directory(.|\n)*help: set ONESHOT_CACHE"):
        machine_cache.cached("x.npy", (3, 2, 3), chunks)


def test_of_many_processes_one_builds(own_cache: Path) -> None:
    code = (
        "import numpy as np, sys, time; from oneshot.store import machine_cache as cache\n"
        "def chunks():\n    print('built'); time.sleep(.5); yield np.ones((2, 3), np.uint8)\n"
        "assert cache.cached('x.npy', (2, 3), chunks).sum() == 6"
    )
    assert "".join(run_at_once(code, 4)).count("built") == 1


def test_a_process_killed_while_it_builds_keeps_nobody_waiting(own_cache: Path) -> None:
    """kill -9 when half of the images are written: the next one builds them all, and the half is
    gone.
    """
    code = (
        "import numpy as np, time; from oneshot.store import machine_cache as cache\ndef"
        " chunks():\n    yield np.ones((1 << 14, 3), np.uint8); print('half', flush=True);"
        " time.sleep(60)\ncache.cached('x.npy', (1 << 15, 3), chunks)"
    )
    root = Path(data.__file__).parents[2]
    killed = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None and killed.stdout.readline() == "half\n"
    assert [p.stat().st_size > 1 << 14 for p in own_cache.glob(".x.npy.*.part")] == [True] and not (
        own_cache / "x.npy"
    ).exists()
    killed.kill()
    killed.communicate()
    assert machine_cache.cached("x.npy", (3, 2, 3), chunks).shape == (3, 2, 3)
    assert {p.name for p in own_cache.iterdir()} == {".x.npy.lock", "x.npy", "x.json"}
