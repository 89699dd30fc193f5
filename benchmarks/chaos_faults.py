"""What the campaign of `chaos.py` does to a run: signals, damage, faults of stores, clocks."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos_run import POLL_SECONDS, Run, start, write_sweep


class Round:
    """One results folder and everything that happens to it.

    damaged: records whose bytes this campaign changed. seen: the records that were done, and their
    bytes.
    """

    def __init__(
        self,
        number: int,
        engine: str,
        folder: Path,
        prepared: Path,
        rng: random.Random,
        server: Any,
    ):
        self.number, self.engine, self.folder, self.rng, self.server = (
            number,
            engine,
            folder,
            rng,
            server,
        )
        self.flags = folder / "flags"
        self.flags.mkdir(parents=True)
        self.sweep = write_sweep(folder)
        self.damaged: set[str] = set()
        self.seen: dict[str, bytes] = {}
        self.wrong: list[str] = []
        self.did: list[str] = []
        self.runs = 0
        self.again: Run | None = None
        self.prefix = f"round{number}"
        if engine == "s3":
            self.results = server.uri.replace("/results", f"/{self.prefix}")
            upload(prepared / "store", self.results)
        else:
            self.results = str(folder / "results")
            shutil.copytree(prepared / "store", folder / "results" / "store")

    @property
    def local(self) -> Path | None:
        """The results on this machine; None on an object store."""
        return None if self.engine == "s3" else Path(self.results)

    def arguments(self, *more: str) -> list[str]:
        """The command line of a run."""
        engine = [] if self.engine == "ray" else ["--local"]
        stack = ["--max-stack", "2", "--checkpoint-seconds", "0"]
        return [str(self.sweep), "--results", self.results, *engine, *stack, *more]

    def start(self, *more: str) -> Run:
        """Start a run of this round."""
        self.runs += 1
        server = self.server.environment if self.engine == "s3" else {}
        log = self.folder / f"run{self.runs}.txt"
        return start(self.arguments(*more), log, str(self.flags), self.engine == "local", server)

    def records(self) -> dict[str, bytes]:
        """The bytes of every record that is there."""
        if self.engine == "s3":
            found = self.server.objects(f"{self.prefix}/chaos/records")
            return {Path(key).stem: data for key, data in found.items()}
        out = {}
        for path in (Path(self.results) / "chaos/records").glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                out[path.stem] = path.read_bytes()
        return out

    def look(self) -> dict[str, bytes]:
        """Read the records; whatever was done before and is not what it was is wrong."""
        found = self.records()
        for name, data in self.seen.items():
            if name not in self.damaged and found.get(name) != data:
                self.wrong.append(
                    f"the record {name} was done and"
                    f" {'is gone' if name not in found else 'changed'}"
                )
        self.seen = {n: d for n, d in found.items() if status_of(d) == "done"}
        self.damaged -= set(self.seen)
        return found


def status_of(data: bytes) -> str:
    """The status in the bytes of a record, "damaged" if they are none."""
    from oneshot.store import records as rows

    try:
        return str(rows.decode(data, row_only=True).row["status"])
    except (ValueError, KeyError, TypeError):
        return "damaged"


def upload(folder: Path, root: str) -> None:
    """Copy what lies in a folder to an object store."""
    from oneshot.store.store import Store

    store = Store(root)
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            store.write(f"store/{path.relative_to(folder)}", path.read_bytes())


Fault = Callable[[Round, Run], None]


def _signal(number: int) -> Fault:
    return lambda round, run: run.send(number)


def second_driver(round: Round, run: Run) -> None:
    """The same command once more, while the first is at work."""
    round.again = round.start()


def sleeper(round: Round, run: Run) -> None:
    """The driver is stopped until its lease has expired, another one takes the sweep over, then the
    first wakes up.
    """
    run.send(signal.SIGSTOP)
    round.again = round.start()
    time.sleep(3.5)
    run.send(signal.SIGCONT)


def _stored(round: Round) -> list[Path]:
    """The files of the results. On Ray without critics: trained again, on more threads, they would
    round to other numbers.
    """
    root, shared = round.local, {"critics", "exemplars", "humans"}
    found = (
        []
        if root is None
        else [p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")]
    )
    return [p for p in found if round.engine != "ray" or not shared & set(p.parts)]


def flip_bits(round: Round, run: Run) -> None:
    """Three bits, each in a file of its own."""
    files = _stored(round)
    for path in round.rng.sample(files, min(3, len(files))):
        with contextlib.suppress(FileNotFoundError):
            _note(round, path)
            data = bytearray(path.read_bytes())
            if data:
                at = round.rng.randrange(len(data))
                data[at] ^= 1 << round.rng.randrange(8)
                path.write_bytes(data)


def cut_files(round: Round, run: Run) -> None:
    """Three files lose their end."""
    files = _stored(round)
    for path in round.rng.sample(files, min(3, len(files))):
        with contextlib.suppress(FileNotFoundError):
            _note(round, path)
            os.truncate(path, round.rng.randrange(path.stat().st_size + 1))


def _note(round: Round, path: Path) -> None:
    if path.parent.name == "records":
        round.damaged.add(path.stem)


def full_disk(round: Round, run: Run) -> None:
    """No file can be written any more, for a second or until the run has ended."""
    (round.flags / "full").touch()
    end = time.monotonic() + round.rng.choice([1.0, 20.0])
    while time.monotonic() < end and not run.ended():
        time.sleep(POLL_SECONDS)
    (round.flags / "full").unlink()


def lagging_listing(round: Round, run: Run) -> None:
    """Listings are three seconds old from now on."""
    (round.flags / "lag").touch()


def clock(round: Round, run: Run) -> None:
    """The clock of the machine jumps."""
    (round.flags / "clock").write_text(str(round.rng.choice([-86400.0, -120.0, 120.0, 86400.0])))


def kill_worker(round: Round, run: Run) -> None:
    """A Ray worker of this run, with kill -9."""
    _kill(run, b"ray::", round.rng)


def kill_raylet(round: Round, run: Run) -> None:
    """The raylet of this run's Ray, with kill -9."""
    _kill(run, b"raylet/raylet", round.rng)


