"""One driver a sweep, with real processes: all at once, killed, stopped and woken, elsewhere."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lease_drivers import Drivers, until

from oneshot.store import lease
from oneshot.store.lease import Lease, Lost, Observer, Taken, holder
from oneshot.store.store import Store, Unavailable


@pytest.fixture
def drivers(tmp_path: Path) -> Iterator[Drivers]:
    made = Drivers(tmp_path)
    yield made
    for process in made.started.values():
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of this process renew and expire in no time."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(lease, "EXPIRY_SECONDS", 0.6)


class Clock:
    """Both clocks of the lease, which go on by what is slept, and by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now, self.wall, self.naps = 1000.0, time.time(), 0
        self.on_nap: Callable[[], object] = lambda: None
        monkeypatch.setattr(lease, "_now", lambda: self.now)
        monkeypatch.setattr(lease, "_wall", lambda: self.wall)
        monkeypatch.setattr(lease, "_sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now, self.wall, self.naps = self.now + seconds, self.wall + seconds, self.naps + 1
        self.on_nap()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Requests:
    """What is asked of a store, counted by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.asked: list[str] = []
        for name in ("create", "swap", "fetch", "read", "version", "versions", "write", "delete"):
            monkeypatch.setattr(Store, name, self._counting(name, getattr(Store, name)))

    def _counting(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(store: Store, *arguments: Any, **named: Any) -> Any:
            self.asked.append(name)
            return real(store, *arguments, **named)

        return ask

    def of(self, action: Callable[[], Any]) -> list[str]:
        self.asked.clear()
        action()
        return list(self.asked)


def note(folder: Path, number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"q/driver-{number}.json").read_text())
    return found


def sign(folder: Path, name: str = "driver-1.json", **more: Any) -> None:
    """A note as another driver writes it."""
    written = dict(pid=7, host="elsewhere", machine="m", time=time.time(), token="theirs", beat=1)
    Store(folder).write(f"q/{name}", json.dumps(written | more).encode())


def test_of_eight_released_at_once_one_holds_and_the_others_name_it(
    drivers: Drivers, tmp_path: Path
) -> None:
    names = [f"d{i}" for i in range(8)]
    for name in names:
        drivers.start(name)
    (tmp_path / "go").touch()
    said = {name: drivers.line(name) for name in names}
    winners = [name for name in names if said[name] == "held"]
    assert len(winners) == 1, said
    mine = note(tmp_path)
    assert mine["pid"] == drivers.started[winners[0]].pid and mine["host"] == platform.node()
    who = f"taken q is being run by process {mine['pid']} on {mine['host']} (last sign 0 s ago)"
    assert all(text == who for name, text in said.items() if name != winners[0]), said
    drivers.end(winners[0])
    assert note(tmp_path)["ended"] and holder(Store(tmp_path), "q") is None, "nobody runs it"


def test_a_killed_holder_on_this_machine_is_not_in_the_way(
    drivers: Drivers, tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "go").touch()
    first = drivers.start("first")
    assert drivers.line("first") == "held"
    first.kill()  # not yet collected: a zombie has a process id and is dead all the same
    until(lambda: "Z" in Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2])
    assert holder(Store(tmp_path), "q") is None and not note(tmp_path).get("ended")
    with Lease(Store(tmp_path), "q"):
        assert clock.naps == 0 and note(tmp_path, 2)["pid"] == os.getpid()
        assert note(tmp_path, 1)["ended"]


def test_a_killed_holder_elsewhere_is_dead_after_its_expiry_which_is_said(
    drivers: Drivers, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    first = drivers.start("first", host="node7")
    assert drivers.line("first") == "held"
    drivers.start("second", host="node8")
    assert drivers.line("second").startswith(
        f"taken q is being run by process {first.pid} on node7"
    )
    first.kill()
    third = drivers.start("third", host="node8", expiry=0.7)
    assert third.stdout is not None
    said = third.stdout.readline()
    waits = f"says waiting whether process {first.pid} on node7 still lives (at most 1 s)\n"
    assert said == waits
    assert drivers.line("third") == "held" and note(tmp_path, 2)["host"] == "node8"


def test_a_stopped_holder_that_wakes_says_that_it_lost_and_leaves_the_other_alone(
    drivers: Drivers, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    first = drivers.start("first", expiry=0.7)
    assert drivers.line("first") == "held"
    first.send_signal(signal.SIGSTOP)
    second = drivers.start("second", expiry=0.7)
    assert drivers.line("second") == "held"
    (tmp_path / "first.ask").touch()
    first.send_signal(signal.SIGCONT)
    said = sorted([drivers.line("first"), drivers.line("first")])
    who = f"lost q is now run by process {second.pid} on {platform.node()}: "
    assert said[0] == "does not hold", "also if it is asked before its own thread has looked"
    assert said[1].startswith(f"{who}this driver gave no sign for ")
    drivers.end("first")
    assert drivers.started["first"].stdout.read() == "", "said once"  # type: ignore[union-attr]
    beat = note(tmp_path, 2)["beat"]
    until(lambda: note(tmp_path, 2)["beat"] > beat)
    assert note(tmp_path, 2)["pid"] == second.pid and note(tmp_path, 2)["name"] == "second"
    drivers.end("second")
    assert sorted(p.name for p in (tmp_path / "q").glob("driver*")) == [
        "driver-1.json",
        "driver-2.json",
    ]


@pytest.mark.parametrize("wrong", [-9000.0, -61.0, 0.0, 61.0, 9000.0])
def test_clocks_decide_nothing(wrong: float, tmp_path: Path, clock: Clock) -> None:
    """Whatever time its note tells, a note that changes is a living driver's, others are not."""
    signed = clock.wall + wrong
    sign(tmp_path, time=signed)
    clock.on_nap = lambda: sign(tmp_path, time=signed, beat=1 + clock.naps // 9)
    with pytest.raises(Taken, match="process 7 on elsewhere"):
        Lease(Store(tmp_path), "q").__enter__()
    assert clock.naps == 9 and not (tmp_path / "q/driver-2.json").exists()
    clock.on_nap = lambda: None
    before = clock.now
    with Lease(Store(tmp_path), "q"):
        assert 60 <= clock.now - before < 63 and note(tmp_path, 2)["pid"] == os.getpid()


def test_what_entering_and_holding_costs(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, store = Requests(monkeypatch), Store(tmp_path)
    first = Lease(store, "q")
    assert requests.of(first.acquire) == ["versions", "create"]
    assert requests.of(first.heartbeat) == ["fetch", "version", "swap"]
    assert requests.of(first.held) == [], "no request while it was heard"
    assert requests.of(lambda: holder(store, "q")) == ["versions", "fetch"]
    first.release()
    second = Lease(store, "q")
    assert requests.of(second.acquire) == ["versions", "fetch", "create"]
    look = Observer(store, "q")
    look.holder()
    assert requests.of(look.holder) == ["fetch"], "whether or not it has changed"
    second.heartbeat()
    assert requests.of(look.holder) == ["fetch"] and look.holder() is not None
    second.release()
    assert requests.of(look.holder) == ["fetch", "fetch"] and look.holder() is None
    third = Lease(store, "q")
    third.acquire()
    assert look.holder() is not None and clock.naps == 0
    assert requests.of(look.holder) == ["fetch"]
    third.release()


def test_who_was_silent_asks_before_it_says_that_it_holds(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path)
    first = Lease(store, "q")
    first.acquire()
    clock.wall += 31  # the machine slept: its own time stood still
    assert first.held() and note(tmp_path)["beat"] == 2
    clock.now += 100
    clock.wall += 100
    sign(tmp_path)  # as one who took over by a way that no lease goes
    assert not first.held()
    with pytest.raises(Lost, match="q is now run by process 7 on elsewhere: this driver gave no"):
        first.check()
    first.heartbeat()
    first.release()
    assert note(tmp_path)["token"] == "theirs", "who lost it writes nothing any more"


def test_a_higher_generation_holds_whatever_the_note_says(tmp_path: Path, clock: Clock) -> None:
    first = Lease(Store(tmp_path), "q")
    first.acquire()
    sign(tmp_path, "driver-2.json")
    first.heartbeat()
    with pytest.raises(Lost, match="q is now run by another driver"):
        first.check()
    assert note(tmp_path)["beat"] == 1 and not note(tmp_path).get("ended")


def test_a_store_that_does_not_answer_makes_it_uncertain_not_lost(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Lease(Store(tmp_path), "q")
    first.acquire()

    def silent(*_: object) -> Any:
        raise Unavailable(errno.EIO, "503", "there")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "fetch", silent)
        clock.sleep(59)
        assert first.held(), "nobody can have taken it"
        clock.sleep(1)
        assert not first.held()
        with pytest.raises(Lost, match="another driver may run q now: the results did not answer"):
            first.check()
    assert first.held(), "a look has confirmed that nobody came"
    first.check()
    first.release()
    assert not first.held()


def test_silence_of_the_store_is_not_the_driver_s(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage of the store cannot make one who waits take a living driver for dead."""
    sign(tmp_path)
    real, asked = Store.fetch, [0]

    def slow(store: Store, key: str) -> tuple[bytes, str]:
        asked[0] += 1
        clock.now += 90 if asked[0] == 10 else 0
        if asked[0] == 30:
            sign(tmp_path, beat=2)
        return real(store, key)

    monkeypatch.setattr(Store, "fetch", slow)
    with pytest.raises(Taken):
        Lease(Store(tmp_path), "q").__enter__()
    assert asked[0] == 30


def test_who_comes_in_by_an_old_listing_walks_up(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    for _ in range(5):
        with Lease(store, "q"):
            pass
    monkeypatch.setattr(Store, "versions", lambda *_: {"driver-2.json": "", "points.json": ""})
    with Lease(store, "q"):
        assert note(tmp_path, 6)["pid"] == os.getpid()
        assert holder(store, "q") is None, "a first look sees what is listed"
        with pytest.raises(Taken, match=f"process {os.getpid()} "):
            clock.on_nap = lambda: sign(tmp_path, "driver-6.json", pid=os.getpid())
            Lease(store, "q").__enter__()


@pytest.mark.usefixtures("quick")
def test_old_notes_go_and_enough_of_them_stay(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(1, 19):
        sign(tmp_path, f"driver-{number}.json", ended=True)
    sign(tmp_path, "driver.json", pid=2**22 + 5, host=platform.node(), machine=lease._machine())
    with Lease(store, "q") as held:
        assert held.number == 19
        left = [f"driver-{n}.json" for n in range(4, 20)]
        until(lambda: sorted(store.versions("q")) == sorted(left))
    assert len(left) == lease.KEPT


def test_a_write_whose_answer_was_lost_locks_nobody_out(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Store.create, [0]

    def unheard(store: Store, key: str, data: bytes) -> bool:
        """The first write is done, but its answer is that of a second try."""
        calls[0] += 1
        return real(store, key, data) and calls[0] > 1

    monkeypatch.setattr(Store, "create", unheard)
    with Lease(Store(tmp_path), "q") as held:
        assert held.number == 2 and note(tmp_path, 1)["ended"] and clock.naps == 0


def test_who_looks_again_trusts_a_note_that_changes(tmp_path: Path, clock: Clock) -> None:
    look = Observer(Store(tmp_path), "q")
    assert look.holder() is None
    for beat in (1, 2):
        sign(tmp_path, time=clock.wall - 5000, beat=beat)
        clock.sleep(2)
        found = look.holder()
        assert found and found[1] == 0, "it was not so at the last look"
    clock.sleep(59)
    found = look.holder()
    assert found and found[1] == 59
    clock.sleep(2)
    assert look.holder() is None
    sign(tmp_path, "driver-1.json", ended=True)
    assert look.holder() is None
    sign(tmp_path, "driver-2.json", pid=8)
    found = look.holder()
    assert found and found[0]["pid"] == 8


@pytest.mark.parametrize(
    ("ago", "lives", "age"),
    [
        (0, True, 0),
        (59, True, 59),
        (61, False, 0),
        (-5, True, 0),
        (-61, False, 0),
        (1e300, False, 0),
    ],
)
def test_a_single_look_goes_by_the_time_in_the_note(
    ago: float, lives: bool, age: float, tmp_path: Path, clock: Clock
) -> None:
    sign(tmp_path, time=clock.wall - ago)
    found = holder(Store(tmp_path), "q")
    assert (found is not None) == lives and (not found or found[1] == pytest.approx(age))


def test_a_machine_of_the_same_name_is_another_machine(tmp_path: Path) -> None:
    sign(tmp_path, host=platform.node(), pid=2**22 + 5)
    assert holder(Store(tmp_path), "q") is not None, "its process ids mean nothing here"
    sign(tmp_path, host=platform.node(), pid=2**22 + 5, machine=lease._machine())
    assert holder(Store(tmp_path), "q") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"pid": "x", "host": "h", "time": 1}',
        '{"pid": -1, "host": "h", "time": 1}',
        '{"pid": 1, "host": "h", "time": null}',
        '{"pid": 1, "host": "h", "time": 1' + "0" * 400 + "}",
        "[" * 100000,
        "\xff",
    ],
)
def test_a_note_that_cannot_be_read_is_nobodys(text: str, tmp_path: Path, clock: Clock) -> None:
    Store(tmp_path).write("q/driver-1.json", text.encode("latin-1"))
    assert holder(Store(tmp_path), "q") is None
    with Lease(Store(tmp_path), "q") as held:
        assert held.number == 2 and clock.naps == 0


def test_a_damaged_note_of_a_living_driver_is_written_again(tmp_path: Path, clock: Clock) -> None:
    first = Lease(Store(tmp_path), "q")
    first.acquire()
    Store(tmp_path).write("q/driver-1.json", b"{")
    first.heartbeat()
    assert first.held() and note(tmp_path)["token"] == first.token
    (tmp_path / "q/driver-1.json").unlink()
    first.heartbeat()
    with pytest.raises(Lost, match=r"driver-1.json was deleted: this driver gave no sign for 0 s"):
        first.check()


def test_a_driver_of_an_older_version_is_seen_and_waited_for(tmp_path: Path, clock: Clock) -> None:
    sign(tmp_path, "driver.json")
    assert holder(Store(tmp_path), "q") is not None
    sign(tmp_path, "driver-4.json", ended=True)
    clock.on_nap = lambda: sign(tmp_path, "driver.json", time=clock.wall)
    with pytest.raises(Taken, match="process 7 on elsewhere"):
        Lease(Store(tmp_path), "q").__enter__()
    clock.on_nap = lambda: None
    with Lease(Store(tmp_path), "q") as held:
        assert held.number == 5
        until(lambda: not (tmp_path / "q/driver.json").exists())


@pytest.mark.usefixtures("quick")
def test_what_a_run_tells_stands_in_the_note_and_never_breaks_it(tmp_path: Path) -> None:
    told: list[Any] = [{"trials": 3, "pid": -1}, {"per_minute": float("nan")}, {"bad": object()}]
    told += [None, {"token": "mine", "ended": True, "trials": 4}]

    def tell() -> Any:
        if not told:
            raise RuntimeError("no")
        return told.pop(0) if (tmp_path / "seen").exists() else told[0]

    with Lease(Store(tmp_path), "q", tell) as held:
        assert note(tmp_path)["trials"] == 3
        assert note(tmp_path)["pid"] == os.getpid() and note(tmp_path)["token"] == held.token
        (tmp_path / "seen").touch()
        until(lambda: not told)
        beat = note(tmp_path)["beat"]
        until(lambda: note(tmp_path)["beat"] > beat + 2)
        assert "trials" not in note(tmp_path) and held.held()


def test_a_folder_that_cannot_be_written_is_said_at_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder can be below a file")
    with pytest.raises(OSError) as found:
        Lease(Store(tmp_path / "file"), "q").__enter__()
    assert found.value.filename

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Lease(Store(tmp_path / "full"), "q").__enter__()


@pytest.mark.usefixtures("quick")
def test_a_store_that_fails_for_a_while_does_not_end_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lost, failed = Store(tmp_path), list[str](), threading.Event()
    real = Store.fetch

    def failing(store: Store, key: str) -> tuple[bytes, str]:
        failed.set()
        raise Unavailable(errno.EIO, "503", key)

    with Lease(store, "q", on_lost=lost.append) as held:
        monkeypatch.setattr(Store, "fetch", failing)
        assert failed.wait(20)
        until(lambda: not held.held())
        monkeypatch.setattr(Store, "fetch", real)
        until(held.held)
    assert not lost and note(tmp_path)["ended"]


@pytest.mark.usefixtures("quick")
def test_a_store_that_hangs_holds_nobody_up_at_the_end(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "END_SECONDS", 0.1)
    goes_on, hangs, real = threading.Event(), threading.Event(), Store.fetch

    def hanging(store: Store, key: str) -> tuple[bytes, str]:
        hangs.set()
        goes_on.wait(20)
        return real(store, key)

    with Lease(Store(tmp_path), "q") as held:
        monkeypatch.setattr(Store, "fetch", hanging)
        assert hangs.wait(20)
    assert held._thread.is_alive() and not note(tmp_path).get("ended")
    goes_on.set()
    held._thread.join(20)
    assert note(tmp_path)["ended"]


def test_a_process_holds_a_lease_once(tmp_path: Path, clock: Clock) -> None:
    """A note of an earlier process of this number is nobody's; one of this process is its own."""
    sign(tmp_path, host=platform.node(), pid=os.getpid(), machine=lease._machine())
    with Lease(Store(tmp_path), "q") as held:
        assert held.number == 2 and clock.naps == 0
        clock.on_nap = held.heartbeat
        with pytest.raises(Taken, match=f"process {os.getpid()} on "):
            Lease(Store(tmp_path), "q").__enter__()
        assert note(tmp_path, 2)["token"] == held.token and held.held()


def test_ctrl_c_while_waiting_leaves_the_other_alone(tmp_path: Path, clock: Clock) -> None:
    sign(tmp_path)
    before = note(tmp_path)

    def interrupt() -> None:
        raise KeyboardInterrupt

    clock.on_nap = interrupt
    mine = Lease(Store(tmp_path), "q")
    with pytest.raises(KeyboardInterrupt):
        mine.__enter__()
    assert note(tmp_path) == before and mine.token not in lease._held and not mine.held()


def test_ctrl_c_after_the_note_was_written_takes_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Store.create

    def interrupted(store: Store, key: str, data: bytes) -> bool:
        real(store, key, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "create", interrupted)
    with contextlib.suppress(KeyboardInterrupt):
        Lease(Store(tmp_path), "q").__enter__()
    assert note(tmp_path)["ended"]


def test_a_lease_on_a_store_by_uri(tmp_path: Path, clock: Clock) -> None:
    with Lease(Store(f"file://{tmp_path}"), "q") as held:
        assert note(tmp_path)["token"] == held.token
