"""One driver a sweep: a lease that its holder renews and that dies with it. There is nothing to unlock.

The lease is a note, RESULTS/<sweep>/driver.json: who signed it, when, a random token, and what the driver tells of its run. A store has no
"write unless somebody wrote": whoever enters signs, waits until everybody who entered at the same moment has signed too, and reads
back. The last signature stands. That holds while nobody takes longer from reading to signing than that wait; whoever did waits until
the holder has renewed, and a holder writes over the signature of somebody who is only entering.

Of clocks: a stamp is held against another clock only where nothing better is there. A driver that enters or renews asks the store itself
what time it is, by writing a file, so that the note's age has one clock, the store's. Somebody who only looks has the stamp in the note,
the time of its file and its own clock: the younger age counts, as a living driver must not be taken for dead, but not one in the future,
as that only says that two clocks differ. Who looks again and again needs no clock: a note that changes is a living driver's.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oneshot.store import Store

RENEW_SECONDS = 5.0
EXPIRY_SECONDS = 60.0
SETTLE_LOCAL_SECONDS = 0.3  # between signing and reading back, in a folder
SETTLE_REMOTE_SECONDS = 1.5  # and where a write is a request
ATTEMPTS = 5
_held: set[str] = set()  # tokens of the leases that this process holds


class Taken(RuntimeError):
    """Another driver runs this sweep; the message says who and since when, `wait` after how many seconds it would be taken for dead."""

    def __init__(self, sweep: str, holder: dict[str, Any], age: float):
        super().__init__(f"{sweep} is being run by process {holder['pid']} on {holder['host']} (last sign {age:.0f} s ago)")
        self.wait = max(EXPIRY_SECONDS - age, 1)


def holder(store: Store, sweep: str) -> tuple[dict[str, Any], float] | None:
    """Who runs this sweep now: its note and the seconds since its last sign; None if nobody does. Writes nothing."""
    return Look(store, sweep).holder()


class Look:
    """Who runs a sweep, for somebody who looks again and again."""

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep = store, sweep
        self._last: tuple[Any, Any] | None = None
        self._changed: float | None = None

    def holder(self) -> tuple[dict[str, Any], float] | None:
        """As the function of this name; a note that changed since the last look is a living driver's, whatever the clocks say."""
        note = _read(self.store, _key(self.sweep))
        if note is None:
            return None
        signature = (note.get("token"), note["time"])
        if self._last is not None and self._last != signature:
            self._changed = time.monotonic()
        self._last = signature
        age = _age(note, self.store.time(_key(self.sweep)), time.time())
        if self._changed is not None:
            age = min(age, time.monotonic() - self._changed)
        return (note, age) if _living(note, age) else None


def _key(sweep: str) -> str:
    return f"{sweep}/driver.json"


def _read(store: Store, key: str) -> dict[str, Any] | None:
    """The note; None if there is none, or none that can be read."""
    try:
        note = json.loads(store.read(key))
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(note, dict) or not isinstance(note.get("host"), str) or type(note.get("pid")) is not int:
        return None
    stamp = note.get("time")
    return note if isinstance(stamp, (int, float)) and math.isfinite(stamp) else None


def _age(note: dict[str, Any], written: float | None, now: float) -> float:
    """Seconds since a note was signed, by clocks that may differ: its own stamp, the time of its file, and ours."""
    ages = [now - stamp for stamp in (note["time"], written) if stamp]
    return max(min((a for a in ages if a > -1), default=0.0), 0.0)


def _living(note: dict[str, Any], age: float) -> bool:
    return age <= EXPIRY_SECONDS and not (_here(note) and not _alive(note["pid"]))


def _here(note: dict[str, Any]) -> bool:
    """Whether the note is from this machine, so that its process id means something. Machines may have the same name."""
    return bool(note["host"] == platform.node() and note.get("machine", _machine()) == _machine())


