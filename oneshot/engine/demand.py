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
LINE_SECONDS = 60.0  # between two lines of the log that say what is waited for


class Impossible(ValueError):
    """Something that this cluster can never do: the message, and what would help."""

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help


def capacity(machine: Resources, share: Resources) -> int:
    """How many trials one machine holds at once.

    Args:
        machine: the resources of the machine.
        share: what a trial asks for.

    Returns:
        How many; 1 for a share of nothing.
    """
    counts = [
        int(machine.get(name, 0) / asked + 1e-9) for name, asked in share.items() if asked > 0
    ]
    return min(counts, default=1)


def slots(alive: Iterable[Resources], to_come: Types, share: Resources, workers: int = 1) -> int:
    """How many trials run side by side, on the machines there are or on those that may come.

    Args:
        alive: the resources of each machine of the cluster.
        to_come: the types of machines that an autoscaler may start.
        share: what a trial asks for, or each of its workers.
        workers: how many workers a trial has, which may be on different machines.

    Returns:
        How many, 1 at least.
    """
    now = sum(capacity(machine, share) for machine in alive)
    later = sum(count * capacity(machine, share) for count, machine in to_come)
    return max(now // workers, later // workers, 1)


def lacks(alive: Sequence[Resources], share: Resources, workers: int = 1) -> str:
    """What no machine has room for, in words.

    Args:
        alive: the resources of each machine of the cluster.
        share: what a trial asks for, or each of its workers.
        workers: how many workers a trial has.

    Returns:
        "" where a trial fits when nothing else runs.
    """
    if not any(capacity(machine, share) for machine in alive):
        return f"a machine with {words(share)}"
    if sum(capacity(machine, share) for machine in alive) < workers:
        return f"machines for {workers} workers with {words(share)} each"
    return ""


def refusal(
    alive: Sequence[Resources], to_come: Types, share: Resources, workers: int = 1
) -> Impossible | None:
    """Why the cluster can never run such a trial.

    A type of machine without resources is one whose size is not known, so nothing is refused.

    Args:
        alive: the resources of each machine of the cluster.
        to_come: the types of machines that an autoscaler may start.
        share: what a trial asks for, or each of its workers.
        workers: how many workers a trial has.

    Returns:
        None where it can run, now or when the cluster has grown.
    """
    if any(not machine for _, machine in to_come):
        return None
    machines = [*alive, *(machine for _, machine in to_come)]
    if not any(capacity(machine, share) for machine in machines):
        return _no_machine(machines, share, bool(to_come))
    now = sum(capacity(machine, share) for machine in alive)
    later = sum(count * capacity(machine, share) for count, machine in to_come)
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


class WaitDisplay:
    """Shows what a run waits for: in the live line, and as a line of the log every minute.

    Attributes:
        state: of the run, whose phase shows it while there is something to wait for.
        print_event: prints a line.
    """

    def __init__(self, state: State, print_event: Callable[[str], None]):
        self.state, self.print_event = state, print_event
        self._waits_for = self._text = self._phase_before = ""
        self._last_line = 0.0

    def show(self, waits_for: str) -> None:
        """Say that the run waits for this; "" when it no longer waits."""
        now = time.monotonic()
        if waits_for and waits_for != self._waits_for:
            if not self._waits_for:
                self._phase_before = self.state.phase
            self._text = f"waiting for {waits_for} since {time.strftime('%H:%M')}"
            self._last_line = now - LINE_SECONDS
        elif not waits_for and self._waits_for:
            if self.state.phase == self._text:
                self.state.phase = self._phase_before
            self.print_event(f"no longer waiting for {self._waits_for}")
        self._waits_for = waits_for
        if waits_for:
            self.state.phase = self._text
            if now - self._last_line >= LINE_SECONDS:
                self._last_line = now
                self.print_event(self._text)
