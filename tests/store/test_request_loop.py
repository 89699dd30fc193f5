"""Requests while a process is interrupted, forks, ends, or has many threads."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest
import s3
import small

from oneshot.store.store import Store

INTERRUPTED = """
import signal, sys, time
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