def _machine() -> str:
    """What tells this machine's process ids from all others: its start and the namespace of its processes; "" where it cannot be known."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{started[:8]}-{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):  # one that was killed and not yet collected by its parent answers too
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


class Lease:
    """Held while the context lasts. Entering raises Taken if another living driver holds it, and OSError where nothing can be written.

    tell: what the note says beside who signed it, asked at each renewal; what it raises is passed over. lost: called once, from the
    lease's own thread, with a sentence, if another driver was found to hold the lease (this process slept, or was cut off from the store).
    """

    def __init__(
        self, store: Store, sweep: str, tell: Callable[[], dict[str, Any]] = dict, lost: Callable[[str], object] = lambda text: None
    ):
        self.store, self.sweep, self.key = store, sweep, _key(sweep)
        self.tell, self.lost = tell, lost
        self.token = uuid.uuid4().hex
        self._signed = (0.0, 0.0)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        try:
            self._enter()
        except BaseException:
            self._withdraw()
            raise
        _held.add(self.token)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()
        _held.discard(self.token)
        self._withdraw()

    def held(self) -> bool:
        """Whether nobody else holds it."""
        return self.token in _held

    def _enter(self) -> None:
        """Sign, let everybody sign who judged at the same moment, and read back."""
        settle = SETTLE_REMOTE_SECONDS if self.store.local(self.key) is None else SETTLE_LOCAL_SECONDS
        for _ in range(ATTEMPTS):
            patience = time.monotonic() + 2 * RENEW_SECONDS
            while True:
                began = time.monotonic()
                taken = self._other()
                if not taken or not taken[0].get("entering") or began > patience:
                    break
                time.sleep(settle / 2)  # until it is known who of those who enter holds it
            if taken:
                raise Taken(self.sweep, *taken)
            self._sign(entering=True)
            took = time.monotonic() - began
            late = took > 0.8 * settle  # somebody may have read back already: let it renew, which may take as long
            time.sleep(RENEW_SECONDS + settle + 4 * took if late else settle)
            found = _read(self.store, self.key)
            if found and found.get("token") == self.token:
                self._sign()
                return
        raise OSError(errno.EIO, "what was written there does not stay", self.store.path(self.key))

    def _other(self) -> tuple[dict[str, Any], float] | None:
        """The note of another living driver and its age."""
        note = _read(self.store, self.key)
        if note is None or note.get("token") == self.token:
            return None
        if _here(note) and note["pid"] == os.getpid() and note.get("token") not in _held:
            return None  # from an earlier process of this number
        age = _age(note, self.store.time(self.key), time.time()) if _here(note) else self._age_by_store(note)
        return (note, age) if _living(note, age) else None

    def _age_by_store(self, note: dict[str, Any]) -> float:
        """Seconds since the note was signed by the store's own clock, which a file written now tells."""
        probe = f"{self.sweep}/driver.{self.token}.clock"
        try:
            self.store.write(probe, b"")
            now, written = self.store.time(probe), self.store.time(self.key)
        finally:
            with contextlib.suppress(OSError):
                self.store.delete(probe)
        return max(now - written, 0.0) if now and written else _age(note, written, time.time())

    def _sign(self, entering: bool = False) -> None:
        mine = dict(pid=os.getpid(), host=platform.node(), machine=_machine(), time=time.time(), token=self.token)
        if entering:
            data = json.dumps({**mine, "entering": True})
        else:
            try:
                data = json.dumps({**self.tell(), **mine}, allow_nan=False)
            except Exception:  # whatever a run has to tell, the lease does not depend on it
                data = json.dumps(mine)
        self.store.write(self.key, data.encode())
        self._signed = (time.monotonic(), time.time())

    def _silent(self) -> float:
        """Seconds since we signed, those included in which the machine slept, which only its clock knows."""
        return max(time.monotonic() - self._signed[0], time.time() - self._signed[1])

    def _renew(self) -> None:
        while not self._end.wait(RENEW_SECONDS):
            with contextlib.suppress(Exception):  # a full disk or a store that does not answer must not end the run
                other = self._other()
                if other and not (other[0].get("entering") and self._silent() < EXPIRY_SECONDS):
                    self._lose(other[0])
                    return
                self._sign()

    def _lose(self, other: dict[str, Any]) -> None:
        silent = self._silent()
        _held.discard(self.token)
        why = f"this driver gave no sign for {silent:.0f} s" if silent > 2 * RENEW_SECONDS + 1 else "both began at the same moment"
        with contextlib.suppress(Exception):
            self.lost(f"{self.sweep} is now run by process {other['pid']} on {other['host']}: {why}")

    def _withdraw(self) -> None:
        """Take our note away; another's stays."""
        with contextlib.suppress(Exception):
            found = _read(self.store, self.key)
            if found and found.get("token") == self.token:
                self.store.delete(self.key)
