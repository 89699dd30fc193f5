"""Machines: node types, how many workers there can be, and machines of one's own."""

from __future__ import annotations

import re
from typing import Any

from oneshot.cluster.cluster_file import ClusterFile, Place, dotted
from oneshot.cluster.rules.schema import check_near_keys
from oneshot.sweep.settings import did_you_mean

NODE_KEYS = {
    "aws": (
        "BlockDeviceMappings IamInstanceProfile ImageId InstanceMarketOptions InstanceType KeyName"
        " NetworkInterfaces SecurityGroupIds SubnetIds UserData TagSpecifications Placement"
        " MetadataOptions EbsOptimized"
    ),
    "gcp": (
        "machineType disks guestAccelerators metadata scheduling serviceAccounts networkInterfaces"
        " labels tags minCpuPlatform"
    ),
}
# GPUs of the EC2 instance types that people train on, by family; where sizes differ, by size.
GPUS: dict[str, dict[str, int]] = {
    "g4dn": {"12xlarge": 4, "metal": 8, "": 1},
    **{
        family: {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8, "": 1}
        for family in ("g5", "g6", "g6e")
    },
    "p3": {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"4xlarge": 1, "48xlarge": 8},
}


def check_node_types(file: ClusterFile) -> None:
    """The head's type and what each type's machine needs."""
    names, head = (
        list(file.config.get("available_node_types", {})),
        file.config.get("head_node_type"),
    )
    if file.kind == "local":
        return
    if not names:
        file.error(
            ("available_node_types",),
            "available_node_types is missing: which machines?",
            "copy the part from cluster.yaml",
        )
    elif head is None:
        file.error(
            ("head_node_type",), "head_node_type is missing", f"write one of {', '.join(names)}"
        )
    elif head not in names:
        near = did_you_mean(head, names)
        file.error(
            ("head_node_type",),
            f"head_node_type is {head!r}, which is no node type.{near}",
            f"write one of {', '.join(names)}",
        )
    for name, _, node in file.node_types():
        place: Place = ("available_node_types", name, "node_config")
        check_near_keys(file, place, node, NODE_KEYS.get(file.kind or "", "").split())
        machine = {"aws": "InstanceType", "gcp": "machineType"}.get(file.kind or "")
        if machine and not node.get(machine):
            file.error(
                (*place, machine),
                f"{dotted((*place, machine))} is missing",
                f"say which machine, as in cluster.yaml: {machine}: ...",
            )
    head_type = file.config.get("available_node_types", {}).get(head)
    if head_type and head_type["resources"].get("CPU") != 0:
        place = ("available_node_types", head, "resources")
        file.hint(
            place,
            "the head has processors for trials, beside the driver",
            'resources: {"CPU": 0} keeps them on the workers',
        )


def check_workers(file: ClusterFile) -> None:
    """How many workers there can be, and of what kind."""
    if file.kind == "local" or any(p.place == "available_node_types" for p in file.problems):
        return
    most, head = file.config.get("max_workers"), file.config.get("head_node_type")
    if most is None:
        file.hint(
            ("max_workers",),
            "max_workers is missing: Ray takes 2",
            "say how many workers you want at most",
        )
    least = {name: given.get("min_workers", 0) for name, given, _ in file.node_types()}
    if sum(least.values()) > (2 if most is None else most):
        parts = " + ".join(f"{n} of {name}" for name, n in least.items() if n)
        file.error(
            ("max_workers",),
            f"max_workers is {most}, less than the min_workers of all types: {parts}",
            "raise it, or lower those",
        )
    if most == 0:
        file.error(
            ("max_workers",),
            "max_workers is 0: no worker can start",
            "give the most workers that you want to pay for",
        )
    found = [entry for entry in file.node_types() if entry[0] != head]
    for name, given, node in found:
        _check_worker(file, name, given, node)
    if not found and head in least:
        file.error(
            ("available_node_types",),
            "there is no node type besides the head's: no worker can start",
            "add one, as gpu_worker in cluster.yaml",
        )


