"""How many processors this process may use, which may be fewer than the machine has."""

from __future__ import annotations

import os


def usable_processors() -> int:
    """The processors that this process may run on, and that a batch system gave to its job."""
    counts = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    # Slurm does not always bind a job to the processors that it counts for it
    given = os.environ.get("SLURM_CPUS_ON_NODE", "")
    if given.isdecimal() and int(given):
        counts.append(int(given))
    return min(counts)
