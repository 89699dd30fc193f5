"""Families of classes that are left out, and a tuned GAN: killed workers cost an epoch each.

Each family has a sweep of four trainings of its own, of which none shares a stack. That a training
of every family goes on as if nothing had been is tested without a cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import clusters
import pandas as pd
import pytest
from made_classes import write_emnist_npz

EPOCHS = 3
SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does it survive?",
    model="{model}",
    variant="{variant}",
    points=grid({axis}),
    fixed=dict(epochs={epochs}, {fixed}),
    critics=dict(
        classifier=dict(epochs=1, batch_size=16, augment=0),
        base_classifier=dict(width=4, epochs=1, images_per_class=6, batch_size=32),
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=15, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=15, train_ways=20, train_queries=2),
    ),
    references=(),
)
"""
LEFT_OUT = "split=['without_0', 'without_1', 'without_2', 'without_3']"
FAMILIES = {
    "toy_gan": dict(
        variant="tiny", axis=LEFT_OUT, fixed="dataset='gaussians', drawings_per_class=20"
    ),
    "class_gan": dict(
        variant="tiny",
        axis="alpha=[0.0, 0.1, 0.2, 0.3]",
        fixed="dataset='emnist', split='classes_0', image_size=32, classes=47, epoch_steps=2,"
        " images_per_class=4, drawings_per_class=4, generated_per_class=4, head_steps=5",
    ),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[clusters.Nodes, Path]]:
    """A cluster of two slots, and its folder with made letters."""
    folder = tmp_path_factory.mktemp("left-out")
    (folder / "notes").mkdir()
    write_emnist_npz(folder / "data" / "emnist_byclass_300.npz", 30)
    more = {"ONESHOT_DATA": str(folder / "data")}
    with clusters.cluster(folder / "notes", nodes=1, more=more) as started:
        yield started, folder


@pytest.mark.parametrize("model", FAMILIES)
def test_a_killed_worker_costs_an_epoch_at_most(
    model: str, nodes: tuple[clusters.Nodes, Path], tmp_path: Path
) -> None:
    cluster, folder = nodes
    notes = folder / "notes"
    for old in notes.glob("*.json*"):
        old.unlink()
    file = tmp_path / "left_out.py"
    file.write_text(SWEEP.format(model=model, epochs=EPOCHS, **FAMILIES[model]))
    flags = ("--max-stack", "1", "--checkpoint-seconds", "0")
    # each training stops after an epoch until the fault is gone, so that the kill finds it open
    wait = [{"where": {"epochs": EPOCHS}, "do": "wait", "after": 1}]
    (notes / "faults.json").write_text(json.dumps(wait))
    run = clusters.start(cluster, file, "--results", tmp_path / "results", *flags)
    clusters.wait_for(lambda: bool(clusters.in_training(notes, EPOCHS)), 300, run)
    os.kill(clusters.in_training(notes, EPOCHS)[0], signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        (notes / "faults.json").unlink()
    text = clusters.finish(run)
    assert run.returncode == 0, text
    assert text.count("lost worker on") == 1 and "(try 1 of 3)" in text, text
    rows = pd.read_parquet(tmp_path / "results/left_out/points.parquet")
    assert len(rows) == 4 and Counter(rows.status) == {"done": 4} and rows.train_id.nunique() == 4
    curves = pd.read_parquet(tmp_path / "results/left_out/curves.parquet")
    tuned = [3] if model == "class_gan" else []  # the tuning is one epoch more
    whole = curves.groupby("point_id").epoch.apply(list)
    assert whole.map(lambda epochs: epochs == [0, 1, 2, *tuned]).all()
    trained = clusters.epochs(notes)
    assert sum(trained.values()) - len(trained) <= 1, trained
