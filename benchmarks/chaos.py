"""A small sweep, run again and again while things are killed, cut, filled, flipped and started
twice; then everything is compared.

    python benchmarks/chaos.py [--rounds N] [--seed S] [--engines local,s3,ray] [--keep FOLDER]

Each round starts the sweep in an empty results folder (critics and people are there already), does
one to three things to it at random moments, starts it again until every point has a result, and
then checks:

    one record a point      the records are those of the sweep's points, each whole and under its own name
    finished stays          a point that was done keeps the bytes of its record, unless this campaign damaged them
    right                   every metric equals that of a run to which nothing was done
    tables                  points.parquet holds what the records hold; classes and curves belong to the same points
    exit status             0 only with every point done; 128 + n or -n after signal n; 1 and 2 only with a reason
    time                    no run lasts longer than LONGEST seconds, whatever happened to it

A run is a process of its own: forked from this one, which has everything imported, or a new
interpreter where the engine or the object store needs one. In runs of this campaign a lease expires
after 2 s instead of 60, so that a sleeper is overtaken.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What survives?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[0.0, 0.5, 1.0, 2.0]),
    seeds=2,
    fixed=dict(
        dataset="quickdraw", split="fixed", image_size=16, time_steps=1, epochs=4, batch_size=512, drawings_per_class=3,
    ),
    references=("human", "noise"),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=5, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=5, train_ways=20, train_queries=2),
    ),
)
"""
LONGEST = 240.0  # seconds of one run
MOST_RUNS = 8  # of a round, until every point is done
POLL_SECONDS = 0.03
METRICS = ("diversity", "recognizability", "originality", "human_distance", "epochs_done")


# ---- a run
# -----------------------------------------------------------------------------


def as_driver(arguments: list[str], mischief: str) -> int:
    """What a run does in its own process: the command, with short leases and what `mischief` says
    of its store and clock.
    """
    from oneshot import cli
    from oneshot.engine import sweep_run
    from oneshot.store import lease, store

    lease.RENEW_SECONDS, lease.EXPIRY_SECONDS = 0.3, 2.0
    sweep_run.COMPACT_SECONDS = 0.3
    if mischief:
        _mischief(Path(mischief), store)
    return cli.main(arguments)


