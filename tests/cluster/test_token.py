"""The token of a cluster: asked for everywhere, and brought to every node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import yaml
from cluster_files import FILES, edited, filled, report_of

STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


def with_mode(mode: str, *keys: str) -> Callable[[dict[str, Any]], None]:
    """A change of RAY_AUTH_MODE in the commands under these keys."""

    def change(config: dict[str, Any]) -> None:
        for key in keys:
            config[key] = [c.replace("RAY_AUTH_MODE=token ", mode) for c in config[key]]

    return change


@pytest.mark.parametrize("name", FILES)
def test_in_all_files_every_node_asks_for_the_token_that_travels(name: str) -> None:
    config = yaml.safe_load((small.ROOT / name).read_text())
    starts = [c for key in STARTS for c in config[key] if "ray start" in c]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token" in c for c in starts)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("export RAY_AUTH_MODE=token" in c for c in config["setup_commands"]), (
        "`ray status` over ssh needs it"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_cluster_without_a_token_is_explained(
    tmp_path: Path, in_the_project: Path, name: str
) -> None:
    for mode in ("RAY_AUTH_MODE=disabled ", ""):
        text, status = report_of(tmp_path, edited(with_mode(mode, *STARTS), name))
        assert (
            status == 0
            and "hint: no token is asked for" in text
            and "ray get-auth-token --generate" in text
        ), text
        assert "export RAY_AUTH_MODE" not in text
    for key in STARTS:
        text, status = report_of(tmp_path, edited(with_mode("", key), name))
        assert (
            status == 2 and "differ in RAY_AUTH_MODE" in text and "before each `ray start`" in text
        ), text
    text, status = report_of(
        tmp_path, edited(lambda c: c["file_mounts"].pop("~/.ray/auth_token"), name)
    )
    assert (
        status == 2
        and "no token goes to the nodes" in text
        and "~/.ray/auth_token: ~/.ray/auth_token" in text
    ), text
    (in_the_project / ".ray/auth_token").chmod(0o644)
    text, status = report_of(tmp_path, filled(name))
    assert (
        status == 0 and "hint: others on this machine may read" in text and "chmod 600" in text
    ), text
    assert "export RAY_AUTH_MODE=token" in text, "whoever submits needs it too"
    (in_the_project / ".ray/auth_token").unlink()
    text, status = report_of(tmp_path, filled(name))
    assert (
        status == 2
        and "there is no ~/.ray/auth_token" in text
        and "make it, once: (umask 077; ray get-auth-token" in text
    ), text
