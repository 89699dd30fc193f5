"""The store on an S3 server that fails, on disks that are full, and whole runs on it, with real processes."""

from __future__ import annotations

import contextlib
import errno
import io
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

from oneshot import rows, store
from oneshot.store import DamagedFile, Store, StoreError, Unavailable, Unwritable
from oneshot.train import Training

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
def remote(server: s3.Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Store:
    """A folder of its own on the server, in a store that is impatient."""
    for name, value in {"RETRY_SECONDS": 0.3, "FIRST_PAUSE": 0.01, "LONGEST_PAUSE": 0.1, "PART_TRIES": 1, "SILENT_SECONDS": 1}.items():
        monkeypatch.setattr(store, name, value)
    made = Store(server.uri.replace("/results", f"/{request.node.name.replace('[', '-').replace(']', '')}"))
    assert not made.exists("nothing")
    server.log()
    return made


# addresses


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:se/cr3t@bucket/results", "s3://user:cr3t@bucket/results", "s3://cr3t@bucket/results", "s3://bucket/r?access_key=a&secret_key=cr3t",
        "s3://bucket/r?session_token=cr3t", "s3://bucket/r?X-Amz-Signature=cr3t", "s3://bucket/r?endpoint_override=u:cr3t@127.0.0.1:9000",
        "gs://user:cr3t@bucket/results", "gs://bucket/r?access_token=cr3t", "gs://bucket/r?credentials=cr3t",
    ],
)  # fmt: skip
def test_an_address_with_credentials_is_refused_without_repeating_them(uri: str) -> None:
    with pytest.raises(StoreError, match="carries credentials") as caught:
        Store(uri)
    again = pickle.loads(pickle.dumps(caught.value))
    assert "cr3t" not in f"{again}{again.help}" and "se/" not in str(again)
    assert ("AWS_ACCESS_KEY_ID" if uri.startswith("s3") else "GOOGLE_APPLICATION_CREDENTIALS") in again.help


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://host/results", "ftp:// is not a kind of store"), ("s3a://bucket/results", "s3a:// is not"), ("://x", "not a kind of store"),
        ("s3://", "s3:// without a bucket"), ("s3:///results", "without a bucket"), ("gs://?scheme=http", "gs:// without a bucket"),
        ("s3://bucket/r?regoin=x", "s3:// has no option 'regoin'"), ("s3://bucket/r#1", "a # in an address"),
        ("file://host/x", "name of a machine"),
        ("s3://[::1/x", "cannot be read"),
    ],
)  # fmt: skip
def test_an_address_that_is_no_store_is_refused_with_help(uri: str, message: str) -> None:
    with pytest.raises(StoreError, match=re.escape(message)) as caught:
        Store(uri)
    assert caught.value.help and isinstance(caught.value, ValueError)


