"""Features of DINOv2 beside a second implementation, and the panel that rests on them."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_dino
import numpy as np
import pytest
import torch
from PIL import Image

from oneshot.models.copy import Config as CopyConfig
from oneshot.models.copy import Copy
from oneshot.scoring import dino
from oneshot.scoring.graders import dino as grader
from oneshot.scoring.work import Work
from oneshot.store.store import Store
from oneshot.store.tables import DINO
from oneshot.trial.once import make_once
from oneshot.types import DataSet, Drawings

CPU = torch.device("cpu")
NEEDS = "needs transformers: pip install 'oneshot[eval]'"


def pictures(count: int, side: int = 32) -> np.ndarray:
    """Colour images of a few random waves each, uint8 [count, side, side, 3]."""
    rng = np.random.default_rng(0)
    at = np.linspace(0, 1, side)
    phase, speed = rng.uniform(0, 6, (2, count, 1, 1, 3, 2))
    waves = np.sin(speed[..., 0] * at[:, None, None] + phase[..., 0]) + np.cos(
        speed[..., 1] * at[None, :, None] + phase[..., 1]
    )
    return ((waves + 2) / 4 * 255).round().astype(np.uint8)


def by_pillow(images: np.ndarray) -> torch.Tensor:
    """What the network sees, made by Pillow and NumPy."""
    large = [Image.fromarray(i).resize((224, 224), Image.Resampling.BICUBIC) for i in images]
    pixels = np.stack([np.asarray(image, np.float32) for image in large]) / 255
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return torch.from_numpy(((pixels - mean) / spread).transpose(0, 3, 1, 2)).float()


def test_images_are_enlarged_as_by_pillow() -> None:
    images = pictures(3)
    images[0, ::2] = 0  # sharp edges, beyond which bicubic weights overshoot
    found = dino.prepared(torch.from_numpy(images))
    assert found.shape == (3, 3, 224, 224)
    # Pillow rounds to bytes, twice
    assert (found - by_pillow(images)).abs().max() < 1.5 / 255 / 0.224


def test_bits_are_black_ink_on_white_paper() -> None:
    bits = np.zeros((1, 28, 28), np.uint8)
    bits[0, 10:18] = 1
    found = dino.prepared(torch.from_numpy(bits))
    drawn = np.repeat((255 * (1 - bits))[..., None], 3, axis=3)
    assert torch.equal(found, dino.prepared(torch.from_numpy(drawn)))
    assert found[0, :, 0, 0].tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("gated", [False, True])
def test_features_are_those_of_the_authors_network(gated: bool, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason=NEEDS)
    state = made_dino.state(gated=gated)
    torch.save(state, tmp_path / "a.pth")
    images = pictures(5)
    found = dino.embed(dino.read(tmp_path / "a.pth"), images, CPU)
    wanted = made_dino.features(state, dino.prepared(torch.from_numpy(images))).numpy()
    assert found.shape == (5, 128) and found.dtype == np.float32
    assert wanted.std(axis=0).min() > 1e-3  # else anything would be near
    assert np.abs(found - wanted).max() < 2e-4


def test_a_file_of_transformers_gives_its_own_features(tmp_path: Path) -> None:
    """Also where positions are fewer than patches, which the package then interpolates."""
    transformers = pytest.importorskip("transformers", reason=NEEDS)
    config = transformers.Dinov2Config(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=70, mlp_ratio=2
    )
    torch.manual_seed(0)
    model = transformers.Dinov2Model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    images = pictures(5)
    found = dino.embed(dino.read(tmp_path / "model.safetensors"), images, CPU)
    with torch.inference_mode():
        wanted = model(dino.prepared(torch.from_numpy(images))).pooler_output.numpy()
    assert wanted.std(axis=0).min() > 1e-3
    assert np.abs(found - wanted).max() < 1e-5


def test_half_precision_is_read_as_numbers_of_32_bits(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason=NEEDS)
    state = {name: value.half() for name, value in made_dino.state(layers=1).items()}
    torch.save(state, tmp_path / "a.pth")
    network = dino.read(tmp_path / "a.pth")
    assert {p.dtype for p in network.parameters()} == {torch.float32} and not network.training
    torch.save({name: value.float() for name, value in state.items()}, tmp_path / "b.pth")
    images = pictures(2)
    found, wanted = (
        dino.embed(dino.read(tmp_path / name), images, CPU) for name in ("a.pth", "b.pth")
    )
    assert np.array_equal(found, wanted)


def test_without_the_package_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    torch.save(made_dino.state(), tmp_path / "a.pth")
    with pytest.raises(dino.MissingPackage, match=r"transformers .*pip install 'oneshot\[eval\]'"):
        dino.read(tmp_path / "a.pth")


class Brightness(torch.nn.Module):
    """Stands for a DINOv2: the mean colour of four corners, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        self.batches.append(len(pixel_values))
        corners = torch.nn.functional.avg_pool2d(pixel_values, 112).flatten(1)
        return SimpleNamespace(last_hidden_state=corners[:, None])


def test_equal_images_are_embedded_once() -> None:
    images, network = pictures(40), Brightness()
    calls: list[tuple[str, int, int]] = []
    found = dino.embed(network, images.repeat(3, axis=0), CPU, lambda *now: calls.append(now))
    assert network.batches == [32, 8]
    assert calls == [("DINOv2 features", 0, 40), ("DINOv2 features", 32, 40)]
    assert np.array_equal(found[::3], found[2::3])
    assert np.array_equal(found[::3], dino.embed(Brightness(), images, CPU))


