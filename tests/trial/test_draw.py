"""Drawings are made once and stored, with the sheets of families that have them before them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import SIDE, made

from oneshot.models.mlp_vae import VARIANTS, Config, MlpVae
from oneshot.scoring import sheet_files, sheets
from oneshot.store.store import Store
from oneshot.training.checkpoint import Training
from oneshot.training.loop import unwatched
from oneshot.trial.draw import draw, drawings_key
from oneshot.trial.train import Trained


def trained(seed: int = 0) -> Trained:
    torch.manual_seed(seed)
    family = MlpVae(Config(**VARIANTS["tiny"]), SIDE)
    weights = {n: w.clone() for n, w in family.state_dict().items()}
    return Trained(family, Training(weights, weights))


def drawn(store: Store, model: Trained, each: int = 4) -> Any:
    point: Any = SimpleNamespace(
        sample_id="abc",
        train_id="t",
        seed=1,
        settings={"drawings_per_class": each, "weights": "end"},
        config=lambda: dataclasses.asdict(model.family.config),
    )
    given: Any = SimpleNamespace(data=made("greys", 2), exemplars=np.zeros(5, np.int64))
    job: Any = SimpleNamespace(store=store, device="cpu")
    assert drawings_key(point) == "store/drawings/abc/drawings.npz"
    return draw(point, given, model, job, unwatched)


def test_sheets_are_stored_before_drawings_and_neither_is_made_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, written = trained(), list[str]()
    write = store.write
    monkeypatch.setattr(
        store, "write", lambda key, data: (written.append(key), write(key, data))[1]
    )
    first = drawn(store, model)
    keys = [sheet_files.key("abc", name) for name in ("latent_grid", "reconstructions")]
    assert written == [*keys, "store/drawings/abc/drawings.npz"]
    assert first.drawings.images.shape == (20, SIDE, SIDE, 1) and first.seconds > 0
    of_model = sheets.make(model.family, made("greys", 2), torch.device("cpu"))
    for key, images in zip(keys, of_model.values()):
        assert np.array_equal(sheet_files.from_bytes(store.read(key)), images)
    again = drawn(store, trained(1))
    assert np.array_equal(again.drawings.images, first.drawings.images)
    assert again.seconds == 0 and len(written) == 3


def test_where_nothing_is_drawn_there_are_no_sheets(store: Store, tmp_path: Path) -> None:
    assert len(drawn(store, trained(), each=0).drawings.images) == 0
    assert not list((tmp_path / "results").rglob("*.npz"))
