"""One driver a sweep: a lease by generations, without comparing clocks and without locks.

The n-th driver of a sweep creates the note RESULTS/<sweep>/driver-<n>.json, which only one can, and
rewrites it every few seconds: its heartbeat. One rule keeps two drivers apart: generation n + 1 is
created only after the note of generation n says that it has ended. A driver that exits says so
itself. For one that died, the next driver says it: it replaces the very version of the note that
did not change for a minute of its own clock. A driver that was only asleep replaces that version
too; whichever of the two comes second fails, and so knows. Clocks of machines are compared only to
tell people the age of a note.

The holder deletes old notes, but for the last KEPT. An object store may list late, and a driver
that enters by an old listing walks up from the generation that it saw. It must find each note on
its way, and does unless that many drivers come and go between two of its requests.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oneshot.store.store import Store

RENEW_SECONDS = 5.0
EXPIRY_SECONDS = 60.0
END_SECONDS = 5.0  # how long the end of a run waits for its last note
KEPT = 16
NEVER = (-math.inf, -math.inf)
_held: set[str] = set()  # tokens of the leases that this process enters or holds
_now, _wall, _sleep = time.monotonic, time.time, time.sleep  # tests have a time of their own


class Taken(RuntimeError):
    """Another driver runs this sweep; `wait` is the seconds until it would be taken for dead."""

    def __init__(self, sweep: str, holder: dict[str, Any], age: float):
        super().__init__(f"{sweep} is being run by {_name(holder)} (last sign {age:.0f} s ago)")
        self.wait = max(EXPIRY_SECONDS - age, 1)


class Lost(RuntimeError):
    """This driver does not hold its sweep any more, or cannot know whether it does."""


def holder(store: Store, sweep: str) -> tuple[dict[str, Any], float] | None:
    """Who runs a sweep, as far as a single look tells.

    Args:
        store: where the results are.
        sweep: name of the sweep.

    Returns:
        As `Observer.holder`.
    """
    return Observer(store, sweep).holder()


def last_note(store: Store, sweep: str) -> dict[str, Any] | None:
    """The note of the last driver, whether it lives or not.

    Args:
        store: where the results are.
        sweep: name of the sweep.

    Returns:
        The note, with `lives`: False where it has ended or its process is known to be gone; None
        where there is none.
    """
    with contextlib.suppress(FileNotFoundError, ValueError):
        data = store.read(_key(sweep, max(_generations(store, sweep))))
        if (note := _parsed(data)) is not None:
            return {**note, "lives": not (note.get("ended") or _dead(note))}
    return None


def wait_until_ended(
    store: Store, sweep: str, say: Callable[[str], object] = lambda text: None, title: str = ""
) -> None:
    """Return once no driver of a sweep lives; a minute after the last sign of one that died.

    Args:
        store: where the results are.
        sweep: name of the sweep.
        say: called with a sentence where it takes long.
        title: what is run, in words.

    Raises:
        Taken: a living driver holds it.
    """
    generations = _generations(store, sweep)
    if generations:
        Lease(store, sweep, say=say, title=title)._wait_until_ended(max(generations))


class Observer:
    """Who runs a sweep, for somebody who looks once, or again and again. Writes nothing."""

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep = store, sweep
        self._number = -1  # the generation that was read last
        self._seen: bytes | None = None
        self._since, self._is_known = 0.0, False  # since when it is so, if we saw it change

    def holder(self) -> tuple[dict[str, Any], float] | None:
        """The driver's note and the seconds since its heartbeat; None if nobody runs the sweep.

        The first look goes by the time in the note: a driver whose clock is wrong by more than the
        expiry is not seen. Later ones know a living driver by a note that changes. On an object
        store the first costs a listing and a read, others one read, or two once a driver has ended.
        """
        data = self._read(self._number)
        if not data:
            self._number = max(_generations(self.store, self.sweep), default=-1)
            data = self._read(self._number)
        elif (_parsed(data) or {}).get("ended") and (newer := self._read(self._number + 1)):
            self._number, data = self._number + 1, newer
        if data != self._seen:
            self._since, self._is_known, self._seen = _now(), self._seen is not None, data
        note = _parsed(data)
        if note is None or note.get("ended") or _dead(note):
            return None
        age = _now() - self._since if self._is_known else _wall() - note["time"]
        return (note, max(age, 0.0)) if abs(age) <= EXPIRY_SECONDS else None

    def _read(self, number: int) -> bytes:
        """The note of a generation; no bytes where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return self.store.fetch(_key(self.sweep, number))[0] if number >= 0 else b""
        return b""


