"""Few-shot augmentation from the sweep file to the tables; killed in mid tuning, and run again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import clusters
import numpy as np
import pandas as pd
import pytest
import small
from made_classes import write_emnist_npz

pytestmark = pytest.mark.slow

SWEEP = """
from oneshot.sweep import Sweep, points

sweep = Sweep(
    question="Do shots matter?",
    model="class_gan",
    variant="tiny",
    points=points([
        dict(shots=k, g_mode=mode, d_mode=mode, generated_per_class=n)
        for k in (2, 5) for mode in ("embed", "all") for n in (0, 4)
    ]),
    fixed=dict(
        dataset="emnist", split="classes_0", image_size=32, classes=47, epochs=2, epoch_steps=4,
        batch_size=8, images_per_class=6, tune_steps={steps}, tune_batch=4, drawings_per_class=4,
        head_steps=20,
    ),
    critics=dict(base_classifier=dict(width=4, epochs=1, images_per_class=6, batch_size=32)),
    references=("real",),
)
"""
FLAGS = ("--results", "results", "--checkpoint-seconds", "0")


def sweep_in(folder: Path, steps: int) -> dict[str, str]:
    """Write the sweep and made images into a folder; returns the variables of a run."""
    write_emnist_npz(folder / "data" / "emnist_byclass_300.npz", 30)
    (folder / "few.py").write_text(SWEEP.format(steps=steps))
    return dict(ONESHOT_CACHE=str(folder / "cache"), ONESHOT_DATA=str(folder / "data"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, small.Done]]:
    """A folder with a finished run, and how it ended."""
    folder = tmp_path_factory.mktemp("few")
    places = sweep_in(folder, 60)
    yield folder, small.main("few.py", "--local", *FLAGS, cwd=folder, **places)


def test_a_row_a_point_one_training_and_four_tunings(run: tuple[Path, small.Done]) -> None:
    folder, done = run
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(folder / "results/few/points.parquet")
    assert (table.status == "done").all() and len(table) == 12
    rows = table[table.model == "class_gan"]
    real = table[table.model == "real"]  # as many shots, and as many images in place of drawings
    assert sorted(zip(real.shots, real.generated_per_class)) == [(2, 0), (2, 4), (5, 0), (5, 4)]
    assert rows.train_id.nunique() == 1 and rows.tune_id.nunique() == 4
    assert rows.sample_id.nunique() == 4 and (rows.drawings == 47 * 4).all()
    store = folder / "results" / "store"
    assert len(list((store / "trainings").glob("*/training.pt"))) == 1
    assert len(list((store / "tunings").glob("*/training.pt"))) == 4
    assert not list(store.glob("*/*/checkpoint.pt"))
    training = (store / "trainings").glob("*/training.pt").__next__().stat().st_size
    embed = rows[rows.g_mode == "embed"].tune_id.iloc[0]
    assert (store / "tunings" / embed / "training.pt").stat().st_size < training
    assert (rows.tune_seconds > 0).all() and set(rows.classifier_id) == {table.classifier_id[0]}
    curves = pd.read_parquet(folder / "results/few/curves.parquet")
    epochs = curves[curves.point_id == rows.point_id.iloc[0]].epoch
    assert list(epochs) == [0, 1, 2, 3]  # two of the training, two of the tuning


def test_without_drawings_the_gain_is_nothing(run: tuple[Path, small.Done]) -> None:
    folder, _ = run
    rows = pd.read_parquet(folder / "results/few/points.parquet").query("model == 'class_gan'")
    assert (rows[rows.generated_per_class == 0].classified_gain == 0).all()
    assert rows.classified_supports.between(0, 100).all()
    gain = rows.classified_augmented - rows.classified_supports
    assert np.allclose(gain, rows.classified_gain)
    assert (rows.nearest_shot > 0).all() and rows.fid.gt(0).all() and rows.fid_base.gt(0).all()


def test_embed_leaves_drawings_of_base_classes_as_they_were(run: tuple[Path, small.Done]) -> None:
    folder, _ = run
    rows = pd.read_parquet(folder / "results/few/points.parquet").query("model == 'class_gan'")
    drawn = {}
    for (mode, k), row in rows.groupby(["g_mode", "shots"]).first().iterrows():
        path = folder / "results/store/drawings" / row.sample_id / "drawings.npz"
        with np.load(path) as file:
            novel = np.isin(file["label"], [0, 3, 9, 19, 21, 23, 36, 39, 44, 46])
            drawn[mode, k] = file["images"][~novel], file["images"][novel]
    assert np.array_equal(drawn["embed", 2][0], drawn["embed", 5][0])
    assert not np.array_equal(drawn["embed", 2][1], drawn["embed", 5][1])
    assert not np.array_equal(drawn["embed", 2][0], drawn["all", 2][0])


def test_a_run_killed_in_mid_tuning_trains_no_base_again(tmp_path: Path) -> None:
    places = sweep_in(tmp_path, 400)
    notes, store = tmp_path / "notes", tmp_path / "results" / "store"
    notes.mkdir()
    where = tmp_path / "few.py", "--local", "--results", tmp_path / "results"
    with mock.patch.dict(os.environ, places):
        first = small.start(*where, "--checkpoint-seconds", "0", notes=notes)
        # one tuning is done, another is under way
        small.wait_for(
            lambda: (
                len(list((store / "tunings").glob("*/training.pt"))) == 1
                and bool(list((store / "tunings").glob("*/checkpoint.pt")))
            ),
            300,
            first,
        )
        first.send_signal(signal.SIGKILL)
        first.wait()
        (kept,) = (store / "tunings").glob("*/training.pt")
        stored = {p: p.stat().st_mtime_ns for p in [kept, *store.glob("trainings/*/training.pt")]}
        counted = clusters.epochs(notes)
        second = small.start(*where, notes=notes)
        text = clusters.finish(second)
    assert second.returncode == 0, text
    assert {path: path.stat().st_mtime_ns for path in stored} == stored
    table = pd.read_parquet(tmp_path / "results/few/points.parquet")
    assert (table.status == "done").all() and len(table) == 12
    again = clusters.epochs(notes) - counted
    names = {path.parent.name for path in stored}
    assert not {of for of, _ in again} & names, "what was finished was computed again"
    # of the tuning that was under way, at most the epoch in which the kill came
    assert sum(times > 1 for times in clusters.epochs(notes).values()) <= 1
