"""Joining a Ray cluster, or starting Ray on this machine. Nobody waits long for a cluster that does
not answer.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import ray
from ray._private.authentication import authentication_token_setup as token_setup
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

from oneshot.engine.processors import usable_processors

# until what listens at an address must have said that it speaks Ray's protocol
PROBE_SECONDS = 10.0
JOIN_SECONDS = 40.0  # until a cluster that answers must have taken this process in
LONGEST_TEMP = 40  # bytes: sockets lie 64 below and a socket's path has at most 107
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
TOKEN = Path("~/.ray/auth_token")
# of gRPC; its answer is of the same kind
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SETTINGS = 4
QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"
START_HELP = (
    "start one with ray up cluster.yaml, or leave --address out (and RAY_ADDRESS unset) for this"
    " machine"
)
TOKEN_HELP = (
    "export RAY_AUTH_MODE=token, with the cluster's token in ~/.ray/auth_token;"
    " RAY_AUTH_MODE=disabled for one without"
)


class NoCluster(ConnectionError):
    """There is no cluster to join: the message, and what would help."""

    def __init__(self, message: str, help: str = START_HELP):
        super().__init__(message)
        self.help = help


def join(address: str) -> None:
    """Start Ray on this machine, or join the cluster at an address.

    Args:
        address: HOST:PORT, ray://HOST:PORT or auto; "" or local for Ray on this machine.

    Raises:
        NoCluster: nobody answers there, or whoever answers does not take this process in.
    """
    # Ray's handlers end the process at a SIGTERM, in the middle of its start, with another status
    with mock.patch.object(ray._private.utils, "set_sigterm_handler", lambda handler: None):
        if address in ("", "local"):
            _start()
        else:
            _connect(address)
    # Pages about every dead node and worker, which no setting keeps back; what it means for the
    # sweep is said in a line.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


# This machine


def _start() -> None:
    more: dict[str, Any] = {}
    if (folder := _short_folder()) is not None:
        more["_temp_dir"] = folder
    _own_token()
    ray.init(
        address="local",
        log_to_driver=False,
        logging_level=logging.ERROR,
        num_cpus=usable_processors(),
        include_dashboard=False,
        **more,
    )


def _own_token() -> None:
    """A token for this run alone where the user has none, so that nothing is left in the home,
    which need not even be there.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or {
        "RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN_PATH",
    } & set(os.environ):
        return
    try:
        known = TOKEN.expanduser().is_file()
    except (OSError, RuntimeError):  # no home
        known = False
    if not known:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _short_folder() -> str | None:
    """A folder for Ray where its own choice is too long for the paths of sockets; None where that
    is short enough.
    """
    default = os.path.join(
        os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray"
    )
    if len(os.fsencode(default)) <= LONGEST_TEMP:
        return None
    for parent in SHORT_FOLDERS:
        if os.access(parent, os.W_OK | os.X_OK):
            return _folder_of_user(parent)
    raise NoCluster(
        f"Ray needs a folder with a path of at most {LONGEST_TEMP} bytes, not {default}",
        "export RAY_TMPDIR=/SHORT/FOLDER",
    )


def _folder_of_user(parent: str) -> str:
    """PARENT/ray-<user id>; another one, of this run alone, where somebody else has made that."""
    path = os.path.join(parent, f"ray-{os.getuid()}")
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            return tempfile.mkdtemp(prefix=f"ray-{os.getuid()}-", dir=parent)
    return path


# A cluster


