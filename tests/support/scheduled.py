"""A world in which a test owns time, the store's answers and whose turn it is.

Actors run real code in threads, one at a time: each stops before and after the effect of every
request and in every sleep, and goes on when the test gives it a turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from oneshot.store.store import Unavailable

OK, BEFORE, AFTER, LATE = "ok", "fails before", "fails after", "fails, and comes later"
FAULTS = (BEFORE, AFTER, LATE)
NONE, READS, ALL = "none", "reads", "all"


class Killed(BaseException):
    """Ends the thread of an actor that was killed."""


class Actor:
    """A process with clocks of its own: its own time stands still while its machine sleeps."""

    def __init__(
        self, world: World, name: str, host: str, wall: float, work: Callable[[Actor], None]
    ):
        self.world, self.name, self.host, self.wall_offset, self.work = (
            world,
            name,
            host,
            wall,
            work,
        )
        self.alive, self.done, self.error = True, False, None
        self.asleep_since: float | None = None
        self.slept = 0.0
        self.wakes = 0.0  # by its own time
        self.fault, self.lag = OK, 0.0
        self.writing = False  # whether its next turn is the effect of a write
        self.long = NONE  # through which requests a turn of it goes on
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: BaseException | None
        self._thread.start()

    def now(self) -> float:
        until = self.world.time if self.asleep_since is None else self.asleep_since
        return until - self.slept

    def wall(self) -> float:
        return self.world.time + self.wall_offset

    def ready(self) -> bool:
        return (
            self.alive and not self.done and self.asleep_since is None and self.now() >= self.wakes
        )

    def turn(self, fault: str = OK, long: str = NONE) -> None:
        """Let it go on to its next stop: at a request, its answer, or what a long turn leaves."""
        if self.ready():
            self.fault, self.long, self.world.acting = fault, long, self
            self._go.release()
            self._back.acquire()
            if self.error is not None:
                raise self.error

    def kill(self) -> None:
        self.alive = False
        if not self.done:
            self._go.release()
            self._back.acquire()
        self._thread.join()

    def doze(self) -> None:
        if self.asleep_since is None:
            self.asleep_since = self.world.time

    def wake(self) -> None:
        if self.asleep_since is not None:
            self.slept += self.world.time - self.asleep_since
            self.asleep_since = None

    def stop_here(self) -> None:
        self._back.release()
        self._go.acquire()
        if not self.alive:
            raise Killed

    def _run(self) -> None:
        try:
            self._go.acquire()
            if self.alive:
                self.work(self)
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.done = True
        self._back.release()


@dataclass
class World:
    """Time, files, and what was listed when."""

    time: float = 1000.0
    acting: Actor | None = None
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)
    listed: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    pending: list[Callable[[], object]] = field(default_factory=list)
    versions: int = 0
    watch: Callable[[str, bytes | None, bytes], None] = lambda key, old, new: None
    seen: set[str] = field(default_factory=set)  # what has happened, by name

    def now(self) -> float:
        return self.acting.now() if self.acting else self.time

    def wall(self) -> float:
        return self.acting.wall() if self.acting else self.time

    def sleep(self, seconds: float) -> None:
        actor = self.acting
        assert actor is not None
        actor.wakes = actor.now() + seconds
        actor.stop_here()

    def put(self, key: str, data: bytes) -> None:
        """The effect of a write."""
        old = self.files.get(key)
        self.watch(key, old[0] if old else None, data)
        self.versions += 1
        self.files[key], self.written[key] = (data, str(self.versions)), self.time
        self.listed.append((self.time, frozenset(self.files)))

    def names(self, folder: str, lag: float) -> list[str]:
        """A listing as it was so long ago."""
        found = [names for at, names in self.listed if at <= self.time - lag]
        keys = found[-1] if found else frozenset[str]()
        return [k.removeprefix(f"{folder}/") for k in keys if k.startswith(f"{folder}/")]


class ScheduledStore:
    """The primitives of a store, in memory; what a request answers is what its actor's turn
    says.
    """

    def __init__(self, world: World):
        self.world = world

    def path(self, key: str) -> str:
        return f"memory://{key}"

    def create(self, key: str, data: bytes) -> bool:
        return bool(self._ask(lambda: key not in self.world.files and self._put(key, data), True))

    def swap(self, key: str, data: bytes, version: str) -> bool:
        def action() -> bool:
            at = self.world.files.get(key)
            return at is not None and at[1] == version and self._put(key, data)

        return bool(self._ask(action, True))

    def write(self, key: str, data: bytes) -> None:
        self._ask(lambda: self._put(key, data), True)

    def fetch(self, key: str) -> tuple[bytes, str]:
        found = self._ask(lambda: self.world.files.get(key))
        if found is None:
            raise FileNotFoundError(2, "no such file", key)
        return found  # type: ignore[no-any-return]

    def read(self, key: str) -> bytes:
        return self.fetch(key)[0]

    def version(self, key: str) -> str | None:
        found = self._ask(lambda: self.world.files.get(key))
        return found and found[1]

    def versions(self, folder: str, suffix: str = "") -> dict[str, str]:
        def action() -> dict[str, str]:
            lag = self.world.acting.lag if self.world.acting else 0.0
            names = self.world.names(folder, lag)
            if lag and sorted(names) != sorted(self.world.names(folder, 0.0)):
                self.world.seen.add("an old listing")
            return {name: "?" for name in names if name.endswith(suffix)}

        return self._ask(action)  # type: ignore[no-any-return]

    def delete(self, key: str) -> None:
        def action() -> None:
            self.world.files.pop(key, None)
            self.world.listed.append((self.world.time, frozenset(self.world.files)))

        self._ask(action)

    def _put(self, key: str, data: bytes) -> bool:
        self.world.put(key, data)
        return True

    def _ask(self, action: Callable[[], Any], writes: bool = False) -> Any:
        """One request: a stop before its effect, and one before its answer."""
        actor = self.world.acting
        if actor is None:  # the test itself
            return action()
        if actor.long == NONE or (writes and actor.long == READS):
            actor.writing = writes
            actor.stop_here()
        actor.writing, fault = False, actor.fault
        if fault == LATE and writes:
            self.world.pending.append(action)
        answer = action() if fault in (OK, AFTER) else None
        if actor.long == NONE:
            actor.stop_here()
        if fault != OK:
            raise Unavailable(5, f"the store {fault}", "memory")
        return answer


class TurnLock:
    """A lock whose waiting is a stop."""

    def __init__(self, world: World):
        self.world, self.taken = world, False

    def __enter__(self) -> None:
        while self.taken:
            assert self.world.acting is not None
            self.world.acting.stop_here()
        self.taken = True

    def __exit__(self, *exc: object) -> None:
        self.taken = False


@contextmanager
def replaced(module: Any, **values: Any) -> Iterator[None]:
    """Attributes of a module, replaced while the context lasts."""
    old = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in old.items():
            setattr(module, name, value)