class Lease:
    """The right to run a sweep, held while the context lasts.

    Args:
        store: where the results lie.
        sweep: the sweep's name.
        payload: what the note says beside who signed it, asked at each heartbeat; its errors are
            ignored.
        on_lost: called once, from the lease's own thread, with a sentence, if this driver was taken
            for dead (it slept, or was cut off from the store) and another one may run the sweep.
        say: called with a sentence where entering has to wait.
        title: what is run, in words; the sweep's name if it is "".

    Raises on entering:
        Taken: another living driver holds it.
        OSError: the store does not answer, or takes no files.
    """

    def __init__(
        self,
        store: Store,
        sweep: str,
        payload: Callable[[], dict[str, Any]] = dict,
        on_lost: Callable[[str], object] = lambda text: None,
        say: Callable[[str], object] = lambda text: None,
        title: str = "",
    ):
        self.store, self.sweep, self.title = store, sweep, title or sweep
        self.payload, self.on_lost, self.say = payload, on_lost, say
        self.token = uuid.uuid4().hex
        self.number = self._beat = 0
        self._confirmed = NEVER  # when the note was last known to be ours, by both clocks
        self._note_is_written = False  # or may be
        self._lost_reason = ""  # why we write no more
        self._old: list[int] = []  # generations whose notes are to be deleted
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._heartbeats, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        try:
            self.acquire()
        except (Taken, OSError):
            _held.discard(self.token)
            raise
        except BaseException:  # Ctrl-C, maybe after the note was written
            self.release()
            raise
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join(END_SECONDS)  # a store that hangs holds nobody up: the note expires
        _held.discard(self.token)

    def held(self) -> bool:
        """Whether no other driver can hold the sweep; asks the store only after long silence."""
        if self._silence() > EXPIRY_SECONDS / 2:
            with contextlib.suppress(OSError):
                self.heartbeat()
        return not self._lost_reason and self._silence() < EXPIRY_SECONDS

    def check(self) -> None:
        """Raise Lost unless the lease is held; called before anything is written for the sweep."""
        if not self.held():
            unsure = f"the results did not answer for {self._silence():.0f} s"
            raise Lost(self._lost_reason or f"another driver may run {self.title} now: {unsure}")

    def acquire(self) -> None:
        """Create the note of the next generation, once all before have ended.

        Raises:
            Taken: another living driver holds the sweep.
        """
        _held.add(self.token)
        # whoever holds the sweep has the highest generation, or 0 if it is of an older version
        generations = _generations(self.store, self.sweep)
        last = max(generations, default=0)
        for number in sorted({0, last} & set(generations)):
            self._wait_until_ended(number)
        self._old = [n for n in generations if n == 0 or n <= last + 1 - KEPT]
        # only one can create the next; who comes second waits for that one's end in turn
        self.number = last + 1
        while True:
            began, self._note_is_written = (_now(), _wall()), True
            if self.store.create(_key(self.sweep, self.number), self._note()):
                self._confirmed = began
                return
            self._wait_until_ended(self.number)
            self.number += 1

    def _wait_until_ended(self, number: int) -> None:
        """Return once the note of a generation says that it has ended, by its driver or by us.

        Raises Taken as soon as the note changes, as only a living driver's does.
        """
        key, seen, since = _key(self.sweep, number), b"", 0.0
        while True:
            asked = _now()
            data, version = self.store.fetch(key)
            note, answer_was_late = _parsed(data), _now() - asked > RENEW_SECONDS
            if note and note.get("ended"):
                return
            may_live = note is not None and not _dead(note) and note.get("token") != self.token
            if note and may_live and seen and data != seen:
                raise Taken(self.title, note, 0.0)
            # a minute without a heartbeat begins with the first look; and anew where the store was
            # silent, perhaps for everybody, which says nothing of the driver
            if not seen or answer_was_late:
                seen, since = data, _now()
                if note and may_live:
                    limit = f"(at most {EXPIRY_SECONDS:.0f} s)"
                    self.say(f"waiting whether {_name(note)} still lives {limit}")
            # a driver that is dead cannot say so: replace its very last note, if it still is that
            is_over = not may_live or _now() - since >= EXPIRY_SECONDS
            if is_over and self.store.swap(key, self._note(ended=True), version):
                return
            _sleep(RENEW_SECONDS / 5)

    def heartbeat(self, **more: Any) -> None:
        """Rewrite the note, unless somebody has ended it: then the lease is lost."""
        with self._lock:
            if self._lost_reason:
                return
            began, key = (_now(), _wall()), _key(self.sweep, self.number)
            try:
                data, version = self.store.fetch(key)
            except FileNotFoundError:
                return self._lose(f"{self.store.path(key)} was deleted")
            note = _parsed(data)
            if note and (note.get("token") != self.token or note.get("ended")):
                return self._lose(f"{self.title} is now run by {_name(note)}")
            if self.store.version(_key(self.sweep, self.number + 1)):  # a folder without locks
                return self._lose(f"{self.title} is now run by another driver")
            if self.store.swap(key, self._note(**more), version):
                self._confirmed = began

    def release(self) -> None:
        """Say in the note that this driver has ended, and write nothing any more."""
        with contextlib.suppress(Exception):
            if self._note_is_written:
                self.heartbeat(ended=True)
        self._lost_reason = self._lost_reason or f"this driver of {self.title} has ended"
        _held.discard(self.token)

    def _heartbeats(self) -> None:
        """The thread: delete old notes, and renew until the end, or until the lease is lost."""
        with contextlib.suppress(Exception):
            for number in self._old:
                self.store.delete(_key(self.sweep, number))
        while not self._lost_reason and not self._end.wait(RENEW_SECONDS):
            with contextlib.suppress(Exception):  # a store that does not answer ends no run
                self.heartbeat()
        with contextlib.suppress(Exception):
            if self._lost_reason:
                self.on_lost(self._lost_reason)
        self.release()

    def _note(self, **more: Any) -> bytes:
        """The next note of this driver."""
        self._beat += 1
        mine = dict(pid=os.getpid(), host=platform.node(), machine=_machine(), token=self.token)
        mine |= dict(time=_wall(), beat=self._beat, ended=False) | more
        try:
            return json.dumps({**self.payload(), **mine}, allow_nan=False).encode()
        except Exception:  # whatever the payload is, the lease does not depend on it
            return json.dumps(mine).encode()

    def _lose(self, reason: str) -> None:
        self._lost_reason = f"{reason}: this driver gave no sign for {self._silence():.0f} s"

    def _silence(self) -> float:
        """Seconds since the note was ours; a machine that slept knows them by the wall clock."""
        return max(_now() - self._confirmed[0], _wall() - self._confirmed[1])


