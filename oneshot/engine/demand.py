"""What a trial asks of a cluster, held against the machines there are and those that may come.
Nothing here knows the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from oneshot.console.progress import State

Resources = Mapping[str, float]
Types = Sequence[tuple[int, Resources]]  # (how many at most, resources of each)

NAMES = {"CPU": ("processor", "processors"), "GPU": ("GPU", "GPUs")}
SAY_SECONDS = 60.0


class Impossible(ValueError):
    """Something that this cluster can never do: the message, and what would help."""

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help


def fits(machine: Resources, share: Resources) -> int:
    """How many trials of this share one machine holds at once."""
    counts = [
        int(machine.get(name, 0) / asked + 1e-9) for name, asked in share.items() if asked > 0
    ]
    return min(counts, default=1)


def slots(there: Iterable[Resources], to_come: Types, share: Resources, workers: int = 1) -> int:
    """How many trials run side by side, on the machines there are or on those that may come.

    Args:
        there: the resources of each machine of the cluster.
        to_come: the types of machines that an autoscaler may start.
        share: what a trial asks for, or each of its workers.
        workers: how many workers a trial has, which may be on different machines.
    """
    now = sum(fits(machine, share) for machine in there)
    later = sum(count * fits(machine, share) for count, machine in to_come)
    return max(now // workers, later // workers, 1)


def lacks(there: Sequence[Resources], share: Resources, workers: int = 1) -> str:
    """What no machine there has room for, in words; "" where a trial fits when nothing else
    runs.
    """
    if not any(fits(machine, share) for machine in there):
        return f"a machine with {words(share)}"
    if sum(fits(machine, share) for machine in there) < workers:
        return f"machines for {workers} workers with {words(share)} each"
    return ""


def refusal(
    there: Sequence[Resources], to_come: Types, share: Resources, workers: int = 1
) -> Impossible | None:
    """Why the cluster can never run such a trial; None where it can, now or when it has grown.

    A type of machine without resources is one whose size is not known, so nothing is refused.
    """
    if any(not machine for _, machine in to_come):
        return None
    machines = [*there, *(machine for _, machine in to_come)]
    if not any(fits(machine, share) for machine in machines):
        return _no_machine(machines, share, bool(to_come))
    now = sum(fits(machine, share) for machine in there)
    later = sum(count * fits(machine, share) for count, machine in to_come)
    if max(now, later) >= workers:
        return None
    room = max(now, later)
    return Impossible(
        f"this cluster has room for {room} {'worker' if room == 1 else 'workers'} with"
        f" {words(share)}; a trial asks for {workers}",
        f"--workers-per-trial {room}, or a larger cluster",
    )


def _no_machine(machines: Sequence[Resources], share: Resources, grows: bool) -> Impossible:
    whose = (
        "no machine that this cluster has or may start has"
        if grows
        else "no machine of this cluster has"
    )
    most = {name: max((m.get(name, 0) for m in machines), default=0) for name in share}
    short = [name for name, asked in share.items() if asked > most[name]]
    if not short:
        return Impossible(
            f"{whose} {words(share)} together",
            "ask for less by --cpus-per-trial or --gpus-per-trial; --gpus-per-trial 0 trains on"
            " processors",
        )
    name = short[0]
    largest = f"the largest has {most[name]:g}" if most[name] else "none has any"
    flag = {"CPU": "--cpus-per-trial", "GPU": "--gpus-per-trial"}.get(name, name)
    less = f"{flag} {most[name]:g}" if most[name] or name == "GPU" else "machines with processors"
    more = " trains on processors" if name == "GPU" and not most[name] else ""
    return Impossible(
        f"{whose} {words({name: share[name]})}; {largest}",
        f"{less}{more}; --address joins another cluster",
    )


def words(share: Resources) -> str:
    """A share as people say it: `2 processors and 0.5 GPUs`."""
    parts = [
        f"{asked:g} {NAMES.get(name, (name, name))[asked != 1]}"
        for name, asked in share.items()
        if asked > 0
    ]
    return " and ".join(parts) or "any processor"


class Waiting:
    """Shows what a run waits for: in the live line, and as a line of the log at its begin and every
    minute.

    Args:
        state: of the run, whose phase it takes over while there is something to wait for.
        event: prints a line.
    """

    def __init__(self, state: State, event: Callable[[str], None]):
        self.state, self.event = state, event
        self.what = self.text = self.before = ""
        self.said = 0.0

    def show(self, what: str) -> None:
        """Say that the run waits for this; "" when it no longer waits."""
        now = time.monotonic()
        if what and what != self.what:
            self.before = self.before if self.what else self.state.phase
            self.text = f"waiting for {what} since {time.strftime('%H:%M')}"
            self.said = now - SAY_SECONDS
        elif not what and self.what:
            if self.state.phase == self.text:
                self.state.phase = self.before
            self.event(f"no longer waiting for {self.what}")
        self.what = what
        if what:
            self.state.phase = self.text
            if now - self.said >= SAY_SECONDS:
                self.said = now
                self.event(self.text)
