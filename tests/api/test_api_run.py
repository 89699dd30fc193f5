"""oneshot.run: the way of the command from Python; mistakes, interrupts, the same call again."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import small
from own_families import forgotten

import oneshot
from oneshot.sweep import new_family
from oneshot.sweep.parts import SweepError

__all__ = ["forgotten"]
pytestmark = pytest.mark.usefixtures("forgotten")

CRITICS = dict(
    simclr=dict(epochs=1, batch_size=64, batches_per_epoch=15, strength="light"),
    protonet=dict(epochs=1, episodes_per_epoch=15, train_ways=20, train_queries=2),
)


@pytest.fixture
def prepared(finished: Path, own_cache: Path, tmp_path: Path) -> Path:
    """A working folder whose results have the critics of the small sweep."""
    for name in ("critics", "exemplars", "humans", "features"):
        shutil.copytree(finished / f"results/store/{name}", tmp_path / f"results/store/{name}")
    return tmp_path


def sweep(epochs: int = 2, **given: Any) -> oneshot.Sweep:
    fixed = dict(dataset="quickdraw", split="fixed", image_size=16, drawings_per_class=4)
    values: dict[str, Any] = dict(
        question="Does it work?",
        name="mine",
        model="vae_stn",
        variant="tiny",
        points=oneshot.grid(beta=[0.0, 1.0, 2.0]),
        fixed=fixed | dict(epochs=epochs, batch_size=512),
        critics=CRITICS,
    )
    return oneshot.Sweep(**values | given)


def interrupt_after(records: Path, count: int) -> threading.Thread:
    """Press Ctrl-C once there are so many records."""

    def watch() -> None:
        small.wait_until(lambda: len(list(records.glob("*.json"))) >= count, 120)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_an_interrupt_saves_and_the_same_call_goes_on(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, records = sweep(epochs=3, references=()), prepared / "results/mine/records"
    handler = signal.getsignal(signal.SIGINT)
    presses = interrupt_after(records, 1)
    with pytest.raises(KeyboardInterrupt, match="of 3 points have a result"):
        oneshot.run(asked, local=True, max_stack=1)
    presses.join(10)
    before = {path.name: path.read_bytes() for path in records.glob("*.json")}
    assert 1 <= len(before) < 3 and signal.getsignal(signal.SIGINT) == handler
    table = oneshot.run(asked, local=True, max_stack=1)
    assert len(table) == 3 and set(table["status"]) == {"done"}
    assert all((records / name).read_bytes() == data for name, data in before.items())
    told = capsys.readouterr().err
    assert "mine: 3 points to run, 0 have a result" in told and "running ones save" in told
    again = oneshot.run(asked, local=True, max_stack=1)
    pd.testing.assert_frame_equal(table, again)
    assert "nothing to run, 3 of 3 points have a result" in capsys.readouterr().err


@pytest.mark.slow
def test_a_family_in_a_file_is_run_and_its_weights_draw(prepared: Path) -> None:
    new_family.write("my_vae", prepared)
    asked = sweep(model="./my_vae.py", points=oneshot.grid(beta=[1.0]), references=())
    table = oneshot.run(asked, local=True, settings={"epochs": 1}, report=True)
    assert table["status"].tolist() == ["done"] and table["epochs"].tolist() == [1]
    assert (prepared / "results/mine/report.html").is_file()
    (prepared / "my_vae.py").unlink()  # the store has it
    model = oneshot.model("results/mine", table["point_id"][0])
    assert model.settings["z"] == 4 and model.row["epochs_done"] == 1
    exemplar = small_square()
    assert model.sample(exemplar, 2).shape == (1, 2, 16, 16)


def small_square() -> list[list[int]]:
    return [[int(4 <= x < 9 and 5 <= y < 12) for x in range(16)] for y in range(16)]


@pytest.mark.slow
def test_a_failed_point_is_a_row_and_is_told(
    prepared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise RuntimeError("no more ink")

    monkeypatch.setattr("oneshot.models.copy.Copy.draw", fails)
    asked = sweep(points=oneshot.grid(beta=[1.0]), references=("copy",))
    table = oneshot.run(asked, local=True, where="beta == 1", limit=1)
    assert sorted(table["status"]) == ["done", "failed"]
    told = capsys.readouterr().err
    assert "1 done, 1 failed in" in told and "1 x RuntimeError: no more ink" in told


def test_mistakes_are_told_before_anything_runs(own_cache: Path) -> None:
    with pytest.raises(SweepError, match=r"no name for the folder of its results: Sweep\(name"):
        oneshot.run(sweep(name=""))
    with pytest.raises(SweepError, match="there is no sweep 'no_such'"):
        oneshot.run("no_such")
    with pytest.raises(SweepError, match="Did you mean 'epochs'"):
        oneshot.run(sweep(), settings={"epoch": 3})
    with pytest.raises(ValueError, match="limit = 0: 0 is not a whole number of at least 1"):
        oneshot.run(sweep(), limit=0)
    with pytest.raises(ValueError, match="--workers-per-trial needs Ray") as raised:
        oneshot.run(sweep(), local=True, workers_per_trial=2)
    assert raised.value.__notes__ == ["help: leave --local out"]
    assert not Path("results").exists()