def _key(sweep: str, number: int) -> str:
    """The note of a generation; generation 0 is that of older versions, without a number."""
    return f"{sweep}/driver-{number}.json" if number else f"{sweep}/driver.json"


def _generations(store: Store, sweep: str) -> list[int]:
    """The generations whose notes are there."""
    names = store.versions(sweep, ".json")
    found = (re.fullmatch(r"driver(-[1-9][0-9]{0,17})?\.json", name) for name in names)
    return [int((match[1] or "-0")[1:]) for match in found if match]


def _name(note: dict[str, Any]) -> str:
    """The driver of a note, for people."""
    return f"process {note['pid']} on {note['host']}"


def _parsed(data: bytes) -> dict[str, Any] | None:
    """A note; None where it cannot be read, and so is nobody's."""
    try:
        note = json.loads(data)
        named = isinstance(note["host"], str) and type(note["pid"]) is int and note["pid"] > 0
        timed = type(note["time"]) in (int, float) and math.isfinite(note["time"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return note if named and timed else None


def _dead(note: dict[str, Any]) -> bool:
    """Whether its process was of this machine and is gone; machines may have the same name."""
    if note["host"] != platform.node() or note.get("machine", _machine()) != _machine():
        return False
    earlier = note["pid"] == os.getpid() and note.get("token") not in _held
    return earlier or not _alive(note["pid"])


def _machine() -> str:
    """This machine's start and the namespace of its process ids; "" where these are not known."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{started[:8]}-{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):  # one that was killed and not yet collected answers, too
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