def leave(status: int) -> None:
    """End this process as run_sweep.py does."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _mischief(flags: Path, store: Any) -> None:
    """A full disk, a listing that lags and a clock that jumps, each while a file of its name lies
    in this folder.
    """
    fsync, now, versions = os.fsync, time.time, store.Store.versions
    lately: dict[str, list[tuple[float, dict[str, str]]]] = {}

    def full_disk(handle: int) -> None:
        if (flags / "full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    def lagging(self: Any, folder: str, suffix: str = "") -> dict[str, str]:
        found = versions(self, folder, suffix)
        kept = lately.setdefault(folder + suffix, [])
        kept.append((time.monotonic(), found))
        if not (flags / "lag").exists():
            return dict(found)
        old = [names for at, names in kept if at < time.monotonic() - 3]
        return dict(old[-1]) if old else {}

    def clock() -> float:
        with contextlib.suppress(OSError, ValueError):
            return now() + float((flags / "clock").read_text())
        return now()

    os.fsync, time.time, store.Store.versions = full_disk, clock, lagging


@dataclasses.dataclass
class Run:
    """A driver at work: its process, and what was done to it."""

    pid: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    status: int | None = None

    def ended(self) -> bool:
        """Whether it has ended; its exit status is known then, negative for a signal."""
        if self.status is not None:
            return True
        if self.process is not None:
            self.status = self.process.poll()
        else:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def send(self, number: int) -> None:
        """A signal, to the driver alone."""
        if not self.ended():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def text(self) -> str:
        """What it printed."""
        return self.log.read_text(errors="replace")


def start(
    arguments: list[str], log: Path, mischief: str, fork: bool, environment: dict[str, str]
) -> Run:
    """Start the command, forked or as a new interpreter."""
    if not fork:
        code = (
            f"import sys; sys.path[:0] = {sys.path[:2]!r}; import chaos;"
            f" chaos.leave(chaos.as_driver({arguments!r}, {mischief!r}))"
        )
        env = {
            **os.environ,
            **environment,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}",
            "OMP_NUM_THREADS": "1",
        }
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=env,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return Run(process.pid, log, process)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Run(pid, log)
    status = 70
    try:
        os.setsid()
        warnings.resetwarnings()  # those of whoever started the campaign are not a user's
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: RUF100, SIM115
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = as_driver(arguments, mischief)
        sys.stdout.flush()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


# ---- what is done to a run
# -----------------------------------------------------------------------------


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
        self.sweep = folder / "chaos.py"
        self.sweep.write_text(SWEEP)
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


# ---- a round
# -----------------------------------------------------------------------------


def play(round: Round, seconds: float, expected: dict[str, dict[str, Any]]) -> None:
    """Run the sweep of a round to its end, through what happens to it, and check everything."""
    faults = FAULTS[round.engine]
    chosen = round.rng.sample(sorted(faults), round.rng.choice([1, 1, 2, 3]))
    together = round.rng.random() < 0.4
    plan = [[name] for name in chosen] if not together else [chosen]
    for names in [*plan, *([[]] * MOST_RUNS)]:
        _one_run(round, [(round.rng.uniform(0.1, 1.1) * seconds, name) for name in names])
        found = {n: status_of(d) for n, d in round.look().items()}
        if not names and set(found) >= set(expected) and all(s == "done" for s in found.values()):
            break
    else:
        round.wrong.append(f"not done after {round.runs} runs")
    _check(round, expected)


def _one_run(round: Round, events: list[tuple[float, str]]) -> None:
    """One run, and what happens to it at these moments."""
    for flag in round.flags.iterdir():
        flag.unlink()
    failed = any(status_of(d) == "failed" for d in round.records().values())
    run, began, log = round.start(*["--retry-failed"] * failed), time.monotonic(), sorted(events)
    applied: list[str] = []
    while not run.ended():
        round.look()
        if log and time.monotonic() - began > log[0][0]:
            _, name = log.pop(0)
            if not run.ended():
                with contextlib.suppress(LookupError):  # nothing there to do it to
                    FAULTS[round.engine][name](round, run)
                    applied.append(name)
                    round.did.append(name)
        if time.monotonic() - began > LONGEST:
            round.wrong.append(f"a run with {applied} did not end in {LONGEST:.0f} s")
            run.send(signal.SIGKILL)
        time.sleep(POLL_SECONDS if round.engine != "s3" else 0.3)
    other, round.again = round.again, None
    while other is not None and not other.ended():
        round.look()
        if time.monotonic() - began > 2 * LONGEST:
            round.wrong.append("a second driver did not end")
            other.send(signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    for one in [run, *([other] if other else [])]:
        _check_status(round, one, applied)


SIGNALS = {
    "kill -9 of the driver": (-9,),
    "Ctrl-C": (130,),
    "SIGTERM": (143,),
    "SIGHUP": (129,),
}


def _check_status(round: Round, run: Run, applied: list[str]) -> None:
    """What the exit status claims is so."""
    statuses = Counter(status_of(data) for data in round.records().values())
    done = statuses["done"] + statuses["diverged"]
    points = 10
    allowed = {0, 1} | {s for name in applied for s in SIGNALS.get(name, ())}
    if "a second driver" in applied or "a driver that sleeps and is overtaken" in applied:
        allowed |= {2}
    if "kill -9 of the raylet" in applied:
        allowed |= {-9, -6, -15}  # Ray ends the process that started it
    last = "\n    ".join(run.text().strip().splitlines()[-6:])
    if run.status not in allowed:
        round.wrong.append(f"exit status {run.status} after {applied or 'nothing'}:\n    {last}")
    if "Traceback (most recent call last)" in run.text() and run.status != -9:
        round.wrong.append(f"a traceback on the screen after {applied or 'nothing'}:\n    {last}")
    if run.status == 0 and (done < points - len(round.damaged)):
        round.wrong.append(f"exit status 0 with {dict(statuses)} after {applied}:\n    {last}")
    if run.status == 1 and not applied and not statuses["failed"] and done == points:
        round.wrong.append(f"exit status 1 with every point done:\n    {last}")


def _check(round: Round, expected: dict[str, dict[str, Any]]) -> None:
    """Records, numbers and tables at the end."""
    import pandas as pd

    from oneshot.store import records as rows

    found = {n: rows.decode(d) for n, d in round.records().items() if status_of(d) != "damaged"}
    if set(found) != set(expected):
        round.wrong.append(f"records of {len(found)} points, not of {len(expected)}")
    for name, one in found.items():
        if one.row["point_id"] != name:
            round.wrong.append(f"the record {name} is that of {one.row['point_id']}")
        for metric in METRICS:
            if (mine := one.row.get(metric)) != (right := expected.get(name, {}).get(metric)):
                round.wrong.append(f"{metric} of {name} is {mine}, not {right}")
    folder = round.folder / "tables"
    folder.mkdir()
    for kind in ("points", "classes", "curves"):
        if round.engine == "s3":
            data = round.server.objects(f"{round.prefix}/chaos/{kind}.parquet").get(
                f"{round.prefix}/chaos/{kind}.parquet", b""
            )
            (folder / f"{kind}.parquet").write_bytes(data)
        else:
            shutil.copy(Path(round.results) / f"chaos/{kind}.parquet", folder)
    frame = pd.read_parquet(folder / "points.parquet").set_index("point_id")
    if sorted(frame.index) != sorted(found):
        round.wrong.append(
            f"points.parquet has {len(frame)} rows of {frame.index.nunique()} points"
        )
    for name, one in found.items():
        if name in frame.index and any(
            frame[m][name] != one.row[m] for m in METRICS if one.row.get(m) is not None
        ):
            round.wrong.append(f"points.parquet differs from the record of {name}")
    for kind in ("classes", "curves"):
        ids = set(pd.read_parquet(folder / f"{kind}.parquet").point_id)
        if ids != {n for n, one in found.items() if getattr(one, kind)}:
            round.wrong.append(f"{kind}.parquet has the rows of {len(ids)} points")
    if round.engine != "s3" and (left := [p.name for p in Path(round.results).rglob("*.tmp")]):
        round.did.append(f"{len(left)} temporary files left")


@contextlib.contextmanager
def s3_server() -> Iterator[Any]:
    """The S3 server of the tests, with the environment in which it is reached."""
    import s3

    server = s3.Server("chaos")
    server.environment = dict(s3.CREDENTIALS)  # type: ignore[attr-defined]
    os.environ.update(s3.CREDENTIALS)
    try:
        yield server
    finally:
        server.stop()


def reference(folder: Path) -> tuple[dict[str, dict[str, Any]], float]:
    """A run to which nothing is done: the row of each point, and the seconds of a run with prepared
    critics.
    """
    from oneshot.store import records as rows

    (folder / "chaos.py").write_text(SWEEP)
    arguments = [
        str(folder / "chaos.py"),
        "--local",
        "--max-stack",
        "2",
        "--results",
        str(folder / "results"),
    ]
    for again in (False, True):
        if again:
            shutil.rmtree(folder / "results/chaos")
            for part in ("trainings", "drawings", "scores"):
                shutil.rmtree(folder / "results/store" / part)
        began = time.monotonic()
        run = start(arguments, folder / "reference.txt", "", True, {})
        while not run.ended():
            time.sleep(POLL_SECONDS)
        if run.status:
            raise SystemExit(
                f"the run to which nothing is done ends with {run.status}:\n{run.text()}"
            )
    seconds = time.monotonic() - began
    records = (folder / "results/chaos/records").glob("*.json")
    found = {p.stem: rows.decode(p.read_bytes()).row for p in records}
    for part in ("trainings", "drawings", "scores"):
        shutil.rmtree(folder / "results/store" / part)
    return found, seconds


def campaign(rounds: int, seed: int, engines: list[str], keep: Path | None = None) -> list[Round]:
    """Play this many rounds; each prints a line."""
    import torch

    from oneshot import cli  # noqa: F401, RUF100
    from oneshot.engine import driver as runner  # noqa: F401, RUF100
    from oneshot.trial.trial import (
        inputs,  # noqa: F401, RUF100
        trial,  # noqa: F401, RUF100
    )

    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(keep or tempfile.mkdtemp(prefix="oneshot-chaos-"))
    (folder / "reference").mkdir(parents=True, exist_ok=True)
    played: list[Round] = []
    expected, seconds = reference(folder / "reference")
    print(
        f"{len(expected)} points in {seconds:.1f} s when nothing happens; in {folder}", flush=True
    )
    with contextlib.ExitStack() as held:
        server = held.enter_context(s3_server()) if "s3" in engines else None
        for number in range(rounds):
            rng = random.Random(f"{seed}-{number}")
            engine = rng.choices(engines, [{"local": 6, "s3": 2, "ray": 2}[e] for e in engines])[0]
            where = folder / f"{number:03d}"
            round, began = (
                Round(number, engine, where, folder / "reference/results", rng, server),
                time.monotonic(),
            )
            try:
                play(round, seconds * {"local": 0.9, "s3": 1.2, "ray": 1.7}[engine], expected)
            except Exception:
                round.wrong.append(traceback.format_exc())
            played.append(round)
            verdict = "ok" if not round.wrong else f"WRONG: {'; '.join(dict.fromkeys(round.wrong))}"
            did = ", ".join(round.did) or "nothing (the run had ended)"
            print(
                f"{number:3d} {engine:5} {round.runs} runs {time.monotonic() - began:5.1f} s "
                f" {did}: {verdict}",
                flush=True,
            )
            if not round.wrong:
                shutil.rmtree(where, ignore_errors=True)
    if keep is None and not any(one.wrong for one in played):
        shutil.rmtree(folder, ignore_errors=True)
    return played


def table(played: list[Round]) -> str:
    """What was done how often, and in how many of these rounds something was wrong; Markdown."""
    lines = [
        "| engine | what was done | times | rounds | runs until done | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for engine in dict.fromkeys(one.engine for one in played):
        for name in [*FAULTS[engine], "nothing"]:
            mine = [
                one
                for one in played
                if one.engine == engine and (name in one.did or (name == "nothing" and not one.did))
            ]
            if mine:
                times = sum(one.did.count(name) for one in mine)
                runs = sum(one.runs for one in mine) / len(mine)
                wrong = sum(bool(one.wrong) for one in mine)
                lines.append(
                    f"| {engine} | {name} | {times} | {len(mine)} | {runs:.1f} | {wrong} |"
                )
    lines.append(
        f"| all | | {sum(len(o.did) for o in played)} | {len(played)} | |"
        f" {sum(bool(o.wrong) for o in played)} |"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign; returns the number of rounds in which something was wrong, at most 99."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--rounds", type=int, default=12, metavar="N")
    p.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="S",
        help="the same seed does the same things, as far as moments allow",
    )
    p.add_argument("--engines", default="local,s3,ray", help="of local, s3, ray [all]")
    p.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="an empty folder; rounds in which something was wrong stay in it",
    )
    p.add_argument("--table", type=Path, metavar="FILE", help="write the table there, too")
    options = p.parse_args(arguments)
    played = campaign(options.rounds, options.seed, options.engines.split(","), options.keep)
    text = table(played)
    print("\n" + text)
    if options.table:
        options.table.write_text(text + "\n")
        options.table.with_suffix(".json").write_text(
            json.dumps(
                [
                    dict(round=o.number, engine=o.engine, did=o.did, runs=o.runs, wrong=o.wrong)
                    for o in played
                ],
                indent=1,
            )
        )
    return min(sum(bool(one.wrong) for one in played), 99)


if __name__ == "__main__":
    sys.exit(main())
