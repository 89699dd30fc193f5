"""Inputs are made where they are missing, only there, and again where they are damaged."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from made_inputs import CLASSES, CPU, EACH, PARTS, SIZE, TEST, files, made, some_points

from oneshot.critics import protonet, simclr
from oneshot.store import notes
from oneshot.store.store import Store
from oneshot.trial import inputs, prepare
from oneshot.trial.exemplars import choose_exemplars
from oneshot.trial.files import store_files
from oneshot.trial.inputs import read_critic

# --- only what is missing


def test_medoids_are_computed_once_for_all_exemplars_and_protocols(
    tmp_path: Path, store: Store, embedded: list[int], trained: list[str]
) -> None:
    chosen = some_points(
        tmp_path,
        'exemplar=["first", "random", "medoid"], protocol=["expected", "episodes"]',
        size=SIZE,
    )
    assert len(chosen) == 6
    for point in chosen:
        assert prepare.missing(point, store)
        prepare.prepare(point, store, CPU)
        assert prepare.missing(point, store) == []
    assert embedded == [CLASSES * EACH] and trained == ["simclr", "protonet"]
    medoids = inputs.load(chosen[-1], store, CPU).exemplars
    simclr_of = read_critic(chosen[0].critics["simclr"], SIZE, store, CPU)
    assert np.array_equal(medoids, choose_exemplars(made(), "medoid", simclr_of, 0, CPU))
    assert inputs.load(chosen[0], store, CPU).exemplars.tolist() == list(
        range(0, CLASSES * EACH, EACH)
    )


@pytest.mark.parametrize("part", PARTS)
def test_only_what_is_missing_is_made(
    part: str, tmp_path: Path, store: Store, embedded: list[int], trained: list[str]
) -> None:
    (point,) = some_points(tmp_path)
    prepare.prepare(point, store, CPU)
    where, before = inputs.keys(point), files(store)
    embedded.clear(), trained.clear()  # type: ignore[func-returns-value]
    store.delete(where[part])
    prepare.prepare(point, store, CPU)
    assert trained == [part] * (part in ("simclr", "protonet")) and embedded == [CLASSES * EACH] * (
        part == "exemplars"
    )
    after = files(store)
    assert after.keys() == before.keys() and {
        key for key in after if after[key] != before[key]
    } <= {where[part]}


@pytest.fixture
def published(tmp_path: Path) -> dict[str, str]:
    """Settings of two critics that are imported."""
    torch.manual_seed(1)
    settings = {}
    for name, family in (("simclr", simclr.SimCLR), ("protonet", protonet.ProtoNet)):
        torch.save(family(50).state_dict(), tmp_path / f"{name}.model")
        settings[name] = f'weights="{tmp_path / name}.model"'
    return settings


@pytest.mark.parametrize(
    ("exemplar", "images"), [("first", TEST * EACH), ("medoid", CLASSES * EACH)]
)
def test_imported_critics_embed_the_test_classes_only_unless_models_need_all(
    exemplar: str,
    images: int,
    tmp_path: Path,
    store: Store,
    embedded: list[int],
    published: dict[str, str],
) -> None:
    (point,) = some_points(tmp_path, f'exemplar=["{exemplar}"]', size=50, **published)
    store_files([point], store)
    prepare.prepare(point, store, CPU)
    assert embedded == [images]
    quality = notes.stored(store, point.critics["protonet"].quality_key)
    simclr_of = read_critic(point.critics["simclr"], 50, store, CPU)
    medoids = choose_exemplars(made(size=50), "medoid", simclr_of, 0, CPU)
    module = read_critic(point.critics["protonet"], 50, store, CPU)
    same = protonet.quality(module, made(size=50), medoids, 0, CPU)  # type: ignore[arg-type]
    assert quality is not None and quality["test_recognizability"] == same["test_recognizability"]


# --- damage


def flipped(content: bytes, rng: random.Random) -> bytes:
    """The content with one bit flipped, or cut short."""
    at = rng.randrange(len(content))
    if rng.random() < 0.1:
        return content[:at]
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_any_flipped_bit_is_noticed(tmp_path: Path, store: Store) -> None:
    (point,) = some_points(tmp_path)
    prepare.prepare(point, store, CPU)
    rng = random.Random(0)
    keys = [
        *inputs.keys(point).values(),
        point.critics["simclr"].quality_key,
        point.critics["protonet"].quality_key,
    ]
    for key in keys:
        path = Path(store.path(key))
        whole = path.read_bytes()
        for _ in range(40 if key.endswith(".pt") else 400):
            path.write_bytes(flipped(whole, rng))
            if prepare.is_whole(key, store):  # a space or a line's end that says nothing
                assert key.endswith(".json") and notes.decode(path.read_bytes()) == notes.decode(
                    whole
                ), key
        path.write_bytes(whole)
    assert prepare.missing(point, store) == []


@pytest.mark.parametrize("part", [*PARTS, "quality"])
def test_what_is_damaged_is_set_aside_and_made_again(
    part: str, tmp_path: Path, store: Store, trained: list[str]
) -> None:
    (point,) = some_points(tmp_path)
    prepare.prepare(point, store, CPU)
    before = inputs.load(point, store, CPU)
    key = point.critics["simclr"].quality_key if part == "quality" else inputs.keys(point)[part]
    path = Path(store.path(key))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    trained.clear()
    with pytest.warns(UserWarning, match=f"{path} is damaged"):
        assert prepare.missing(point, store) == ["simclr" if part == "quality" else part]
        prepare.prepare(point, store, CPU)
    assert prepare.missing(point, store) == [] and len(list(path.parent.glob("*.damaged-*"))) == 1
    assert trained == [part] * (part in ("simclr", "protonet"))
    inputs._cache.clear()
    after = inputs.load(point, store, CPU)
    assert np.array_equal(after.exemplars, before.exemplars) and after.human == before.human


def test_people_are_scored_again_when_other_weights_took_the_place_of_damaged_ones(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine rounds differently, and trains another network."""
    (point,) = some_points(tmp_path)
    prepare.prepare(point, store, CPU)
    before = inputs.load(point, store, CPU).human
    path = Path(store.path(point.critics["simclr"].weights_key))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    real = simclr.train
    monkeypatch.setattr(
        simclr,
        "train",
        lambda config, data, exemplars, seed, *rest: real(config, data, exemplars, seed + 1, *rest),
    )
    with pytest.warns(UserWarning, match="made with other critics"):
        prepare.prepare(point, store, CPU)
    assert prepare.missing(point, store) == []
    inputs._cache.clear()
    after = inputs.load(point, store, CPU).human
    assert before is not None and after is not None and before.diversity != after.diversity


def test_people_of_an_earlier_version_are_read(tmp_path: Path, store: Store) -> None:
    (point,) = some_points(tmp_path)
    prepare.prepare(point, store, CPU)
    key = inputs.keys(point)["human"]
    plain = notes.decode(store.read(key))
    store.write(key, json.dumps(plain).encode())
    assert prepare.missing(point, store) == []
    store.write(key, json.dumps(plain).encode()[:-3])
    with pytest.warns(UserWarning, match="is damaged"):
        assert prepare.missing(point, store) == ["human"]
