"""The pods of a RayJob: images, resources, GPUs and credentials."""

from __future__ import annotations

import re
import shlex
from typing import Any

from oneshot.cluster.cluster_file import (
    PLACEHOLDER,
    ClusterFile,
    Place,
    dotted,
    kind_of,
    shown_value,
)
from oneshot.cluster.rules.rayjob import GROUPS, groups_of, results_of

GPU = re.compile(r"^[\w.-]+/(gpu|mig-[\w.-]+)$")  # nvidia.com/gpu, amd.com/gpu
# variables by which clouds are told who writes
CREDENTIALS = re.compile(r"AWS_|GOOGLE_|AZURE_")


def check_containers(file: ClusterFile) -> None:
    """Whether every group has a container, and its image a tag that stays."""
    for place, group in groups_of(file.config):
        pod = group["template"].get("spec")
        containers = pod.get("containers") if isinstance(pod, dict) else None
        if not (isinstance(containers, list) and containers and isinstance(containers[0], dict)):
            message = f"{dotted(place)} has no container in template.spec.containers"
            file.error((*place, "template"), message, "copy one from oneshot/cluster/kuberay.yaml")
            continue
        at = (*place, "template", "spec", "containers", 0)
        _check_image(file, at, containers[0].get("image"))
        _check_limits(file, at, containers[0])


def _check_image(file: ClusterFile, place: Place, image: Any) -> None:
    """Whether an image is named, by a tag that stays."""
    where = (*place, "image")
    if not image:
        help = "build the Dockerfile, push the image, and write its name with a tag"
        file.error(where, f"{dotted(where)} is missing", help)
        return
    if not isinstance(image, str):
        file.error(where, f"{dotted(where)} is {kind_of(image)}, text is needed", "write its name")
        return
    name, _, tag = image.rpartition("/")[2].partition(":")
    if "@" in image or PLACEHOLDER.search(image):
        return
    if tag in ("", "latest"):
        says = "has the tag latest" if tag else "has no tag, which means latest"
        file.error(
            where,
            f"the image {name} {says}: pods that start later get another version",
            f"write a tag that never moves, as {name}:0.1.0, or @sha256:...",
        )


def _check_limits(file: ClusterFile, place: Place, container: dict[str, Any]) -> None:
    """Whether Ray is told what a pod has."""
    limits = _part(container, "limits")
    if not {"cpu", "memory"} <= set(limits):
        file.hint(
            place,
            f"{dotted(place)} has no limits for cpu and memory: Ray takes the whole node for its",
            "write resources: {limits: {cpu: ..., memory: ...}}",
        )
    for name in _part(container, "requests"):
        if GPU.match(str(name)) and name not in limits:
            message = f"{name} stands in requests alone; Kubernetes takes GPUs from limits"
            file.error(place, message, "write it in limits")


def _part(container: dict[str, Any], name: str) -> dict[str, Any]:
    """The limits or requests of a container."""
    resources = container.get("resources")
    part = resources.get(name) if isinstance(resources, dict) else None
    return part if isinstance(part, dict) else {}


def gpus_in(group: dict[str, Any]) -> int:
    """GPUs of one pod of a group that has passed `check_containers`."""
    limits = _part(group["template"]["spec"]["containers"][0], "limits")
    counts = [str(count) for name, count in limits.items() if GPU.match(str(name))]
    return sum(int(count) for count in counts if count.isdigit())


def check_groups(file: ClusterFile) -> None:
    """How many workers there can be, and whether trials ask for their GPUs."""
    head, *workers = groups_of(file.config)
    for place, group in (head, *workers):
        for key, value in (group.get("rayStartParams") or {}).items():
            if not isinstance(value, str):
                where = (*place, "rayStartParams", key)
                message = f"{dotted(where)} is {kind_of(value)}, text is needed"
                file.error(where, message, f'write it in quotes: "{shown_value(value)}"')
    for place, group in workers:
        least, most = group.get("minReplicas") or 0, group.get("maxReplicas")
        name = group["groupName"]
        if most is None:
            help = "say how many workers you want at most"
            file.error((*place, "maxReplicas"), f"maxReplicas of {name} is missing", help)
        elif most <= 0:
            help = "give 1 or more, or take the group out"
            message = f"maxReplicas of {name} is {most}: none can start"
            file.error((*place, "maxReplicas"), message, help)
        elif least > most:
            message = f"minReplicas of {name} is {least}, above its maxReplicas {most}"
            file.error((*place, "minReplicas"), message, "lower it, or raise maxReplicas")
    idle_head = (head[1].get("rayStartParams") or {}).get("num-cpus") == "0"
    if not workers and idle_head:
        message = "there is no worker group, and the head has no processor for trials"
        help = "add a group, or take num-cpus out of the head's rayStartParams"
        file.error(GROUPS, message, help)
    _check_growth(file, workers)
    _check_gpus(file, [group for _, group in workers] or [head[1]])


def _check_growth(file: ClusterFile, workers: list[tuple[Place, dict[str, Any]]]) -> None:
    """Whether something starts workers."""
    grows = file.config["spec"]["rayClusterSpec"].get("enableInTreeAutoscaling")
    if workers and not grows and not any(g.get("replicas") for _, g in workers):
        file.error(
            (*GROUPS, 0, "replicas"),
            "replicas are 0 and nothing raises them: no worker starts",
            "write enableInTreeAutoscaling: true in rayClusterSpec, or give replicas",
        )


def _check_gpus(file: ClusterFile, groups: list[dict[str, Any]]) -> None:
    """Whether trials ask for the GPUs that there are."""
    try:
        words = shlex.split(file.config["spec"]["entrypoint"])
    except ValueError:
        return  # said already
    asked = None
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--gpus-per-trial":
            asked = value if equals else (words[index + 1] if index + 1 < len(words) else "")
    none_asked = asked is None or re.fullmatch(r"0*\.?0*", asked or "0") is not None
    has_gpus = any(gpus_in(group) for group in groups)
    if has_gpus and none_asked and not any(g.get("minReplicas") for g in groups if gpus_in(g)):
        file.error(
            ("spec", "entrypoint"),
            "no trial asks for a GPU, so no GPU worker starts",
            "add --gpus-per-trial 1 to entrypoint",
        )
    if not has_gpus and not none_asked:
        file.error(
            ("spec", "entrypoint"),
            f"trials ask for {asked} GPU, and no pod has one: they would wait for ever",
            "take --gpus-per-trial out, or add nvidia.com/gpu to the limits of a worker group",
        )


def check_credentials(file: ClusterFile) -> None:
    """Whether all pods may write to the bucket."""
    results = results_of(shlex.split(file.config["spec"]["entrypoint"])) or ""
    if "://" not in results:
        return
    for place, group in groups_of(file.config):
        pod = group["template"]["spec"]
        container = pod["containers"][0]
        names = [str(e.get("name")) for e in container.get("env") or [] if isinstance(e, dict)]
        if not (
            pod.get("serviceAccountName")
            or container.get("envFrom")
            or any(CREDENTIALS.match(name) for name in names)
        ):
            file.hint(
                (*place, "template"),
                f"{dotted(place)} names no account and no secret: may it write to {results}?",
                "give serviceAccountName or envFrom, if the nodes have no role of their own",
            )
