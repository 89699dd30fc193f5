"""The Ray engine without a cluster: what trials ask for, what their workers raise, and how a
cluster is joined.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import small
from ray.air.execution._internal.actor_manager import RayActorManager

from oneshot import cli
from oneshot.console.progress import State
from oneshot.engine import demand, ray_connection, tune, worker_group
from oneshot.engine.demand import Impossible, Waiting
from oneshot.engine.driver import Options
from oneshot.engine.tune import RayEngine
from oneshot.engine.worker_group import Told, tell
from oneshot.store import records
from oneshot.store.store import Store, Unavailable
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.trial.trial import Job

CPU2, CPU3, GPU = {"CPU": 2.0}, {"CPU": 3.0}, {"CPU": 4.0, "GPU": 1.0}


# What a trial asks for


def test_trials_side_by_side_are_counted_by_node() -> None:
    """Two nodes of three processors hold two trials of two, not three."""
    assert demand.slots([CPU3, CPU3], [], CPU2) == 2
    assert demand.slots([CPU3, CPU3], [(4, CPU2)], CPU2) == 4
    assert (
        demand.slots([CPU3, CPU3], [], {"CPU": 1.0}, workers=2) == 3
        and demand.slots([], [], CPU2) == 1
    )
    assert demand.slots([{}, GPU], [], {"CPU": 1.0, "GPU": 0.25}) == 4


@pytest.mark.parametrize(
    ("there", "to_come", "share", "workers", "what", "help"),
    [
        (
            [CPU2],
            [],
            {"CPU": 99.0, "GPU": 0.0},
            1,
            "no machine of this cluster has 99 processors; the largest has 2",
            "--cpus-per-trial 2",
        ),
        (
            [CPU2],
            [],
            {"CPU": 1.0, "GPU": 1.0},
            1,
            "no machine of this cluster has 1 GPU; none has any",
            "--gpus-per-trial 0",
        ),
        (
            [CPU2, CPU3],
            [],
            {"CPU": 4.0},
            1,
            "no machine of this cluster has 4 processors; the largest has 3",
            "--cpus-per-trial 3",
        ),
        (
            [{"CPU": 8.0}, GPU],
            [],
            {"CPU": 6.0, "GPU": 0.5},
            1,
            "has 6 processors and 0.5 GPUs together",
            "--gpus-per-trial 0",
        ),
        (
            [CPU2],
            [(3, GPU)],
            {"CPU": 1.0, "GPU": 2.0},
            1,
            "no machine that this cluster has or may start has 2 GPUs",
            "--gpus-per-trial 1",
        ),
        (
            [CPU3, CPU3],
            [],
            {"CPU": 2.0},
            3,
            "room for 2 workers with 2 processors; a trial asks for 3",
            "--workers-per-trial 2",
        ),
        (
            [],
            [],
            {"CPU": 1.0},
            1,
            "no machine of this cluster has 1 processor; none has any",
            "machines with processors",
        ),
    ],
)
def test_what_can_never_run_is_refused(
    there: Any, to_come: Any, share: Any, workers: int, what: str, help: str
) -> None:
    refused = demand.refusal(there, to_come, share, workers)
    assert refused is not None and what in str(refused) and help in refused.help, (
        str(refused),
        refused and refused.help,
    )


@pytest.mark.parametrize(
    ("there", "to_come", "share", "workers"),
    [
        ([CPU2], [], {"CPU": 2.0, "GPU": 0.0}, 1),
        ([], [(1, GPU)], {"CPU": 1.0, "GPU": 1.0}, 1),
        ([], [(2, {})], {"CPU": 1.0, "GPU": 8.0}, 1),  # what the type has is not known
        ([CPU3], [(2, CPU2)], {"CPU": 2.0}, 2),
    ],
)
def test_what_may_run_one_day_is_not_refused(
    there: Any, to_come: Any, share: Any, workers: int
) -> None:
    assert demand.refusal(there, to_come, share, workers) is None


def test_what_a_run_waits_for_is_shown_and_said_every_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(
        demand, "time", SimpleNamespace(monotonic=lambda: now[0], strftime=lambda _: "12:03")
    )
    state, said = State("s", 1, phase="preparing critics"), list[str]()
    waiting = Waiting(state, said.append)
    assert demand.lacks([CPU2], {"CPU": 1.0, "GPU": 1.0}) == "a machine with 1 processor and 1 GPU"
    assert demand.lacks(
        [CPU2], {"CPU": 1.0}, 3
    ) == "machines for 3 workers with 1 processor each" and not demand.lacks([CPU2], CPU2)
    for now[0] in (0.0, 30.0, 59.0, 61.0, 100.0, 130.0):
        waiting.show("a machine with 1 GPU")
        assert state.phase == "waiting for a machine with 1 GPU since 12:03"
    assert said == ["waiting for a machine with 1 GPU since 12:03"] * 3
    waiting.show("")
    assert (
        state.phase == "preparing critics"
        and said[-1] == "no longer waiting for a machine with 1 GPU"
    )


# Points and engines without a cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.write_sweep(tmp_path)
    return tmp_path


@pytest.fixture
def points(folder: Path) -> list[Point]:
    return [p for p in expand(load_sweep(folder / "small.py")) if p.model == "vae_stn"]


@pytest.fixture
def job(folder: Path) -> Job:
    return Job(Store(folder / "results"), "small", "run")


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands for `ray.nodes()`; Ray is neither started nor joined."""
    found: list[Any] = [
        {"Alive": True, "Resources": dict(CPU2)},
        {"Alive": False, "Resources": dict(GPU)},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: found)
    monkeypatch.setattr(ray_connection, "join", lambda address: None)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return found


