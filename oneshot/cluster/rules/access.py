"""What nodes need from outside: keys, images, the right to write results, and files."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from oneshot.cluster.cluster_file import PLACEHOLDER, ClusterFile
from oneshot.cluster.rules.schema import wrong_type
from oneshot.cluster.rules.token import MAKE_TOKEN, TOKEN_FILE

# what a node needs of the project
SENT = (
    "oneshot",
    "sweeps",
    "constraints.txt",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "run_sweep.py",
)


def check_access(file: ClusterFile) -> None:
    """Keys for ssh, images, and whether workers may write results."""
    key = file.config.get("auth", {}).get("ssh_private_key")
    if key and not PLACEHOLDER.search(key) and not Path(key).expanduser().is_file():
        help = "give the path of your key" + (
            "" if file.kind == "local" else ", or take the line out: Ray makes a key"
        )
        file.error(
            ("auth", "ssh_private_key"), f"auth.ssh_private_key: there is no file {key}", help
        )
    if file.kind not in ("aws", "gcp"):
        return
    for name, _, node in file.node_types():
        place = ("available_node_types", name, "node_config")
        if file.kind == "aws" and key and not node.get("KeyName") and "UserData" not in node:
            file.error(
                (*place, "KeyName"),
                f"{name} has no KeyName, which ssh_private_key calls for",
                "give the name of that key in EC2",
            )
        if (
            file.kind == "aws"
            and not node.get("ImageId")
            and not file.config.get("docker", {}).get("image")
        ):
            message = (
                f"{name} has no ImageId, and Ray's own choice, Ubuntu 18.04, has no Python 3.11"
            )
            file.error(
                (*place, "ImageId"), message, "the comment in cluster.yaml says how to find one"
            )
        role = {"aws": "IamInstanceProfile", "gcp": "serviceAccounts"}[file.kind]
        if name != file.config.get("head_node_type") and not node.get(role):
            message = f"{name} has no {role}: its trials cannot write to a bucket"
            file.hint(
                (*place, role),
                message,
                "give it the one in cluster.yaml's or gcp.yaml's comments, if results go to one",
            )


def check_files(file: ClusterFile) -> None:
    """What is copied to the nodes, and what is kept from them."""
    for remote, source in file.config.get("file_mounts", {}).items():
        place = ("file_mounts", remote)
        if not isinstance(source, str):
            wrong_type(file, place, source, "string")
        elif not PLACEHOLDER.search(source) and not Path(source).expanduser().exists():
            help = f"paths here begin in the folder where `ray up` is run; this is {Path.cwd()}"
            if TOKEN_FILE.search(str(remote)):
                help = f"make it, once: {MAKE_TOKEN}"
            file.error(place, f"file_mounts: there is no {source} to copy to {remote}", help)
    needed = [
        n
        for name in SENT
        for n in [
            name,
            *(p.name for p in sorted(Path(__file__).parents[2].iterdir()) if name == "oneshot"),
        ]
    ]
    for index, pattern in enumerate(file.config.get("rsync_exclude", [])):
        plain = str(pattern).rstrip("/").removeprefix("**/")
        lost = (
            []
            if "/" in plain
            else [n for n in needed if fnmatch.fnmatch(n, plain) and n != "__pycache__"]
        )
        if lost:
            message = (
                f"rsync_exclude {str(pattern)!r} also keeps {lost[0]} of this project from the"
                " nodes"
            )
            file.error(
                ("rsync_exclude", index),
                message,
                f'"/{plain}" means the one at the top of the folder only',
            )
