"""The store on an S3 server: the requests of each method, and what failures come to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import pickle
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import s3

from oneshot.store import object_store, object_store_client
from oneshot.store.store import Store, Unavailable

ONE = hashlib.md5(b"one", usedforsecurity=False).hexdigest()


def test_each_method_costs_the_requests_that_it_says(remote: Store, server: s3.Server) -> None:
    expected: list[tuple[Callable[[], Any], dict[str, int], Any]] = [
        (lambda: remote.write("a/x.json", b"one"), {"PUT": 1}, None),
        (lambda: remote.write("a/x.json", b"three"), {"PUT": 1}, None),
        (lambda: remote.read("a/x.json"), {"GET": 1}, b"three"),
        (lambda: remote.fetch("a/x.json")[0], {"GET": 1}, b"three"),
        (
            lambda: remote.read_with("a/x.json", lambda file: file.read(2)),
            {"HEAD": 1, "GET": 1},
            b"th",
        ),
        (lambda: remote.create("a/z.json", b"one"), {"PUT": 1}, True),
        (lambda: remote.create("a/z.json", b"one"), {"PUT": 1, "GET": 1}, False),
        (lambda: remote.swap("a/z.json", b"two", ONE), {"PUT": 1}, True),
        (lambda: remote.swap("a/z.json", b"six", ONE), {"PUT": 1, "GET": 1}, False),
        (lambda: remote.delete("a/z.json"), {"DELETE": 1}, None),
        (lambda: remote.exists("a/x.json"), {"HEAD": 1}, True),
        (lambda: remote.exists("a/y.json"), {"HEAD": 1}, False),
        (lambda: remote.version("a/y.json"), {"HEAD": 1}, None),
        (lambda: [*remote.versions("a", ".json")], {"GET": 1}, ["x.json"]),
        (lambda: remote.names("a", ".json"), {"GET": 1}, ["x.json"]),
        (lambda: remote.names("b"), {"GET": 1}, []),
        (lambda: remote.delete("a/y.json"), {"DELETE": 1}, None),
        (lambda: remote.delete("a/x.json"), {"DELETE": 1}, None),
        (lambda: remote.names("a"), {"GET": 1}, []),
        (lambda: remote.seal("a/w.pt", b"weights"), {"PUT": 1}, None),
        (lambda: remote.unseal("a/w.pt"), {"GET": 1}, b"weights"),
        (lambda: remote.set_aside("a/w.pt")[:16], {"PUT": 1, "DELETE": 1}, "a/w.pt.damaged-1"),
        (lambda: remote.write("big", b"1" * 12_000_000), {"POST": 2, "PUT": 2}, None),
        (lambda: len(remote.read("big")), {"GET": 1}, 12_000_000),
        (lambda: remote.write("empty", b""), {"PUT": 1}, None),
    ]
    for i, (action, requests, answer) in enumerate(expected):
        assert (action(), dict(server.count())) == (answer, requests), i
    assert remote.read("empty") == b"" and remote.set_aside("gone").startswith("gone.damaged-")
    with pytest.raises(FileNotFoundError):
        remote.read("a/w.pt")


def test_a_reader_sees_one_version_of_a_file(remote: Store) -> None:
    """It begins again where the file is replaced between two of its reads, and may see it go."""
    remote.write("k", b"old old")
    contents = [b"new new", b"yet another"]

    def reader(file: Any) -> bytes:
        first = file.read(3)
        if contents:
            remote.write("k", contents.pop(0))
        return bytes(first + file.read())

    assert remote.read_with("k", reader) == b"yet another"
    with pytest.raises(FileNotFoundError):
        remote.read_with("k", lambda file: (remote.delete("k"), file.read(3)))
    remote.write("k", b"new")
    with pytest.raises(ZeroDivisionError):
        remote.read_with("k", lambda file: 1 / 0)


def test_more_names_than_one_listing_holds(remote: Store, server: s3.Server) -> None:
    """In patience: the server takes long for so many."""
    server.fill(f"{remote.base.partition('/')[2]}/records", 1203)
    names = remote.names("records", ".json")
    assert len(names) == 1203 == len(set(names)) and server.count()["GET"] >= 2


def test_markers_of_folders_are_no_files(remote: Store, server: s3.Server) -> None:
    """As other programs leave them: empty objects whose keys end in a slash."""
    remote.write("a/x.json", b"1")
    folder = f"/bucket/{remote.base.partition('/')[2]}"
    for marker in ("a/", "a/b/"):
        server._ask(f"{folder}/{marker}", "PUT")
    assert remote.names("a") == ["x.json"] and remote.names("a/b") == []


def test_a_large_file_is_written_bit_by_bit_and_replaces_the_old_one_at_the_end(
    remote: Store, server: s3.Server, tmp_path: Path
) -> None:
    for made in (remote, Store(tmp_path)):
        made.write("q/x", b"old")
        for ends_well in (False, True):
            with contextlib.suppress(KeyError), made.replacing("q/x") as file:
                for _ in range(3):
                    file.write(b"12345")
                assert made.read("q/x") == b"old"
                if not ends_well:
                    raise KeyError
            assert made.read("q/x") == (b"12345" * 3 if ends_well else b"old")
        with made.replacing("q/empty"):
            pass
        assert made.names("q") == ["empty", "x"] and made.read("q/empty") == b""
    log = [line for line in server.log() if line.startswith("PUT")]
    assert len(log) == 3


OPERATIONS: dict[str, Callable[[Store], Any]] = {
    "write": lambda s: (s.write("k/x", b"new"), s.read("k/x"))[1] == b"new",
    "read": lambda s: s.read("k/old") == b"old " * 100,
    "look for": lambda s: s.exists("k/old") and not s.exists("k/none"),
    "list": lambda s: "old" in s.names("k"),
    "delete": lambda s: (s.delete("k/old"), s.exists("k/old"))[1] is False,
    "rename": lambda s: s.read(s.set_aside("k/old")) == b"old " * 100 and not s.exists("k/old"),
}


@pytest.mark.parametrize("what", ["500", "503", "drop", "half", "late", "slow"])
def test_what_passes_is_tried_again(
    what: str, remote: Store, server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store_client, "RETRY_SECONDS", 20)
    monkeypatch.setattr(object_store, "ANSWER_SECONDS", 1)
    for operation, action in OPERATIONS.items():
        if what == "slow" and operation not in ("write", "list"):
            continue  # each takes a second at least
        remote.write("k/old", b"old " * 100)
        with server.faults(
            dict(what=what, match="k", times=2 if what != "slow" else 1, seconds=2.5)
        ):
            assert action(remote), operation


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_stays_is_unavailable_and_says_what_was_asked_and_answered(
    operation: str, remote: Store, server: s3.Server
) -> None:
    remote.write("k/old", b"old " * 100)
    server.log()
    began = time.monotonic()
    with server.faults(dict(what="503")), pytest.raises(Unavailable) as caught:
        OPERATIONS[operation](remote)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (
        type(error) is Unavailable
        and isinstance(error, OSError)
        and error.errno == errno.EIO
        and error.help
    )
    assert (
        str(error).startswith(f"cannot {operation} s3://bucket/")
        and error.filename.split("/")[4] == "k"
        and "503" in server.log()[0]
    )
    answer = r"503 Service Unavailable(?: \(SlowDown: Please reduce your request rate\.\))?"
    assert re.search(rf": {answer} \(asked again for \d s\)$", str(error)), str(error)
    assert 0.25 < time.monotonic() - began < 3
    assert remote.read("k/old") == b"old " * 100


def test_a_server_that_is_not_there_is_unavailable(remote: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Store(
            f"s3://bucket/x?endpoint_override=127.0.0.1:{free.getsockname()[1]}&scheme=http"
        )
        with pytest.raises(
            Unavailable, match=r"cannot write s3://bucket/x/k: .*\(Connection refused\)"
        ):
            nobody.write("k", b"1")


def test_a_missing_file_and_a_lasting_answer_are_asked_for_once(
    remote: Store, server: s3.Server
) -> None:
    with pytest.raises(FileNotFoundError):
        remote.read("none")
    assert dict(server.count()) == {"GET": 1}
    actions: list[tuple[str, Callable[[], Any], int]] = [
        ("PUT", lambda: remote.write("k", b"1"), 1),
        ("PUT", lambda: remote.create("k", b"1"), 1),
        ("PUT", lambda: remote.swap("k", b"1", "version"), 1),
        ("GET", lambda: remote.read("k"), 1),
        ("GET", lambda: remote.names("k"), object_store.TRIES),  # an error of no type
        ("HEAD", lambda: remote.version("k"), 1),
        ("DELETE", lambda: remote.delete("k"), 1),
    ]
    for method, action, times in actions:
        with server.faults(dict(what="403")), pytest.raises(Unavailable, match="403 Forbidden"):
            action()
        assert dict(server.count()) == {method: times}
    with pytest.raises(Unavailable, match=r"cannot write s3://nobody/results/k: .*NoSuchBucket"):
        Store(server.uri.replace("s3://bucket", "s3://nobody")).write("k", b"1")
    assert dict(server.count()) == {"PUT": 1}


def test_an_answer_that_repeats_a_secret_does_not_reach_the_message(
    remote: Store, server: s3.Server
) -> None:
    key, secret = s3.CREDENTIALS["AWS_ACCESS_KEY_ID"], s3.CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    with (
        server.faults(dict(what="403", text=f"key {key} with {secret} is wrong")),
        pytest.raises(Unavailable, match="is wrong") as caught,
    ):
        remote.write("k", b"1")
    assert (
        key not in str(caught.value)
        and secret not in str(caught.value)
        and caught.value.__cause__ is None
    )


@pytest.mark.parametrize("size", [1000, 11_000_000])
def test_a_write_that_fails_half_way_leaves_what_was_there(
    size: int, remote: Store, server: s3.Server
) -> None:
    part = "partNumber=2" if size > 10**7 else "/x"
    for old in (None, b"old"):
        for what in ("half", "500"):
            with (
                server.faults(dict(what=what, method="PUT", match=part)),
                pytest.raises(Unavailable),
            ):
                remote.write("k/x", b"n" * size)
            found = server.objects(f"{remote.base.partition('/')[2]}/")
            assert list(found.values()) == ([old] if old else [])
            assert server.uploads() == 0, "parts stay on the server"
        remote.write("k/x", b"old")
    with server.faults(dict(what="half", method="PUT", match=part, times=1)):
        remote.write("k/x", b"n" * size)
    assert remote.read("k/x") == b"n" * size


@pytest.mark.parametrize("what", ["500", "503", "drop", "half", "late", "slow", "409"])
def test_a_conditional_write_whose_answer_is_lost_knows_what_came_of_it(
    what: str, remote: Store, server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store_client, "RETRY_SECONDS", 20)
    monkeypatch.setattr(object_store, "ANSWER_SECONDS", 1)
    fault = dict(what=what, method="PUT", times=1 if what == "slow" else 2, seconds=2.5)
    with server.faults(fault):
        assert remote.create("k", b"mine")
    version = remote.version("k")
    assert version and remote.read("k") == b"mine"
    with server.faults(fault):
        assert not remote.create("k", b"another's")
    with server.faults(fault):
        assert remote.swap("k", b"mine again", version)
    with server.faults(fault):
        assert not remote.swap("k", b"another's", version)
    assert remote.read("k") == b"mine again"


def test_a_conditional_write_ends_when_patience_does(remote: Store, server: s3.Server) -> None:
    for fault in (dict(what="503"), dict(what="503", method="PUT")):
        for action in (
            lambda: remote.create("k", b"1"),
            lambda: (remote.write("l", b"1"), remote.swap("l", b"2", remote.version("l") or "")),
        ):
            with server.faults(fault), pytest.raises(Unavailable, match=r"cannot write .*: 503"):
                action()
            assert not remote.exists("k")


@pytest.mark.parametrize("how", ["by setting", "by answers"])
def test_without_conditional_writes_a_look_comes_before(
    how: str, remote: Store, server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = dict(what="501", conditional=True)
    if how == "by setting":
        monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    else:
        monkeypatch.setattr(object_store_client, "RETRY_SECONDS", 5)
    with server.faults(*[fault] * (how == "by answers")):
        assert remote.create("k", b"one") and not remote.create("k", b"two")
        version = remote.version("k")
        assert version and remote.swap("k", b"two", version)
        assert not remote.swap("k", b"six", version) and remote.read("k") == b"two"
        assert not remote.swap("none", b"six", version)
        server.log()
        assert remote.create("l", b"") and {*server.count()} == {"HEAD", "PUT"}, "asked again"
    assert remote.names("") == ["k", "l"], "a probe is left"
