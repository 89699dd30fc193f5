"""A RayJob of KubeRay: its parts, what is submitted, and where results go."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from oneshot.cluster.cluster_file import ClusterFile, Place, dotted, kind_of, shown_value
from oneshot.sweep.settings import did_you_mean

CLUSTER: Place = ("spec", "rayClusterSpec")
GROUPS: Place = (*CLUSTER, "workerGroupSpecs")
# the keys of each part that the operator knows, with the type of each
GROUP_KEYS = {
    "groupName": str,
    "replicas": int,
    "minReplicas": int,
    "maxReplicas": int,
    "numOfHosts": int,
    "idleTimeoutSeconds": int,
    "rayStartParams": dict,
    "template": dict,
    "scaleStrategy": dict,
    "suspend": bool,
    "labels": dict,
    "resources": dict,
}
KEYS: dict[str, dict[str, type]] = {
    "the file": {"apiVersion": str, "kind": str, "metadata": dict, "spec": dict},
    "spec": {
        "entrypoint": str,
        "rayClusterSpec": dict,
        "activeDeadlineSeconds": int,
        "backoffLimit": int,
        "clusterSelector": dict,
        "deletionPolicy": str,
        "deletionStrategy": dict,
        "entrypointNumCpus": float,
        "entrypointNumGpus": float,
        "entrypointResources": str,
        "jobId": str,
        "managedBy": str,
        "metadata": dict,
        "preRunningDeadlineSeconds": int,
        "runtimeEnvYAML": str,
        "shutdownAfterJobFinishes": bool,
        "submissionMode": str,
        "submitterConfig": dict,
        "submitterPodTemplate": dict,
        "suspend": bool,
        "ttlSecondsAfterFinished": int,
    },
    "rayClusterSpec": {
        "rayVersion": str,
        "headGroupSpec": dict,
        "workerGroupSpecs": list,
        "enableInTreeAutoscaling": bool,
        "autoscalerOptions": dict,
        "authOptions": dict,
        "gcsFaultToleranceOptions": dict,
        "headServiceAnnotations": dict,
        "managedBy": str,
        "networkPolicy": dict,
        "suspend": bool,
        "upgradeStrategy": dict,
    },
    "headGroupSpec": {
        "rayStartParams": dict,
        "template": dict,
        "enableIngress": bool,
        "headService": dict,
        "labels": dict,
        "resources": dict,
        "serviceType": str,
    },
}
NEEDED = {
    "apiVersion": "write apiVersion: ray.io/v1",
    "metadata": "give the job a name: metadata: {name: oneshot}",
    "spec": "copy the part from oneshot/cluster/kuberay.yaml",
    "entrypoint": "say what runs: entrypoint: oneshot run SWEEP --address auto --results s3://...",
    "rayClusterSpec": "copy the part from oneshot/cluster/kuberay.yaml",
    "headGroupSpec": "copy the part from oneshot/cluster/kuberay.yaml",
    "groupName": "name the group, as gpu",
    "template": "copy the pod from oneshot/cluster/kuberay.yaml",
    "rayVersion": 'write that of the image, in quotes, as rayVersion: "{version}"',
}


def is_manifest(config: dict[str, Any]) -> bool:
    """Whether a file is one for Kubernetes, not one for `ray up`."""
    return "provider" not in config and ("kind" in config or "apiVersion" in config)


def groups_of(config: dict[str, Any]) -> list[tuple[Place, dict[str, Any]]]:
    """The groups of pods of a RayJob that has passed `check_parts`, the head's first."""
    cluster = config["spec"]["rayClusterSpec"]
    workers = cluster.get("workerGroupSpecs") or []
    head: Place = (*CLUSTER, "headGroupSpec")
    return [(head, cluster["headGroupSpec"]), *(((*GROUPS, n), g) for n, g in enumerate(workers))]


def check_parts(file: ClusterFile) -> None:
    """Keys and types, as far as sweeps of this project need them."""
    config = file.config
    if config.get("kind") != "RayJob":
        help = "a RayJob makes the cluster, submits the sweep and takes the cluster away"
        file.error(("kind",), f"kind is {shown_value(config.get('kind'))}, RayJob is needed", help)
        return
    version = config.get("apiVersion")
    if version is not None and version != "ray.io/v1":
        help = "write apiVersion: ray.io/v1"
        file.error(("apiVersion",), f"apiVersion is {shown_value(version)}", help)
    _check_keys(file, (), config, KEYS["the file"], ("apiVersion", "metadata", "spec"))
    if isinstance(config.get("metadata"), dict) and not config["metadata"].get("name"):
        file.error(("metadata", "name"), "metadata.name is missing", NEEDED["metadata"])
    needed = ("entrypoint", "rayClusterSpec")
    spec = _check_keys(file, ("spec",), config.get("spec"), KEYS["spec"], needed)
    needed = ("rayVersion", "headGroupSpec")
    given = spec.get("rayClusterSpec")
    cluster = _check_keys(file, CLUSTER, given, KEYS["rayClusterSpec"], needed)
    place: Place = (*CLUSTER, "headGroupSpec")
    _check_keys(file, place, cluster.get("headGroupSpec"), KEYS["headGroupSpec"], ("template",))
    groups = cluster.get("workerGroupSpecs")
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        if not isinstance(group, dict):
            message = f"{dotted((*GROUPS, index))} is {kind_of(group)}, a mapping is needed"
            file.error((*GROUPS, index), message, NEEDED["template"])
        _check_keys(file, (*GROUPS, index), group, GROUP_KEYS, ("groupName", "template"))


