"""Shards as real processes over one results folder: each point one record, none computed twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clusters
import pandas as pd
import pytest
import small

from oneshot.store.lease import last_note
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.shards import assign

EPOCHS = 4
SWEEP = f"""
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Do shards share the work?",
    model="toy_gan",
    variant="tiny",
    points=grid(lambda_g=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5], z=[2, 3]),
    fixed=dict(dataset="gaussians", split="without_0", drawings_per_class=20, epochs={EPOCHS}),
    references=("ring", "kept"),
)
"""


class Folder:
    """A folder with that sweep, its results, and the notes of the processes that run it."""

    def __init__(self, folder: Path):
        self.notes, self.results = folder / "notes", folder / "results"
        self.sweep = folder / "q.py"
        self.sweep.write_text(SWEEP)
        self.notes.mkdir()
        self.points = expand(load_sweep(self.sweep))
        self.started: list[subprocess.Popen[str]] = []

    def start(self, shard: str, *more: object) -> subprocess.Popen[str]:
        """Start a run of one shard, which keeps a checkpoint of every epoch."""
        given = (self.sweep, "--shard", shard, "--local", "--results", self.results, *more)
        self.started.append(small.start(*given, "--checkpoint-seconds", 0, notes=self.notes))
        return self.started[-1]

    def main(self, *arguments: object) -> small.Done:
        return small.main(self.sweep, *arguments, "--results", self.results)

    def hold(self, *train_ids: str) -> None:
        """Let stacks with these trainings wait after their first epoch, until that is lifted."""
        settings = [next(p for p in self.points if p.train_id == i).settings for i in train_ids]
        faults: list[dict[str, Any]] = [
            {"where": {n: s[n] for n in ("lambda_g", "z")}, "do": "wait", "after": 1}
            for s in settings
        ]
        (self.notes / "faults.json").write_text(json.dumps(faults))

    def of_shard(self, index: int, count: int) -> list[str]:
        """The trainings of a shard that are trained, not references."""
        parts = assign(self.points, count)
        trained = {p.train_id: None for p in self.points if p.model == "toy_gan"}
        return [i for i in trained if parts[i] == index]

    def records(self) -> list[str]:
        return sorted(p.stem for p in (self.results / "q" / "records").glob("*.json"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    text = process.communicate(timeout=120)[0]
    return process.returncode, text


def a_shard_waits(folder: Folder, process: subprocess.Popen[str], train_id: str) -> None:
    small.wait_for(lambda: clusters.epochs(folder.notes)[train_id, 0] > 0, 60, process)


@pytest.mark.slow
def test_shards_share_a_sweep_and_one_that_is_killed_is_run_again(folder: Folder) -> None:
    """Four shards; the second is killed in the middle of its trainings and run once more."""
    held = folder.of_shard(2, 4)[0]
    folder.hold(held)
    second = folder.start("2/4")
    a_shard_waits(folder, second, held)

    refused = folder.main("--shard", "2/4", "--local")
    assert refused.returncode == 2 and "q, shard 2/4, is being run by process" in refused.stderr
    other = folder.main("--shard", "1/3", "--local")
    assert other.returncode == 2 and "need one N" in other.stderr, other.stderr
    seeds = folder.main("--shard", "1/4", "--local", "--seeds", 3)
    assert seeds.returncode == 2 and "--seeds" in seeds.stderr
    whole = folder.main("--local")
    assert whole.returncode == 2 and "is being run in shards" in whole.stderr, whole.stderr
    assert len(folder.records()) < 4, "references of the second shard alone"

    others = [folder.start(f"{i}/4") for i in (1, 3, 4)]
    for process in others:
        status, text = ended(process)
        assert status == 0 and "of 14 points of the sweep are still missing" in text, text
    shown = folder.main("--status").stdout
    assert "1 of 4 shards are running" in shown, shown
    missing = str(len(folder.of_shard(2, 4)))
    lines = [line.split() for line in shown.splitlines() if line.startswith("2/4")]
    assert [words[2] for words in lines] == [missing] and str(second.pid) in lines[0], shown

    os.killpg(second.pid, signal.SIGKILL)
    second.communicate()
    assert "none of its 4 shards is running" in folder.main("--status").stdout
    (folder.notes / "faults.json").unlink()
    status, text = ended(folder.start("2/4"))
    assert status == 0 and "2/4 is done, and so is the whole sweep" in text, text

    assert folder.records() == sorted(p.point_id for p in folder.points)
    trained = {p.train_id for p in folder.points if p.model == "toy_gan"}
    once = Counter({(i, epoch): 1 for i in trained for epoch in range(EPOCHS)})
    assert clusters.epochs(folder.notes) == once, "not even an epoch of the killed shard"
    table = pd.read_parquet(folder.results / "q" / "points.parquet")
    assert sorted(table["point_id"]) == folder.records() and set(table["status"]) == {"done"}
    assert not folder.main("--local").returncode, "nothing is left for a run of the whole"


@pytest.mark.slow
def test_a_shard_is_refused_while_the_whole_sweep_is_run(folder: Folder) -> None:
    held = folder.of_shard(1, 1)[0]
    folder.hold(held)
    whole = small.start(folder.sweep, "--local", "--results", folder.results, notes=folder.notes)
    folder.started.append(whole)
    a_shard_waits(folder, whole, held)
    shard = folder.main("--shard", "1/2", "--local")
    assert shard.returncode == 2 and "q is being run by process" in shard.stderr, shard.stderr
    (folder.notes / "faults.json").unlink()
    assert ended(whole)[0] == 0 and len(folder.records()) == 14
    note = last_note(Store(folder.results), "q")
    assert note and not note["lives"]


@pytest.mark.slow
def test_a_shard_that_is_stopped_saves_and_goes_on(folder: Folder) -> None:
    """SIGTERM, as of a batch system ahead of the time limit."""
    held = folder.of_shard(1, 2)[0]
    folder.hold(held)
    first = folder.start("1/2")
    a_shard_waits(folder, first, held)
    first.send_signal(signal.SIGTERM)
    (folder.notes / "faults.json").unlink()
    status, text = ended(first)
    assert status == 143 and "--shard 1/2" in text.splitlines()[-1], text
    assert ended(folder.start("1/2"))[0] == 0 and ended(folder.start("2/2"))[0] == 0
    assert set(clusters.epochs(folder.notes).values()) == {1}
    assert len(folder.records()) == 14


def test_a_shard_without_trainings_ends_well(folder: Folder) -> None:
    done = folder.main("--shard", "50/50", "--local")
    assert done.returncode == 0 and "shard 50/50 is empty" in done.stderr, done
    assert folder.main("--shard", "50/50", "--check").returncode == 0
    assert folder.main("--shard", "50/50", "--status").returncode == 0


def test_a_part_that_there_is_not_is_refused_before_anything(folder: Folder) -> None:
    done = folder.main("--shard", "5/4", "--local")
    assert done.returncode == 2 and "of 4 parts, I is 1 .. 4" in done.stderr
    assert not folder.results.exists()


@pytest.mark.slow
def test_shards_make_shared_critics_once(tmp_path: Path) -> None:
    sweep, results = small.write_sweep(tmp_path, epochs=1), tmp_path / "results"
    given = (sweep, "--local", "--results", results)
    runs = [small.start(*given, "--shard", f"{i}/2") for i in (1, 2)]
    said = []
    for run in runs:
        status, text = ended(run)
        assert status == 0, text
        said.append(text)
    made = [text.count("preparing simclr epoch 1/1") for text in said]
    assert sum(made) == 1, said
    assert sum(text.count("preparing protonet epoch 1/1") for text in said) == 1
    assert len(list((results / "store" / "critics").glob("*/weights.pt"))) == 2
    assert len(list((results / "small" / "records").glob("*.json"))) == 6
    assert len(pd.read_parquet(results / "small" / "points.parquet")) == 6