@pytest.mark.parametrize("address", ["http://user:cr3t@127.0.0.1:9000", "127.0.0.1:9000"])
def test_a_server_named_by_the_environment_is_an_address_without_a_user(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(StoreError, match="AWS_ENDPOINT_URL is not the address of a server") as caught:
        Store("s3://bucket/results").read("k")
    assert "cr3t" not in f"{caught.value}{caught.value.help}"


def test_a_path_for_people_has_no_options(tmp_path: Path) -> None:
    made = Store("s3://bucket/some%20results/?endpoint_override=127.0.0.1:9000&scheme=http&region=x")
    assert made.path("a/b.json") == "s3://bucket/some results/a/b.json" and made.local("a") is None
    assert Store("gs://anonymous@bucket").path("a") == "gs://bucket/a" == Store("gcs://bucket/").path("a")
    assert Store(f"file://{tmp_path}").path("a") == str(tmp_path / "a") and Store(f"file://{tmp_path}").local("a") == tmp_path / "a"
    copy = pickle.loads(pickle.dumps(made))
    assert copy.path("k") == made.path("k") and copy._options == made._options == {
        "endpoint_override": "127.0.0.1:9000",
        "scheme": "http",
        "region": "x",
    }
    local = pickle.loads(pickle.dumps(Store(f"file://{tmp_path}")))
    assert local.path("a") == str(tmp_path / "a")


# requests


def test_each_method_costs_the_requests_that_it_says(remote: Store, server: s3.Server) -> None:
    expected: list[tuple[Callable[[], Any], dict[str, int], Any]] = [
        (lambda: remote.write("a/x.json", b"one"), {"PUT": 1}, None),
        (lambda: remote.write("a/x.json", b"three"), {"PUT": 1}, None),
        (lambda: remote.read("a/x.json"), {"HEAD": 1, "GET": 1}, b"three"),
        (lambda: remote.exists("a/x.json"), {"HEAD": 1}, True),
        (lambda: remote.exists("a/y.json"), {"HEAD": 1}, False),
        (lambda: remote.time("a/y.json"), {"HEAD": 1}, None),
        (lambda: list(remote.names("a", ".json")), {"GET": 1}, ["x.json"]),
        (lambda: remote.names("b"), {"GET": 1}, {}),
        (lambda: remote.delete("a/y.json"), {"HEAD": 1}, None),
        (lambda: remote.delete("a/x.json"), {"HEAD": 1, "DELETE": 1, "PUT": 1}, None),
        (lambda: remote.names("a"), {"GET": 1}, {}),
        (lambda: remote.seal("a/w.pt", b"weights"), {"PUT": 1}, None),
        (lambda: remote.unseal("a/w.pt"), {"HEAD": 1, "GET": 1}, b"weights"),
        (lambda: remote.set_aside("a/w.pt")[:16], {"PUT": 2, "DELETE": 1}, "a/w.pt.damaged-1"),
        (lambda: remote.write("big", b"1" * 12_000_000), {"POST": 2, "PUT": 2}, None),
        (lambda: len(remote.read("big")), {"HEAD": 2, "GET": 1}, 12_000_000),
        (lambda: remote.write("empty", b""), {"PUT": 1}, None),
    ]
    for i, (action, requests, answer) in enumerate(expected):
        assert (action(), dict(server.count())) == (answer, requests), i
    assert remote.read("empty") == b"" and remote.set_aside("gone").startswith("gone.damaged-")
    with pytest.raises(FileNotFoundError):
        remote.read("a/w.pt")


def test_times_agree_folders_are_no_files_and_damage_is_noticed(remote: Store) -> None:
    for name in ("x.json", ".x.json", "y.txt"):
        remote.write(f"a/{name}", b"1")
    remote.write("a/b/z.json", b"1")
    assert remote.names("a", ".json") == {"x.json": remote.time("a/x.json")} and set(remote.names("a")) == {"x.json", "y.txt"}
    assert abs(remote.time("a/x.json") - time.time()) < 5  # type: ignore[operator]
    remote.write("w.pt", b"weights")
    with pytest.raises(DamagedFile, match=r"s3://bucket/.*/w\.pt is damaged"):
        remote.unseal("w.pt")


def test_more_names_than_one_listing_holds(remote: Store, server: s3.Server) -> None:
    server.fill(f"{remote.base.partition('/')[2]}/records", 1203)
    assert len(remote.names("records", ".json")) == 1203 and server.count()["GET"] >= 2


def test_a_newer_table_is_noticed_by_its_end_alone(remote: Store, server: s3.Server) -> None:
    rows.check_format(remote, "q")
    assert dict(server.count()) == {"HEAD": 1}
    rows.fold(remote, "q", [rows.Record(dict(point_id=f"p{i}", status="done", model="vae_stn", seed=i)) for i in range(2)], ["beta"], {})
    rows.check_format(remote, "q")
    table = pq.read_table(io.BytesIO(remote.read("q/points.parquet")))
    buffer, many = io.BytesIO(), table.take(np.arange(100_000) % 2)
    many = many.set_column(0, "point_id", [[f"{i:08x}" for i in range(100_000)]])
    pq.write_table(many.replace_schema_metadata({b"oneshot": b'{"format": 99}'}), buffer)
    remote.write("q/points.parquet", buffer.getvalue())
    server.log()
    with pytest.raises(rows.NewerFormat, match=r"s3://bucket/.*/q has table format 99"):
        rows.check_format(remote, "q")
    read = sum(int(line.split()[2]) for line in server.log() if line.startswith("GET"))
    assert 0 < read < len(buffer.getvalue()) / 3
    remote.write("q/points.parquet", b"PAR1 not really")
    rows.check_format(remote, "q")
    with server.faults(dict(what="500", times=2, method="GET")):
        remote.write("q/points.parquet", buffer.getvalue())
        with pytest.raises(rows.NewerFormat):
            rows.check_format(remote, "q")


def test_a_large_file_is_written_bit_by_bit_and_replaces_the_old_one_at_the_end(remote: Store, server: s3.Server, tmp_path: Path) -> None:
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
        stamps = made.stamps("q")
        assert {n: size for n, (_, size) in stamps.items()} == {"x": 15, "empty": 0} and stamps["x"][0] == made.time("q/x")
    log = [line for line in server.log() if line.startswith("PUT")]
    assert len(log) == 3


# failures

OPERATIONS: dict[str, Callable[[Store], Any]] = {
    "write": lambda s: (s.write("k/x", b"new"), s.read("k/x"))[1] == b"new",
    "read": lambda s: s.read("k/old") == b"old " * 100,
    "look for": lambda s: s.exists("k/old") and not s.exists("k/none"),
    "list": lambda s: set(s.names("k")) >= {"old"},
    "delete": lambda s: (s.delete("k/old"), s.exists("k/old"))[1] is False,
    "rename": lambda s: s.read(s.set_aside("k/old")) == b"old " * 100 and not s.exists("k/old"),
}


@pytest.mark.parametrize("what", ["500", "503", "drop", "half", "late", "slow"])
def test_what_passes_is_tried_again(what: str, remote: Store, server: s3.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 20)
    for operation, action in OPERATIONS.items():
        if what == "slow" and operation not in ("write", "list"):
            continue  # each takes a second at least
        remote.write("k/old", b"old " * 100)
        with server.faults(dict(what=what, match="k", times=2 if what != "slow" else 1, seconds=2.5)):
            assert action(remote), operation


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_stays_is_unavailable_and_says_what_was_asked_and_answered(operation: str, remote: Store, server: s3.Server) -> None:
    remote.write("k/old", b"old " * 100)
    server.log()
    began = time.monotonic()
    with server.faults(dict(what="503")), pytest.raises(Unavailable) as caught:
        OPERATIONS[operation](remote)
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is Unavailable and isinstance(error, OSError) and error.errno == errno.EIO and error.help
    assert str(error).startswith(f"cannot {operation} s3://bucket/") and error.filename.split("/")[4] == "k" and "503" in server.log()[0]
    assert re.search(r"SLOW_DOWN|HTTP status 503", str(error)) and re.search(r"\(\d+ tries in \d s\)", str(error)), str(error)
    assert 0.25 < time.monotonic() - began < 3
    assert remote.read("k/old") == b"old " * 100


def test_a_server_that_is_not_there_is_unavailable(remote: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Store(f"s3://bucket/x?endpoint_override=127.0.0.1:{free.getsockname()[1]}&scheme=http")
        with pytest.raises(Unavailable, match=r"cannot write s3://bucket/x/k: .*connect"):
            nobody.write("k", b"1")


def test_a_missing_file_and_a_lasting_answer_are_asked_for_once(remote: Store, server: s3.Server) -> None:
    with pytest.raises(FileNotFoundError):
        remote.read("none")
    assert dict(server.count()) == {"HEAD": 1}
    for method, action in {
        "PUT": lambda: remote.write("k", b"1"),
        "HEAD": lambda: remote.read("k"),
        "GET": lambda: remote.names("k"),
    }.items():
        with server.faults(dict(what="403")), pytest.raises(Unavailable, match="ACCESS_DENIED"):
            action()
        assert dict(server.count()) == {method: 1}
    with pytest.raises(Unavailable, match=r"cannot write s3://nobody/results/k: .*NO_SUCH_BUCKET"):
        Store(server.uri.replace("s3://bucket", "s3://nobody")).write("k", b"1")
    assert dict(server.count()) == {"PUT": 1}


def test_an_answer_that_repeats_a_secret_does_not_reach_the_message(remote: Store, server: s3.Server) -> None:
    key, secret = s3.CREDENTIALS["AWS_ACCESS_KEY_ID"], s3.CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    with server.faults(dict(what="403", text=f"key {key} with {secret} is wrong")), pytest.raises(Unavailable, match="is wrong") as caught:
        remote.write("k", b"1")
    assert key not in str(caught.value) and secret not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize("size", [1000, 11_000_000])
def test_a_write_that_fails_half_way_leaves_what_was_there(size: int, remote: Store, server: s3.Server) -> None:
    part = "partNumber=2" if size > 10**7 else "/x"
    for old in (None, b"old"):
        for what in ("half", "500"):
            with server.faults(dict(what=what, method="PUT", match=part)), pytest.raises(Unavailable):
                remote.write("k/x", b"n" * size)
            found = server.objects(f"{remote.base.partition('/')[2]}/")
            assert list(found.values()) == ([old] if old else [])
        remote.write("k/x", b"old")
    with server.faults(dict(what="half", method="PUT", match=part, times=1)):
        remote.write("k/x", b"n" * size)
    assert remote.read("k/x") == b"n" * size


# threads and processes

WRITER = """
import sys
from oneshot.store import Store
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
    writers = [subprocess.Popen([*command, name], env=small.environment(), cwd=small.ROOT) for name in ("a", "bb")]
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
from oneshot.store import Store
made = Store(sys.argv[1])
made.write("parent", b"1")
before = made.fs
child = os.fork()
if not child:
    assert made.fs is not before
    made.write("child", b"2" * 12_000_000)
    os._exit(0 if made.read("parent") == b"1" else 1)
assert os.waitpid(child, 0)[1] == 0 and made.fs is before and len(made.read("child")) == 12_000_000
def forever():
    while True:
        made.write("thread", b"3")
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.3)
"""


def test_a_store_may_be_used_on_both_sides_of_a_fork_and_ends_in_silence(remote: Store, server: s3.Server) -> None:
    environment = {**small.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}
    for uri in (remote.root, remote.root.partition("?")[0]):  # the server by the address, then by the environment
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", FORKS, uri], env=environment, cwd=small.ROOT, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and time.monotonic() - began < 20
        assert remote.exists("thread")
        remote.delete("thread")


# folders

FULL_DISK = """
import errno, os, subprocess, sys
from oneshot.store import Store, Unwritable
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
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    command = ["unshare", "-rm", sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, env=small.environment(), cwd=small.ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    left = r"\([\d.]+ k?B of 131 kB left on this disk\); finished points are safe"
    assert re.fullmatch(rf"cannot write {tmp_path}/q/x.json: No space left on device {left}", lines[0]), lines
    assert re.fullmatch(rf"cannot write {tmp_path}/new/y.json: Read-only file system {left}", lines[3]), lines
    assert re.fullmatch(rf"cannot delete {tmp_path}/q/x.json: Read-only file system {left}", lines[4]), lines


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EACCES, errno.EPERM])
def test_a_folder_that_takes_no_files_is_unwritable(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "replace", refuse)
    for operation, action in {"write": lambda: Store(tmp_path).write("x", b"1"), "rename": lambda: Store(tmp_path).set_aside("x")}.items():
        with pytest.raises(Unwritable) as caught:
            action()
        error = pickle.loads(pickle.dumps(caught.value))
        assert (
            isinstance(error, Unavailable) and (error.errno, error.filename) == (number, str(tmp_path / "x")) and "--results" in error.help
        )
        assert str(error).startswith(f"cannot {operation} {tmp_path}/x: {os.strerror(number)} (") and "left on this disk" in str(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_a_network_file_system_that_stumbles_is_asked_again(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCAL_PAUSES", (0.01, 0.01))
    left, whole = [1], os.fsync

    def stumble(file: int) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(number, os.strerror(number))
        whole(file)

    monkeypatch.setattr(os, "fsync", stumble)
    made = Store(tmp_path)
    made.write("x", b"1")
    assert made.read("x") == b"1"
    left[0] = 99
    with pytest.raises(Unavailable, match=rf"cannot write {tmp_path}/x: {os.strerror(number)} \(3 tries in 0 s\)"):
        made.write("x", b"2")
    assert left[0] == 96 and made.read("x") == b"1" and len(list(tmp_path.iterdir())) == 1


def test_other_errors_of_a_folder_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        Store(tmp_path / "file").write("x", b"1")
    assert not isinstance(caught.value, Unavailable)
    with pytest.raises(IsADirectoryError):
        Store(tmp_path.parent).read(tmp_path.name)


# Google's


def test_a_store_on_google_cloud_storage_is_the_same_store(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gcp_storage_emulator")
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(store, "SILENT_SECONDS", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["start", "--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=bucket"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gcp_storage_emulator", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        small.wait_for(lambda: not socket.socket().connect_ex(("127.0.0.1", port)), 20, process)
        made = Store(f"gs://anonymous@bucket/results?scheme=http&endpoint_override=127.0.0.1:{port}")
        made.seal("a/x.pt", b"one")
        made.write("a/x.json", b"two")
        made.write("big", b"1" * 12_000_000)
        assert made.unseal("a/x.pt") == b"one" and made.read("a/x.json") == b"two" and len(made.read("big")) == 12_000_000
        assert made.names("a", ".json") == {"x.json": made.time("a/x.json")} and made.names("b") == {} and not made.exists("a/y")
        with pytest.raises(FileNotFoundError):
            made.read("a/y")
        assert {"x.json", made.set_aside("a/x.pt").removeprefix("a/")} == made.names("a").keys()
        made.delete("big")
        made.delete("big")
        assert not made.exists("big")
    finally:
        process.terminate()
        process.wait(10)
    with pytest.raises(Unavailable, match=r"cannot write gs://bucket/results/k: .*UNAVAILABLE"):
        made.write("k", b"1")


# whole runs


def write_sweep(folder: Path, epochs: int, batch: int) -> Path:
    """The small sweep, with critics of a few steps."""
    path = small.write_sweep(folder, epochs, batch)
    path.write_text(path.read_text().replace("epoch=15", "epoch=3"))
    return path


@pytest.fixture(scope="module")
def swept(server: s3.Server, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The small sweep on a server that fails at every twelfth request, and answers slowly now and then."""
    server.log()
    with server.faults(dict(what="500", share=0.08), dict(what="slow", share=0.05, seconds=0.4)):
        return small.run(write_sweep(tmp_path_factory.mktemp("swept"), 2, 512), "--local", "--results", server.uri, "--where", "beta <= 1")


@pytest.mark.slow
def test_a_run_on_a_failing_server_is_whole_and_keeps_its_secrets(swept: Any, server: s3.Server, tmp_path: Path) -> None:
    assert swept.returncode == 0 and "5 done" in swept.stdout, swept.stdout + swept.stderr
    log, objects = server.log(), server.objects()
    assert sum(line.split()[1] == "500" for line in log) >= 3, "too few failures for this test to mean anything"
    frame = pd.read_parquet(io.BytesIO(objects["results/small/points.parquet"]))
    assert len(frame) == 5 and set(frame.status) == {"done"} and frame.point_id.is_unique
    assert len(pd.read_parquet(io.BytesIO(objects["results/small/curves.parquet"]))) == 4
    assert len([key for key in objects if key.startswith("results/small/records/") and key.endswith(".json")]) == 5
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        secret = s3.CREDENTIALS[name]
        assert not [key for key, data in objects.items() if secret.encode() in data or secret in key]
        assert secret not in swept.stdout + swept.stderr
    again = small.run(write_sweep(tmp_path, 2, 512), "--results", server.uri, "--where", "beta <= 1")
    assert again.returncode == 0 and "Nothing to run: all 5 points have a result" in again.stderr
    kept = {key: data for key, data in objects.items() if "/records/" in key or key.startswith("results/store")}
    assert kept.items() <= server.objects().items() and not [line for line in server.log() if re.search("PUT .*(records|store)/", line)]


@pytest.mark.slow
def test_a_run_killed_in_mid_training_continues_from_its_checkpoint(swept: Any, server: s3.Server, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, 8, 512)
    arguments = (sweep, "--local", "--results", server.uri, "--checkpoint-seconds", "0", "--where", "beta == 1")
    made = Store(server.uri)
    found: list[str] = []

    def saved() -> bool:
        found[:] = [key.removeprefix("results/") for key in server.objects("results/store/trainings") if key.endswith("checkpoint.pt")]
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