def _check_keys(
    file: ClusterFile, place: Place, given: Any, known: dict[str, type], needed: tuple[str, ...]
) -> dict[str, Any]:
    """Note keys that are not known, missing, or of a wrong type; the part, {} if it is none."""
    if not isinstance(given, dict):
        return {}
    for key, value in given.items():
        wanted = known.get(str(key))
        if key in ("status",) and not place:
            continue
        if wanted is None:
            near = did_you_mean(str(key), list(known))
            help = f"take it out, or write one of {', '.join(sorted(known))}"
            where = dotted(place) or "the file"
            file.error((*place, key), f"KubeRay knows no key {key!r} in {where}.{near}", help)
        elif not _fits(value, wanted):
            name = kind_of(wanted())
            message = f"{dotted((*place, key))} is {shown_value(value)} ({kind_of(value)})"
            quoted = f'give {name}, in quotes: "{value}"' if wanted is str else f"give {name}"
            file.error((*place, key), f"{message}, {name} is needed", quoted)
    for key in needed:
        if given.get(key) in (None, ""):
            help = NEEDED[key].format(version=ray_version())
            file.error((*place, key), f"{dotted((*place, key))} is missing", help)
    return given


def _fits(value: Any, wanted: type) -> bool:
    """Whether a value has the type that is wanted."""
    if isinstance(value, bool):
        return wanted is bool
    return value is None or isinstance(value, (int, float) if wanted is float else wanted)


def ray_version() -> str:
    """The pinned version of Ray, which the image has."""
    pinned = Path(__file__).parents[3] / "constraints.txt"
    if pinned.is_file() and (found := re.search(r"^ray==(\S+)", pinned.read_text(), re.M)):
        return found[1]
    return metadata.version("ray")


def check_version(file: ClusterFile) -> None:
    """Whether the operator is told the version of Ray that the image has."""
    given, pinned = file.config["spec"]["rayClusterSpec"]["rayVersion"], ray_version()
    if given != pinned:
        file.error(
            (*CLUSTER, "rayVersion"),
            f"rayVersion is {given}, but the image has Ray {pinned} (constraints.txt)",
            f'write "{pinned}"; an image of your own with another Ray needs other constraints',
        )


def check_entrypoint(file: ClusterFile) -> None:
    """What is submitted, and whether its results outlive the pods."""
    place, text = ("spec", "entrypoint"), file.config["spec"]["entrypoint"]
    try:
        words = shlex.split(text)
    except ValueError as error:
        file.error(place, f"entrypoint is no command: {error}", "close the quotes")
        return
    if not re.search(r"\boneshot\b|run_sweep\.py", text):
        help = "write: oneshot run SWEEP --address auto --results s3://..."
        file.hint(place, "entrypoint does not run a sweep of this project", help)
    results = results_of(words)
    if results is None:
        file.error(
            place,
            "entrypoint has no --results: rows would lie in the container and go with it",
            "add --results s3://BUCKET/results",
        )
    elif "://" not in results and not _is_on_a_volume(file, results):
        file.error(
            place,
            f"--results {results} lies in the container and goes with it",
            "give a bucket, as s3://BUCKET/results, or a path on a volume that all pods mount",
        )
    if "--local" in words:
        message = "--local trains in the head's pod alone"
        file.error(place, message, "write --address auto in its place")


def results_of(words: list[str]) -> str | None:
    """What follows --results in a command; None without it."""
    for index, word in enumerate(words):
        if word == "--results" and index + 1 < len(words):
            return words[index + 1]
        if word.startswith("--results="):
            return word.partition("=")[2]
    return None


def _is_on_a_volume(file: ClusterFile, path: str) -> bool:
    """Whether every group of pods mounts a lasting volume at this path or above it."""
    return all(
        any(path == m or path.startswith(f"{m.rstrip('/')}/") for m in _lasting_mounts(group))
        for _, group in groups_of(file.config)
    )


def _lasting_mounts(group: dict[str, Any]) -> Iterator[str]:
    """Where a group's first container mounts what outlives its pod."""
    pod = group["template"].get("spec")
    pod = pod if isinstance(pod, dict) else {}
    lasting = {
        volume.get("name")
        for volume in pod.get("volumes") or []
        if isinstance(volume, dict) and not {"emptyDir", "configMap", "secret"} & set(volume)
    }
    containers = pod.get("containers")
    first = containers[0] if isinstance(containers, list) and containers else {}
    for mount in (first.get("volumeMounts") or []) if isinstance(first, dict) else []:
        if isinstance(mount, dict) and mount.get("name") in lasting:
            yield str(mount.get("mountPath", ""))


def check_end(file: ClusterFile) -> None:
    """What happens when the sweep is done, or its cluster is lost."""
    spec = file.config["spec"]
    if not spec.get("shutdownAfterJobFinishes"):
        file.hint(
            ("spec", "shutdownAfterJobFinishes"),
            "the pods stay when the sweep is done, and are paid",
            "write shutdownAfterJobFinishes: true",
        )
    if not spec.get("backoffLimit"):
        file.hint(
            ("spec", "backoffLimit"),
            "a head that is lost ends the job for good",
            "write backoffLimit: 3; a new cluster computes only points without a record",
        )
