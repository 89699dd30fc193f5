"""Families in files of the user's, run through the command: stacks, resumes, workers of Ray."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import small
import torch
from own_families import change, forgotten, write

from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.trial import files, trial
from oneshot.trial.job import Job
from oneshot.trial.train import stored_training

__all__ = ["forgotten"]
pytestmark = pytest.mark.usefixtures("forgotten")
MEASURES = ["diversity", "recognizability", "originality", "fid"]


def rows(folder: Path) -> pd.DataFrame:
    frame = pd.read_parquet(folder / "results/own/points.parquet")
    return frame[frame.model == "my_vae"].reset_index(drop=True)


@pytest.mark.slow
def test_rows_of_a_stack_are_those_of_solo_trainings_and_an_edit_trains_again(
    prepared: Path,
) -> None:
    write(prepared)
    shutil.copytree(prepared, prepared / "solo")
    done = small.main("own.py", "--local", cwd=prepared)
    assert done.returncode == 0, done.stderr
    stacked = rows(prepared)
    assert len(stacked) == 3 and set(stacked.status) == {"done"}
    assert set(stacked.trained_as) != {"solo"} and stacked.z.eq(4).all()
    assert (prepared / "results/own/sweep.json").read_text().count("my_vae.py") >= 1
    alone = small.main("own.py", "--local", "--max-stack", "1", cwd=prepared / "solo")
    assert alone.returncode == 0, alone.stderr
    solo = rows(prepared / "solo")
    assert (solo.point_id == stacked.point_id).all()
    assert (solo.trained_as != stacked.trained_as).any()
    for name in MEASURES:
        pd.testing.assert_series_equal(stacked[name], solo[name], rtol=0.05, atol=0.5)
    again = small.main("own.py", "--local", cwd=prepared)
    assert again.returncode == 0 and "nothing to" in again.stderr.lower(), again.stderr
    change(prepared, "torch.exp(log_variance / 2)", "torch.exp(log_variance * 0.5)")
    looked = small.main("own.py", "--check", cwd=prepared)
    assert looked.returncode == 0 and "to run 3" in looked.stdout, looked.stdout


def test_a_training_that_was_stopped_goes_on_from_its_checkpoint(prepared: Path) -> None:
    points = [p for p in expand(load_sweep(write(prepared, epochs=3))) if p.model == "my_vae"][:1]
    weights = []
    for name in ("whole", "parts"):
        shutil.copytree(prepared / "results", prepared / name)
        store = Store(str(prepared / name))
        files.store_files(points, store)
        if name == "parts":
            assert trained(points, store, most=1) == ({}, [1])
            assert store.exists(f"store/trainings/{points[0].train_id}/checkpoint.pt")
        statuses, epochs = trained(points, store)
        assert set(statuses.values()) == {"done"}
        assert epochs == ([2, 3] if name == "parts" else [1, 2, 3])
        training = stored_training(points[0], Job(store, "own"))
        assert training is not None
        weights.append(training.end)
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key])


def trained(points: list[Point], store: Store, most: int = 99) -> tuple[dict[str, str], list[int]]:
    """The statuses that a trial ends with, which stops after so many epochs, and its epochs."""
    epochs: list[int] = []

    def tick(what: str, done: int, *_: int, **__: float) -> None:
        if what == "epoch":
            epochs.append(done)

    job = Job(store, "own", "r", 0.0, stop_requested_here=lambda: len(epochs) >= most)
    return trial.run(points, job, tick), epochs


def test_what_cannot_be_imported_is_told_before_anything_is_prepared(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "my_vae.py").read_text()
    for old, new, words in (
        ("import torch\n", "import torch\nimport no_such_package\n", "No module named"),
        ("FAMILY = MyVae\n", "", "FAMILY"),
        ("def sample(", "def draw_one(", "MyVae lacks sample"),
        ("nn.Linear(config.z +", "nn.Linear(config.zz +", "has no attribute 'zz'"),
    ):
        changed = change(tmp_path, old, new).read_text()
        done = small.main("own.py", "--local", cwd=tmp_path)
        assert done.returncode == 2 and not (tmp_path / "results").exists()
        assert "error: my_vae.py" in done.stderr and words in done.stderr, done.stderr
        if new and "FAMILY" not in old and "draw" not in new:
            line = next(
                i for i, one in enumerate(changed.splitlines(), 1) if new.split()[-1] in one
            )
            assert f"my_vae.py, line {line}: " in done.stderr
        (tmp_path / "my_vae.py").write_text(text)


def test_the_settings_of_a_file_are_shown(tmp_path: Path) -> None:
    write(tmp_path)
    done = small.main("--settings", "./my_vae.py", cwd=tmp_path)
    assert done.returncode == 0 and "weight of the KL term" in done.stdout
    assert "variants: tiny" in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_workers_in_another_folder_build_the_family_of_the_store(prepared: Path) -> None:
    write(prepared / "mine")
    done = small.main("mine/own.py", "--results", "results", cwd=prepared)
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(prepared)
    assert len(found) == 3 and set(found.status) == {"done"} and found.beta.tolist() == [0, 1, 2]
    assert [path.suffix for path in (prepared / "results/store/files").iterdir()] == [".py"]
