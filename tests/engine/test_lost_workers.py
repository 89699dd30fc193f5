"""What the end of a worker means, from the words that Ray has for it; and the machines that an
autoscaler may still start.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from oneshot.engine import lost_workers
from oneshot.engine.autoscaler import promised
from oneshot.engine.lost_workers import LostWorkers, classify

DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: A\n\tpid: 21542\n"
NODE = (
    f"{DIED}The actor died because its node has died. Node Id: 05cd\n\tthe actor's node was"
    " terminated unexpectedly: health check failed"
)
WORKER = (
    f"{DIED}The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
    " Worker exit detail: "
)
MEMORY = (
    "2 worker(s) were killed due to the node running low on memory. Memory on the node was 5.96GB"
    " used / 23.54GB limit"
)


@pytest.mark.parametrize(
    ("text", "lost", "words"),
    [
        (NODE, True, "machine was lost"),
        (f"{DIED} preempted", True, "machine was lost"),
        (
            (
                f"{WORKER}connection error code 2. Some common causes include: (1) the process was"
                " killed by the OOM killer"
            ),
            False,
            "killed",
        ),
        (MEMORY, False, "running out of memory"),
        ("", False, "killed"),
    ],
)
def test_an_error_says_whose_fault_it_was(text: str, lost: bool, words: str) -> None:
    loss = classify("turn", text, False, "node")
    assert loss.machine_lost is lost and words in loss.cause


def test_a_worker_that_does_not_answer_is_judged_when_its_node_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node is gone: nobody's fault. It is still there after half a minute: the worker died
    alone.
    """
    now, alive = [0.0], {"n1", "n2"}
    monkeypatch.setattr("oneshot.engine.lost_workers.time.monotonic", lambda: now[0])
    waiting = LostWorkers(lambda: alive)
    for node in ("n1", "n2"):
        loss = classify(node, "The actor is unavailable: Socket closed", True, node)
        loss.since = now[0]
        waiting.add(loss)
    assert waiting.pop_settled() == [] and len(waiting.open) == 2
    alive.remove("n1")
    (gone,) = waiting.pop_settled()
    assert (gone.batch, gone.machine_lost, gone.cause) == ("n1", True, "its machine was lost")
    now[0] = lost_workers.SETTLE_SECONDS + 1
    (alone,) = waiting.pop_settled()
    assert (alone.batch, alone.machine_lost) == ("n2", False) and waiting.pop_settled() == []


def test_the_machines_that_an_autoscaler_may_start_are_read_from_its_file(tmp_path: Path) -> None:
    types = {
        "head": dict(max_workers=0, resources={"CPU": 0}),
        "gpu": dict(max_workers=8, resources={"CPU": 4, "GPU": 1}),
        "many": dict(max_workers=50, resources={"CPU": 2}),
    }
    path = tmp_path / "ray_bootstrap_config.yaml"
    path.write_text(yaml.safe_dump(dict(max_workers=10, available_node_types=types)))
    assert promised(path) == [(8, {"CPU": 4, "GPU": 1}), (10, {"CPU": 2})]
    for text in ("", "- a list", "max_workers: many", ":\n:"):
        path.write_text(text)
        assert promised(path) == []
    assert promised(tmp_path / "none.yaml") == []