def _kill(run: Run, mark: bytes, rng: random.Random) -> None:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            if mark in (folder / "cmdline").read_bytes() and (
                session == run.pid or _below(int(folder.name), run.pid)
            ):
                found.append(int(folder.name))
    if not found:
        raise LookupError("there is none now")
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(found), signal.SIGKILL)


def _below(pid: int, ancestor: int) -> bool:
    """Whether a process descends from another."""
    for _ in range(20):
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid <= 1:
            return False
    return False


def _server(*faults: dict[str, Any]) -> Fault:
    def fault(round: Round, run: Run) -> None:
        with round.server.faults(*faults):
            end = time.monotonic() + 4
            while time.monotonic() < end and not run.ended():
                time.sleep(POLL_SECONDS)

    return fault


FAULTS: dict[str, dict[str, Fault]] = {
    "local": {
        "kill -9 of the driver": _signal(signal.SIGKILL),
        "Ctrl-C": _signal(signal.SIGINT),
        "SIGTERM": _signal(signal.SIGTERM),
        "SIGHUP": _signal(signal.SIGHUP),
        "a second driver": second_driver,
        "a driver that sleeps and is overtaken": sleeper,
        "flipped bits": flip_bits,
        "truncated files": cut_files,
        "a full disk": full_disk,
        "listings that lag": lagging_listing,
        "a clock that jumps": clock,
    },
    "s3": {
        "kill -9 of the driver": _signal(signal.SIGKILL),
        "SIGTERM": _signal(signal.SIGTERM),
        "a second driver": second_driver,
        "the store answers 503": _server({"what": "503", "share": 0.3}),
        "the store answers 500": _server({"what": "500", "share": 0.3}),
        "the store drops connections": _server({"what": "drop", "share": 0.2}),
        "answers are lost after the deed": _server({"what": "late", "share": 0.2}),
        "the store is slow": _server({"what": "slow", "share": 0.3, "seconds": 1.0}),
        "listings that lag": lagging_listing,
        "a driver that sleeps and is overtaken": sleeper,
    },
    "ray": {
        "kill -9 of the driver": _signal(signal.SIGKILL),
        "SIGTERM": _signal(signal.SIGTERM),
        "kill -9 of a worker": kill_worker,
        "kill -9 of the raylet": kill_raylet,
        "a second driver": second_driver,
        "flipped bits": flip_bits,
    },
}
