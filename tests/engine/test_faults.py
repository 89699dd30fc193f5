"""What a sweep on a cluster survives: each fault is caused, with real processes, on a cluster with
16 points; of several nodes where the fault is one of a machine.

After each: one row a point, finished points never computed again, interrupted trainings continued,
and words that a person understands.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import clusters
import pandas as pd
import pytest
import small

from oneshot.store.records import decode
from oneshot.store.store import DamagedFile, Store
from oneshot.training.checkpoint import Training

POINTS = 16
ROWS = POINTS + 3  # people, copies and noise
BETAS = [i / 12 for i in range(POINTS)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A folder with the sweep's critics and a place for the witness's notes."""
    small.copy_prepared(finished, tmp_path)
    (tmp_path / "notes").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Nodes]:
    """A cluster of one node with two slots, whose witness writes to `notes`."""
    notes = tmp_path_factory.mktemp("notes")
    with clusters.cluster(notes, nodes=1) as nodes:
        yield nodes


@pytest.fixture
def nodes(started: clusters.Nodes) -> clusters.Nodes:
    """That cluster, of which nothing is written down yet."""
    for old in started.notes.glob("*.json*"):
        old.unlink()
    return started


def write_sweep(folder: Path, epochs: int) -> tuple[object, ...]:
    """The sweep of 16 betas, each trained on its own with a checkpoint every epoch; returns the
    arguments that run it.
    """
    text = small.SWEEP.format(epochs=epochs, batch=512).replace(
        "beta=[0.0, 1.0, 2.0]", f"beta=[i / 12 for i in range({POINTS})]"
    )
    small.write_images(folder)
    (folder / "small.py").write_text(text)
    return (
        folder / "small.py",
        "--results",
        folder / "results",
        "--max-stack",
        "1",
        "--checkpoint-seconds",
        "0",
    )


def records(folder: Path) -> dict[str, tuple[int, int]]:
    """Every record with its inode and time: a record that is written again has others."""
    found = {}
    for path in (folder / "results/small/records").glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def done_trainings(folder: Path) -> set[str]:
    """The trainings of points that have a whole record now."""
    found = set()
    for path in (folder / "results/small/records").glob("*.json"):
        with contextlib.suppress(ValueError, KeyError):
            found.add(decode(path.read_bytes(), row_only=True).row["train_id"])
    return found


def interrupted(folder: Path) -> dict[str, int]:
    """Unfinished trainings with a whole checkpoint, and how many epochs they have done."""
    found = {}
    for path in (folder / "results/store/trainings").glob("*/checkpoint.pt"):
        with contextlib.suppress(FileNotFoundError, DamagedFile):
            found[path.parent.name] = Training.from_bytes(
                Store(path.parent).unseal(path.name)
            ).epochs_done
    return found


def check(folder: Path, notes: Path, epochs: int, most_again: int, failed: int = 0) -> pd.DataFrame:
    """One row a point, whole curves, every epoch trained once but for at most `most_again`; returns
    the rows.
    """
    frame = pd.read_parquet(folder / "results/small/points.parquet")
    assert len(frame) == ROWS, frame[["point_id", "status", "error"]].to_string()
    assert frame.point_id.is_unique and len(records(folder)) == ROWS
    assert Counter(frame.status) == {"done": ROWS - failed} | ({"failed": failed} if failed else {})
    curves = pd.read_parquet(folder / "results/small/curves.parquet").merge(
        frame[["point_id", "status"]]
    )
    whole = curves[curves.status == "done"].groupby("point_id").epoch.apply(list)
    assert len(whole) == POINTS - failed and (whole.map(lambda e: e == list(range(epochs)))).all()
    trained = clusters.epochs(notes)
    again = {key: times for key, times in trained.items() if times > 1}
    print(
        f"{len(trained)} epochs, trained again: {sum(again.values()) - len(again)} of"
        f" {len({t for t, _ in again})} trainings"
    )
    assert sum(again.values()) - len(again) <= most_again, f"epochs trained again: {again}"
    return frame