def _check_worker(
    file: ClusterFile, name: str, given: dict[str, Any], node: dict[str, Any]
) -> None:
    """One type of worker."""
    place: Place = ("available_node_types", name)
    most, least = given.get("max_workers"), given.get("min_workers", 0)
    if most is not None and most <= 0:
        file.error(
            (*place, "max_workers"),
            f"max_workers of {name} is {most}: none can start",
            "give 1 or more, or take the type out",
        )
    elif most is not None and least > most:
        file.error(
            (*place, "min_workers"),
            f"min_workers of {name} is {least}, above its max_workers {most}",
            "lower it, or raise max_workers",
        )
    if least < 0:
        file.error((*place, "min_workers"), f"min_workers of {name} is {least}", "give 0 or more")
    if least > 0:
        file.hint(
            (*place, "min_workers"),
            f"{least} of {name} stay even when idle, and are paid",
            "min_workers: 0 lets all go",
        )
    gpus = gpus_of(file.kind, given)
    if gpus == 0 and file.kind == "gcp" and node.get("guestAccelerators"):
        file.error(
            (*place, "resources"),
            f"{name} has guestAccelerators but no GPU in its resources: trials would not see it",
            'resources: {"CPU": ..., "GPU": 1}',
        )
    elif gpus == 0:
        file.hint(
            (*place, "resources"),
            f"{name} has no GPU: trials run on processors",
            "choose another machine if that is not meant",
        )
    if file.kind in ("aws", "gcp") and not is_spot(node):
        key = (
            "InstanceMarketOptions: {MarketType: spot}"
            if file.kind == "aws"
            else "scheduling: {provisioningModel: SPOT}"
        )
        file.hint(
            (*place, "node_config"),
            f"{name} is paid on demand, not spot",
            f"{key} is cheaper; interrupted points continue",
        )


def check_own_machines(file: ClusterFile) -> None:
    """Addresses of machines that are there already."""
    if file.kind != "local":
        return
    for key in ("available_node_types", "head_node_type"):
        if key in file.config:
            file.error(
                (key,),
                f"provider local has no {key}",
                "take it out: Ray finds processors and GPUs of your machines itself",
            )
    if "coordinator_address" in file.provider:
        return
    head, workers = file.provider.get("head_ip"), file.provider.get("worker_ips")
    if not head:
        file.error(
            ("provider", "head_ip"),
            "provider.head_ip is missing",
            "give the address of the machine that is to be the head",
        )
    if workers is None:
        message = "provider.worker_ips is missing"
        file.error(
            ("provider", "worker_ips"),
            message,
            "list the other machines, one a line after a dash; [] for the head alone",
        )
    for index, ip in enumerate(workers or []):
        if ip == head or ip in (workers or [])[:index]:
            help = (
                "take it out: the head runs trials by itself"
                if ip == head
                else "take one of them out"
            )
            file.error(("provider", "worker_ips", index), f"{ip} is there twice", help)
    if not file.config.get("auth", {}).get("ssh_user"):
        file.error(
            ("auth", "ssh_user"),
            "auth.ssh_user is missing",
            "give the user's name on these machines",
        )


def is_spot(node: dict[str, Any]) -> bool:
    """Whether a node is one that may be taken away."""
    market = node.get("InstanceMarketOptions")
    if isinstance(market, dict):
        return market.get("MarketType") == "spot"
    asked = node.get("scheduling") or {}
    parts = asked if isinstance(asked, list) else [asked]  # Ray's own examples have a list here
    return any(
        isinstance(p, dict)
        and (p.get("preemptible") is True or p.get("provisioningModel") == "SPOT")
        for p in parts
    )


def gpus_of(kind: str | None, given: dict[str, Any]) -> int | None:
    """GPUs of a node type.

    Args:
        kind: the type of the provider.
        given: what the file says of the node type.

    Returns:
        How many, None where that cannot be known here.
    """
    if "GPU" in given["resources"]:
        return int(given["resources"]["GPU"])
    if kind != "aws":
        return 0 if kind == "gcp" else None
    family, _, size = str(given["node_config"].get("InstanceType", "")).partition(".")
    if family in GPUS:
        return GPUS[family].get(size, GPUS[family].get(""))
    return 0 if re.match(r"[mcrtiz]\d", family) else None
