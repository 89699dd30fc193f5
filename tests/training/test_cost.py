"""What a training step costs, as counted without values, is what a training step takes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_families import TRAINED, build, class_count, item_shape, kind
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from oneshot.contracts import Items, Labelled, Pairs, Sets
from oneshot.nn.dense_blocks import NoiseStream
from oneshot.store import costs
from oneshot.store.costs import Shape
from oneshot.training import cost
from oneshot.training.stack import Stack
from oneshot.types import Kind

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path))


@contextmanager
def saved(but: list[Tensor]) -> Iterator[dict[int, int]]:
    """The bytes that automatic differentiation saves, by storage, but those of some tensors."""
    found: dict[int, int] = {}
    known = {t.untyped_storage().data_ptr() for t in but}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield found


def batch(model: Any) -> tuple[Items, Tensor]:
    """A batch of the model's own size, of ones, and its noise."""
    config, shape = model.config, item_shape(model)
    noise = torch.zeros(config.batch_size, *model.noise_shape)
    if model.trains_on is Sets:
        return Sets(torch.ones(config.batch_size, config.set_size, *shape)), noise
    ones = torch.ones(config.batch_size, *shape)
    if model.trains_on is Labelled:
        return Labelled(ones, torch.ones(config.batch_size, class_count(model))), noise
    return Pairs(ones, ones.clone()), noise


def count(stack: Stack) -> cost.Cost:
    """The cost of a stack on the first kind of data that its family models."""
    return cost.count(stack, 0 if kind(stack.template) == Kind.POINTS else 1)


def meta(family: str, models: int = 1, **changed: Any) -> Stack:
    """A stack without values."""
    return Stack([build(family, device=cost.META, **changed) for _ in range(models)], cost.META)


@pytest.mark.parametrize("family", [f for f in TRAINED if not f.startswith(("dagan", "figr"))])
def test_the_kept_bytes_are_those_of_a_real_forward_pass(family: str) -> None:
    """As the library's hooks have them, which do not go with a gradient of a gradient."""
    counted = count(meta(family))
    stack = Stack([build(family)], CPU)
    items, noise = batch(stack.template)
    hyper = {n: torch.ones(1) for n in stack.template.hyper(0)}
    stack.template.train()
    kept = []
    for turn in range(len(stack.players)):
        weights = [*(s.flat for s in stack.players), *stack.buffers.values(), noise]
        given = [tensor for tensor in vars(items).values() if tensor is not None]
        with saved([*weights, *given]) as found:
            losses = stack.losses_of(turn, items, noise, hyper)
        kept.append(sum(found.values()))
        del losses
    assert 0.95 < counted.kept / max(kept) < 2, (counted.kept, kept)
    assert counted.parameters == sum(p.numel() for p in stack.template.parameters())


@pytest.mark.parametrize("family", TRAINED)
def test_counts_are_the_same_with_and_without_values(family: str) -> None:
    real, counted = count(Stack([build(family)], CPU)), count(meta(family))
    assert (real.kept, real.parameters) == (counted.kept, counted.parameters)
    # some operators of the CPU are made of others than elsewhere
    assert real.products == pytest.approx(counted.products, rel=0.15)


@pytest.mark.parametrize("family", TRAINED)
def test_a_model_of_a_stack_costs_the_same_in_any_stack(family: str) -> None:
    """Two tell as much as three; alone it may keep less, as vmap has operators of its own."""
    if build(family, device=cost.META).cannot_stack:
        return
    one, two, three = (count(meta(family, k)) for k in (1, 2, 3))
    # What is of labels alone, which all models of a stack share, is there once a stack: that shows
    # in tiny toy GANs and class-conditional ones, and in no other family.
    shared = family.startswith(("toy_gan", "class_gan"))
    assert two.products == pytest.approx(one.products, rel=0.03 if shared else 1e-6)
    assert two.products == pytest.approx(three.products, rel=0.01 if shared else 1e-6)
    assert two.kept == pytest.approx(three.kept, rel=0.02)
    assert (0.95 if shared else 0.99) * one.kept < two.kept < 1.7 * one.kept


@pytest.mark.parametrize("family", ["vae_stn:small", "diffusion:tiny", "set_vae:tiny_cns"])
def test_multiply_adds_are_those_that_the_library_counts(family: str) -> None:
    """Forward and backward, where nearly each product has both its derivatives."""
    model = build(family, batch_size=4)
    player, (items, noise) = model.players()[0], batch(model)
    with FlopCounterMode(display=False) as counter:
        player.loss(items, noise, model.hyper(0))["loss"].mean().backward()
    images = len(noise) * (model.config.set_size if model.trains_on is Sets else 1)
    measured = counter.get_total_flops() / 2 / images
    assert count(meta(family, batch_size=4)).products == pytest.approx(measured, rel=0.25)


def test_two_players_count_as_often_as_they_move() -> None:
    """The critic's round: the generator forward, the critic four times (a gradient among them)
    forward and backward; the generator's: both forward and backward, at every k-th batch.
    """
    model = build("dagan:tiny", device=cost.META).eval()
    images, z = (torch.zeros(1, *shape, device=cost.META) for shape in ((1, 20, 20), (16,)))
    draws = NoiseStream(torch.zeros(1, 0, device=cost.META))
    with torch.no_grad(), cost.Tally([]) as drawing:
        model.generator(images, z, draws)
    with torch.no_grad(), cost.Tally([]) as judging:
        model.critic(images, images, draws)
    for rounds in (1, 5):
        counted = count(meta("dagan:tiny", critic_rounds=rounds)).products
        expected = drawing.products + 12 * judging.products
        expected += 3 * (drawing.products + judging.products) / rounds
        assert counted == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("family", "setting", "factor", "of_products", "of_kept"),
    [
        ("vae_stn:tiny", "time_steps", 2, 2.0, 2.0),
        ("vae_stn:tiny", "batch_size", 2, 1.0, 2.0),
        ("dagan:tiny", "channels", 4, 15.0, 4.0),
        ("diffusion:small_cfgdm", "n_feat", 2, 3.6, 1.5),
        ("set_vae:tiny_ns", "set_size", 2, 1.0, 2.0),
    ],
)
def test_costs_grow_with_settings_as_they_should(
    family: str, setting: str, factor: int, of_products: float, of_kept: float
) -> None:
    small = meta(family)
    value = factor * getattr(small.template.config, setting)
    one, other = count(small), count(meta(family, **{setting: value}))
    assert other.products / one.products == pytest.approx(of_products, rel=0.2)
    assert other.kept / one.kept == pytest.approx(of_kept, rel=0.35)


def test_a_shape_is_counted_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    values = dict(importlib.import_module("oneshot.models.vae_stn").VARIANTS["tiny"])
    values |= dict(dataset="quickdraw", image_size=16)
    shape = Shape.of("vae_stn", values)
    assert shape and costs.load(shape) is None
    cost.count_all([shape], 10.0)
    counted = costs.load(shape)
    assert counted and counted.products > 0
    monkeypatch.setattr(cost, "count", lambda *given: pytest.fail("counted again"))
    assert cost.of_shape(shape) == counted
    broken = Shape("vae_stn", shape.version, 16, 1, (("lstm_size", -1),))
    cost.count_all([broken], 10.0)  # whoever trains it is told
    assert costs.load(broken) is None
