"""Runs of a sweep beside each other: each shard has a lease of its own, and one writes the tables.

    RESULTS/<sweep>/shards/<parts>-<trainings>/<part>/driver-<n>.json   the leases of shards
    RESULTS/<sweep>/driver-<n>.json   the sweep's own lease

A run without --shard holds the sweep's own lease from its beginning to its end. A shard holds its
own; beside it, one of the shards holds the sweep's for as long as it writes tables, and says so in
the note (`tables_only`). Each run enters its lease first and then looks at the others' notes. Of
two that do not go together, the second to enter therefore sees the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from oneshot.store import lease
from oneshot.store.lease import Taken
from oneshot.store.store import Store
from oneshot.sweep.point import Point
from oneshot.sweep.shards import Shard, partition_name

TABLES_ONLY = "tables_only"  # in the note of one who holds the sweep's lease for its tables alone
NOTE = re.compile(r"/shards/([0-9]+-[0-9a-f]+)/([0-9]+)/driver-[0-9]+\.json$")


def folder(sweep: str, points: Sequence[Point], shard: Shard) -> str:
    """The folder of a shard's lease.

    Args:
        sweep: name of the sweep.
        points: all its points.
        shard: which part.

    Returns:
        The key of the folder.
    """
    return f"{sweep}/shards/{partition_name(points, shard.count)}/{shard.index}"


def folders(store: Store, sweep: str) -> dict[str, list[int]]:
    """The shards that have ever run.

    Args:
        store: where the results are.
        sweep: name of the sweep.

    Returns:
        The indices of the shards by the name of their partition.
    """
    found: dict[str, set[int]] = {}
    for key in store.keys(f"{sweep}/shards"):
        if match := NOTE.search(key):
            found.setdefault(match[1], set()).add(int(match[2]))
    return {name: sorted(indices) for name, indices in found.items()}


class OtherParts(Taken):
    """Somebody runs the sweep in other parts than this run."""

    def __init__(self, error: Taken, shard: Shard | None):
        reason = "a run without --shard would compute its trainings twice"
        if shard is not None:
            reason = (
                f"its parts are not those of {shard}: shards beside each other need one N, and the"
                " same sweep file, --set and --seeds"
            )
        super(Taken, self).__init__(f"{error}; {reason}")
        self.wait = error.wait


def title(sweep: str, shard: Shard | None) -> str:
    """What is run, in words.

    Args:
        sweep: name of the sweep.
        shard: which part; None for all of it.

    Returns:
        As `mine, shard 3/8,`.
    """
    return f"{sweep}, shard {shard}," if shard else sweep


def check_others(
    store: Store,
    sweep: str,
    points: Sequence[Point],
    shard: Shard | None,
    say: Callable[[str], object],
) -> None:
    """See that nobody computes trainings that are also this run's. Called with the lease held.

    Args:
        store: where the results are.
        sweep: name of the sweep.
        points: all its points.
        shard: the part that this run computes; None for all.
        say: called with a sentence where it takes long.

    Raises:
        Taken: somebody does.
    """
    mine = partition_name(points, shard.count) if shard else ""
    if shard:
        note = lease.last_note(store, sweep)
        if note and note["lives"] and not note.get(TABLES_ONLY):
            lease.wait_until_ended(store, sweep, say)
    others = [
        (partition, index)
        for partition, indices in folders(store, sweep).items()
        if partition != mine
        for index in indices
    ]
    if not others:
        return

    def wait(other: tuple[str, int]) -> Taken | None:
        partition, index = other
        place = f"{sweep}/shards/{partition}/{index}"
        count = int(partition.partition("-")[0])
        try:
            lease.wait_until_ended(store, place, say, title(sweep, Shard(index, count)))
        except Taken as error:
            return error
        return None

    with ThreadPoolExecutor(min(len(others), 32)) as pool:
        for taken in pool.map(wait, others):
            if taken is not None:
                raise OtherParts(taken, shard)


class Observer:
    """Who runs a sweep, as a whole or in shards, for somebody who looks once, or again and again.

    Args:
        store: where the results are.
        sweep: name of the sweep.
    """

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep = store, sweep
        self._whole = lease.Observer(store, sweep)
        self._shards: dict[str, lease.Observer] = {}

    def whole(self) -> tuple[dict[str, Any], float] | None:
        """The driver that runs all of the sweep, as `lease.Observer.holder`; None for shards."""
        found = self._whole.holder()
        return None if found and found[0].get(TABLES_ONLY) else found

    def shards(self) -> dict[str, dict[int, tuple[dict[str, Any], float] | None]]:
        """By partition and index of each shard that ever ran, who runs it now."""
        return {
            partition: {index: self._holder(partition, index) for index in indices}
            for partition, indices in folders(self.store, self.sweep).items()
        }

    def _holder(self, partition: str, index: int) -> tuple[dict[str, Any], float] | None:
        """Who runs one shard."""
        place = f"{self.sweep}/shards/{partition}/{index}"
        if place not in self._shards:
            self._shards[place] = lease.Observer(self.store, place)
        return self._shards[place].holder()
