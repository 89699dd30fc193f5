"""Joining a Ray cluster, or starting Ray on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import small

from oneshot import cli
from oneshot.engine import ray_connection


@contextlib.contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """Somebody at a port who says this to whoever speaks, or nothing at all; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = server.accept()
                    held.append(one)
                    if answer is not None:
                        one.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            for one in held:
                one.close()


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


SPOKEN = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("way", ["flag", "variable", "client"])
def test_an_address_of_nobody_is_refused_at_once(
    sweep_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    way: str,
) -> None:
    address = nobody() if way != "client" else f"ray://{nobody()}"
    monkeypatch.setenv("RAY_ADDRESS", address if way == "variable" else "")
    more = [] if way == "variable" else ["--address", address]
    began = time.monotonic()
    assert (
        cli.main(
            [
                str(sweep_folder / "small.py"),
                "--results",
                str(sweep_folder / "results"),
                *more,
            ]
        )
        == 2
    )
    err = capfd.readouterr().err
    assert (
        f"error: no Ray cluster answers at {address}: connection refused\n  help: start one" in err
    )
    assert "rpc_client" not in err and time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what listens there is not Ray"),
        (None, "no answer within"),
    ],
)
def test_who_does_not_speak_as_ray_does_is_no_cluster(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, words: str
) -> None:
    monkeypatch.setattr(ray_connection, "PROBE_SECONDS", 0.3)
    with (
        listener(answer) as address,
        pytest.raises(
            ray_connection.NoCluster, match=f"no Ray cluster answers at {address}: {words}"
        ),
    ):
        ray_connection.join(address)


def test_a_cluster_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "JOIN_SECONDS", 0.3)
    monkeypatch.setattr(ray_connection, "_agree", lambda *a: None)
    over = threading.Event()
    monkeypatch.setattr(ray, "init", lambda *a, **k: over.wait(60))
    with (
        listener(SPOKEN) as address,
        pytest.raises(ray_connection.NoCluster, match="did not let this process in within"),
    ):
        ray_connection.join(address)
    over.set()


@pytest.mark.parametrize("address", ["somewhere", "10.0.0.1:http", "10.0.0.1:99999", ":6379"])
def test_what_is_no_address_is_said_so(address: str) -> None:
    with pytest.raises(ray_connection.NoCluster, match="is no address of a Ray cluster") as found:
        ray_connection.join(address)
    assert "HOST:PORT" in found.value.help


def test_auto_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(address: str) -> str:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray._private.services, "canonicalize_bootstrap_address", none)
    with pytest.raises(ray_connection.NoCluster, match="no Ray cluster runs on this machine"):
        ray_connection.join("auto")


def test_a_long_folder_is_replaced_by_a_short_one_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(ray_connection, "SHORT_FOLDERS", (str(tmp_path),))
    monkeypatch.setenv("TMPDIR", "/tmp/job")
    assert ray_connection._short_folder() is None
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 60)
    own = tmp_path / f"ray-{os.getuid()}"
    assert (
        ray_connection._short_folder() == str(own) == ray_connection._short_folder()
        and own.stat().st_mode & 0o777 == 0o700
    )
    own.chmod(0o777)  # as if somebody else had made it
    other = ray_connection._short_folder()
    assert other is not None and other != str(own) and Path(other).parent == tmp_path
    monkeypatch.setattr(ray_connection, "SHORT_FOLDERS", ())
    with pytest.raises(ray_connection.NoCluster, match="at most 40 bytes"):
        ray_connection._short_folder()


START = """
import os, sys
from oneshot.engine import ray_connection
ray_connection.join("")
import ray
node = ray._private.worker._global_node
print(ray.get(ray.remote(lambda: 6 * 7).remote()), node.get_session_dir_path())
"""


@pytest.mark.slow
def test_ray_starts_below_a_long_folder_and_without_a_home(tmp_path: Path) -> None:
    """As in the folder of a job of a batch system. Nothing is left in the home, where there is
    one.
    """
    long = tmp_path / ("x" * 60)
    for folder in (long, tmp_path / "home"):
        folder.mkdir()
    for home in (tmp_path / "home", tmp_path / "none"):
        env = {**small.environment(), "TMPDIR": str(long), "HOME": str(home)}
        for name in ("RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            env.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-c", START],
            cwd=small.ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0 and done.stdout.split()[0] == "42", done.stderr
        assert done.stdout.split()[1].startswith(f"/tmp/ray-{os.getuid()}")
        assert not home.exists() or not list(home.iterdir())


HEAD = """
import sys
import ray
context = ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
JOIN = """
import sys
from oneshot.engine import ray_connection
try:
    ray_connection.join(sys.argv[1])
except ray_connection.NoCluster as error:
    print(f"refused: {error} | {error.help}")
else:
    import ray
    print("joined", ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


@contextlib.contextmanager
def small_head(env: dict[str, str]) -> Iterator[str]:
    """Ray with one processor in a process of its own, for the length of a with block; yields its
    address.
    """
    command = [sys.executable, "-c", HEAD]
    with subprocess.Popen(
        command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(60)


@pytest.mark.slow
def test_who_has_not_the_token_of_a_cluster_is_refused_and_who_has_it_joins(tmp_path: Path) -> None:
    """By any form of its address, without a page of warnings; and a token in the home is not forced
    on a cluster without one.
    """
    token, other = "a" * 64, "b" * 64
    env = {k: v for k, v in small.environment().items() if not k.startswith("RAY_")} | {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"
    }
    homes = {name: tmp_path / name for name in ("none", "other", "right")}
    for name, text in (("none", ""), ("other", other), ("right", token)):
        (homes[name] / ".ray").mkdir(parents=True)
        if text:
            (homes[name] / ".ray/auth_token").write_text(text)

    def joined(address: str, home: str, **more: str) -> str:
        command = [sys.executable, "-c", JOIN, address]
        given = {**env, "HOME": str(homes[home]), **more}
        done = subprocess.run(
            command, cwd=small.ROOT, env=given, capture_output=True, text=True, timeout=120
        )
        assert (
            done.returncode == 0
            and "gcs_client" not in done.stderr
            and "Traceback" not in done.stderr
        ), done.stderr
        return done.stdout

    with small_head({**env, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}) as address:
        assert joined(address, "right") == "joined 42\n", (
            "without a variable, as --address auto does"
        )
        for home, more in (("none", {}), ("other", {}), ("right", {"RAY_AUTH_MODE": "disabled"})):
            text = joined(address, home, **more)
            assert (
                f"refused: the Ray cluster at {address} asks for a token" in text
                and "~/.ray/auth_token" in text
            ), text
    with small_head({**env, "RAY_AUTH_MODE": "disabled"}) as address:
        assert joined(address, "other") == "joined 42\n"
