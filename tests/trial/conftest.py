"""What tests of a trial share: a folder of their own, made images, counts of what is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_inputs import made

from oneshot import data as datasets
from oneshot.critics import protonet, simclr
from oneshot.critics.encoder import embed_all
from oneshot.store.store import Store
from oneshot.trial import exemplars, inputs


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "load", made)
    monkeypatch.chdir(tmp_path)
    inputs._cache.clear()
    yield
    inputs._cache.clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each embedding for exemplars was given."""
    counts: list[int] = []

    def counted(module: Any, images: np.ndarray, device: Any) -> np.ndarray:
        counts.append(len(images))
        return embed_all(module, images, device)

    monkeypatch.setattr(exemplars, "embed_all", counted)
    return counts


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which critics were trained."""
    names: list[str] = []
    for family in (simclr, protonet):

        def spied(
            *given: Any,
            name: str = family.__name__.rpartition(".")[2],
            real: Callable[..., Any] = family.train,
        ) -> Any:
            names.append(name)
            return real(*given)

        monkeypatch.setattr(family, "train", spied)
    return names
