"""Interleavings of drivers and workers, searched in a world whose time and answers the test owns.

Drivers enter, renew, sleep, die and leave; writers commit results. Between any two requests, and
between a request and its answer, anything may happen: time passes, a request fails before or after
its effect, or takes effect when nobody waits for it any more, and listings are old.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from scheduled import ALL, FAULTS, OK, READS, Actor, ScheduledStore, TurnLock, World, replaced

from oneshot.store import lease, records
from oneshot.store.records import Record

PAUSES = st.sampled_from((0.0, 0.0, 0.0, 0.2, 0.9, 1.9, 3.7, 3.9, 4.0))
WALLS = st.sampled_from((0.0, -5000.0, 7000.0))
SEARCH = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class End:
    """What a lease's thread waits for."""

    def __init__(self, world: World):
        self.world, self.set = world, False

    def wait(self, seconds: float) -> bool:
        self.world.sleep(seconds)
        return self.set


class Driver:
    """A process that enters the lease of the sweep q and keeps it until it is told to end."""

    def __init__(self, world: World, name: str, host: str, wall: float):
        self.lost: list[str] = []
        self.leaving = self.taken = False
        self.lease = lease.Lease(ScheduledStore(world), "q", on_lost=self.lost.append)  # type: ignore[arg-type]
        self.lease._end, self.lease._lock = End(world), TurnLock(world)  # type: ignore[assignment]
        self.actor = Actor(world, name, host, wall, self.live)

    def live(self, actor: Actor) -> None:
        try:
            self.lease.acquire()
        except lease.Taken:
            self.taken = True
        except OSError:
            pass
        else:
            self.lease._heartbeats()

    def end(self) -> None:
        self.leaving = self.lease._end.set = True  # type: ignore[assignment,method-assign]

    def believes(self) -> bool:
        """Whether it would write for all, asked now and without a request."""
        actor, world = self.actor, self.actor.world
        if (
            not actor.alive
            or actor.asleep_since is not None
            or self.leaving
            or self.lease._lost_reason
        ):
            return False
        before, world.acting = world.acting, actor
        try:
            return self.lease._silence() < lease.EXPIRY_SECONDS
        finally:
            world.acting = before