class Driver(SimpleNamespace):
    """What the engine asks of a driver."""

    def __init__(self, points: list[Point], job: Job, **options: Any):
        said: list[str] = []
        stop = SimpleNamespace(listen=lambda: None, asked=lambda: False, overdue=lambda: False)
        super().__init__(
            plan=SimpleNamespace(to_run=points, sweep=SimpleNamespace(axes=["beta"])),
            options=Options(**options),
            job=job,
            state=State("small", 3),
            stop=stop,
            said=said,
            progress=SimpleNamespace(event=said.append),
            machines={},
            at_work={},
            trouble="",
            without_store=lambda *a: said.append(str(a)),
            take_records=lambda *a, **k: True,
            end_for=said.append,
        )


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--cpus-per-trial", 99, "99 processors; the largest has 2"),
        ("--gpus-per-trial", 1, "1 GPU; none has any"),
    ],
)
def test_an_impossible_request_ends_the_command_before_anything_is_made(
    folder: Path,
    nodes: list[Any],
    capsys: pytest.CaptureFixture[str],
    flag: str,
    value: int,
    words: str,
) -> None:
    assert (
        cli.main([str(folder / "small.py"), "--results", str(folder / "results"), flag, str(value)])
        == 2
    )
    err = capsys.readouterr().err
    assert (
        f"error: no machine of this cluster has {words}\n  help: {flag} " in err
        and "Traceback" not in err
    )
    assert not (folder / "results/store/critics").exists() and "preparing" not in err


