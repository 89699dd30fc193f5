"""A small sweep, run again and again while things are killed, cut, filled, flipped and started
twice; then everything is compared.

    python benchmarks/chaos.py [--rounds N] [--seed S] [--engines local,s3,ray] [--keep FOLDER]

Each round starts the sweep in an empty results folder (critics and people are there already), does
one to three things to it at random moments, starts it again until every point has a result, and
then checks:

    one record a point   the records are those of the sweep's points, whole, under their own names
    finished stays       a point that was done keeps the bytes of its record, unless damaged by us
    right                every metric equals that of a run to which nothing was done
    tables               points.parquet holds what the records hold; classes and curves belong to it
    exit status          0 only if all are done; 128 + n or -n after signal n; else with a reason
    time                 no run lasts longer than LONGEST seconds, whatever happened to it

A run is a process of its own: forked from this one, which has everything imported, or a new
interpreter where the engine or the object store needs one. In runs of this campaign a lease expires
after 2 s instead of 60, so that a sleeper is overtaken.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chaos_faults import FAULTS, Round, status_of
from chaos_run import POLL_SECONDS, Run, start, write_sweep

LONGEST = 240.0  # seconds of one run
MOST_RUNS = 8  # of a round, until every point is done
METRICS = ("diversity", "recognizability", "originality", "human_distance", "epochs_done")


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

    from oneshot.store import records

    found = {n: records.decode(d) for n, d in round.records().items() if status_of(d) != "damaged"}
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


Reference = tuple[Path, dict[str, dict[str, Any]], float]


def reference(folder: Path) -> Reference:
    """A run to which nothing is done: its folder, the row of each point, and the seconds of a run
    with prepared critics.
    """
    from oneshot.store import records

    folder.mkdir(parents=True, exist_ok=True)
    write_sweep(folder)
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
    files = (folder / "results/chaos/records").glob("*.json")
    found = {p.stem: records.decode(p.read_bytes()).row for p in files}
    for part in ("trainings", "drawings", "scores"):
        shutil.rmtree(folder / "results/store" / part)
    return folder, found, seconds


def campaign(
    rounds: int,
    seed: int,
    engines: list[str],
    keep: Path | None = None,
    prepared: Reference | None = None,
) -> list[Round]:
    """Play this many rounds; each prints a line.

    Args:
        rounds: how many.
        seed: the same seed does the same things, as far as moments allow.
        engines: of local, s3, ray.
        keep: an empty folder, in which rounds stay in which something was wrong.
        prepared: the run to which nothing is done, if it was made before.

    Returns:
        The rounds.
    """
    import torch

    for name in ("cli", "engine.driver", "trial.inputs", "trial.trial"):  # what a fork has then
        importlib.import_module(f"oneshot.{name}")

    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(keep or tempfile.mkdtemp(prefix="oneshot-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    played: list[Round] = []
    made, expected, seconds = prepared or reference(folder / "reference")
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
                Round(number, engine, where, made / "results", rng, server),
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
