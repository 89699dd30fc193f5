"""The store in folders: full disks, file systems that stumble, and what killed writers left."""

from __future__ import annotations

import errno
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small

from oneshot.store import folder as files
from oneshot.store.store import Store, Unavailable, Unwritable

FULL_DISK = """
import errno, os, subprocess, sys
from oneshot.store.store import Store, Unwritable
folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder], check=True)
made = Store(folder)
made.write("q/x.json", b"old")
for step, number in (("full", errno.ENOSPC), ("read-only", errno.EROFS)):
    if step == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    for key in ("q/x.json", "new/y.json"):
        try:
            made.write(key, b"1" * 200_000)
        except Unwritable as error:
            assert error.errno == number and error.filename.startswith(folder), error
            print(error)
        else:
            raise AssertionError(step)
    assert made.read("q/x.json") == b"old" and os.listdir(folder + "/q") == ["x.json"]
try:
    made.delete("q/x.json")
except Unwritable as error:
    print(error)
made.delete("q/none")
"""


def test_a_disk_that_is_full_or_read_only_says_so_and_how_much_is_left(tmp_path: Path) -> None:
    """On a disk of its own, which needs a user name space."""
    if subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True
    ).returncode:
        pytest.skip("file systems cannot be mounted here")
    command = ["unshare", "-rm", sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(
        command, env=small.environment(), cwd=small.ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    left = r"\([\d.]+ k?B of 131 kB left on this disk\); finished points are safe"
    assert re.fullmatch(
        rf"cannot write {tmp_path}/q/x.json: No space left on device {left}", lines[0]
    ), lines
    assert re.fullmatch(
        rf"cannot write {tmp_path}/new/y.json: Read-only file system {left}", lines[3]
    ), lines
    assert re.fullmatch(
        rf"cannot delete {tmp_path}/q/x.json: Read-only file system {left}", lines[4]
    ), lines


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EACCES, errno.EPERM])
def test_a_folder_that_takes_no_files_is_unwritable(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "replace", refuse)
    for operation, action in {
        "write": lambda: Store(tmp_path).write("x", b"1"),
        "rename": lambda: Store(tmp_path).set_aside("x"),
    }.items():
        with pytest.raises(Unwritable) as caught:
            action()
        error = pickle.loads(pickle.dumps(caught.value))
        assert (
            isinstance(error, Unavailable)
            and (error.errno, error.filename) == (number, str(tmp_path / "x"))
            and "--results" in error.help
        )
        assert str(error).startswith(
            f"cannot {operation} {tmp_path}/x: {os.strerror(number)} ("
        ) and "left on this disk" in str(error)
    assert list(tmp_path.iterdir()) == []


CALLS: dict[str, Callable[[Store], Any]] = {
    "os.fsync": lambda s: s.write("new", b"1"),
    "os.replace": lambda s: s.write("new", b"1"),
    "os.mkdir": lambda s: s.write("folder/new", b"1"),
    "os.link": lambda s: s.create("new", b"1") or pytest.fail("not created"),
    "os.stat": lambda s: s.swap("x", b"1", s.version("x") or "") or pytest.fail("not swapped"),
    "os.scandir": lambda s: s.names("") == ["x"] or pytest.fail("not listed"),
    "os.unlink": lambda s: (s.delete("x"), s.names(""))[1] == [] or pytest.fail("not deleted"),
    "os.fstat": lambda s: s.fetch("x")[0] == b"old" or pytest.fail("not read"),
}


