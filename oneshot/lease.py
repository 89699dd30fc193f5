"""One driver a sweep: a lease that its holder renews and that dies with it. There is nothing to unlock."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time

from oneshot.store import Store

RENEW_SECONDS = 5.0
EXPIRY_SECONDS = 60.0


class Taken(RuntimeError):
    """Another driver runs this sweep; `holder` says who and since when."""

    def __init__(self, sweep: str, holder: dict[str, object], age: float):
        super().__init__(f"{sweep} is being run by process {holder['pid']} on {holder['host']} (last sign {age:.0f} s ago)")
        self.wait = max(EXPIRY_SECONDS - age, 1)


def holder(store: Store, sweep: str) -> tuple[dict[str, object], float] | None:
    """Who runs this sweep now, and the seconds since its last sign; None if nobody does."""
    try:
        note = json.loads(store.read(f"{sweep}/driver.json"))
        age = max(time.time() - note["time"], 0.0)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if age > EXPIRY_SECONDS or (note["host"] == platform.node() and not _alive(note["pid"])):
        return None
    return note, age


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Lease:
    """Held while the context lasts. Entering raises Taken if another living driver holds it."""

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep, self.key = store, sweep, f"{sweep}/driver.json"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        found = holder(self.store, self.sweep)
        if found and (found[0]["pid"], found[0]["host"]) != (os.getpid(), platform.node()):
            raise Taken(self.sweep, *found)
        self._sign()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self.store.delete(self.key)

    def _sign(self) -> None:
        self.store.write(self.key, json.dumps({"pid": os.getpid(), "host": platform.node(), "time": time.time()}).encode())

    def _renew(self) -> None:
        while not self._end.wait(RENEW_SECONDS):
            with contextlib.suppress(OSError):  # a full disk must not end the run
                self._sign()