class Leases(RuleBasedStateMachine):
    """Drivers of one sweep on several machines."""

    happened: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.watch = self._watch
        self.drivers: list[Driver] = []
        self._time = contextlib.ExitStack()
        times = dict(_now=self.world.now, _wall=self.world.wall, _sleep=self.world.sleep)
        # few renewals, so that much can happen
        times |= dict(RENEW_SECONDS=1.0, EXPIRY_SECONDS=4.0)
        self._time.enter_context(replaced(lease, **times, _dead=self._dead))
        self.start("a", 0.0, 0.0)
        self._until_idle(self.drivers[0])

    def _by(self, note: dict[str, Any]) -> Driver:
        return next(d for d in self.drivers if d.lease.token == note["token"])

    def _dead(self, note: dict[str, Any]) -> bool:
        owner = self._by(note).actor
        me = self.world.acting
        return me is not None and owner.host == me.host and not owner.alive

    def _watch(self, key: str, old: bytes | None, new: bytes) -> None:
        """What no write may do, whoever believes what."""
        number = int(key.rpartition("-")[2].partition(".")[0])
        if old is None:
            before = self.world.files.get(lease._key("q", number - 1))
            if before is not None:
                assert json.loads(before[0])["ended"], "a generation before the end of the last"
                self.happened.add("a second generation")
            return
        was, note = json.loads(old), json.loads(new)
        assert not was.get("ended"), "a note after its end"
        if was["token"] != note["token"]:
            owner = self._by(was)
            silent = self.world.time - self.world.written[key]
            alive = owner.actor.alive and not owner.lease._lost_reason and not owner.actor.done
            assert silent >= lease.EXPIRY_SECONDS or not alive, "a living driver was overtaken"
            self.happened.add("a sleeper overtaken" if alive else "a dead one replaced")

    @rule(host=st.sampled_from("ab"), wall=WALLS, lag=st.sampled_from((0.0, 0.0, 3.0, 99.0)))
    @precondition(lambda self: len(self._living()) < 3)
    def start(self, host: str, wall: float, lag: float) -> None:
        self.drivers.append(Driver(self.world, f"d{len(self.drivers)}", host, wall))
        self.drivers[-1].actor.lag = lag

    @rule(data=st.data(), pauses=st.lists(PAUSES, min_size=1, max_size=8))
    @precondition(lambda self: self._ready())
    def act(self, data: st.DataObject, pauses: list[float]) -> None:
        """Some turns of one driver, with time passing before each."""
        driver = data.draw(st.sampled_from(self._ready()))
        for pause in pauses:
            self.world.time += pause
            driver.actor.turn()
            self.one_driver()

    @rule(data=st.data(), fault=st.sampled_from((OK, OK, OK, *FAULTS)), before=PAUSES, after=PAUSES)
    @precondition(lambda self: self._ready())
    def write(self, data: st.DataObject, fault: str, before: float, after: float) -> None:
        """One driver goes on to its next write, which may be slow, or fail."""
        driver = data.draw(st.sampled_from(self._ready()))
        for _ in range(30):
            if driver.actor.writing:
                self.world.time += before
                driver.actor.turn(fault)
                self.one_driver()
                self.world.time += after
                return
            self.world.time += 0.2
            driver.actor.turn(long=READS)

    @rule(data=st.data(), seconds=st.sampled_from((1.0, 3.0, 4.4, 9.0)))
    @precondition(lambda self: self._ready())
    def go_on(self, data: st.DataObject, seconds: float) -> None:
        """Some drivers do as they should for a time, the others do not get a turn."""
        self._live(data.draw(st.sets(st.sampled_from(self._ready()), min_size=1)), seconds)

    @rule(data=st.data(), seconds=st.sampled_from((3.0, 4.4, 9.0)))
    @precondition(lambda self: self._ready())
    def nap(self, data: st.DataObject, seconds: float) -> None:
        """A machine sleeps, so that its own time stands still, while the others go on."""
        driver = data.draw(st.sampled_from(self._ready()))
        driver.actor.doze()
        self._live(set(self._ready()), seconds)
        driver.actor.wake()

    @rule(data=st.data(), how=st.sampled_from(("kill", "end")))
    @precondition(lambda self: self._living())
    def end(self, data: st.DataObject, how: str) -> None:
        """A driver dies or is told to end."""
        driver = data.draw(st.sampled_from(self._living()))
        driver.end() if how == "end" else driver.actor.kill()

    @rule()
    @precondition(lambda self: self.world.pending)
    def come_late(self) -> None:
        """A write takes effect that its driver has given up."""
        if self.world.pending.pop(0)():
            self.happened.add("a late write")

    @invariant()
    def one_driver(self) -> None:
        holding = [d.actor.name for d in self.drivers if d.believes()]
        assert len(holding) <= 1, f"{holding} all hold the sweep"
        self.happened |= {"held"} if holding else set()
        self.happened |= {"taken"} if any(d.taken for d in self.drivers) else set()
        self.happened |= {"lost"} if any(d.lost for d in self.drivers) else set()
        self.happened |= self.world.seen

    def teardown(self) -> None:
        """Once all are dead, somebody can enter."""
        try:
            for driver in self.drivers:
                driver.actor.kill()
            last = Driver(self.world, "last", "z", 0.0)
            self.drivers.append(last)
            end = self.world.time + 2 * lease.EXPIRY_SECONDS
            while not last.believes():
                self._until_idle(last)
                self.world.time += 0.2
                assert self.world.time < end, "nobody can enter"
            last.actor.kill()
        finally:
            for driver in self.drivers:
                driver.actor.alive and driver.actor.kill()
            self._time.close()

    def _living(self) -> list[Driver]:
        return [d for d in self.drivers if d.actor.alive and not d.actor.done]

    def _ready(self) -> list[Driver]:
        return [d for d in self._living() if d.actor.asleep_since is None]

    def _live(self, drivers: set[Driver], seconds: float) -> None:
        end = self.world.time + seconds
        while self.world.time < end:
            self.world.time += 0.2
            for driver in sorted(drivers, key=lambda d: d.actor.name):
                self._until_idle(driver)
            self.one_driver()

    def _until_idle(self, driver: Driver) -> None:
        for _ in range(200):
            if not driver.actor.ready():
                return
            driver.actor.turn(long=ALL)
        raise AssertionError("it asks without end")


