"""Commands that nodes run: they install this project, and start Ray."""

from __future__ import annotations

import re

from oneshot.cluster.cluster_file import ClusterFile

INSTALLS = re.compile(
    r"\b(pip|uv)\b[^;&|\n]*\binstall\b[^;&|\n]*"
    r"(\s['\"]?\./?(\[|['\"]|\s|$)|\boneshot(\.git)?/?([\[@'\"]|\s|$))"
    r"|\buv sync\b|\bmake \.venv/installed\b"
)


def check_installation(file: ClusterFile) -> None:
    """Whether the nodes get this project, at the pinned versions."""
    keys = [
        key
        for key in ("setup_commands", "head_setup_commands", "worker_setup_commands")
        if file.config.get(key)
    ]
    text = "\n".join(c for key in keys for c in file.config[key]).replace("\\\n", " ")
    place = (keys[0],) if keys else ("setup_commands",)
    if not INSTALLS.search(text):
        file.error(
            place,
            f"{place[0]}: no command installs this project on the nodes",
            "add: cd ~/oneshot && python3 -m pip install -c constraints.txt -e '.[cluster]'",
            # it may have been installed before: in the image, or on machines of one's own
            hint=bool(file.config.get("docker", {}).get("image")) or file.kind == "local",
        )
        return
    if "constraints.txt" not in text:
        file.hint(
            place,
            "the nodes install no pinned versions",
            "add -c constraints.txt: different Rays refuse each other",
        )
    if not re.search(r"\[[^\]]*\b(cluster|default)\b", text):
        file.hint(
            place,
            "ray[default] is not installed: `ray job submit` will not work",
            "install -e '.[cluster]'",
        )


def check_start(file: ClusterFile) -> None:
    """Whether the head starts Ray so that it can grow, and so that jobs have time to stop."""
    place = ("head_start_ray_commands",)
    start = "\n".join(file.config.get(place[0]) or [])
    if start and "--autoscaling-config" not in start and not file.is_head_alone():
        file.error(
            place,
            "head_start_ray_commands has no --autoscaling-config: no worker would start",
            "add --autoscaling-config=~/ray_bootstrap_config.yaml to `ray start`",
        )
    workers = file.kind == "local" and not file.is_head_alone()
    if workers and "RAY_enable_autoscaler_v2=0" not in start:
        file.hint(
            place,
            "Ray's newer autoscaler starts no worker on machines of your own (seen with Ray 2.60)",
            "write RAY_enable_autoscaler_v2=0 before `ray start` of the head",
        )
    if "RAY_JOB_STOP_WAIT_TIME_S" not in start:
        file.hint(
            place,
            "`ray job stop` will kill after 3 seconds, before checkpoints are saved",
            "write RAY_JOB_STOP_WAIT_TIME_S=60 before `ray start` of the head",
        )
