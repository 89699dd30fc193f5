"""The store on an S3 server that fails, on disks that are full, and whole runs on it, with real
processes.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import io
import multiprocessing
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import small

from oneshot.store import object_store, records, store
from oneshot.store.compaction import check_format, compact
from oneshot.store.store import Store, StoreError, Unavailable, Unwritable
from oneshot.training.loop import Training

pytest.importorskip("moto")
import s3


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def server(environment: None) -> Iterator[s3.Server]:
    made = s3.Server()
    yield made
    made.stop()


@pytest.fixture
def remote(
    server: s3.Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Store:
    """A folder of its own on the server, in a store that is impatient."""
    for name, value in {"RETRY_SECONDS": 0.3, "FIRST_PAUSE": 0.01, "LONGEST_PAUSE": 0.1}.items():
        monkeypatch.setattr(object_store, name, value)
    made = Store(
        server.uri.replace("/results", f"/{request.node.name.replace('[', '-').replace(']', '')}")
    )
    assert not made.exists("nothing")
    server.log()
    return made


# addresses


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:se/cr3t@bucket/results",
        "s3://user:cr3t@bucket/results",
        "s3://cr3t@bucket/results",
        "s3://bucket/r?access_key=a&secret_key=cr3t",
        "s3://bucket/r?session_token=cr3t",
        "s3://bucket/r?X-Amz-Signature=cr3t",
        "s3://bucket/r?endpoint_override=u:cr3t@127.0.0.1:9000",
        "gs://user:cr3t@bucket/results",
        "gs://bucket/r?access_token=cr3t",
        "gs://bucket/r?credentials=cr3t",
        "az://account:cr3t@box/results",
        "az://box/r?account_key=cr3t",
        "az://box/r?sas=cr3t",
        "az://box/r?sv=2021&sig=cr3t",
    ],
)
def test_an_address_with_credentials_is_refused_without_repeating_them(uri: str) -> None:
    with pytest.raises(StoreError, match="carries credentials") as caught:
        Store(uri)
    again = pickle.loads(pickle.dumps(caught.value))
    assert "cr3t" not in f"{again}{again.help}" and "se/" not in str(again)
    named = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}
    assert named.get(uri[:2], "AZURE_STORAGE_ACCOUNT_KEY") in again.help


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://host/results", "ftp:// is not a kind of store"),
        ("s3a://bucket/results", "s3a:// is not"),
        ("://x", "not a kind of store"),
        ("s3://", "s3:// without a bucket"),
        ("s3:///results", "without a bucket"),
        ("gs://?scheme=http", "gs:// without a bucket"),
        ("s3://bucket/r?regoin=x", "s3:// has no option 'regoin'"),
        ("s3://bucket/r#1", "a # in an address"),
        ("file://host/x", "name of a machine"),
        ("az://", "az:// without a container"),
        ("az://box/r?region=x", "az:// has no option 'region'"),
        ("s3://[::1/x", "cannot be read"),
    ],
)
def test_an_address_that_is_no_store_is_refused_with_help(uri: str, message: str) -> None:
    with pytest.raises(StoreError, match=re.escape(message)) as caught:
        Store(uri)
    assert caught.value.help and isinstance(caught.value, ValueError)


@pytest.mark.parametrize("address", ["http://user:cr3t@127.0.0.1:9000", "127.0.0.1:9000"])
def test_a_server_named_by_the_environment_is_an_address_without_a_user(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(
        StoreError, match="AWS_ENDPOINT_URL is not the address of a server"
    ) as caught:
        Store("s3://bucket/results").read("k")
    assert "cr3t" not in f"{caught.value}{caught.value.help}"


def test_a_path_for_people_has_no_options(tmp_path: Path) -> None:
    made = Store(
        "s3://bucket/some%20results/?endpoint_override=127.0.0.1:9000&scheme=http&region=x"
    )
    assert made.path("a/b.json") == "s3://bucket/some results/a/b.json" and made.local("a") is None
    assert (
        Store("gs://anonymous@bucket").path("a")
        == "gs://bucket/a"
        == Store("gcs://bucket/").path("a")
    )
    assert (
        Store(f"file://{tmp_path}").path("a") == str(tmp_path / "a")
        and Store(f"file://{tmp_path}").local("a") == tmp_path / "a"
    )
    assert Store("az://box/some/results?account=a").path("a") == "az://box/some/results/a"
    copy = pickle.loads(pickle.dumps(made))
    assert copy.path("k") == made.path("k") and copy.root == made.root
    local = pickle.loads(pickle.dumps(Store(f"file://{tmp_path}")))
    assert local.path("a") == str(tmp_path / "a")


def test_a_root_may_begin_in_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for root in ("~/results", Path("~/results"), f"~{getpass.getuser()}/results"):
        made = Store(root)
        where = Path(root).expanduser()
        assert made.local("a") == where / "a" and pickle.loads(pickle.dumps(made)).base == str(
            where
        )
    Store("~/results").write("a", b"1")
    assert (tmp_path / "results/a").read_bytes() == b"1" and not (tmp_path / "~").exists()
    with pytest.raises(StoreError, match="the home folder ~nobody-of-this-name is not") as caught:
        Store("~nobody-of-this-name/results")
    assert "in full" in caught.value.help


def arguments(uri: str) -> dict[str, Any]:
    """What obstore is given for a URI."""
    _, known, plain = getattr(Store(uri)._place, f"_{uri[:2]}")()
    return known | {"plain": plain}


def test_options_and_environment_reach_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_region", lambda bucket: f"region-of-{bucket}")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert arguments("s3://box/r")["region"] == "region-of-box"
    assert arguments("s3://box/r?region=x")["region"] == "x"
    own = arguments("s3://box/r?endpoint_override=h:9&scheme=http&force_virtual_addressing=true")
    assert own["aws_endpoint_url_s3"] == "http://box.h:9" and own["virtual_hosted_style_request"]
    assert own["plain"] and "region" not in own
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://everything/")
    assert arguments("s3://box/r")["aws_endpoint_url_s3"] == "https://everything"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://files:9")
    assert arguments("s3://box/r")["aws_endpoint_url_s3"] == "http://files:9"
    named = arguments("s3://box/r?endpoint_override=h:9")
    assert named["aws_endpoint_url_s3"] == "https://h:9" and not named["plain"]
    assert arguments("gs://box/r?endpoint_override=h:9&scheme=http")["base_url"] == "http://h:9"
    assert "base_url" not in arguments("gcs://box/r".replace("gcs", "gs"))
    for uri, server in {
        "az://box/r?account=me": "https://me.blob.core.windows.net",
        "az://box/r?account=me&endpoint_override=h:9&scheme=http": "http://h:9/me",
        "az://box/r?account=me&endpoint_override=me.private.net": "https://me.private.net",
    }.items():
        assert arguments(uri)["endpoint"] == server and arguments(uri)["account_name"] == "me"
    with pytest.raises(StoreError, match="az:// without an account") as caught:
        Store("az://box/r").read("k")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.help
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    assert arguments("az://box/r")["account_name"] == "me"


def test_the_region_of_a_bucket_is_asked_for(
    server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "AWS", f"http://127.0.0.1:{server.port}")
    assert object_store._region("bucket") == "us-east-1"
    assert object_store._region("nobody") is None
    with server.faults(dict(what="403")):
        assert object_store._region("bucket") is None
    monkeypatch.setattr(object_store, "AWS", "http://127.0.0.1:1")
    assert object_store._region("bucket") is None


def test_keys_of_aws_configure_are_found(
    remote: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    lines = "[default]\naws_access_key_id = A\naws_secret_access_key = b%b/+\n\n[other]\n"
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(f"{lines}aws_access_key_id = C\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    assert object_store._profile() == {"access_key_id": "A", "secret_access_key": "b%b/+"}
    remote.write("k", b"1")
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert object_store._profile() == {"access_key_id": "C"}
    (tmp_path / ".aws/credentials").write_text("no such file")
    assert object_store._profile() == {}


# requests


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


def test_a_newer_table_is_noticed_by_its_end_alone(remote: Store, server: s3.Server) -> None:
    check_format(remote, "q")
    assert dict(server.count()) == {"HEAD": 1}
    compact(
        remote,
        "q",
        [
            records.Record(dict(point_id=f"p{i}", status="done", model="vae_stn", seed=i))
            for i in range(2)
        ],
        ["beta"],
        {},
    )
    check_format(remote, "q")
    table = pq.read_table(io.BytesIO(remote.read("q/points.parquet")))
    buffer, many = io.BytesIO(), table.take(np.arange(100_000) % 2)
    many = many.set_column(0, "point_id", [[f"{i:08x}" for i in range(100_000)]])
    pq.write_table(many.replace_schema_metadata({b"oneshot": b'{"format": 99}'}), buffer)
    remote.write("q/points.parquet", buffer.getvalue())
    server.log()
    with pytest.raises(records.NewerFormat, match=r"s3://bucket/.*/q has table format 99"):
        check_format(remote, "q")
    read = sum(int(line.split()[2]) for line in server.log() if line.startswith("GET"))
    assert 0 < read < len(buffer.getvalue()) / 3
    remote.write("q/points.parquet", b"PAR1 not really")
    check_format(remote, "q")
    with server.faults(dict(what="500", times=2, method="GET")):
        remote.write("q/points.parquet", buffer.getvalue())
        with pytest.raises(records.NewerFormat):
            check_format(remote, "q")


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


# failures

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
    monkeypatch.setattr(object_store, "RETRY_SECONDS", 20)
    monkeypatch.setattr(object_store, "SILENT_SECONDS", 1)
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


# conditional writes


@pytest.mark.parametrize("what", ["500", "503", "drop", "half", "late", "slow", "409"])
def test_a_conditional_write_whose_answer_is_lost_knows_what_came_of_it(
    what: str, remote: Store, server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "RETRY_SECONDS", 20)
    monkeypatch.setattr(object_store, "SILENT_SECONDS", 1)
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
        monkeypatch.setattr(object_store, "RETRY_SECONDS", 5)
    with server.faults(*[fault] * (how == "by answers")):
        assert remote.create("k", b"one") and not remote.create("k", b"two")
        version = remote.version("k")
        assert version and remote.swap("k", b"two", version)
        assert not remote.swap("k", b"six", version) and remote.read("k") == b"two"
        assert not remote.swap("none", b"six", version)
        server.log()
        assert remote.create("l", b"") and {*server.count()} == {"HEAD", "PUT"}, "asked again"
    assert remote.names("") == ["k", "l"], "a probe is left"


# interrupts

INTERRUPTED = """
import signal, sys, time
from oneshot.store import object_store
from oneshot.store.store import Store
made, operation = Store(sys.argv[1]), sys.argv[2]
heard = []
def handler(number, frame):
    heard.append(time.monotonic())
    if len(heard) == 2:
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, handler)
print("begins", flush=True)
try:
    {"write": lambda: made.write("k", b"1"), "create": lambda: made.create("k", b"1"),
     "read": lambda: made.read("k"), "list": lambda: made.names("k"),
     "read_with": lambda: made.read_with("k", lambda file: file.read(1))}[operation]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("operation", ["write", "create", "read", "list", "read_with"])
