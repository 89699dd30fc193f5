"""Mistakes in cluster files are named, each with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import yaml
from cluster_files import WORKER, edited, put, report_of

AWS: list[tuple[Callable[[dict[str, Any]], None], list[str]]] = [
    (
        put("idle_timeout_minuts", 5),
        ["no key 'idle_timeout_minuts' at the top of the file", "help: write idle_timeout_minutes"],
    ),
    (
        put(f"{WORKER}.max_worker", 5),
        [f"no key 'max_worker' in {WORKER}.", f"{WORKER}.max_worker", "help: write max_workers"],
    ),
    (
        put(f"{WORKER}.spot", True),
        ["no key 'spot'", "take it out; known", "node_config, priority, resources"],
    ),
    (
        put("idle_timeout_minutes", "ten"),
        ["idle_timeout_minutes is ten (text), a number is needed", "help: give a number"],
    ),
    (
        put("cluster_name", 7),
        ["cluster_name is 7 (a whole number), text is needed", 'in quotes: "7"'],
    ),
    (
        put("setup_commands", "pip install ."),
        ["setup_commands is pip install . (text), a list is needed", "after a dash"],
    ),
    (put("cluster_name", None), ["cluster_name is missing", "add a name"]),
    (put("max_workers", -1), ["max_workers is -1, below 0", "give 0 or more"]),
    (
        put("head_node_type", "haed"),
        ["head_node_type is 'haed'", "Did you mean 'head'?", "help: write one of head, gpu_worker"],
    ),
    (put("head_node_type", None), ["head_node_type is missing", "write one of head, gpu_worker"]),
    (put(f"{WORKER}.min_workers", 8), ["8 of gpu_worker stay even when idle"]),
    (
        put(f"{WORKER}.resources", {"GPU": 0.5}),
        [
            f"{WORKER}.resources.GPU is 0.5 (a fraction)",
            "help: give what the whole",
            "--gpus-per-trial .5",
        ],
    ),
    (put(f"{WORKER}.resources", None), [f"{WORKER}.resources is missing", "add resources: {}"]),
    (
        put(f"{WORKER}.max_workers", 0),
        ["max_workers of gpu_worker is 0: none can start", "give 1 or more"],
    ),
    (put(f"{WORKER}.min_workers", -2), ["min_workers of gpu_worker is -2", "give 0 or more"]),
    (put("max_workers", 0), ["max_workers is 0: no worker can start", "give the most workers"]),
    (put(WORKER, None), ["no node type besides the head's", "help: add one"]),
    (
        put("file_mounts", {"~/oneshot": "./onshot"}),
        ["there is no ./onshot to copy to ~/oneshot", f"this is {small.ROOT}"],
    ),
    (
        put("rsync_exclude", ["data"]),
        ["rsync_exclude 'data' also keeps data of this project", '"/data" means'],
    ),
    (put("rsync_exclude", ["*.txt"]), ["keeps constraints.txt of this project", '"/*.txt"']),
    (
        put("setup_commands", ["pip install boto3", "cd ~/oneshot"]),
        ["setup_commands: no command installs this project", "-c constraints.txt -e"],
    ),
    (
        put("head_start_ray_commands", ["ray stop", "ray start --head"]),
        ["no --autoscaling-config", "add --autoscaling-config="],
    ),
    (
        put("auth.ssh_private_key", "~/.ssh/none.pem"),
        ["there is no file ~/.ssh/none.pem", "take the line out", "has no KeyName"],
    ),
    (
        put("provider.type", "awss"),
        ["there is no provider 'awss'", "Did you mean 'aws'?", "write one of aws, gcp, local"],
    ),
    (
        put("provider", {"type": "aws", "regoin": "us-west-2"}),
        ["provider.regoin is no key that aws knows", "help: write region", "region is missing"],
    ),
    # beside InstanceType nothing is missing, and Ray lets it pass
    (put(f"{WORKER}.node_config.instance_type", "g5.xlarge"), []),
    (
        put(f"{WORKER}.node_config", {"instance_type": "g5.xlarge"}),
        ["instance_type is no key that aws knows", "help: write InstanceType"],
    ),
    (
        put(f"{WORKER}.node_config.InstanceType", None),
        [f"{WORKER}.node_config.InstanceType is missing", "say which machine"],
    ),
    (
        put(f"{WORKER}.node_config.ImageId", None),
        ["gpu_worker has no ImageId", "Ubuntu 18.04", "how to find one"],
    ),
    (
        put("provider.region", "YOUR-REGION"),
        ["YOUR-REGION is still to be filled in", "provider.region", "help: replace it"],
    ),
]


@pytest.mark.parametrize(
    ("change", "words"),
    [case for case in AWS if case[1]],
    ids=[case[1][0][:40] for case in AWS if case[1]],
)
def test_a_mistake_is_named_with_a_remedy(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    text, status = report_of(tmp_path, edited(change))
    assert all(word in text for word in words), text
    assert status == (0 if "stay even" in words[0] else 2) and " help: " in text


def test_more_workers_at_least_than_at_most(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["max_workers"] = 3
        config["available_node_types"]["gpu_worker"]["min_workers"] = 4

    text, status = report_of(tmp_path, edited(change))
    assert (
        status == 2
        and "max_workers is 3, less than the min_workers of all types: 4 of gpu_worker" in text
        and "raise it" in text
    )
    text, status = report_of(tmp_path, edited(put(f"{WORKER}.min_workers", 9)))
    assert status == 2 and "min_workers of gpu_worker is 9, above its max_workers 8" in text


LOCAL: list[tuple[Callable[[dict[str, Any]], None], list[str]]] = [
    (put("provider.head_ip", None), ["provider.head_ip is missing", "the address of the machine"]),
    (
        put("provider.worker_ips", None),
        ["provider.worker_ips is missing", "list the other machines"],
    ),
    (
        put("provider.worker_ips", "10.0.0.2"),
        ["provider.worker_ips is 10.0.0.2 (text), a list is needed", "after a dash"],
    ),
    (
        lambda config: config["provider"].update(worker_ips=None),
        ["provider.worker_ips is null (nothing), a list is needed", "[] for the head alone"],
    ),
    (
        put("provider.worker_ips", ["10.0.0.1"]),
        ["10.0.0.1 is there twice", "take it out: the head"],
    ),
    (put("auth", {}), ["auth.ssh_user is missing", "the user's name"]),
    (
        put("head_node_type", "x"),
        ["provider local has no head_node_type", "take it out: Ray finds"],
    ),
]


@pytest.mark.parametrize(("change", "words"), LOCAL, ids=[case[1][0][:40] for case in LOCAL])
def test_a_mistake_about_own_machines_is_named_with_a_remedy(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    text, status = report_of(tmp_path, edited(change, "oneshot/cluster/local.yaml"))
    assert status == 2 and all(word in text for word in words), text


def test_the_head_alone_is_a_cluster_of_own_machines(tmp_path: Path) -> None:
    def alone(config: dict[str, Any]) -> None:
        config["provider"]["worker_ips"] = []
        config["min_workers"] = config["max_workers"] = 0

    text, status = report_of(tmp_path, edited(alone, "oneshot/cluster/local.yaml"))
    assert status == 0 and "machine 10.0.0.1 alone" in text and "hint:" not in text, text


def test_a_head_alone_needs_no_autoscaling_and_may_have_been_installed_before(
    tmp_path: Path,
) -> None:
    """Ray takes such files; a cluster with workers needs the autoscaler all the same."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    def alone(config: dict[str, Any]) -> None:
        config["provider"]["worker_ips"] = []
        config["setup_commands"] = ["test -x ~/oneshot/.venv/bin/python"]
        start = "RAY_AUTH_MODE=token RAY_JOB_STOP_WAIT_TIME_S=60 ray start --head --port=6379"
        config["head_start_ray_commands"] = ["ray stop", start]

    def with_workers(config: dict[str, Any]) -> None:
        alone(config)
        config["provider"]["worker_ips"] = ["10.0.0.2"]

    text = edited(alone, "oneshot/cluster/local.yaml")
    validate_config(prepare_config(yaml.safe_load(text)))
    out, status = report_of(tmp_path, text)
    assert status == 0 and "hint: setup_commands: no command installs this project" in out, out
    assert "autoscaling" not in out, out
    out, status = report_of(tmp_path, edited(with_workers, "oneshot/cluster/local.yaml"))
    assert status == 2 and "no --autoscaling-config: no worker would start" in out, out