def test_two_drivers_at_once_a_raising_trial_a_full_gpu_and_killed_workers(
    folder: Path, nodes: clusters.Nodes
) -> None:
    """The second driver is refused; the point that raises is a row; two workers killed with -9 cost
    an epoch each at most.

    Of two points that run out of a GPU's memory while four share it, one finds enough where two do;
    the other becomes a row.
    """
    arguments, notes = (*write_sweep(folder, epochs=2), "--gpus-per-trial", ".25"), nodes.notes
    full = dict(do="oom", message="CUDA out of memory")
    faults = [
        dict(where={"beta": BETAS[10]}, do="raise", message="the lamp went out"),
        dict(where={"beta": BETAS[11]}, below=0.5, **full),
        dict(where={"beta": BETAS[12]}, below=2, **full),
        dict(where={"beta": BETAS[13]}, do="exit", message="the family has left"),
        dict(where={"beta": BETAS[14]}, do="odd", message="the text is odd"),
    ]
    (notes / "faults.json").write_text(json.dumps(faults))
    both = [clusters.start(nodes, *arguments) for _ in range(2)]
    clusters.wait_for(
        lambda: any(p.poll() is not None for p in both),
        120,
        min(both, key=lambda p: p.poll() is not None),
    )
    second, first = sorted(both, key=lambda p: p.poll() is None)
    assert (
        second.wait() == 2
        and second.stdout
        and "is being run by process" in (text := second.stdout.read())
    ), text
    killed = 0
    for least in (5, 8):
        clusters.wait_for(
            lambda: (
                len(records(folder)) >= least  # noqa: B023
                and bool(clusters.in_training(notes, epochs=2))
            ),
            300,
            first,
        )
        before = records(folder)
        # one that is idle between two trials would be no loss
        os.kill(clusters.in_training(notes, epochs=2)[0], signal.SIGKILL)
        killed += 1
    text = clusters.finish(first)
    assert first.returncode == 1, text
    frame = check(folder, notes, 2, most_again=killed, failed=4)
    assert before.items() <= records(folder).items(), "finished points were computed again"
    bad, crowded, left, odd = frame[frame.status == "failed"].sort_values("beta").iloc
    for row, beta, kind, words in (
        (left, BETAS[13], "SystemExit", "the family has left"),
        (odd, BETAS[14], "Odd", "the text is odd"),
    ):
        assert row.beta == pytest.approx(beta) and row.error_type == kind and words in row.error, (
            "told as what it is"
        )
        assert "in cause" in Path(row.log).read_text(errors="replace")
    assert crowded.beta == pytest.approx(BETAS[12]) and crowded.error_type == "OutOfMemoryError"
    shares = [
        (line["settings"]["beta"], line["share"])
        for line in clusters.told(notes)
        if line["what"] == "oom"
    ]
    assert (
        Counter(shares)[BETAS[12], 0.25] == Counter(shares)[BETAS[12], 0.5] == 1
        and (BETAS[11], 0.5) in shares
    )
    assert (
        bad.beta == pytest.approx(BETAS[10])
        and bad.error == "the lamp went out"
        and "in cause" in Path(bad.log).read_text()
    )
    assert (
        text.count("lost worker on") == killed and "(try 1 of 3)" in text and "was killed" in text
    ), text
    assert "1 x RuntimeError: the lamp went out" in text and "(raylet)" not in text


def test_a_machine_that_comes_late_and_one_that_dies(folder: Path) -> None:
    """A node added in mid sweep takes its part; kill -9 of the raylet of another then: its trials
    run on elsewhere, without a try being counted.
    """
    arguments, notes = write_sweep(folder, epochs=3), folder / "notes"
    # each worker trains an epoch and waits in the next, so that there is work while a node starts
    (notes / "faults.json").write_text(json.dumps([{"where": {"epochs": 3}, "do": "wait"}]))

    def at_work() -> set[str]:
        return {line["node"] for line in clusters.told(notes) if line["what"] == "epoch"}

    with clusters.cluster(notes, slots=1) as nodes:
        run = clusters.start(nodes, *arguments)
        clusters.wait_for(lambda: at_work() == {"n1", "n2"}, 300, run)
        nodes.add("n3")
        clusters.wait_for(lambda: "n3" in at_work() and bool(nodes.workers("n1")), 300, run)
        assert interrupted(folder)
        before = records(folder)
        nodes.kill_raylet("n1")
        (notes / "faults.json").unlink()
        text = clusters.finish(run)
    assert run.returncode == 0, text
    check(folder, notes, 3, most_again=2 * nodes.slots)
    assert before.items() <= records(folder).items(), "finished points were computed again"
    by_node = Counter(line["node"] for line in clusters.told(notes) if line["what"] == "epoch")
    assert by_node["n3"] > 0, f"the late node did nothing: {by_node}"
    assert "lost machine" in text and "run again elsewhere" in text and "lost worker" not in text, (
        text
    )


