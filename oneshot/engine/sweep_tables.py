"""The tables of a sweep, where several runs have records of it: one of them writes for all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from oneshot.store import lease
from oneshot.store.lease import Lease, Taken
from oneshot.store.shards import TABLES_ONLY
from oneshot.store.store import Store


class SweepTables:
    """The sweep's own lease, for one who computes no points or those of a shard alone.

    No record of a shard that ends is left out of the tables. A shard tries to write after its last
    record. If another shard holds the lease then, that one looks for new records once more after
    it has given the lease back.

    Args:
        store: where the results are.
        sweep: name of the sweep.
    """

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep = store, sweep
        self._observer = lease.Observer(store, sweep)
        self._lease: Lease | None = None

    def take(self) -> bool:
        """Whether this process writes the tables now; it takes the lease where nobody has it."""
        if self._lease is not None:
            if self._lease.held():
                return True
            self.release()
        if self._observer.holder() is not None:
            return False  # a shard at work, or one that died within the last minute
        try:
            self._lease = Lease(self.store, self.sweep, lambda: {TABLES_ONLY: True}).__enter__()
        except Taken:
            return False
        return True

    def holding(self) -> bool:
        """Whether this process writes the tables, as far as it knows without asking the store."""
        return self._lease is not None

    def release(self) -> None:
        """Let another shard write the tables."""
        if self._lease is not None:
            self._lease.__exit__()
            self._lease = None

    def write_last(self, update: Callable[[], bool], write: Callable[[], object]) -> None:
        """Write the tables of all records that there are, unless another shard will.

        Args:
            update: reads new records; whether there were any.
            write: writes the tables.
        """
        try:
            while self.take():
                update()
                write()
                self.release()
                if not update():
                    return
        finally:
            with contextlib.suppress(OSError):
                self.release()