def test_an_interrupt_is_heard_while_the_store_does_not_answer(
    operation: str, remote: Store, server: s3.Server
) -> None:
    """The first by a handler that lets the request go on, the second by one that gives it up."""
    method = {"write": "PUT", "read_with": "HEAD"}.get(operation, "GET")
    with server.faults(dict(what="503")):
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, remote.root, operation],
            env=small.environment(),
            cwd=small.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        asked = 0

        def asks() -> bool:
            nonlocal asked
            asked += server.count()[method]
            return asked > 1

        small.wait_for(asks, 30, process)
        process.send_signal(signal.SIGINT)
        asked = 0
        small.wait_for(asks, 30, process)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - began < 5, "of a minute"
        server.log()
    remote.write("k", b"later")
    process.stdin.close()
    assert process.wait(30) == 0
    assert remote.read("k") == b"later", "a write that was given up came through"


# threads and processes

WRITER = """
import sys
from oneshot.store.store import Store
made, name = Store(sys.argv[1]), sys.argv[2]
for version in range(60):
    for key in ("shared", name):
        count = 1 + (version * 7919 + len(name)) % 3000
        made.write(key, f"{version:06}{count:06}".encode() * count)
"""


def test_whoever_reads_finds_one_whole_version_while_processes_write(remote: Store) -> None:
    remote.write("shared", b"000000000001")
    wrong: list[bytes] = []
    reads, done = [0], threading.Event()

    def read() -> None:
        mine = pickle.loads(pickle.dumps(remote))
        while not done.is_set():
            data = mine.read("shared")
            reads[0] += 1
            if not data or data != data[:12] * int(data[6:12]):
                wrong.append(data[:24])

    readers = [threading.Thread(target=read) for _ in range(2)]
    command = [sys.executable, "-c", WRITER, remote.root]
    writers = [
        subprocess.Popen([*command, name], env=small.environment(), cwd=small.ROOT)
        for name in ("a", "bb")
    ]
    for reader in readers:
        reader.start()
    assert [w.wait(60) for w in writers] == [0, 0]
    done.set()
    for reader in readers:
        reader.join()
    assert reads[0] > 50 and not wrong, (reads, wrong[:3])
    assert all(len(remote.read(n)) == 12 * (1 + (59 * 7919 + len(n)) % 3000) for n in ("a", "bb"))


