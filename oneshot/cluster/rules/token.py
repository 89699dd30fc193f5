"""The token that keeps others from running code on the nodes."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from oneshot.cluster.cluster_file import ClusterFile

TOKEN_FILE = re.compile(r"\.ray/auth_token$")
MAKE_TOKEN = "(umask 077; ray get-auth-token --generate >/dev/null)"
START_KEYS = ("head_start_ray_commands", "worker_start_ray_commands")
MODE = re.compile(r"\bRAY_AUTH_MODE=['\"]?(\w+)")


def check_token(file: ClusterFile) -> None:
    """Whether Ray asks for a token, on head and workers alike, and whether all nodes have it."""
    modes = _authentication_modes(file)
    head = modes[START_KEYS[0]]
    if head is None:
        return  # started by something that cannot be looked into
    for key, mode in modes.items():
        if mode is not None and (mode == "token") != (head == "token"):
            file.error(
                (key,),
                "head and workers differ in RAY_AUTH_MODE: they would refuse each other",
                "write RAY_AUTH_MODE=token before each `ray start`",
            )
            return
    if head == "token":
        _check_mounts(file, modes)
        return
    file.hint(
        (START_KEYS[0],),
        "no token is asked for: whoever reaches the head over the network can run code on all"
        " nodes",
        f"{MAKE_TOKEN}, the token in file_mounts and RAY_AUTH_MODE=token before each `ray start`,"
        " as in cluster.yaml",
    )


def _authentication_modes(file: ClusterFile) -> dict[str, str | None]:
    """RAY_AUTH_MODE under each key that starts Ray: "" for none, None where Ray is not started."""
    modes: dict[str, str | None] = {}
    for key in START_KEYS:
        commands = file.config.get(key) or ["ray start"]  # without the key: Ray's own
        starts = [c for c in commands if re.search(r"\bray start\b", c)]
        found = [m[1].lower() for c in starts if (m := MODE.search(c))]
        modes[key] = (found[0] if found else "") if starts else None
    if file.is_head_alone():
        modes.pop(START_KEYS[1])  # there are no workers
    return modes


def _check_mounts(file: ClusterFile, modes: dict[str, str | None]) -> None:
    """Whether the token goes to the nodes, and whether others can read it here."""
    mounts = {
        str(remote): source
        for remote, source in file.config.get("file_mounts", {}).items()
        if TOKEN_FILE.search(str(remote))
    }
    text = "\n".join(c for key in modes for c in file.config.get(key) or [])
    shared = file.kind == "local" and not file.config.get("file_mounts")  # homes on one disk
    if not mounts and not re.search(r"\bRAY_AUTH_TOKEN(_PATH)?=", text) and not shared:
        message = "RAY_AUTH_MODE=token, but no token goes to the nodes: Ray would not start there"
        file.error(
            ("file_mounts",),
            message,
            "add to file_mounts: ~/.ray/auth_token: ~/.ray/auth_token",
        )
    for remote, source in mounts.items():
        with contextlib.suppress(OSError, RuntimeError, TypeError):
            if Path(source).expanduser().stat().st_mode & 0o077:
                file.hint(
                    ("file_mounts", remote),
                    f"others on this machine may read {source}",
                    f"chmod 600 {source}",
                )
