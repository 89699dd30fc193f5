"""What trials share is loaded once a node and mapped by its processes: the copies themselves, and a
sweep on two nodes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import clusters
import numpy as np
import pytest
import s3
import small
import torch

from oneshot.critics.encoder import embed_all, initialised
from oneshot.critics.protonet import ProtoNet
from oneshot.paths import DataError
from oneshot.store import node_cache
from oneshot.store.machine_cache import lock
from oneshot.store.node_cache import node_file
from oneshot.store.store import DamagedFile, Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import CriticSpec
from oneshot.trial.inputs import read_critic
from oneshot.trial.prepare import prepare

BODY = bytes(range(256)) * 4000  # a megabyte


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the copies of a node that has none yet."""
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sealed"


def begin(code: str, *arguments: object, **env: str) -> subprocess.Popen[str]:
    """A Python process of this node that runs this code; it begins once it is written to."""
    code = (
        "import sys; from oneshot.store.node_cache import *; print('here', flush=True);"
        f" sys.stdin.readline()\n{code}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=small.ROOT,
        env={**small.environment(), **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(*processes: subprocess.Popen[str]) -> None:
    """Let processes go once all of them are there."""
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


ASK = (
    "path = node_file(Store(sys.argv[1]), 'w.pt'); print(path,"
    " hashlib.sha256(path.read_bytes()).hexdigest())"
)


def waiting(path: Path) -> int:
    """How many processes wait for the lock of this file."""
    inode = path.stat().st_ino
    return sum(
        "->" in line and f":{inode} " in line
        for line in Path("/proc/locks").read_text().splitlines()
    )


def test_of_eight_processes_that_ask_at_once_one_fetches(tmp_path: Path, cache: Path) -> None:
    """They all wait while the test holds the lock, so that each of them has found no copy."""
    notes = tmp_path / "notes"
    notes.mkdir()
    Store(tmp_path / "results").seal("w.pt", BODY)
    env = {
        k: v
        for k, v in clusters.environment(notes).items()
        if k in ("PYTHONPATH", "ONESHOT_WITNESS")
    }
    with lock(cache):
        asking = [begin(ASK, tmp_path / "results", **env) for _ in range(8)]
        go(*asking)
        end = time.monotonic() + 30
        while waiting(cache.with_name(".sealed.lock")) < 8:
            assert time.monotonic() < end, "not all came to the lock"
            time.sleep(0.05)
        assert not clusters.told(notes), "somebody fetched without the lock"
    outputs = [process.communicate(timeout=60)[0].split() for process in asking]
    (path,) = cache.iterdir()
    assert outputs == [[str(path), path.stem]] * 8 and path.read_bytes() == BODY
    assert [line["what"] for line in clusters.told(notes)] == ["read"], "once, by one of them"


def test_an_object_store_is_asked_for_the_content_once_and_then_for_headers(
    cache: Path, server: s3.Server
) -> None:
    store = Store(server.uri)
    store.seal("w.pt", BODY)
    server.log()
    assert node_file(store, "w.pt").read_bytes() == BODY
    given = lambda: sum(int(line.split()[2]) for line in server.log() if line.startswith("GET"))  # noqa: E731
    assert given() == 40 + 40 + len(BODY)
    assert node_file(Store(server.uri), "w.pt").read_bytes() == BODY
    assert given() == 40


def test_a_process_killed_while_it_fetches_keeps_nobody_and_leaves_nothing(
    tmp_path: Path, cache: Path
) -> None:
    """kill -9 when half of the copy is written: who waited fetches it whole, and the half is
    gone.
    """
    Store(tmp_path / "results").seal("w.pt", BODY)
    halfway = (
        "os.fsync = lambda file: (os.truncate(file, 500_000), print('half', flush=True),"
        " time.sleep(60))\n"
    )
    killed, patient = (begin(code, tmp_path / "results") for code in (halfway + ASK, ASK))
    go(killed)
    assert killed.stdout is not None and killed.stdout.readline() == "half\n"
    (half,) = cache.iterdir()
    assert half.name.startswith(".") and half.stat().st_size == 500_000
    go(patient)
    time.sleep(0.5)
    assert patient.poll() is None, "it does not take a half, nor begin beside the one at work"
    killed.send_signal(signal.SIGKILL)
    path, checksum = patient.communicate(timeout=30)[0].split()
    assert (
        [str(p) for p in cache.iterdir()] == [path]
        and Path(path).read_bytes() == BODY
        and Path(path).stem == checksum
    )
    killed.communicate()


@pytest.mark.parametrize(
    "damage",
    [lambda d: d[:-1], lambda d: b"", lambda d: d[:50] + b"?" + d[51:], lambda d: d + b"more"],
)
def test_a_damaged_copy_is_named_and_fetched_again(
    tmp_path: Path, cache: Path, damage: object
) -> None:
    store = Store(tmp_path / "results")
    store.seal("a/w.pt", BODY)
    path, kept = node_file(store, "a/w.pt"), cache.stat()
    status = path.stat()
    path.write_bytes(damage(BODY))  # type: ignore[operator]
    # damage does not announce itself by a new time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.warns(RuntimeWarning, match=rf"{path.name} is damaged; it is fetched again"):
        assert node_file(store, "a/w.pt") == path
    assert (
        path.read_bytes() == BODY
        and [*cache.iterdir()] == [path]
        and kept.st_ino == cache.stat().st_ino
    )


def test_a_copy_follows_the_store(tmp_path: Path, cache: Path) -> None:
    """An artefact that was made again under its id is fetched, even of the same length and time;
    the old copy is not touched.
    """
    store = Store(tmp_path / "results")
    store.seal("w.pt", BODY)
    old = node_file(store, "w.pt")
    mapped, status = np.memmap(old, mode="r"), (tmp_path / "results/w.pt").stat()
    store.seal("w.pt", BODY[::-1])
    os.utime(tmp_path / "results/w.pt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert node_file(store, "w.pt").read_bytes() == BODY[::-1]
    assert mapped.tobytes() == old.read_bytes() == BODY


def test_an_artefact_that_is_replaced_while_it_is_fetched_is_fetched_as_it_is_now(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole, times = Store(tmp_path / "results"), Store.unseal, []
    store.seal("w.pt", BODY)

    def unseal(self: Store, key: str) -> bytes:
        times.append(key)
        if len(times) == 1:  # between the header and the content
            self.seal(key, BODY[::-1])
        return whole(self, key)

    monkeypatch.setattr(Store, "unseal", unseal)
    assert node_file(store, "w.pt").read_bytes() == BODY[::-1] and len(times) == 2
    assert len([*cache.iterdir()]) == 1, "no content under the name of another"


def test_damage_in_the_store_is_an_error_where_there_is_no_copy(
    tmp_path: Path, cache: Path
) -> None:
    store, stored = Store(tmp_path / "results"), tmp_path / "results/w.pt"
    with pytest.raises(FileNotFoundError):
        node_file(store, "w.pt")
    store.seal("w.pt", BODY)
    whole = stored.read_bytes()
    for damaged in (whole[:-1], whole[:20], b"", b"x" + whole[1:], whole[:60] + b"?" + whole[61:]):
        stored.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"w\.pt is damaged"):
            node_file(store, "w.pt")
    assert not cache.exists() or not [*cache.iterdir()]


def test_the_copies_do_not_grow_for_ever(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit the ones go that were not used for longest, and halves of killed processes;
    what may be in use stays.
    """
    monkeypatch.setattr(node_cache, "MOST_BYTES", 2500)
    store = Store(tmp_path / "results")
    for name in "abcde":
        store.seal(name, name.encode() * 1000)
    paths = {name: node_file(store, name) for name in "abcd"}
    assert all(path.exists() for path in paths.values()), "all in use"
    (cache / ".half.host.part").write_bytes(b"x" * 500)
    for days, name in enumerate("bacd"):
        os.utime(paths[name], (time.time() - (20 - days) * 86400,) * 2)
    os.utime(cache / ".half.host.part", (0, 0))
    node_file(store, "b")  # used again
    mapped = np.memmap(paths["a"], mode="r")
    kept = {node_file(store, "e"), paths["b"]}
    assert {*cache.iterdir()} == kept and mapped.tobytes() == b"a" * 1000


def test_a_cache_that_cannot_be_written_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "results")
    store.seal("w.pt", BODY)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"Not a directory(.|\n)*help: set ONESHOT_CACHE"):
        node_file(store, "w.pt")
    with pytest.raises(FileNotFoundError):
        node_file(store, "nothing.pt")


def test_a_critic_of_the_node_has_the_stored_weights_and_no_copy_of_them(
    tmp_path: Path, cache: Path
) -> None:
    spec, store = CriticSpec("protonet", {}, 0, "x"), Store(tmp_path / "results")
    made = initialised(lambda: ProtoNet(28), 0, "test").eval()
    buffer = io.BytesIO()
    torch.save(made.state_dict(), buffer)
    store.seal(spec.weights_key, buffer.getvalue())
    critic = read_critic(spec, 28, store, torch.device("cpu"))
    assert not critic.training and {t.dtype for t in critic.parameters()} == {torch.float32}
    for (name, mine), theirs in zip(critic.state_dict().items(), made.state_dict().values()):
        assert torch.equal(mine, theirs) and mine.stride() == theirs.stride(), name
    images = np.random.default_rng(0).integers(0, 2, (5, 28, 28), np.uint8)
    np.testing.assert_array_equal(embed_all(critic, images, "cpu"), embed_all(made, images, "cpu"))
    (path,) = cache.iterdir()
    ranges = [
        line.split()[0].split("-")
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(str(path))
    ]
    for name, tensor in critic.state_dict().items():
        assert any(int(a, 16) <= tensor.data_ptr() < int(b, 16) for a, b in ranges), (
            f"{name} is not mapped"
        )


# --- a sweep on two nodes
# -----------------------------------------------------------------------------


def memory(pid: int, folder: Path) -> dict[str, Counter[str]]:
    """kB of Rss, Pss and Private pages of each mapped file under a folder, and of the whole process
    ("all"), as the kernel counts them.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            name = line.split(maxsplit=5)[5] if line.count(" ") > 5 and str(folder) in line else ""
        elif match := re.match(r"(Rss|Pss|Private_Clean|Private_Dirty): +(\d+) kB", line):
            for where in filter(None, ("all", name)):
                found[where][match[1].partition("_")[0]] += int(match[2])
    return found


@pytest.mark.slow
def test_data_and_critics_are_loaded_once_a_node_and_mapped_by_its_trials(
    tmp_path: Path, cache: Path
) -> None:
    """Four trials at once on two nodes, of a store that has the critics: a node fetches and builds
    once, and its workers share pages.

    Each worker runs one trial to its end and then waits in its next, so that all four are seen at
    once with what they have mapped.
    """
    (notes := tmp_path / "notes").mkdir()
    file = small.write_sweep(tmp_path, epochs=1)
    file.write_text(file.read_text().replace("[0.0, 1.0, 2.0]", str([i / 8 for i in range(8)])))
    prepare(expand(load_sweep(file))[0], Store(tmp_path / "results"), torch.device("cpu"))
    (notes / "faults.json").write_text(json.dumps([{"where": {"epochs": 1}, "do": "wait"}]))
    seen: dict[int, dict[str, Counter[str]]] = {}
    with clusters.cluster(notes, nodes=2, slots=2) as nodes:
        run = clusters.start(nodes, file, "--results", tmp_path / "results", "--max-stack", "1")

        def all_have_scored() -> bool:
            seen.clear()
            with contextlib.suppress(OSError):  # a worker that ended since it was found
                seen.update({pid: memory(pid, notes) for pid in nodes.workers()})
            return len(seen) == 4 and all(
                sum(kb["Rss"] > 300 for path, kb in f.items() if path.endswith(".pt")) == 2
                for f in seen.values()
            )

        clusters.wait_for(all_have_scored, 300, run, pause=0.5)
        node_of = {pid: name for name in ("n1", "n2") for pid in nodes.workers(name)}
        (notes / "faults.json").unlink()
        out = clusters.finish(run)
    assert run.returncode == 0 and "11 done" in out, out
    told = clusters.told(notes)
    weights = {key for line in told if (key := line.get("key", "")).startswith("store/critics/")}
    read = Counter(
        (line["node"], line["key"]) for line in told if line["what"] == "read" and line["node"]
    )
    shared = {at: times for at, times in read.items() if at[1] in weights or "exemplars" in at[1]}
    assert (
        len(weights) == 2
        and set(shared.values()) == {1}
        and Counter(node for node, _ in shared) == {"n1": 3, "n2": 3}
    )
    built = Counter((line["node"], line["file"]) for line in told if line["what"] == "builds")
    assert set(built.values()) == {1} and sorted(node for node, _ in built) == ["n1", "n2"]
    assert Counter(node_of[pid] for pid in seen) == {"n1": 2, "n2": 2}
    for name in ("n1", "n2"):
        mine = [seen[pid] for pid in seen if node_of[pid] == name]
        files = {path for files in mine for path in files if path != "all"}
        assert Counter(Path(path).suffix for path in files) == {".pt": 2, ".npy": 3}
        for path in files:
            kb, pss = Path(path).stat().st_size / 1024, sum(files[path]["Pss"] for files in mine)
            print(
                f"{name} {Path(path).name[-20:]} {kb:.0f} kB, Rss {[f[path]['Rss'] for f in mine]},"
                f" sum of Pss {pss}"
            )
            assert all(files[path]["Rss"] for files in mine) and pss <= 1.2 * max(kb, 4)
        print(
            f"{name} each worker, MB:",
            [{k: round(v / 1024) for k, v in files["all"].items()} for files in mine],
        )