def stumbling(
    call: str, number: int, times: int, done_first: bool, folder: Path, patch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """A call on the files of this folder fails so often; how often it is asked for is told."""
    whole, asked = getattr(os, call.removeprefix("os.")), [0]

    def stumble(*arguments: Any, **more: Any) -> Any:
        file = arguments[0]
        if not (isinstance(file, int) or str(file).startswith(str(folder))):
            return whole(*arguments, **more)
        asked[0] += 1
        if asked[0] > times:
            return whole(*arguments, **more)
        if done_first:
            whole(*arguments, **more)
        raise OSError(number, os.strerror(number))

    patch.setattr(os, call.removeprefix("os."), stumble)
    return lambda: asked[0]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("done_first", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_network_file_system_that_stumbles_is_asked_again(
    call: str, number: int, done_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any call on files, before or after it did what it was asked for."""
    monkeypatch.setattr(files, "PAUSES", (0.001, 0.001))
    made = Store(tmp_path)
    made.write("x", b"old")
    with monkeypatch.context() as patch:
        asked = stumbling(call, number, 1, done_first, tmp_path, patch)
        CALLS[call](made)
        assert asked() >= 2 or (call == "os.mkdir" and done_first)  # which looks for itself
    assert not [path for path in tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize("call", CALLS)
def test_a_network_file_system_that_stays_away_is_unavailable(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PAUSES", (0.001, 0.001))
    made = Store(tmp_path)
    made.write("x", b"old")
    with monkeypatch.context() as patch:
        asked = stumbling(call, errno.EIO, 999, False, tmp_path, patch)
        text = rf"cannot (\w| )+ {tmp_path}.*: {os.strerror(errno.EIO)} \(3 tries\)"
        with pytest.raises(Unavailable, match=text):
            CALLS[call](made)
        assert 3 <= asked() <= 4
    assert made.read("x") == b"old" and made.names("") == ["x"]


def test_two_contents_of_one_size_in_one_tick_are_two_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system whose clock stands still."""
    whole = os.fsync

    def fsync(file: int) -> None:
        whole(file)
        os.utime(file, ns=(10**18, 10**18))

    monkeypatch.setattr(os, "fsync", fsync)
    made = Store(tmp_path)
    made.write("x", b"one")
    first = made.version("x") or ""
    assert made.swap("x", b"two", first) and not made.swap("x", b"six", first)
    assert made.read("x") == b"two"


def test_what_killed_writers_left_is_removed_by_a_later_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "q"
    code = (
        "import os, sys; os.replace = lambda *_: os._exit(9); from oneshot.store.store import Store"
    )
    for key in ("q/x.json", "q/y.json"):
        command = [sys.executable, "-c", f"{code}; Store(sys.argv[1]).write('{key}', b'1')"]
        killed = subprocess.run([*command, tmp_path], env=small.environment(), cwd=small.ROOT)
        assert killed.returncode == 9
        if key == "q/x.json":
            (left,) = folder.iterdir()
            assert re.fullmatch(r"\.x\.json\.[\w-]+\.\d+\.\d+\.tmp", left.name), left.name
    (left,) = folder.iterdir()
    assert left.name.startswith(".y.json."), "the second process removed what the first one left"
    alive = folder / f".a.{files._machine()}.{os.getpid()}.1.tmp"
    elsewhere = folder / ".a.another-machine.1.1.tmp"
    older = folder / ".b.another-machine.1.1.tmp"
    oldest = folder / ".c.json.77.78.tmp"  # as earlier versions named them
    other = folder / ".hidden"
    for path in (alive, elsewhere, older, oldest, other):
        path.write_bytes(b"half")
    for path in (older, oldest, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    looks, whole = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looks.append(path) or whole(path))
    for name in ("one", "two"):
        Store(tmp_path).write(f"q/{name}", b"1")
    assert len(looks) == 1, "once a process"
    assert {*folder.iterdir()} == {alive, elsewhere, other, folder / "one", folder / "two"}


def test_a_place_that_takes_no_files_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unwritable, match=r"cannot write .*file/x: "):
        Store(tmp_path / "file").write("x", b"1")
    with pytest.raises(Unwritable):
        Store(tmp_path / "file").create("x", b"1")
    with pytest.raises(IsADirectoryError):
        Store(tmp_path.parent).read(tmp_path.name)
