"""The script for a short GPU slot, at tiny sizes on a processor: nothing is lost, the time is kept,
and checks can fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import torch

sys.path.insert(0, str(small.ROOT))

from benchmarks import gpu_grid, gpu_slot, gpu_stages
from benchmarks.gpu_measure import Bench
from benchmarks.gpu_stage import Stage, read, verdict
from oneshot.models.vae_stn import VaeStn

TINY = Bench(torch.device("cpu"), quick=True)


@pytest.mark.slow
def test_all_stages_run_pass_and_are_written(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "benchmarks/gpu_slot.py",
        "--device",
        "cpu",
        "--quick",
        "--threads",
        "1",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=small.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    stages = [read(tmp_path / f"gpu_slot_quick/{n:02d}.json") for n in gpu_slot.PLAN]
    assert [s["stage"] for s in stages] == list(range(1, 11)) and all(
        s["complete"] for s in stages
    ), done.stdout
    checks = [r["passed"] for r in stages[1]["results"].values() if "passed" in r]
    assert len(checks) == 8 and all(checks)
    rows = json.loads((tmp_path / "gpu_slot_quick.json").read_text())["rows"]
    assert {r["item"] for r in rows} == {2, 3, 7, 8}
    assert all(
        "extrapolated" in r["what"] and r["ours"] == "not measured" for r in rows if r["item"] == 8
    )


def fixed(value: float) -> Callable[[], dict[str, Any]]:
    return lambda: {"value": value, "unit": "s"}


def test_an_interrupted_run_keeps_what_it_has_and_a_later_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    interrupts = [True]

    def first(stage: Stage, bench: Bench) -> None:
        stage.run("a", lambda: (ran.append("a"), fixed(1.0)())[1])

    def second(stage: Stage, bench: Bench) -> None:
        stage.run("b", lambda: (ran.append("b"), fixed(2.0)())[1])
        if interrupts:
            raise KeyboardInterrupt
        stage.run("c", lambda: (ran.append("c"), fixed(3.0)())[1])

    monkeypatch.setattr(gpu_slot, "PLAN", {1: ("one", first, 1, 1), 2: ("two", second, 1, 1)})
    arguments = ["--device", "cpu", "--quick", "--out", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        gpu_slot.main(arguments)
    files = [tmp_path / f"gpu_slot_quick/{n:02d}.json" for n in (1, 2)]
    assert [read(f)["complete"] for f in files] == [True, False] and set(
        read(files[1])["results"]
    ) == {"b"}
    interrupts.clear()
    assert gpu_slot.main(arguments) == 0
    assert (
        ran == ["a", "b", "c"]
        and read(files[1])["complete"]
        and read(files[1])["results"]["c"]["value"] == 3.0
    )
    monkeypatch.setattr(gpu_slot, "code", lambda: "other code")
    assert gpu_slot.main(arguments) == 0 and ran == ["a", "b", "c"] * 2, (
        "results of other code do not count"
    )
    assert gpu_slot.main([*arguments, "--again"]) == 0 and len(ran) == 9


def test_what_no_longer_fits_is_skipped_and_what_fails_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(3, "some", 20.0, tmp_path, {})
    assert "skipped" in stage.run("long", lambda: pytest.fail("must not start"), needs=60)
    assert (
        "no such kernel"
        in stage.run("broken", lambda: (_ for _ in ()).throw(RuntimeError("no such kernel")))[
            "failed"
        ]
    )
    stage.run("slow", fixed(0.4), predicted=(0.1, 0.2))
    stage.run("right", fixed(0.25), predicted=(0.1, 0.2))
    said = capsys.readouterr().out
    assert (
        "skipped: needs about 60 s, 20 s are left" in said
        and "predicted 100 ms .. 200 ms  MISSED by 2.0 times" in said
    )
    results = read(tmp_path / "03.json")["results"]
    assert (
        list(results) == ["long", "broken", "slow", "right"] and results["right"]["verdict"] == ""
    )
    assert verdict(0.05, (0.1, 0.2)) == "MISSED by 2.0 times"


def test_the_checks_notice_a_wrong_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = VaeStn._stacked_loss
    monkeypatch.setattr(
        VaeStn,
        "_stacked_loss",
        lambda self, *given: {n: 1.01 * v for n, v in right(self, *given).items()},
    )
    monkeypatch.setattr(gpu_slot, "PLAN", {2: ("correctness", gpu_stages.correctness, 2, 2)})
    assert gpu_slot.main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 1
    results = read(tmp_path / "gpu_slot_quick/02.json")["results"]
    assert not results["loss against the plain form on a processor, float32"]["passed"]
    assert results["20 steps by graph against eager"]["passed"]


def test_the_time_is_shared_as_planned() -> None:
    whole, cut = gpu_slot.plan(None, "")
    assert (
        list(whole) == list(range(1, 11))
        and sum(whole.values()) == pytest.approx(25 * 60)
        and not cut
    )
    short, cut = gpu_slot.plan(8, "")
    assert list(short) == [1, 2, 3, 4, 8] and sum(short.values()) == pytest.approx(8 * 60) and cut
    assert gpu_slot.plan(None, "4,2") == ({2: 120.0, 4: 240.0}, False)


def test_the_grid_is_the_sum_over_its_points() -> None:
    def result(value: float) -> dict[str, Any]:
        return {"value": value, "unit": "s"}

    step = {t: 0.001 + 0.0003 * t for t in (20, 40, 90)}
    four = {"K 17": result(step[40])}
    five = {"K 17, T 20": result(step[20]), "K 17, T 90": result(step[90])}
    eight = {"K 17, one epoch": result(231 * step[40] + 0.5)}
    hours = (
        sum(115_500 * (0.001 + 0.0003 * t) + 500 * 0.5 * t / 40 for t in range(20, 91, 10))
        * 16
        / 3600
    )
    assert gpu_grid.hours({4: four, 5: five, 8: eight}, 17) == pytest.approx(hours)
    assert gpu_grid.POINTS == 2176 and gpu_grid.hours({4: four}, 1) is None
    (only,) = gpu_grid.grid({4: four, 5: five}).values()
    assert only["label"] == "extrapolated" and only["points_an_hour"] == pytest.approx(
        2176 / only["hours"]
    )