@pytest.mark.parametrize(
    "examples",
    [pytest.param(200, marks=pytest.mark.shorter), pytest.param(800, marks=pytest.mark.slow)],
)
def test_of_all_drivers_at_most_one_holds_the_sweep(examples: int) -> None:
    Leases.happened = set()
    run_state_machine_as_test(Leases, settings=settings(SEARCH, max_examples=examples))
    everything = {
        "held",
        "taken",
        "lost",
        "a second generation",
        "a sleeper overtaken",
        "a dead one replaced",
        "a late write",
        "an old listing",
    }
    assert everything <= Leases.happened, everything - Leases.happened


class UncheckedStore(ScheduledStore):
    """A store whose swaps do not look at versions."""

    def swap(self, key: str, data: bytes, version: str) -> bool:
        self.write(key, data)
        return True


def test_a_store_that_swaps_without_looking_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search is able to find what it looks for."""
    monkeypatch.setitem(globals(), "ScheduledStore", UncheckedStore)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Leases, settings=settings(SEARCH, phases=[Phase.generate]))


def careless_commit(store: ScheduledStore, sweep: str, record: Record, replaces: str = "") -> None:
    """As it was: a failure looks first, and then writes."""
    key, data = records.key(sweep, record.row["point_id"]), records.encode(record)
    if record.row["status"] != "done" and store.version(key) is not None and not replaces:
        return
    store.write(key, data)


class Commits(RuleBasedStateMachine):
    """Workers that compute one point at the same time, to different ends."""

    commit: Any = staticmethod(records.commit)
    happened: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.watch = self._watch
        self.workers: list[Actor] = []
        self.key = records.key("q", "point")

    def _watch(self, key: str, old: bytes | None, new: bytes) -> None:
        if old is not None:
            was, now = (records.decode(data, row_only=True).row["status"] for data in (old, new))
            assert was != "done", "the record of a point that was done was written over"
            self.happened.add(f"{was}, then {now}")

    @rule(status=st.sampled_from(("done", "failed")), again=st.booleans())
    @precondition(lambda self: sum(not w.done for w in self.workers) < 4)
    def start(self, status: str, again: bool) -> None:
        name = f"w{len(self.workers)}"
        store: Any = ScheduledStore(self.world)

        def work(actor: Actor) -> None:
            replaces = ""
            with contextlib.suppress(OSError):
                data, version = store.fetch(self.key)
                row = records.decode(data, row_only=True).row
                if row["status"] == "done":
                    return
                replaces = version if again else ""
            for _ in range(3):
                with contextlib.suppress(OSError):
                    self.commit(store, "q", record, replaces)
                    if status == "done":
                        found = records.decode(self.world.files[self.key][0], row_only=True)
                        assert found.row["status"] == "done", "what was committed does not stand"
                    self.happened.add(f"{status} committed")
                    return

        record = Record({"point_id": "point", "status": status, "host": name})
        self.workers.append(Actor(self.world, name, "a", 0.0, work))

    @rule(data=st.data(), turns=st.integers(1, 5), fault=st.sampled_from((OK, OK, *FAULTS)))
    @precondition(lambda self: self._working())
    def act(self, data: st.DataObject, turns: int, fault: str) -> None:
        worker = data.draw(st.sampled_from(self._working()))
        for left in reversed(range(turns)):
            worker.turn(OK if left else fault)

    @rule(data=st.data())
    @precondition(lambda self: self._working())
    def kill(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self._working())).kill()

    @rule()
    @precondition(lambda self: self.world.pending)
    def come_late(self) -> None:
        if self.world.pending.pop(0)():
            self.happened.add("a late write")

    def teardown(self) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.kill()

    def _working(self) -> list[Actor]:
        return [w for w in self.workers if w.ready()]


def test_what_is_done_stays_done() -> None:
    Commits.happened = set()
    run_state_machine_as_test(Commits, settings=SEARCH)
    everything = {"failed, then done", "a late write"}
    everything |= {"done committed", "failed committed"}
    assert everything <= Commits.happened, everything - Commits.happened


def test_a_commit_that_looks_and_then_writes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Commits, "commit", staticmethod(careless_commit))
    with pytest.raises(AssertionError, match="was done was written over"):
        run_state_machine_as_test(Commits, settings=settings(SEARCH, phases=[Phase.generate]))
