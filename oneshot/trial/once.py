"""make_once: what many processes share in the store is made by one of them; the others wait."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from oneshot.store.lease import Lease, Taken, holder
from oneshot.store.store import DamagedFile, Store

POLL_SECONDS = 1.0  # between two reads of a file that another process makes
REPORT_SECONDS = 60.0  # between two reports of waiting for the same process

Report = Callable[[str, int, int, dict[str, Any]], None]  # (what, done, total, losses)
T = TypeVar("T")


def make_once(
    name: str,
    key: str,
    lease_folder: str,
    read: Callable[[], T],
    make: Callable[[], None],
    store: Store,
    report: Report,
) -> T:
    """Read what is stored under a key; make it first, under a lease, if it is not there whole.

    A process that dies while it makes something loses its lease, and one that waits takes over.

    Args:
        name: of what is made, for people.
        key: where it lies.
        lease_folder: the folder of the lease under which it is made.
        read: returns what is stored. It raises FileNotFoundError if there is nothing, and
            DamagedFile, ValueError or TypeError if that is not whole.
        make: stores it, but not over what somebody else has stored meanwhile.
        store: the store.
        report: is called with (what, done, total, losses) of waiting and making.

    Returns:
        What `read` returns.

    Raises:
        DamagedFile: what was just written is not whole.
    """
    damaged = False
    waiting_for, reported_at = "", 0.0

    def read_if_whole() -> tuple[T] | None:
        nonlocal damaged
        damaged = False
        try:
            return (read(),)
        except FileNotFoundError:
            return None
        except (DamagedFile, ValueError, TypeError) as error:
            damaged = True
            warnings.warn(f"{store.path(key)} is damaged ({error}); it is made again", stacklevel=4)
            return None

    while (stored := read_if_whole()) is None:
        try:
            with Lease(store, lease_folder, lambda: {"makes": name}):
                if (stored := read_if_whole()) is not None:
                    break  # another process made it before this one had the lease
                if damaged:  # while we hold the lease, nobody else puts a good one in its place
                    store.set_aside(key)
                report(name, 0, 1, {})
                make()
                if (stored := read_if_whole()) is None:
                    raise DamagedFile(f"{store.path(key)} is not what was just written there")
                break
        except Taken:
            if (lease := holder(store, lease_folder)) is not None:
                process = f"process {lease[0]['pid']} on {lease[0]['host']}"
                if process != waiting_for or time.monotonic() - reported_at > REPORT_SECONDS:
                    waiting_for, reported_at = process, time.monotonic()
                    report(f"waiting for {name}, which {process} is making", 0, 1, {})
                time.sleep(POLL_SECONDS)
    return stored[0]