def test_own_machines_with_workers_need_the_older_autoscaler(tmp_path: Path) -> None:
    def without(config: dict[str, Any]) -> None:
        starts = config["head_start_ray_commands"]
        assert "RAY_enable_autoscaler_v2=0" in starts[1]
        starts[1] = starts[1].replace("RAY_enable_autoscaler_v2=0 ", "")

    out, status = report_of(tmp_path, edited(without, "oneshot/cluster/local.yaml"))
    assert status == 0 and "hint: Ray's newer autoscaler starts no worker" in out, out


def test_on_google_cloud_gpus_must_be_named_and_project_and_zone_given(tmp_path: Path) -> None:
    text, status = report_of(
        tmp_path, edited(put(f"{WORKER}.resources", {"CPU": 8}), "oneshot/cluster/gcp.yaml")
    )
    assert status == 2 and "gpu_worker has guestAccelerators but no GPU in its resources" in text
    text, status = report_of(
        tmp_path,
        edited(put("provider", {"type": "gcp", "region": "us-west1"}), "oneshot/cluster/gcp.yaml"),
    )
    assert (
        status == 2
        and "provider.project_id is missing" in text
        and "provider.availability_zone is missing" in text
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            put(f"{WORKER}.node_config.InstanceMarketOptions", None),
            ["paid on demand, not spot", "MarketType: spot", "g5.xlarge on demand"],
        ),
        (
            put(f"{WORKER}.node_config.InstanceType", "m5.4xlarge"),
            ["gpu_worker has no GPU", "m5.4xlarge spot, 0 GPUs each"],
        ),
        (
            put(f"{WORKER}.node_config.IamInstanceProfile", None),
            ["its trials cannot write to a bucket"],
        ),
        (
            put("available_node_types.head.resources", {}),
            ["the head has processors for trials", "m5.large, runs trials too"],
        ),
        (
            put("setup_commands", ["cd ~/oneshot && pip install ."]),
            ["install no pinned versions", "ray[default] is not installed"],
        ),
        (
            put(
                "head_start_ray_commands",
                ["RAY_AUTH_MODE=token ray start --head --autoscaling-config=x"],
            ),
            ["kill after 3 seconds", "RAY_JOB_STOP_WAIT_TIME_S=60"],
        ),
    ],
)
def test_what_works_but_is_hardly_meant_is_a_hint(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    text, status = report_of(tmp_path, edited(change))
    assert status == 0 and "is in order" in text and "hint: " in text and "error:" not in text
    assert all(word in text for word in words), text
