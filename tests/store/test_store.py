"""The store writes whole files or none, and notices damaged ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oneshot.store.store import DamagedFile, Store


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.write("a/b.json", b"old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.write("a/b.json", b"new and longer")
    assert store.read("a/b.json") == b"old"
    assert store.names("a") == ["b.json"] and len(list((tmp_path / "a").iterdir())) == 1


def test_a_store_by_uri_is_the_same_store(tmp_path: Path) -> None:
    remote, local = Store(f"file://{tmp_path}"), Store(tmp_path)
    remote.write("a/x.json", b"1")
    assert (
        local.read("a/x.json") == b"1"
        and remote.exists("a/x.json")
        and not remote.exists("a/y.json")
    )
    assert set(remote.names("a", ".json")) == set(local.names("a", ".json")) == {"x.json"}
    assert remote.names("nowhere") == [] == local.names("nowhere")
    remote.delete("a/x.json")
    assert not local.exists("a/x.json")


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:20], lambda d: b"", lambda d: d[:50] + b"?" + d[51:]]
)
def test_a_damaged_file_is_noticed_named_and_set_aside(tmp_path: Path, damage: object) -> None:
    store = Store(tmp_path)
    store.seal("w.pt", b"weights " * 10)
    assert store.unseal("w.pt") == b"weights " * 10
    (tmp_path / "w.pt").write_bytes(damage((tmp_path / "w.pt").read_bytes()))  # type: ignore[operator]
    with pytest.raises(DamagedFile, match=r"w\.pt is damaged"):
        store.unseal("w.pt")
    assert store.exists(store.set_aside("w.pt")) and not store.exists("w.pt")