def test_an_autoscaler_is_waited_for_if_it_can_help(
    points: list[Point], job: Job, nodes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "promised", lambda: [(2, GPU)])
    with RayEngine(Driver(points, job, address="auto", gpus_per_trial=1.0)) as engine:  # type: ignore[arg-type]
        assert engine.slots() == 2 and engine._whole_node() == {"CPU": 4.0, "GPU": 1.0}
        groups = [[p] for p in points]
        turns = tune._Turns(engine, groups, [engine.share(1.0) for _ in groups], alone=True)
        assert turns.suggest("a")["share"] == {"CPU": 1.0, "GPU": 1.0}
        engine.looked = 0.0
        assert not tune._WhenAsked(turns).stop_all()
        assert re.fullmatch(
            r"waiting for a machine with 1 processor and 1 GPU since \d\d:\d\d", engine.state.phase
        )
        assert engine.driver.said == [engine.state.phase]
        nodes.append({"Alive": True, "Resources": dict(GPU)})
        engine.looked = 0.0
        assert not tune._WhenAsked(turns).stop_all() and engine.state.phase == ""
        nodes.pop()  # the machine leaves: what was possible no longer is
        engine.looked = 0.0
        assert (
            not tune._WhenAsked(turns).stop_all() and "waiting for a machine" in engine.state.phase
        )
    with pytest.raises(Impossible, match="has or may start has 2 GPUs; the largest has 1"):
        RayEngine(Driver(points, job, address="auto", gpus_per_trial=2.0)).__enter__()  # type: ignore[arg-type]


def test_a_cluster_on_which_no_trial_starts_is_said_to_be_busy(
    points: list[Point], job: Job, nodes: list[Any]
) -> None:
    with RayEngine(Driver(points, job)) as engine:  # type: ignore[arg-type]
        turns = tune._Turns(
            engine, [[p] for p in points], [engine.share(1.0) for _ in points], alone=True
        )
        turns.suggest("a")
        turns.busy_since -= tune.BUSY_SECONDS + 1
        turns.look_for_room()
        assert "waiting for a free worker with 1 processor since" in engine.state.phase
        turns.begin("a", 0)
        turns.look_for_room()
        assert engine.state.phase == ""