def test_a_driver_killed_twice_a_truncated_checkpoint_and_a_torn_record(
    folder: Path, nodes: clusters.Nodes
) -> None:
    """After two kill -9 of the driver the same command ends the sweep; what was damaged in between
    is noticed, named and made again.
    """
    arguments, notes = write_sweep(folder, epochs=3), nodes.notes
    finished: set[str] = set()
    for least in (5, 8):
        run = clusters.start(nodes, *arguments)
        clusters.wait_for(lambda: len(records(folder)) >= least, 300, run)  # noqa: B023
        # trainings that have an epoch behind them wait, so that the kill finds some
        (notes / "faults.json").write_text(
            json.dumps([{"where": {"epochs": 3}, "do": "wait", "after": 1}])
        )
        clusters.wait_for(lambda: bool(interrupted(folder)), 300, run)
        run.send_signal(signal.SIGKILL)
        run.wait()
        (notes / "faults.json").unlink()
        # Ray ends them with it
        clusters.wait_for(
            lambda: not nodes.workers(), 60, subprocess.Popen(["sleep", "90"], text=True)
        )
        finished = done_trainings(folder)
    open_trainings = interrupted(folder)
    assert open_trainings and max(open_trainings.values()) >= 1
    truncated = min(open_trainings)
    path = folder / "results/store/trainings" / truncated / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    torn = max(p for p in (folder / "results/small/records").glob("*.json"))
    torn_training = decode(torn.read_bytes(), row_only=True).row["train_id"]
    torn.write_bytes(torn.read_bytes()[:-200])
    before = {name: stamp for name, stamp in records(folder).items() if name != torn.name}
    counted = clusters.epochs(notes)
    run = clusters.start(nodes, *arguments)
    text = clusters.finish(run)
    assert run.returncode == 0, text
    lost = open_trainings[truncated]
    # a training under way in each slot at each kill, and the truncated one from its beginning
    check(folder, notes, 3, most_again=2 * nodes.slots + lost)
    assert before.items() <= records(folder).items(), "finished points were computed again"
    later = clusters.epochs(notes) - counted
    assert not {train_id for train_id, _ in later} & (finished | {torn_training}), (
        "a finished training was trained again"
    )
    assert all(
        later[train_id, epoch] == 0
        for train_id, done in open_trainings.items()
        if train_id != truncated
        for epoch in range(done)
    )
    assert f"{torn.name} is damaged" in text and list(path.parent.glob("checkpoint.pt.damaged-*"))


def memory() -> tuple[float, float]:
    """Bytes of main memory that are used, and all of it."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (1024.0 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return total - free, total


@pytest.mark.alone  # Ray's limit is one of the whole machine
def test_a_trial_that_eats_all_memory_fails_alone(folder: Path) -> None:
    """Ray ends the worker; its point is tried three times and becomes a row that says so, and
    everything else goes on.
    """
    arguments, notes = write_sweep(folder, epochs=2), folder / "notes"
    eaten = 5 * 2**30
    used, total = memory()
    if used + eaten + 3 * 2**30 > 0.9 * total:
        pytest.skip(f"needs {(eaten + 3 * 2**30) / 2**30:.0f} GiB of free memory")
    (notes / "faults.json").write_text(
        json.dumps([{"where": {"beta": BETAS[5]}, "do": "eat", "most": eaten, "seconds": 60}])
    )
    limit = {
        "RAY_memory_usage_threshold": f"{(used + eaten) / total:.4f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    with clusters.cluster(notes, more=limit) as nodes:
        run = clusters.start(nodes, *arguments)
        text = clusters.finish(run, 500)
    assert run.returncode == 1, text
    frame = check(folder, notes, 2, most_again=8, failed=1)
    bad = frame[frame.status == "failed"].iloc[0]
    assert (
        bad.beta == pytest.approx(BETAS[5])
        and bad.error_type == "WorkerDied"
        and "memory" in bad.error
        and "3 rounds" in bad.error
    )
    assert sum(line["what"] == "eats" for line in clusters.told(notes)) >= 3


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own of this size at a folder, which keeps what was there."""
    if os.geteuid() != 0:
        pytest.skip("needs the right to mount a file system (run as root)")
    kept = folder.parent / "kept"
    folder.rename(kept)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
    finally:
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()
        kept.rename(folder)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def test_a_full_disk_and_then_a_read_only_one(folder: Path, nodes: clusters.Nodes) -> None:
    """The run ends by itself, says why, and loses nothing; with room again, the same command goes
    on.
    """
    arguments, results = write_sweep(folder, epochs=2), folder / "results"
    with disk(results, "24m"):
        run = clusters.start(nodes, *arguments)
        clusters.wait_for(lambda: len(records(folder)) >= 5, 300, run)
        with (results / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(2**12)):
                pass
        text = clusters.finish(run, 120)
        assert (
            run.returncode == 1
            and "Stopping: cannot write" in text
            and "full" in text
            and "are safe" in text
        ), text
        assert "Continue: python run_sweep.py" in text and "Traceback" not in text
        before = records(folder)
        (results / "filler").unlink()
        remount(results, "size=200m")
        run = clusters.start(nodes, *arguments)
        clusters.wait_for(lambda: len(records(folder)) >= len(before) + 4, 300, run)
        remount(results, "ro")
        text = clusters.finish(run, 120)
        assert (
            run.returncode == 1
            and "Stopping: cannot write" in text
            and "read-only" in text.lower()
            and "Traceback" not in text
        ), text
        assert before.items() <= records(folder).items()
        before = records(folder)
        remount(results, "rw")
        run = clusters.start(nodes, *arguments)
        text = clusters.finish(run)
        assert run.returncode == 0, text
        check(folder, nodes.notes, 2, most_again=2 * nodes.slots)
        assert before.items() <= records(folder).items(), "finished points were computed again"