FORKS = """
import os, sys, threading, time
from oneshot.store.store import Store
made = Store(sys.argv[1])
before = os.fork()
if not before:
    made.write("early", b"2" * 12_000_000)  # of a process that has not used one yet
    os._exit(0)
assert os.waitpid(before, 0)[1] == 0 and len(made.read("early")) == 12_000_000
for action in (lambda: made.read("early"), lambda: Store(sys.argv[1]).write("late", b"")):
    child = os.fork()
    if not child:
        try:
            action()
        except RuntimeError as error:
            os._exit(7 if "forked" in str(error) and "spawn" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
made.write("parent", b"1")
def forever():
    while True:
        made.write("thread", b"3")
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
while not made.exists("thread"):
    pass
"""


def test_a_forked_child_is_told_at_once_and_a_process_ends_in_silence(
    remote: Store, server: s3.Server
) -> None:
    environment = {**small.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}
    for uri in (remote.root, remote.root.partition("?")[0]):  # by the address, by the environment
        done = subprocess.run(
            [sys.executable, "-c", FORKS, uri],
            env=environment,
            cwd=small.ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert remote.exists("parent") and not remote.exists("late")
        for key in ("early", "parent", "thread"):
            remote.delete(key)


def test_a_store_may_be_used_in_spawned_processes(remote: Store) -> None:
    remote.write("parent", b"1")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(remote.read, ("parent",)) == b"1"
        pool.apply(remote.write, ("child", b"2"))
    assert remote.read("child") == b"2"


# folders

FULL_DISK = """
import errno, os, subprocess, sys
from oneshot.store.store import Store, Unwritable
folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder], check=True)
made = Store(folder)
made.write("q/x.json", b"old")
for step, number in (("full", errno.ENOSPC), ("read-only", errno.EROFS)):
    if step == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    for operation in [lambda: made.write("q/x.json", b"1" * 200_000), lambda: made.write("new/y.json", b"1" * 200_000)]:
        try:
            operation()
        except Unwritable as error:
            assert error.errno == number and error.filename.startswith(folder), error
            print(error)
        else:
            raise AssertionError(step)
    assert made.read("q/x.json") == b"old" and os.listdir(folder + "/q") == ["x.json"]
try:
    made.delete("q/x.json")
except Unwritable as error:
    print(error)
made.delete("q/none")
"""


def test_a_disk_that_is_full_or_read_only_says_so_and_how_much_is_left(tmp_path: Path) -> None:
    """On a disk of its own, which needs a user name space."""
    if subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True
    ).returncode:
        pytest.skip("file systems cannot be mounted here")
    command = ["unshare", "-rm", sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(
        command, env=small.environment(), cwd=small.ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    left = r"\([\d.]+ k?B of 131 kB left on this disk\); finished points are safe"
    assert re.fullmatch(
        rf"cannot write {tmp_path}/q/x.json: No space left on device {left}", lines[0]
    ), lines
    assert re.fullmatch(
        rf"cannot write {tmp_path}/new/y.json: Read-only file system {left}", lines[3]
    ), lines
    assert re.fullmatch(
        rf"cannot delete {tmp_path}/q/x.json: Read-only file system {left}", lines[4]
    ), lines


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EACCES, errno.EPERM])
def test_a_folder_that_takes_no_files_is_unwritable(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "replace", refuse)
    for operation, action in {
        "write": lambda: Store(tmp_path).write("x", b"1"),
        "rename": lambda: Store(tmp_path).set_aside("x"),
    }.items():
        with pytest.raises(Unwritable) as caught:
            action()
        error = pickle.loads(pickle.dumps(caught.value))
        assert (
            isinstance(error, Unavailable)
            and (error.errno, error.filename) == (number, str(tmp_path / "x"))
            and "--results" in error.help
        )
        assert str(error).startswith(
            f"cannot {operation} {tmp_path}/x: {os.strerror(number)} ("
        ) and "left on this disk" in str(error)
    assert list(tmp_path.iterdir()) == []


