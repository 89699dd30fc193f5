"""Trackers that fail, hang or are missing cost a warning, and no row; none is logged twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import logged_runs
import made_runs
import pytest
import small

from oneshot.console.arguments import TRACKERS, Refused
from oneshot.trackers import base, mirror
from oneshot.trackers.mirror import Mirror

# a tracker that notes what it is given; `fault` is done before the second entry
NOTES = """
import sys, time
from oneshot.trackers import process
given, answers = sys.stdin.buffer, sys.stdout.buffer
target = process.receive(given)
process.send(answers, ("opened", "a file"))
count = 0
while True:
    try:
        entry = process.receive(given)
    except EOFError:
        break
    count += 1
    if count == 2:
        {fault}
    with open({file!r}, "a") as notes:
        print(entry.name, entry.status, file=notes)
    process.send(answers, ("logged", entry.point_id))
process.send(answers, ("closed", ""))
"""


def noting(
    monkeypatch: pytest.MonkeyPatch, file: Path, fault: str = "pass"
) -> Callable[[], list[str]]:
    """Put a tracker of the test in the place of the real ones; returns what reads its notes."""
    code = NOTES.format(file=str(file), fault=fault)

    def started(name: str, printed: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            env=small.environment(),
        )

    monkeypatch.setattr(mirror, "_started", started)
    return lambda: file.read_text().splitlines() if file.is_file() else []


def test_each_row_is_logged_once_over_several_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    notes = noting(monkeypatch, tmp_path / "notes.txt")
    logged_runs.run(tmp_path, ["wandb"])
    assert [line.rsplit(" ", 2)[0] for line in sorted(notes())] == [
        f"beta={beta} seed=44" for beta in (0, 1, 2)
    ]
    logged_runs.run(tmp_path, ["wandb"], failing=None, ended="02:00:00")
    assert len(notes()) == 4 and notes()[-1].endswith("done"), "the point that was run again"
    plan = made_runs.planned(tmp_path)
    with Mirror(plan, ["wandb"], print) as opened:
        opened.update(plan.current_records())
    assert len(notes()) == 4 and "wandb: a file" in capfd.readouterr().err


def test_what_was_computed_before_is_logged_when_a_tracker_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = noting(monkeypatch, tmp_path / "notes.txt")
    logged_runs.run(tmp_path, [])
    assert not notes()
    plan = made_runs.planned(tmp_path)
    with Mirror(plan, ["mlflow"], print) as opened:
        opened.update(plan.current_records())
    assert len(notes()) == 3
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with Mirror(plan, ["mlflow"], print) as opened:
        opened.update(plan.current_records())
    assert len(notes()) == 6, "another server has nothing yet"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("process.send(answers, ('failed', 'OSError: full')); break", "OSError: full"),
        ("sys.exit(3)", "its process ended"),
        ("time.sleep(600)", "it has logged nothing for 1 s"),
    ],
)
def test_a_tracker_that_fails_costs_one_warning_and_is_left_alone(
    fault: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mirror, "PATIENCE_SECONDS", 1.0)
    notes = noting(monkeypatch, tmp_path / "notes.txt", fault)
    outcome = logged_runs.run(tmp_path, ["tensorboard"])
    assert outcome.counts["done"] == 2 and not outcome.abort_reason
    text = capfd.readouterr().err
    assert text.count("warning: --log tensorboard is given up in this run: " + told) == 1, text
    assert len(notes()) == 1
    noted = json.loads((tmp_path / "results/made/logged/tensorboard.json").read_text())
    assert len(noted["points"]) == 1
    notes = noting(monkeypatch, tmp_path / "notes.txt")
    logged_runs.run(tmp_path, ["tensorboard"])
    assert len({line.split()[0] for line in notes()}) == 3, "the next run logs what is missing"
    assert len(notes()) == 3


def test_a_stopped_run_leaves_the_rest_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = noting(monkeypatch, tmp_path / "notes.txt", "time.sleep(2)")
    logged_runs.run(tmp_path, [])
    plan = made_runs.planned(tmp_path)
    with Mirror(plan, ["wandb"], print, lambda: True) as opened:
        opened.update(plan.current_records())
        small.wait_until(lambda: len(notes()) == 1, 60)
    assert len(notes()) == 2, "the point under way is logged, the third one is not"
    with Mirror(plan, ["wandb"], print) as opened:
        opened.update(plan.current_records())
    assert len(notes()) == 3


def test_a_real_tracker_that_cannot_be_opened_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_runs.run(tmp_path, [])
    plan, said = made_runs.planned(tmp_path), list[str]()
    monkeypatch.setitem(base.PACKAGES, "absent", ("absent", "absent"))
    with Mirror(plan, ["absent"], said.append) as opened:
        opened.update(plan.current_records())
    assert len(said) == 1 and "No module named 'oneshot.trackers.absent'" in said[0]


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert base.NAMES == TRACKERS
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refused, match="--log mlflow needs a package that is not") as refused:
        base.check(["mlflow"])
    assert refused.value.help == "pip install mlflow-skinny"
    sweep = small.write_sweep(tmp_path)
    words = ("--log", "tensorboard", "--log", "wandb", "--results", tmp_path / "results")
    done = small.main(sweep, "--local", *words)
    assert done.returncode == 2 and not (tmp_path / "results").exists()
    assert "error: --log tensorboard and --log wandb need packages" in done.stderr
    assert "help: pip install tensorboard wandb" in done.stderr
