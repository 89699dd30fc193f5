"""What trials ask of the machines of a cluster. Ray is neither started nor joined."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_run import FakeRun

from oneshot import cli
from oneshot.engine import tune_resources
from oneshot.engine.demand import Impossible
from oneshot.engine.tune import RayEngine
from oneshot.engine.tune_dispatch import Dispatcher
from oneshot.engine.tune_resources import Request
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.trial.job import Job

GPU = {"CPU": 4.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--cpus-per-trial", 99, "99 processors; the largest has 2"),
        ("--gpus-per-trial", 1, "1 GPU; none has any"),
    ],
)
def test_an_impossible_request_ends_the_command_before_anything_is_made(
    sweep_folder: Path,
    nodes: list[Any],
    capsys: pytest.CaptureFixture[str],
    flag: str,
    value: int,
    words: str,
) -> None:
    results = sweep_folder / "results"
    words_given = [str(sweep_folder / "small.py"), "--results", str(results), flag, str(value)]
    assert cli.main(words_given) == 2
    err = capsys.readouterr().err
    assert f"error: no machine of this cluster has {words}\n  help: {flag} " in err
    assert "Traceback" not in err and "preparing" not in err
    assert not (results / "store/critics").exists()


def test_an_autoscaler_is_waited_for_if_it_can_help(
    points: list[Point], job: Job, nodes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune_resources, "promised", lambda: [(2, GPU)])
    run = FakeRun(points, job, address="auto", gpus_per_trial=1.0)
    with RayEngine(run) as engine:  # type: ignore[arg-type]
        resources, state = engine.resources, engine.state
        assert engine.slots() == 2 and resources.whole_node() == Request(4.0, 1.0)
        requests = [resources.request(["vae_stn"])] * len(points)
        assert requests[0].share == {"CPU": 1.0, "GPU": 1.0}
        trials = [[p] for p in points]
        dispatcher = Dispatcher(engine, resources, trials, requests, share_batches=False)
        batch = dispatcher.next_batch("a")
        assert batch is not None and batch["share"] == {"CPU": 1.0, "GPU": 1.0}

        def phase_after_a_check() -> str:
            resources._checked = 0.0
            assert not dispatcher.should_stop()
            return state.phase

        waiting = r"waiting for a machine with 1 processor and 1 GPU since \d\d:\d\d"
        assert re.fullmatch(waiting, phase_after_a_check())
        assert run.said == [state.phase]
        nodes.append({"Alive": True, "NodeID": "n3", "Resources": dict(GPU)})
        assert phase_after_a_check() == ""
        nodes.pop()  # the machine leaves: what was possible no longer is
        assert "waiting for a machine" in phase_after_a_check()
    run = FakeRun(points, job, address="auto", gpus_per_trial=2.0)
    with pytest.raises(Impossible, match="has or may start has 2 GPUs; the largest has 1"):
        RayEngine(run).__enter__()  # type: ignore[arg-type]


def test_in_a_pod_nothing_is_refused(
    points: list[Point], job: Job, nodes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with RayEngine(FakeRun(points, job, gpus_per_trial=1.0)):  # type: ignore[arg-type]
        pass


def test_each_round_asks_for_twice_as_much_as_a_machine_has(
    points: list[Point], job: Job, nodes: list[Any]
) -> None:
    """Processors up to those of the largest machine, a share of a GPU up to a whole one."""
    nodes[1]["Alive"] = True
    with RayEngine(FakeRun(points, job, gpus_per_trial=0.25)) as engine:  # type: ignore[arg-type]
        rounds = [engine.resources.request(["vae_stn"], attempt) for attempt in range(4)]
    assert [request.cpus for request in rounds] == [1.0, 2.0, 4.0, 4.0]
    assert [request.gpus for request in rounds] == [0.25, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("workers, alike", [(1, True), (2, False)])
def test_references_ask_for_what_models_do_so_that_warm_workers_go_on(
    workers: int, alike: bool, sweep_folder: Path
) -> None:
    """Tune reuses a worker for trials of the same request only."""
    everything = expand(load_sweep(sweep_folder / "small.py"))
    engine: Any = object.__new__(RayEngine)
    engine.resources = SimpleNamespace(request=lambda names, attempt: names)
    engine.sweep_run = SimpleNamespace(
        options=SimpleNamespace(workers_per_trial=workers),
        plan=SimpleNamespace(sweep=SimpleNamespace(model="vae_stn")),
    )
    asked = engine._requests([[p] for p in everything], 0)
    assert len(asked) == 6 and (set(asked) == {("vae_stn",)}) == alike
    references = [[p] for p in everything if p.model != "vae_stn"]
    assert set(engine._requests(references, 0)) == {("human",), ("copy",), ("noise",)}
