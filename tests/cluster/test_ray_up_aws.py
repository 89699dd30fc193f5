"""`ray up` of cluster.yaml with an emulator of EC2, each instance of which is a machine of this one
with an ssh server: the head starts a worker when points wait, and ends it when none do.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import machines
import pytest
import small
import yaml
from cluster_files import filled

pytestmark = [pytest.mark.slow, pytest.mark.machines]

FILE = "/mnt/aws.yaml"
AWS = {
    "AWS_ENDPOINT_URL": f"http://{machines.NETWORK}.1:5000",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-west-2",
}
# leads every instance that is asked for at the desk to the head
PROXY = """\
import os, socket, threading
there = socket.create_connection(("{address}", 22))
def send():
    while part := os.read(0, 65536):
        there.sendall(part)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while part := there.recv(65536):
    os.write(1, part)
"""
PREPARE = """\
import boto3
ec2, iam = boto3.client("ec2"), boto3.client("iam")
ec2.import_key_pair(KeyName="ours", PublicKeyMaterial=open("/mnt/key.pub", "rb").read())
iam.create_role(RoleName="nodes", AssumeRolePolicyDocument="{}")
iam.create_instance_profile(InstanceProfileName="oneshot-nodes")
iam.add_role_to_instance_profile(InstanceProfileName="oneshot-nodes", RoleName="nodes")
print(ec2.describe_images()["Images"][0]["ImageId"])
"""
WATCH = """\
import boto3, json, time
ec2 = boto3.client("ec2")
while True:
    for reservation in ec2.describe_instances()["Reservations"]:
        for one in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}
            found = {"kind": tags.get("ray-node-type"), "state": one["State"]["Name"]}
            found |= {"address": one.get("PrivateIpAddress"), "id": one["InstanceId"]}
            print(json.dumps({**found, "bought": one.get("InstanceLifecycle")}), flush=True)
    time.sleep(0.5)
"""


class Cloud:
    """The emulator at the desk, and what it says of its instances, the newest last."""

    def __init__(self, lab: machines.Lab):
        self.lab, self.seen = lab, dict[str, dict[str, Any]]()
        python = "/opt/.venv/bin/python"
        serve = f"exec {python} -m moto.server -H 0.0.0.0 -p 5000 >/dev/null 2>&1"
        self.server = lab.start("bash", "-c", serve)
        small.wait_until(self._prepared, 120)
        self.watcher = lab.start(python, "-c", WATCH, **AWS)
        self.follower = threading.Thread(target=self._follow, daemon=True)
        self.follower.start()

    def _prepared(self) -> bool:
        """Whether key, role and image are there."""
        done = self.lab.run("python", "-c", PREPARE, **AWS)
        self.image = done.stdout.strip().rpartition("\n")[2]
        return done.returncode == 0

    def _follow(self) -> None:
        """Give each new instance's address to the machine that stands for it."""
        assert self.watcher.stdout is not None
        for line in self.watcher.stdout:
            if not line.startswith("{"):
                continue  # a warning
            found = json.loads(line)
            new = found["kind"] and found["address"] and found["id"] not in self.seen
            if new:
                machine = self.lab.machines[found["kind"]]
                machine.network("addr", "add", f"{found['address']}/16", "dev", "eth0")
            if new or found["id"] in self.seen:
                self.seen[found["id"]] = found

    def state(self, kind: str) -> list[str]:
        """The states of the instances of a kind."""
        return [one["state"] for one in self.seen.values() if one["kind"] == kind]

    def stop(self) -> None:
        """End the emulator and who watches it."""
        os.killpg(self.watcher.pid, signal.SIGKILL)
        self.follower.join(10)
        for process in (self.watcher, self.server):
            machines.end(process)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An emulated cloud with two machines, one for the head and one for a worker."""
    pytest.importorskip("moto")
    pytest.importorskip("boto3")
    if reason := machines.lacking():
        pytest.skip(reason)
    with machines.lab() as lab:
        lab.on("head")
        lab.on("worker")
        key = lab.key.with_suffix(".pub").read_text()
        (lab.shared / "key.pub").write_text(key)
        proxy = PROXY.format(address=lab.machines["head"].address)
        (lab.desk.folder / "opt/proxy.py").write_text(proxy)
        for line in (machines.installation("/opt"), "umask 077; ray get-auth-token --generate"):
            assert lab.run("bash", "-c", line).returncode == 0
        cloud = Cloud(lab)
        try:
            yield cloud
        finally:
            cloud.stop()


def write_file(cloud: Cloud) -> None:
    """cluster.yaml, filled in; there are no GPUs, pip has nothing to fetch, and nodes must know
    where the emulator is.
    """
    config = yaml.safe_load(filled("cluster.yaml"))
    config["auth"] = {
        "ssh_user": machines.USER,
        "ssh_private_key": "~/.ssh/id_ed25519",
        "ssh_proxy_command": "python3 /opt/proxy.py",
    }
    for kind in config["available_node_types"].values():
        kind["node_config"] |= {"ImageId": cloud.image, "KeyName": "ours"}
    # there is one machine for workers
    config["available_node_types"]["gpu_worker"] |= {"resources": {"CPU": 2}, "max_workers": 1}
    config |= {"max_workers": 1, "idle_timeout_minutes": 0.5}
    exports = "; ".join(f"echo export {name}={value} >> ~/.bashrc" for name, value in AWS.items())
    first, pip, *others = config["setup_commands"]
    assert "ensurepip" in first and "pip install" in pip
    config["setup_commands"] = [machines.installation("~/oneshot"), *others, exports]
    assert "boto3" in config["head_setup_commands"][0]
    assert "cuda" in config["worker_setup_commands"][0]
    config["head_setup_commands"] = config["worker_setup_commands"] = []
    (cloud.lab.shared / "aws.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def test_the_head_starts_a_spot_worker_for_a_sweep_and_ends_it_afterwards(
    cloud: Cloud, finished: Any
) -> None:
    lab, command = cloud.lab, cloud.lab.sweep("short", finished, 1)

    def do(*words: object) -> str:
        done = lab.run(*words, **AWS)
        assert done.returncode == 0, (words, done.stdout)
        return done.stdout

    write_file(cloud)
    do("ray", "up", "-y", FILE)
    assert cloud.state("head") == ["running"] and cloud.state("worker") == []
    said = do("ray", "exec", FILE, f"cd ~/oneshot && {command}")
    assert "Finished: 5 done" in said, said
    worker = next(one for one in cloud.seen.values() if one["kind"] == "worker")
    assert worker["bought"] == "spot"
    small.wait_until(lambda: cloud.state("worker") == ["terminated"], 120)
    do("ray", "down", "-y", FILE)
    small.wait_until(lambda: cloud.state("head") == ["terminated"], 30)