# --- the grader


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Brightness]:
    """Stands for the network of every file."""
    made = Brightness()
    grader._network.cache_clear()
    monkeypatch.setattr(dino, "read", lambda path: made)
    yield made
    grader._network.cache_clear()


def coloured(classes: int = 5, each: int = 8) -> DataSet:
    images = np.moveaxis(pictures(classes * each), -1, 1)
    names = tuple(map(str, range(classes)))
    ids = np.arange(classes)
    label = ids.repeat(each)
    return DataSet("made", "fixed", "0", images, label, names, ids[:1], ids[1:2], ids[2:])


def graded(
    images: np.ndarray, data: DataSet, folder: Path, most: int = 20, human_file: str = ""
) -> dict[str, Any]:
    """The columns of as many images of each test class, in its order."""
    label = np.arange(3).repeat(len(images) // 3)
    settings = dict(dataset="made", split="fixed", image_size=32, diversity_drawings=most)
    files = {"dino_weights": "0" * 64, **({"human_file": "1" * 64} if human_file else {})}
    point: Any = SimpleNamespace(settings=settings, files=files, data_fingerprint="0")
    store = Store(folder)
    columns, tables = grader.grade(
        Work(
            point=point,
            data=data,
            exemplars=np.arange(0, 40, 8),
            drawings=Drawings(images, label, images[:3], ("2", "3", "4")),
            critics=None,
            human=None,
            people=None,
            family=None,
            load_weights=lambda: None,
            greys=lambda: None,
            store=store,
            device=CPU,
            file=dict(dino_weights="a.pth", human_file=human_file).__getitem__,
            once=functools.partial(make_once, store=store, report=lambda *_: None),
        )
    )
    assert not tables
    return columns


def test_people_beside_people_and_copies(network: Brightness, own_cache: Path) -> None:
    data, folder = coloured(), own_cache.parent / "results"
    rows = data.rows(data.test)
    row = graded(data.as_drawings(rows), data, folder)
    assert set(row) == set(DINO) and row["dino_fid"] < 1e-8
    assert row["dino_precision"] == row["dino_recall"] == row["dino_coverage"] == 1
    copied = Copy(CopyConfig()).draw(data, np.arange(0, 40, 8), 8, 0)
    assert copied.images.shape == (24, 32, 32, 3) and copied.exemplars.shape == (3, 32, 32, 3)
    copies = graded(copied.images, data, folder)
    assert copies["dino_recall"] == 0 and copies["dino_precision"] == 1
    assert copies["dino_fid"] > 0


def test_people_are_embedded_once_for_all_points(network: Brightness, own_cache: Path) -> None:
    data, folder = coloured(), own_cache.parent / "results"
    noise = np.random.default_rng(1).integers(0, 256, (24, 32, 32, 3), np.uint8)
    first = graded(noise, data, folder)
    assert sum(network.batches) == 24 + 24
    assert graded(noise, data, folder) == first and sum(network.batches) == 24 + 24 + 24
    (kept,) = (folder / "store" / "features").glob("*.npy")
    kept.write_bytes(kept.read_bytes()[:-1])
    grader_cache = list((own_cache / "sealed").glob("*.npy"))
    assert grader_cache  # by it the damaged file would stay unseen
    grader_cache[0].unlink()
    with pytest.warns(UserWarning, match=r"is damaged .* it is made again"):
        assert graded(noise, data, folder) == first
    assert sum(network.batches) == 24 + 24 + 24 + 48


def test_only_the_first_drawings_of_a_class_count(network: Brightness, own_cache: Path) -> None:
    data, folder = coloured(), own_cache.parent / "results"
    images = data.as_drawings(data.rows(data.test))
    spoiled = images.copy().reshape(3, 8, 32, 32, 3)
    spoiled[:, 6:] = 0
    one, other = (graded(i.reshape(-1, 32, 32, 3), data, folder, most=6) for i in (images, spoiled))
    assert one == other and one["dino_recall"] == 1


def test_what_needs_more_drawings_is_missing(network: Brightness, own_cache: Path) -> None:
    """Twelve features need more than twelve drawings for a covariance."""
    data = coloured()
    images = data.as_drawings(data.rows(data.test)).reshape(3, 8, 32, 32, 3)
    few = graded(images[:, :4].reshape(-1, 32, 32, 3), data, own_cache.parent / "results")
    assert set(DINO) - set(few) == {"dino_fid"}


def test_bits_are_compared_too_and_a_file_may_stand_for_people(
    network: Brightness, own_cache: Path
) -> None:
    colour = coloured()
    bits = (colour.images.mean(axis=1) > 128).astype(np.uint8)
    data = dataclasses.replace(colour, images=bits)
    folder, file = own_cache.parent / "results", own_cache.parent / "people.npz"
    drawn = bits[data.rows(data.test)]
    row = graded(drawn, data, folder)
    assert (
        set(row) == set(DINO)
        and row["dino_recall"] == row["dino_coverage"] == 1
        and row["dino_fid"] < 1e-8
    )
    others = 1 - drawn
    np.savez(file, images=others, exemplar=np.arange(3).repeat(8), exemplars=others[::8])
    turned = graded(others, data, folder, human_file=str(file))
    assert turned["dino_recall"] == 1 and turned["dino_fid"] < 1e-8
    assert graded(drawn, data, folder, human_file=str(file))["dino_fid"] > 0
    assert len(list((folder / "store" / "features").glob("*.npy"))) == 2
