"""What a RayJob asks for, and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from oneshot.cluster.rules.rayjob import groups_of, results_of
from oneshot.cluster.rules.rayjob_pods import gpus_in


def facts(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the summary of a RayJob that is in order: a name and a text each."""
    spec = config["spec"]
    (_, head), *workers = groups_of(config)
    name = config["metadata"]["name"]
    found = [
        ("job", f"{name}, by KubeRay with Ray {spec['rayClusterSpec']['rayVersion']}"),
        ("runs", spec["entrypoint"]),
        ("head", f"{_image(head)}, {_trials_of(head)}"),
    ]
    for _, group in workers:
        gpus = gpus_in(group)
        each = f", {gpus} GPU{'s' * (gpus != 1)} each"
        count = f"{group.get('minReplicas') or 0}..{group['maxReplicas']} of {group['groupName']}"
        found.append(("workers", f"{count}: {_image(group)}{each}"))
    results = results_of(shlex.split(spec["entrypoint"])) or ""
    return [*found, ("results", f"{results}, which every pod must be able to write to")]


def _image(group: dict[str, Any]) -> str:
    return str(group["template"]["spec"]["containers"][0]["image"])


def _trials_of(head: dict[str, Any]) -> str:
    """Whether the head has trials too."""
    idle = (head.get("rayStartParams") or {}).get("num-cpus") == "0"
    return "runs no trials" if idle else "runs trials too"


def next_commands(file: Path, config: dict[str, Any]) -> list[str]:
    """The commands that follow.

    Args:
        file: the manifest.
        config: what it holds.

    Returns:
        The lines that people read.
    """
    quoted, name = shlex.quote(str(file)), config["metadata"]["name"]
    indent = " " * 12
    return [
        f"next        kubectl apply -f {quoted}",
        f"{indent}kubectl get rayjob {name} --watch",
        f"{indent}kubectl logs --follow job/{name}   # the lines that the run prints",
        f"{indent}kubectl delete -f {quoted}   # the bucket stays",
    ]