def test_in_a_pod_nothing_is_refused(
    points: list[Point], job: Job, nodes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with RayEngine(Driver(points, job, gpus_per_trial=1.0)):  # type: ignore[arg-type]
        pass


@pytest.fixture
def turns(points: list[Point], job: Job, nodes: list[Any]) -> Iterator[tune._Turns]:
    with RayEngine(Driver(points, job)) as engine:  # type: ignore[arg-type]
        shares = [{"CPU": 1.0, "GPU": 0.0}] * len(points)
        yield tune._Turns(engine, [[p] for p in points], shares, alone=False)


# What a worker raises


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Unpicklable(Exception):
    def __init__(self, text: str):
        super().__init__(text)
        self.lock = threading.Lock()


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a turn reports, where Ray and Tune only stand by."""
    found: list[dict[str, Any]] = []
    context = SimpleNamespace(
        get_assigned_resources=lambda: {"CPU": 1.0},
        get_accelerator_ids=lambda: {"GPU": []},
        get_node_id=lambda: "n1",
    )
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(ray, "get", lambda ref: ref)
    monkeypatch.setattr(tune.tune, "report", found.append)
    return found


def turn(points: list[Point], job: Job, body: Callable[..., Any]) -> None:
    """Run a turn of one trial a point."""
    refs = [[pickle.dumps([p]) if isinstance(p, Point) else p for p in points]]
    tune._trainable(
        {"trials": list(range(len(points))), "workers": 1, "longest": 60.0, "share": {}},
        refs,
        job,
        body,
    )


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("the lamp went out"), "ValueError", "the lamp went out"),
        (RuntimeError("a text \ud800 that is none"), "RuntimeError", "a text"),
        (Unpicklable("it cannot travel"), "Unpicklable", "it cannot travel"),
        (Unprintable(), "Unprintable", ""),
        (SystemExit("the family has left"), "SystemExit", "the family has left"),
        (StopIteration("an end"), "StopIteration", "an end"),
    ],
)
def test_what_leaves_a_trial_is_a_row_and_the_turn_goes_on(
    turns: tune._Turns,
    points: list[Point],
    job: Job,
    reports: list[dict[str, Any]],
    error: BaseException,
    kind: str,
    words: str,
) -> None:
    """Written by the worker; or, where it cannot, by the driver from what the worker tells."""

    def body(trial: list[Point], job: Job, tick: Any) -> dict[str, str]:
        if trial[0].point_id == points[0].point_id:
            raise error
        return {trial[0].point_id: "done"}

    turn(points, job, body)
    assert [index for r in reports for index, *_ in r["ended"]] == [0, 1, 2]
    for report in pickle.loads(pickle.dumps(reports)):
        if "raised" in report:
            turns.record([points[0]], Told(*report["raised"]).again(), "host")
    row = records.decode(
        (Path(str(job.store.local("small/records"))) / f"{points[0].point_id}.json").read_bytes()
    ).row
    assert row["status"] == "failed" and row["error_type"] == kind and words in row["error"]
    log = Path(row["log"]).read_text(errors="replace")
    assert kind in log and "in body" in log
    assert all(records.status(job.store, "small", p.point_id) is None for p in points[1:])


def test_an_error_before_the_points_are_known_is_told_to_the_driver(
    points: list[Point], job: Job, reports: list[dict[str, Any]]
) -> None:
    turn([b"no pickle", points[1]], job, lambda *a: {"x": "done"})  # type: ignore[list-item]
    (told,) = [r["raised"] for r in reports if "raised" in r]
    assert (
        told[0] == "UnpicklingError" and "invalid load key" in told[1] and "pickle.loads" in told[2]
    )
    assert [index for r in reports for index, *_ in r["ended"]] == [0, 1]


def test_a_store_that_does_not_answer_is_no_failure(
    points: list[Point], job: Job, reports: list[dict[str, Any]]
) -> None:
    def body(*_: Any) -> dict[str, str]:
        raise Unavailable.during("write", 5, "Input/output error", "results")

    turn(points, job, body)
    assert "Input/output error" in reports[-1]["unavailable"] and not reports[-1]["unwritable"]
    assert not job.store.names("small/records")


def test_an_end_that_tune_asks_for_is_no_failure(
    points: list[Point], job: Job, reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune ends a trial by an exit out of its report."""

    def report(found: dict[str, Any]) -> None:
        reports.append(found)
        sys.exit(0)

    monkeypatch.setattr(tune.tune, "report", report)
    turn(points, job, lambda *a: pytest.fail("began after its end"))
    assert len(reports) == 1 and not job.store.names("small/records")


def test_losses_travel_with_the_reports(
    points: list[Point], job: Job, reports: list[dict[str, Any]]
) -> None:
    quick = Job(job.store, "small", "run", report_seconds=-1.0)

    def body(trial: list[Point], job: Job, tick: Any) -> dict[str, str]:
        tick("epoch", 1, 2, 0.25)
        tick("drawing", 1, 2)
        return {"x": "done"}

    turn(points[:1], quick, body)
    assert [r["doing"] for r in reports][1] == ["epoch", 1, 2, 0.25] and reports[2]["doing"][
        :3
    ] == ["drawing", 1, 2]


def test_what_is_raised_outside_of_a_trial_is_the_row_of_the_trial_that_it_kept(
    turns: tune._Turns, points: list[Point], job: Job
) -> None:
    """As a job that cannot be unpickled on the worker: no death, and no three rounds."""
    turns.turns.lately.extend([(0.1, 1e12)] * 8)
    first = turns.suggest("a")["trials"]
    turns.failed.add("a")
    turns.fail(
        "a",
        ray.exceptions.RayTaskError(
            "f", "Traceback ... ModuleNotFoundError: no attic", ModuleNotFoundError("no attic")
        ),
    )
    assert (
        records.status(job.store, "small", points[first[0]].point_id) == "failed"
        and not turns.losses.open
    )
    row = records.decode(job.store.read(f"small/records/{points[first[0]].point_id}.json")).row
    assert row["error_type"] == "ModuleNotFoundError" and "no attic" in Path(row["log"]).read_text()
    assert sorted(turns.turns.queue) == [i for i in range(len(points)) if i != first[0]], (
        "the others are handed out again"
    )


def test_points_that_did_not_arrive_and_a_broken_device_are_no_row(
    turns: tune._Turns, job: Job
) -> None:
    turns.suggest("a")
    turns.failed.add("a")
    lost = ray.exceptions.ObjectLostError("id", "", "")
    turns.fail("a", ray.exceptions.RayTaskError("f", "", lost))
    assert "its points did not reach it" in turns.losses.open[0].how and not job.store.names(
        "small/records"
    )
    turns.losses.open.clear()
    turns.turns.close("a")
    index = turns.suggest("b")["trials"][0]
    turns.on_trial_result(
        "b",
        {
            "node": "n1",
            "host": "h",
            "ended": [(index, True, 0.1)],
            "at": -1,
            "broken": "CUDA error",
        },
    )
    turns.failed.add("b")
    turns.fail("b", RuntimeError("CUDA error"))
    assert not turns.losses.open and "b" not in turns.turns.out and index not in turns.turns.queue


def test_a_group_tells_the_first_cause_by_its_name() -> None:
    """Where one worker raises, the others lose it: the lowest rank is not the cause."""
    follows, cause = (
        tell(RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer")),
        tell(Unpicklable("it \ud800 ends")),
    )
    error = SimpleNamespace(
        worker_failures={
            0: SimpleNamespace(_base_exc=pickle.loads(pickle.dumps(follows))),
            1: pickle.loads(pickle.dumps(cause)),
        }
    )
    found = worker_group._cause(error)  # type: ignore[arg-type]
    assert (
        type(found).__name__ == "Unpicklable"
        and str(found) == "it \\ud800 ends"
        and "Unpicklable" in found.__notes__[0]
    )
    assert str(worker_group._cause(SimpleNamespace(worker_failures={0: follows}))).startswith(
        "[gloo"
    )  # type: ignore[arg-type]
    away = Unavailable.during("read", 5, "gone", "results")
    assert worker_group._cause(SimpleNamespace(worker_failures={0: away})) is away  # type: ignore[arg-type]
    assert (
        "cannot be told" in tell(Unprintable()).text
        and type(worker_group._cause(SystemExit(3))).__name__ == "SystemExit"
    )


def test_the_more_groups_look_the_less_often_each_does(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    class Thread(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            pauses.append(timeout or 0.0)
            super().join()

    monkeypatch.setattr(worker_group, "threading", SimpleNamespace(Thread=Thread))
    for seconds in (1.0, 7.0):
        worker_group._followed(
            lambda: None,
            Job(job.store, "small", report_seconds=seconds),
            "none.json",
            lambda *a: None,
        )
    assert set(pauses) <= {1.0, 7.0} and (not pauses or pauses[-1] in (1.0, 7.0))


# Joining a cluster


@contextlib.contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """Somebody at a port who says this to whoever speaks, or nothing at all; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = server.accept()
                    held.append(one)
                    if answer is not None:
                        one.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            for one in held:
                one.close()


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


SPOKEN = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("way", ["flag", "variable", "client"])
def test_an_address_of_nobody_is_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    address = nobody() if way != "client" else f"ray://{nobody()}"
    monkeypatch.setenv("RAY_ADDRESS", address if way == "variable" else "")
    more = [] if way == "variable" else ["--address", address]
    began = time.monotonic()
    assert cli.main([str(folder / "small.py"), "--results", str(folder / "results"), *more]) == 2
    err = capfd.readouterr().err
    assert (
        f"error: no Ray cluster answers at {address}: connection refused\n  help: start one" in err
    )
    assert "rpc_client" not in err and time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what listens there is not Ray"),
        (None, "no answer within"),
    ],
)
def test_who_does_not_speak_as_ray_does_is_no_cluster(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, words: str
) -> None:
    monkeypatch.setattr(ray_connection, "PROBE_SECONDS", 0.3)
    with (
        listener(answer) as address,
        pytest.raises(
            ray_connection.NoCluster, match=f"no Ray cluster answers at {address}: {words}"
        ),
    ):
        ray_connection.join(address)


def test_a_cluster_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "JOIN_SECONDS", 0.3)
    monkeypatch.setattr(ray_connection, "_agree", lambda *a: None)
    over = threading.Event()
    monkeypatch.setattr(ray, "init", lambda *a, **k: over.wait(60))
    with (
        listener(SPOKEN) as address,
        pytest.raises(ray_connection.NoCluster, match="did not let this process in within"),
    ):
        ray_connection.join(address)
    over.set()


@pytest.mark.parametrize("address", ["somewhere", "10.0.0.1:http", "10.0.0.1:99999", ":6379"])
def test_what_is_no_address_is_said_so(address: str) -> None:
    with pytest.raises(ray_connection.NoCluster, match="is no address of a Ray cluster") as found:
        ray_connection.join(address)
    assert "HOST:PORT" in found.value.help


def test_auto_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(address: str) -> str:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray._private.services, "canonicalize_bootstrap_address", none)
    with pytest.raises(ray_connection.NoCluster, match="no Ray cluster runs on this machine"):
        ray_connection.join("auto")


def test_a_long_folder_is_replaced_by_a_short_one_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(ray_connection, "SHORT_FOLDERS", (str(tmp_path),))
    monkeypatch.setenv("TMPDIR", "/tmp/job")
    assert ray_connection._short_folder() is None
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 60)
    own = tmp_path / f"ray-{os.getuid()}"
    assert (
        ray_connection._short_folder() == str(own) == ray_connection._short_folder()
        and own.stat().st_mode & 0o777 == 0o700
    )
    own.chmod(0o777)  # as if somebody else had made it
    other = ray_connection._short_folder()
    assert other is not None and other != str(own) and Path(other).parent == tmp_path
    monkeypatch.setattr(ray_connection, "SHORT_FOLDERS", ())
    with pytest.raises(ray_connection.NoCluster, match="at most 40 bytes"):
        ray_connection._short_folder()


START = """
import os, sys
from oneshot.engine import ray_connection as ray_join
ray_join.join("")
import ray
print(ray.get(ray.remote(lambda: 6 * 7).remote()), ray._private.worker._global_node.get_session_dir_path())
"""


@pytest.mark.slow
def test_ray_starts_below_a_long_folder_and_without_a_home(tmp_path: Path) -> None:
    """As in the folder of a job of a batch system. Nothing is left in the home, where there is
    one.
    """
    long = tmp_path / ("x" * 60)
    for folder in (long, tmp_path / "home"):
        folder.mkdir()
    for home in (tmp_path / "home", tmp_path / "none"):
        env = {**small.environment(), "TMPDIR": str(long), "HOME": str(home)}
        for name in ("RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            env.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-c", START],
            cwd=small.ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0 and done.stdout.split()[0] == "42", done.stderr
        assert done.stdout.split()[1].startswith(f"/tmp/ray-{os.getuid()}")
        assert not home.exists() or not list(home.iterdir())


HEAD = """
import sys
import ray
context = ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
JOIN = """
import sys
from oneshot.engine import ray_connection as ray_join
try:
    ray_join.join(sys.argv[1])
except ray_join.NoCluster as error:
    print(f"refused: {error} | {error.help}")
else:
    import ray
    print("joined", ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


@contextlib.contextmanager
def small_head(env: dict[str, str]) -> Iterator[str]:
    """Ray with one processor in a process of its own, for the length of a with block; yields its
    address.
    """
    command = [sys.executable, "-c", HEAD]
    with subprocess.Popen(
        command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(60)


@pytest.mark.slow
def test_who_has_not_the_token_of_a_cluster_is_refused_and_who_has_it_joins(tmp_path: Path) -> None:
    """By any form of its address, without a page of warnings; and a token in the home is not forced
    on a cluster without one.
    """
    token, other = "a" * 64, "b" * 64
    env = {k: v for k, v in small.environment().items() if not k.startswith("RAY_")} | {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"
    }
    homes = {name: tmp_path / name for name in ("none", "other", "right")}
    for name, text in (("none", ""), ("other", other), ("right", token)):
        (homes[name] / ".ray").mkdir(parents=True)
        if text:
            (homes[name] / ".ray/auth_token").write_text(text)

    def joined(address: str, home: str, **more: str) -> str:
        command = [sys.executable, "-c", JOIN, address]
        given = {**env, "HOME": str(homes[home]), **more}
        done = subprocess.run(
            command, cwd=small.ROOT, env=given, capture_output=True, text=True, timeout=120
        )
        assert (
            done.returncode == 0
            and "gcs_client" not in done.stderr
            and "Traceback" not in done.stderr
        ), done.stderr
        return done.stdout

    with small_head({**env, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}) as address:
        assert joined(address, "right") == "joined 42\n", (
            "without a variable, as --address auto does"
        )
        for home, more in (("none", {}), ("other", {}), ("right", {"RAY_AUTH_MODE": "disabled"})):
            text = joined(address, home, **more)
            assert (
                f"refused: the Ray cluster at {address} asks for a token" in text
                and "~/.ray/auth_token" in text
            ), text
    with small_head({**env, "RAY_AUTH_MODE": "disabled"}) as address:
        assert joined(address, "other") == "joined 42\n"


# Ray's private names


def test_ray_still_has_what_is_changed_or_called_here() -> None:
    """Names without a promise, of the Ray that pyproject.toml allows: whoever raises its bound
    looks here first.
    """
    failed = inspect.unwrap(RayActorManager._actor_task_failed)
    assert list(inspect.signature(failed).parameters) == ["self", "tracked_actor_task", "exception"]
    assert not issubclass(ray.exceptions.OutOfMemoryError, ray.exceptions.RayActorError), (
        "the change is no longer needed"
    )
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import inspect, ray; print(inspect.signature(ray._private.worker.print_to_stdstream))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.startswith("(data, ignore_prefix"), (
        "in a process of its own, as a run changes it"
    )
    assert (
        next(
            iter(inspect.signature(ray._private.services.canonicalize_bootstrap_address).parameters)
        )
        == "addr"
    )
    assert (
        "atexit.register(shutdown, "
        in Path(str(inspect.getsourcefile(ray._private.worker))).read_text()
    )
    assert (
        "warn_if_disabled"
        in inspect.signature(
            ray_connection.token_setup.maybe_enable_token_auth_if_token_available
        ).parameters
    )
    assert callable(ray_connection.AuthenticationTokenLoader.instance().get_token_for_http_header)


def test_ray_still_reads_the_variables_that_are_set_here() -> None:
    package = Path(ray.__file__).parent
    names = set(re.findall(r"\b(?:TUNE|RAY_AIR)_[A-Z_]+\b", Path(tune.__file__).read_text()))
    read = "\n".join(
        p.read_text() for p in [*package.glob("tune/**/*.py"), *package.glob("air/**/*.py")]
    )
    assert len(names) >= 6 and all(f'"{name}"' in read for name in names), [
        n for n in names if n not in read
    ]


def test_the_project_asks_for_a_ray_with_tokens_and_for_none_that_was_not_looked_at() -> None:
    import tomllib

    asked = tomllib.loads((small.ROOT / "pyproject.toml").read_text())["project"]
    rays = [
        line
        for line in [*asked["dependencies"], *asked["optional-dependencies"]["cluster"]]
        if line.startswith("ray[")
    ]
    bounds = [re.search(r">=2\.(\d+),<2\.(\d+)$", line) for line in rays]
    minor = int(ray.__version__.split(".")[1])
    assert len(bounds) == 2 and all(
        b and int(b[1]) == 52 and int(b[1]) <= minor < int(b[2]) == minor + 1 for b in bounds
    ), rays
