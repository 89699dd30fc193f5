"""One driver a sweep, with real processes: all at once, killed, stopped and woken, with clocks that differ."""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small

from oneshot import lease
from oneshot.lease import Lease, Look, Taken, holder
from oneshot.store import Store

SCRIPT = """
import platform, sys, time
from pathlib import Path
from oneshot import lease
from oneshot.store import Store

folder, name, host, mode = sys.argv[1:]
if host:
    platform.node = lambda: host
if mode:
    lease.RENEW_SECONDS, lease.EXPIRY_SECONDS = 0.2, 1.0
if mode == "late":
    sign = lease.Lease._sign

    def late(held, entering=False):
        Path(folder, f"{name}.judged").touch()
        while not Path(folder, f"{name}.sign").exists():
            time.sleep(0.01)
        sign(held, entering)

    lease.Lease._sign = late
Path(folder, f"{name}.ready").touch()
while not Path(folder, "go").exists():
    time.sleep(0.002)
try:
    with lease.Lease(Store(folder), "q", lambda: {"name": name}, lambda text: print("lost", text, flush=True)):
        print("held", flush=True)
        while not Path(folder, f"{name}.end").exists():
            time.sleep(0.01)
except lease.Taken as error:
    print("taken", error, flush=True)
"""


class Drivers:
    """Processes that hold, or try to hold, the lease of the sweep q in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.started = folder, dict[str, subprocess.Popen[str]]()

    def start(self, name: str, host: str = "", mode: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, str(self.folder), name, host, mode]
        self.started[name] = subprocess.Popen(command, cwd=small.ROOT, env=small.environment(), stdout=subprocess.PIPE, text=True)
        until(lambda: (self.folder / f"{name}.ready").exists())
        return self.started[name]

    def line(self, name: str) -> str:
        """Its next line."""
        out = self.started[name].stdout
        assert out is not None
        return out.readline().strip()

    def end(self, name: str) -> None:
        (self.folder / f"{name}.end").touch()
        assert self.started[name].wait(timeout=20) == 0


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


@pytest.fixture
def drivers(tmp_path: Path) -> Iterator[Drivers]:
    made = Drivers(tmp_path)
    yield made
    for process in made.started.values():
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def note(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "q/driver.json").read_text())
    return found


def sign(folder: Path, **more: Any) -> None:
    """A note as another driver writes it."""
    (folder / "q").mkdir(exist_ok=True)
    written = dict(pid=7, host="elsewhere", machine="m", time=time.time(), token="theirs") | more
    Store(folder).write("q/driver.json", json.dumps(written).encode())


def age_file(folder: Path, seconds: float) -> None:
    stamp = time.time() - seconds
    os.utime(folder / "q/driver.json", (stamp, stamp))


def test_of_eight_released_at_once_one_holds_and_the_others_name_it(drivers: Drivers, tmp_path: Path) -> None:
    names = [f"d{i}" for i in range(8)]
    for name in names:
        drivers.start(name)
    (tmp_path / "go").touch()
    said = {name: drivers.line(name) for name in names}
    winners = [name for name in names if said[name] == "held"]
    assert len(winners) == 1, said
    mine = note(tmp_path)
    assert mine["pid"] == drivers.started[winners[0]].pid and mine["host"] == platform.node()
    who = f"q is being run by process {mine['pid']} on {mine['host']} (last sign "
    assert all(who in text and text.startswith("taken") for name, text in said.items() if name != winners[0]), said
    drivers.end(winners[0])
    assert not (tmp_path / "q/driver.json").exists(), "nobody runs it any more"


def test_a_killed_holder_on_this_machine_is_not_in_the_way(drivers: Drivers, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    first = drivers.start("first")
    assert drivers.line("first") == "held"
    first.kill()  # not yet collected: a zombie has a process id and is dead all the same
    until(lambda: "Z" in Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2])
    assert holder(Store(tmp_path), "q") is None and (tmp_path / "q/driver.json").exists()
    started = time.monotonic()
    with Lease(Store(tmp_path), "q"):
        assert time.monotonic() - started < 1.5 and note(tmp_path)["pid"] == os.getpid()


def test_a_killed_holder_elsewhere_is_dead_after_its_expiry(drivers: Drivers, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    first = drivers.start("first", host="node7", mode="short")
    assert drivers.line("first") == "held"
    time.sleep(0.5)
    first.kill()
    second = drivers.start("second", host="node8", mode="short")
    assert drivers.line("second").startswith(f"taken q is being run by process {first.pid} on node7 (last sign ")
    second.wait()
    time.sleep(1.1)
    drivers.start("third", host="node8", mode="short")
    assert drivers.line("third") == "held" and note(tmp_path)["host"] == "node8"


def test_a_stopped_holder_that_wakes_says_that_it_lost_and_leaves_the_other_alone(drivers: Drivers, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    first = drivers.start("first", mode="short")
    assert drivers.line("first") == "held"
    until(lambda: note(tmp_path).get("name") == "first")
    first.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    second = drivers.start("second", mode="short")
    assert drivers.line("second") == "held"
    first.send_signal(signal.SIGCONT)
    text = drivers.line("first")
    assert text.startswith(f"lost q is now run by process {second.pid} on {platform.node()}: this driver gave no sign for ")
    drivers.end("first")
    assert drivers.started["first"].stdout.read() == "", "said once"  # type: ignore[union-attr]
    until(lambda: note(tmp_path).get("name") == "second")
    assert note(tmp_path)["pid"] == second.pid
    drivers.end("second")
    assert not (tmp_path / "q/driver.json").exists()


def test_who_signs_late_gives_way_to_who_holds(drivers: Drivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that took long from reading to signing wrote over a lease that was settled by then: its holder signs again."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    lost: list[str] = []
    drivers.start("late", mode="late")
    (tmp_path / "go").touch()
    until(lambda: (tmp_path / "late.judged").exists())
    with Lease(Store(tmp_path), "q", lost=lost.append) as first:
        (tmp_path / "late.sign").touch()
        assert drivers.line("late").startswith(f"taken q is being run by process {os.getpid()} on ")
        assert note(tmp_path)["token"] == first.token and not lost


@pytest.mark.parametrize(
    ("stamp", "written", "lives"),
    [
        (3, 3, True),
        (70, 70, False),
        (125, 3, True),  # the writer's clock is two minutes late
        (-600, 70, False),  # the writer's clock is ten minutes early: nothing is waited for needlessly
        (70, -300, False),  # the store's clock is early
        (3, 400, True),
        (-90, -90, True),  # ours is late
    ],
)
def test_one_clock_that_is_wrong_changes_nothing(stamp: float, written: float, lives: bool, tmp_path: Path) -> None:
    sign(tmp_path, time=time.time() - stamp)
    age_file(tmp_path, written)
    assert (holder(Store(tmp_path), "q") is not None) == lives


def test_an_entering_driver_asks_the_store_for_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both machines' clocks are wrong by hours; the times of two files in the store still say how old the note is."""
    sign(tmp_path, time=time.time() + 9000)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 5000)
    with pytest.raises(Taken, match="process 7 on elsewhere"):
        Lease(Store(tmp_path), "q").__enter__()
    age_file(tmp_path, 5000 + 61)
    with Lease(Store(tmp_path), "q"):
        assert note(tmp_path)["pid"] == os.getpid()
    assert sorted(p.name for p in (tmp_path / "q").iterdir()) == []