def _connect(address: str) -> None:
    host, port = _place(address)
    if trouble := _trouble(host, port):
        raise NoCluster(f"no Ray cluster answers at {_told(address, host, port)}: {trouble}")
    at = address if "://" in address else f"{host}:{port}"
    if "://" not in address:
        _agree(host, port, _told(address, host, port))
    try:
        _within(
            JOIN_SECONDS,
            lambda: ray.init(address=at, log_to_driver=False, logging_level=logging.ERROR),
        )
    except NoCluster:
        raise
    except (OSError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        refused = isinstance(error, ray.exceptions.AuthenticationError)
        text = f"the Ray cluster at {_told(address, host, port)} cannot be joined: {reason}"
        raise NoCluster(text, TOKEN_HELP if refused else START_HELP) from error


def _place(address: str) -> tuple[str, int]:
    """Host and port of an address. Raises NoCluster if it is none, or if there is no cluster that
    `auto` could mean.
    """
    if address == "auto":
        try:
            found = ray._private.services.canonicalize_bootstrap_address("auto")
        except (ConnectionError, ValueError) as error:
            raise NoCluster(
                f"no Ray cluster runs on this machine: {str(error).splitlines()[0]}"
            ) from error
        if found is None:
            raise NoCluster("no Ray cluster runs on this machine")
        address = found
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host and address.startswith("ray://"):
        host, port = port, "10001"
    if not host or not port.isdigit() or int(port) > 65535:
        help = "give HOST:PORT, as 10.0.0.1:6379, or auto on a machine of the cluster"
        raise NoCluster(f"{address!r} is no address of a Ray cluster", help)
    return host.strip("[]"), int(port)


def _told(address: str, host: str, port: int) -> str:
    return f"{address} ({host}:{port})" if address == "auto" else address


def _trouble(host: str, port: int) -> str:
    """Why nobody who speaks Ray's protocol answers there; "" if somebody does."""
    first = b""
    try:
        with socket.create_connection((host, port), PROBE_SECONDS) as there:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return ""  # what is said first there is encrypted
            there.sendall(HELLO)
            while len(first) < 9 and (part := there.recv(9 - len(first))):
                first += part
    except TimeoutError:
        return f"no answer within {PROBE_SECONDS:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if len(first) == 9 and first[3] == SETTINGS else "what listens there is not Ray"


def _agree(host: str, port: int, told: str) -> None:
    """Use a token if, and only if, the cluster asks for one: where they differ, Ray warns for a
    minute and then hangs.

    Raises:
        NoCluster: the cluster asks for another token than this user has.
    """
    try:
        import grpc
    except ImportError:  # it comes with ray[default]; without it, Ray's own choice stands
        return
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if _takes(grpc, host, port, {}):
        if not mode:
            os.environ["RAY_AUTH_MODE"] = "disabled"
        return
    if mode != "disabled":
        logging.getLogger("ray").setLevel(logging.ERROR)
        token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        if _takes(
            grpc, host, port, AuthenticationTokenLoader.instance().get_token_for_http_header()
        ):
            return
    raise NoCluster(
        f"the Ray cluster at {told} asks for a token, and this user has none or another", TOKEN_HELP
    )


def _takes(grpc: Any, host: str, port: int, header: Mapping[str, str]) -> bool:
    """Whether the cluster answers a question with this header; also where it does not know the
    question.
    """
    metadata = tuple((name.lower(), value) for name, value in header.items())
    with grpc.insecure_channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}") as channel:
        try:
            channel.unary_unary(QUESTION)(b"", timeout=PROBE_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            return bool(error.code() != grpc.StatusCode.UNAUTHENTICATED)
    return True


def _within(seconds: float, work: Callable[[], Any]) -> None:
    """Do this in a thread of its own and raise what it raises; NoCluster if it does not come back
    in time.
    """
    raised: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread, end = (
        threading.Thread(target=call, name="join", daemon=True),
        time.monotonic() + seconds,
    )
    thread.start()
    while thread.is_alive() and time.monotonic() < end:
        thread.join(0.2)
    if thread.is_alive():
        atexit.unregister(ray._private.worker.shutdown)  # it would wait for the thread
        raise NoCluster(
            f"the Ray cluster answers but did not let this process in within {seconds:g} s",
            "see `ray status` on its head",
        )
    if raised:
        raise raised[0]