CALLS: dict[str, Callable[[Store], Any]] = {
    "os.fsync": lambda s: s.write("new", b"1"),
    "os.replace": lambda s: s.write("new", b"1"),
    "os.mkdir": lambda s: s.write("folder/new", b"1"),
    "os.link": lambda s: s.create("new", b"1") or pytest.fail("not created"),
    "os.stat": lambda s: s.swap("x", b"1", s.version("x") or "") or pytest.fail("not swapped"),
    "os.scandir": lambda s: s.names("") == ["x"] or pytest.fail("not listed"),
    "os.unlink": lambda s: (s.delete("x"), s.names(""))[1] == [] or pytest.fail("not deleted"),
    "os.fstat": lambda s: s.fetch("x")[0] == b"old" or pytest.fail("not read"),
}


def stumbling(
    call: str, number: int, times: int, done_first: bool, folder: Path, patch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """A call on the files of this folder fails so often; how often it is asked for is told."""
    whole, asked = getattr(os, call.removeprefix("os.")), [0]

    def stumble(*arguments: Any, **more: Any) -> Any:
        file = arguments[0]
        if not (isinstance(file, int) or str(file).startswith(str(folder))):
            return whole(*arguments, **more)
        asked[0] += 1
        if asked[0] > times:
            return whole(*arguments, **more)
        if done_first:
            whole(*arguments, **more)
        raise OSError(number, os.strerror(number))

    patch.setattr(os, call.removeprefix("os."), stumble)
    return lambda: asked[0]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("done_first", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_network_file_system_that_stumbles_is_asked_again(
    call: str, number: int, done_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any call on files, before or after it did what it was asked for."""
    monkeypatch.setattr(store, "LOCAL_PAUSES", (0.001, 0.001))
    made = Store(tmp_path)
    made.write("x", b"old")
    with monkeypatch.context() as patch:
        asked = stumbling(call, number, 1, done_first, tmp_path, patch)
        CALLS[call](made)
        assert asked() >= 2 or (call == "os.mkdir" and done_first)  # which looks for itself
    assert not [path for path in tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize("call", CALLS)
def test_a_network_file_system_that_stays_away_is_unavailable(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCAL_PAUSES", (0.001, 0.001))
    made = Store(tmp_path)
    made.write("x", b"old")
    with monkeypatch.context() as patch:
        asked = stumbling(call, errno.EIO, 999, False, tmp_path, patch)
        text = rf"cannot (\w| )+ {tmp_path}.*: {os.strerror(errno.EIO)} \(3 tries\)"
        with pytest.raises(Unavailable, match=text):
            CALLS[call](made)
        assert 3 <= asked() <= 4
    assert made.read("x") == b"old" and made.names("") == ["x"]


def test_two_contents_of_one_size_in_one_tick_are_two_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system whose clock stands still."""
    whole = os.fsync

    def fsync(file: int) -> None:
        whole(file)
        os.utime(file, ns=(10**18, 10**18))

    monkeypatch.setattr(os, "fsync", fsync)
    made = Store(tmp_path)
    made.write("x", b"one")
    first = made.version("x") or ""
    assert made.swap("x", b"two", first) and not made.swap("x", b"six", first)
    assert made.read("x") == b"two"


def test_what_killed_writers_left_is_removed_by_a_later_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "q"
    code = (
        "import os, sys; os.replace = lambda *_: os._exit(9); from oneshot.store.store import Store"
    )
    for key in ("q/x.json", "q/y.json"):
        command = [sys.executable, "-c", f"{code}; Store(sys.argv[1]).write('{key}', b'1')"]
        killed = subprocess.run([*command, tmp_path], env=small.environment(), cwd=small.ROOT)
        assert killed.returncode == 9
        if key == "q/x.json":
            (left,) = folder.iterdir()
            assert re.fullmatch(r"\.x\.json\.[\w-]+\.\d+\.\d+\.tmp", left.name), left.name
    (left,) = folder.iterdir()
    assert left.name.startswith(".y.json."), "the second process removed what the first one left"
    alive = folder / f".a.{store._machine()}.{os.getpid()}.1.tmp"
    elsewhere = folder / ".a.another-machine.1.1.tmp"
    older = folder / ".b.another-machine.1.1.tmp"
    oldest = folder / ".c.json.77.78.tmp"  # as earlier versions named them
    other = folder / ".hidden"
    for path in (alive, elsewhere, older, oldest, other):
        path.write_bytes(b"half")
    for path in (older, oldest, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    looks, whole = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looks.append(path) or whole(path))
    for name in ("one", "two"):
        Store(tmp_path).write(f"q/{name}", b"1")
    assert len(looks) == 1, "once a process"
    assert {*folder.iterdir()} == {alive, elsewhere, other, folder / "one", folder / "two"}


def test_a_place_that_takes_no_files_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unwritable, match=r"cannot write .*file/x: "):
        Store(tmp_path / "file").write("x", b"1")
    with pytest.raises(Unwritable):
        Store(tmp_path / "file").create("x", b"1")
    with pytest.raises(IsADirectoryError):
        Store(tmp_path.parent).read(tmp_path.name)


# whole runs


def write_sweep(folder: Path, epochs: int, batch: int) -> Path:
    """The small sweep, with critics of a few steps."""
    path = small.write_sweep(folder, epochs, batch)
    path.write_text(path.read_text().replace("epoch=15", "epoch=3"))
    return path


@pytest.fixture(scope="module")
def swept(
    server: s3.Server, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """The small sweep on a server that fails at every twelfth request, and answers slowly now and
    then.
    """
    server.log()
    with server.faults(dict(what="500", share=0.08), dict(what="slow", share=0.05, seconds=0.4)):
        return small.run(
            write_sweep(tmp_path_factory.mktemp("swept"), 2, 512),
            "--local",
            "--results",
            server.uri,
            "--where",
            "beta <= 1",
        )


@pytest.mark.slow
def test_a_run_on_a_failing_server_is_whole_and_keeps_its_secrets(
    swept: Any, server: s3.Server, tmp_path: Path
) -> None:
    assert swept.returncode == 0 and "5 done" in swept.stdout, swept.stdout + swept.stderr
    log, objects = server.log(), server.objects()
    assert sum(line.split()[1] == "500" for line in log) >= 3, (
        "too few failures for this test to mean anything"
    )
    frame = pd.read_parquet(io.BytesIO(objects["results/small/points.parquet"]))
    assert len(frame) == 5 and set(frame.status) == {"done"} and frame.point_id.is_unique
    assert len(pd.read_parquet(io.BytesIO(objects["results/small/curves.parquet"]))) == 4
    assert (
        len(
            [
                key
                for key in objects
                if key.startswith("results/small/records/") and key.endswith(".json")
            ]
        )
        == 5
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        secret = s3.CREDENTIALS[name]
        assert not [
            key for key, data in objects.items() if secret.encode() in data or secret in key
        ]
        assert secret not in swept.stdout + swept.stderr
    again = small.run(
        write_sweep(tmp_path, 2, 512), "--results", server.uri, "--where", "beta <= 1"
    )
    assert again.returncode == 0 and "Nothing to run: all 5 points have a result" in again.stderr
    kept = {
        key: data
        for key, data in objects.items()
        if "/records/" in key or key.startswith("results/store")
    }
    assert kept.items() <= server.objects().items() and not [
        line for line in server.log() if re.search("PUT .*(records|store)/", line)
    ]


@pytest.mark.slow
def test_a_run_killed_in_mid_training_continues_from_its_checkpoint(
    swept: Any, server: s3.Server, tmp_path: Path
) -> None:
    sweep = write_sweep(tmp_path, 8, 512)
    arguments = (
        sweep,
        "--local",
        "--results",
        server.uri,
        "--checkpoint-seconds",
        "0",
        "--where",
        "beta == 1",
    )
    made = Store(server.uri)
    found: list[str] = []

    def saved() -> bool:
        found[:] = [
            key.removeprefix("results/")
            for key in server.objects("results/store/trainings")
            if key.endswith("checkpoint.pt")
        ]
        return bool(found) and Training.from_bytes(made.unseal(found[0])).epochs_done >= 2

    process = small.start(*arguments)
    small.wait_for(saved, 100, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    epochs = Training.from_bytes(made.unseal(found[0])).epochs_done
    assert 2 <= epochs < 8, "killed too late for this test to mean anything"
    server.log()
    done = small.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    saves = [line for line in server.log() if re.search("PUT 200 .*checkpoint.pt", line)]
    assert 0 < len(saves) <= 8 - epochs, "epochs were computed again"
    curves = pd.read_parquet(io.BytesIO(server.objects()["results/small/curves.parquet"]))
    assert 8 in [len(e) for _, e in curves.groupby("point_id").epoch if e.tolist() == [*range(8)]]
