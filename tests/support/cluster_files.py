"""Cluster files as people leave them: filled in, and with one mistake each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import small
import yaml

from oneshot.cluster import check

FILES = ("cluster.yaml", "oneshot/cluster/gcp.yaml", "oneshot/cluster/local.yaml")
ANSWERS = {
    "YOUR-AMI": "ami-0123456789abcdef0",
    "YOUR-INSTANCE-PROFILE": "oneshot-nodes",
    "YOUR-PROJECT": "my-project-17",
    "YOUR-HEAD-IP": "10.0.0.1",
    "YOUR-WORKER-IP-1": "10.0.0.2",
    "YOUR-WORKER-IP-2": "10.0.0.3",
    "YOUR-USER": "me",
    "YOUR-IMAGE": "registry.example/oneshot:0.1.0-gpu",
    "YOUR-BUCKET": "drawings",
}
WORKER = "available_node_types.gpu_worker"


def filled(name: str) -> str:
    """The text of a cluster file as a person leaves it who filled it in."""
    text = (small.ROOT / name).read_text()
    for mark, answer in ANSWERS.items():
        text = text.replace(mark, answer)
    return text


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def report_of(folder: Path, text: str) -> tuple[str, int]:
    """The report on a text as one line of words, and the status.

    Every line must fit, but for those with a long file name.
    """
    path = written(folder, text)
    out, status = check.report(path)
    assert all(len(line) < 80 for line in out.splitlines() if str(path) not in line), out
    return " ".join(out.split()), status


def edited(change: Callable[[dict[str, Any]], Any], name: str = "cluster.yaml") -> str:
    """A file with one change, written anew."""
    config = yaml.safe_load(filled(name))
    change(config)
    return yaml.safe_dump(config, sort_keys=False)


def put(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets what stands at a dotted place; None takes it out."""

    def change(config: dict[str, Any]) -> None:
        *way, last = place.split(".")
        for key in way:
            config = config[int(key) if isinstance(config, list) else key]
        if value is None:
            del config[last]
        else:
            config[last] = value

    return change
