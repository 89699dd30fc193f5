"""Every kind of store keeps the same promises: a folder, S3, Google Cloud Storage, Azure."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import azure
import pytest
import s3

from oneshot.store import object_store_client
from oneshot.store.store import DamagedFile, Store, Unavailable

KINDS = ["folder", "s3", "gs", "az"]


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (s3.CREDENTIALS | azure.CREDENTIALS).items():
            patch.setenv(name, value)
        patch.setattr(object_store_client, "RETRY_SECONDS", 5)
        patch.setattr(object_store_client, "FIRST_PAUSE", 0.01)
        yield


@pytest.fixture(scope="module")
def amazon(environment: None, s3_started: s3.Server) -> s3.Server:
    return s3_started


@pytest.fixture(scope="module")
def azurite(environment: None) -> Iterator[azure.Server]:
    made = azure.Server()
    yield made
    made.stop()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty folder in a store of each kind."""
    kind, name = request.param, request.node.name.replace("[", "-").replace("]", "")
    if kind == "folder":
        return Store(tmp_path / "results")
    if kind == "az":
        return Store(request.getfixturevalue("azurite").uri.replace("/results", f"/{name}"))
    server = request.getfixturevalue("amazon")
    return Store((server.google if kind == "gs" else server.uri).replace("/results", f"/{name}"))


def test_what_was_written_is_there_until_it_is_deleted(store: Store) -> None:
    assert store.names("a") == [] and store.versions("a") == {} and store.version("a/x") is None
    store.write("a/x.json", b"one")
    store.write("a/b/deeper.json", b"other")
    store.seal("a/x.pt", b"two")
    store.write("a/.hidden", b"")
    assert store.read("a/x.json") == b"one" and store.unseal("a/x.pt") == b"two"
    assert store.names("a") == ["x.json", "x.pt"] and store.names("a", ".json") == ["x.json"]
    assert store.exists("a/x.json") and not store.exists("a/y")
    for call in (store.read, store.fetch, store.unseal):
        with pytest.raises(FileNotFoundError):
            call("a/y")
    with pytest.raises(FileNotFoundError):
        store.read_with("a/y", lambda file: file.read())
    for _ in range(2):
        store.delete("a/x.json")
        assert store.names("a") == ["x.pt"] and not store.exists("a/x.json")
    store.write("a/x.pt", store.read("a/x.pt")[:-1])
    with pytest.raises(DamagedFile, match=r"x\.pt is damaged"):
        store.unseal("a/x.pt")
    aside = store.set_aside("a/x.pt")
    assert store.names("a") == [aside.removeprefix("a/")] and store.set_aside("a/x.pt")
    assert pickle.loads(pickle.dumps(store)).names("a") == store.names("a")
    for odd in ("a b+c%20.txt", "ü?&=#~.txt"):
        store.write(f"odd/{odd}", odd.encode())
        assert store.read(f"odd/{odd}") == odd.encode()
    assert store.names("odd") == ["a b+c%20.txt", "ü?&=#~.txt"]


def test_versions_agree_and_change_with_the_content_though_size_and_second_do_not(
    store: Store,
) -> None:
    seen = set()
    for content in (b"one", b"two", b"six"):
        store.write("a/x", content)
        data, version = store.fetch("a/x")
        assert data == content and version and '"' not in version
        assert store.versions("a") == {"x": version} and store.version("a/x") == version
        seen.add(version)
    assert len(seen) == 3


def test_a_file_is_created_once_and_swapped_only_as_it_was_read(store: Store) -> None:
    assert not store.swap("a/x", b"new", "none") and not store.exists("a/x")
    assert store.create("a/x", b"one") and not store.create("a/x", b"two")
    assert not store.create("a/x", b"one"), "the same bytes of somebody else are not ours"
    first = store.version("a/x")
    assert first and store.read("a/x") == b"one"
    assert store.swap("a/x", b"two", first)
    assert not store.swap("a/x", b"ill", first) and store.read("a/x") == b"two"
    assert store.swap("a/x", b"six", store.fetch("a/x")[1]) and store.read("a/x") == b"six"
    store.delete("a/x")
    assert not store.swap("a/x", b"new", first) and store.create("a/x", b"one")
    assert store.names("a") == ["x"]


def test_of_many_who_create_or_swap_at_once_one_succeeds(store: Store) -> None:
    for round in range(3):
        gate, won, ready = threading.Barrier(6), list[bytes](), f"a/{round}"

        def race(mine: bytes, gate: threading.Barrier, won: list[bytes], key: str) -> None:
            gate.wait(10)
            if store.create(key, mine):
                won.append(mine)
            gate.wait(10)
            version = store.version(key)
            gate.wait(10)
            if version and store.swap(key, mine * 2, version):
                won.append(mine * 2)

        racers = [
            threading.Thread(target=race, args=(f"{i:04}".encode(), gate, won, ready))
            for i in range(6)
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(60)
        assert [len(data) for data in won] == [4, 8] and store.read(ready) == won[1]


def test_a_reader_seeks_and_a_large_file_is_whole(store: Store) -> None:
    content = os.urandom(11_000_000)
    store.write("big", content)
    data, version = store.fetch("big")
    assert data == content and store.versions("") == {"big": version}

    def look(file: object) -> tuple[bytes, bytes, bytes, int]:
        end = file.seek(-5, os.SEEK_END)  # type: ignore[attr-defined]
        last = file.read()  # type: ignore[attr-defined]
        file.seek(end - 5)  # type: ignore[attr-defined]
        middle = file.read(5)  # type: ignore[attr-defined]
        return last, middle, file.read(100), file.tell()  # type: ignore[attr-defined]

    expected = (content[-5:], content[-10:-5], content[-5:], len(content))
    assert store.read_with("big", look) == expected
    store.write("empty", b"")
    assert store.read("empty") == b"" == store.read_with("empty", lambda file: file.read(9))
    with store.replacing("bits") as file:
        for i in range(3):
            file.write(content[i * 4_000_000 : (i + 1) * 4_000_000])
        assert not store.exists("bits")
    with pytest.raises(KeyError), store.replacing("bits") as file:
        file.write(b"never")
        raise KeyError
    assert store.read("bits") == content and store.names("") == ["big", "bits", "empty"]
    with store.replacing("bits"):
        pass
    assert store.read("bits") == b""


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_bucket_that_is_not_there_is_unavailable(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("azurite" if kind == "az" else "amazon")
    uri = server.google if kind == "gs" else server.uri
    nowhere = Store(uri.replace("bucket/", "nobody/").replace("container/", "nobody/"))
    for action in (
        lambda: nowhere.write("k", b"1"),
        lambda: nowhere.create("k", b"1"),
        lambda: nowhere.names("k"),
    ):
        with pytest.raises(Unavailable, match=rf"{kind}://nobody/results/k: 404 Not Found"):
            action()