def test_who_looks_again_trusts_a_note_that_changes(tmp_path: Path) -> None:
    look = Look(Store(tmp_path), "q")
    assert look.holder() is None
    for _ in range(2):
        sign(tmp_path, time=time.time() - 5000)
        age_file(tmp_path, 5000)
        found = look.holder()
    assert found and found[1] < 1
    look._changed = time.monotonic() - 61
    assert look.holder() is None


def test_a_machine_of_the_same_name_is_another_machine(tmp_path: Path) -> None:
    sign(tmp_path, host=platform.node(), pid=2**22 + 5)
    assert holder(Store(tmp_path), "q") is not None, "its process ids mean nothing here"
    sign(tmp_path, host=platform.node(), pid=2**22 + 5, machine=lease._machine())
    assert holder(Store(tmp_path), "q") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"pid": "x", "host": "h", "time": 1}', '{"pid": 1, "host": "h", "time": null}', "\xff"]
)
def test_a_note_that_cannot_be_read_is_nobodys(text: str, tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    (tmp_path / "q/driver.json").write_bytes(text.encode("latin-1"))
    assert holder(Store(tmp_path), "q") is None
    with Lease(Store(tmp_path), "q"):
        pass


def test_what_a_run_tells_stands_in_the_note_and_never_breaks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    told: list[Any] = [{"trials": 3, "pid": -1}, {"per_minute": float("nan")}, {"bad": object()}, None]

    def tell() -> Any:
        if not told:
            raise RuntimeError("no")
        return told.pop(0) if len(told) < 4 or (tmp_path / "seen").exists() else told[0]

    with Lease(Store(tmp_path), "q", tell) as held:
        until(lambda: note(tmp_path).get("trials") == 3)
        assert note(tmp_path)["pid"] == os.getpid() and note(tmp_path)["token"] == held.token
        (tmp_path / "seen").touch()
        until(lambda: not told)
        until(lambda: "trials" not in note(tmp_path))
        signed = note(tmp_path)["time"]
        until(lambda: note(tmp_path)["time"] > signed)


def test_a_folder_that_cannot_be_written_is_said_at_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = "/proc/oneshot"  # even root cannot write here
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        blocked = str(tmp_path / "locked")
    with pytest.raises(OSError) as found:
        Lease(Store(blocked), "q").__enter__()
    assert found.value.filename

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Lease(Store(tmp_path / "full"), "q").__enter__()


def test_a_store_that_fails_for_a_while_does_not_end_the_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    store, lost = Store(tmp_path), []
    with Lease(store, "q", lost=lost.append):
        hidden = tmp_path / "hidden"
        (tmp_path / "q").rename(hidden)
        (tmp_path / "q").write_text("a file is in the way")
        time.sleep(0.3)
        (tmp_path / "q").unlink()
        hidden.rename(tmp_path / "q")
        signed = note(tmp_path)["time"]
        until(lambda: note(tmp_path)["time"] > signed)
    assert not lost and not (tmp_path / "q/driver.json").exists()


def test_a_process_holds_a_lease_once(tmp_path: Path) -> None:
    sign(tmp_path, host=platform.node(), pid=os.getpid(), machine=lease._machine())  # as an earlier process of this number left it
    with Lease(Store(tmp_path), "q") as held:
        with pytest.raises(Taken, match=f"process {os.getpid()} on "):
            Lease(Store(tmp_path), "q").__enter__()
        assert note(tmp_path)["token"] == held.token


def test_a_lease_on_a_store_by_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE_REMOTE_SECONDS", 0.2)
    sign(tmp_path)
    store = Store(f"file://{tmp_path}")
    with pytest.raises(Taken, match="process 7 on elsewhere"):
        Lease(store, "q").__enter__()
    assert note(tmp_path)["token"] == "theirs"
    age_file(tmp_path, 61)
    with Lease(store, "q") as held:
        assert note(tmp_path)["token"] == held.token
