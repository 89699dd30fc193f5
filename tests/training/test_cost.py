"""What a training step costs, as counted without values, is what a training step takes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from families import TRAINED, build
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from oneshot.contracts import Pairs, Sets
from oneshot.store import costs
from oneshot.store.costs import Shape
from oneshot.training import cost
from oneshot.training.stack import Stack

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


def batch(model: Any) -> tuple[Pairs | Sets, Tensor]:
    """A batch of the model's own size, of ones, and its noise."""
    config, side = model.config, model.image_size
    noise = torch.zeros(config.batch_size, *model.noise_shape)
    if model.trains_on is Sets:
        return Sets(torch.ones(config.batch_size, config.set_size, 1, side, side)), noise
    ones = torch.ones(config.batch_size, 1, side, side)
    return Pairs(ones, ones.clone()), noise


@pytest.mark.parametrize("family", TRAINED)
def test_the_kept_bytes_are_those_of_a_real_forward_pass(family: str) -> None:
    counted = cost.count(build(family, device=cost.META))
    stack = Stack([build(family)], CPU)
    items, noise = batch(stack.template)
    hyper = {n: torch.ones(1) for n in stack.template.hyper(0)}
    stack.template.train()
    kept = []
    for turn in range(len(stack.sides)):
        weights = [*(s.flat for s in stack.sides), *stack.buffers.values(), noise]
        with saved([*weights, *vars(items).values()]) as found:
            losses = stack.losses_of(turn, items, noise, hyper)
        kept.append(sum(found.values()))
        del losses
    assert 0.95 < counted.kept / max(kept) < 2, (counted.kept, kept)
    assert counted.parameters == sum(p.numel() for p in stack.template.parameters())


@pytest.mark.parametrize("family", TRAINED)
def test_counts_are_the_same_with_and_without_values(family: str) -> None:
    assert cost.count(build(family), device=CPU) == cost.count(build(family, device=cost.META))


@pytest.mark.parametrize("family", TRAINED)
def test_a_stack_costs_as_much_as_its_models(family: str) -> None:
    one = cost.count(build(family, device=cost.META))
    models = [build(family, device=cost.META) for _ in range(3)]
    if models[0].cannot_stack:
        return
    three = cost.count_stack(Stack(models, cost.META))
    assert three.products == pytest.approx(3 * one.products, rel=0.15)
    assert three.kept == pytest.approx(3 * one.kept, rel=0.25)


@pytest.mark.parametrize("family", ["vae_stn:tiny", "diffusion:tiny", "set_vae:tiny_cns"])
def test_multiply_adds_are_those_that_the_library_counts(family: str) -> None:
    """Forward and backward, where each product has both its derivatives: nearly so."""
    model = build(family)
    player, (items, noise) = model.players()[0], batch(model)
    with FlopCounterMode(display=False) as counter:
        player.loss(items, noise, model.hyper(0))["loss"].mean().backward()
    images = len(noise) * (model.config.set_size if model.trains_on is Sets else 1)
    measured = counter.get_total_flops() / 2 / images
    assert cost.count(model).products == pytest.approx(measured, rel=0.2)


def test_an_adversary_s_round_counts_both_players_as_often_as_they_move() -> None:
    """A pass without gradient counts once, and the gradient of a gradient as often as both."""
    stack = Stack([build("dagan:tiny")], CPU)
    model = stack.template
    items, noise = batch(model)
    measured = 0.0
    for turn, side in enumerate(stack.sides):
        with cost.Tally([]) as tally:
            loss = stack.losses_of(turn, items, noise, {"penalty": torch.ones(1)})["loss"].sum()
            with torch.no_grad():  # so that products of the backward pass count once
                torch.autograd.grad(loss, side.flat)
        forward = sum_of_forward(stack, turn, items, noise)
        measured += (tally.products - forward[0] + forward[1]) / side.player.every
    assert cost.count(model).products == pytest.approx(measured / len(noise), rel=0.2)


def sum_of_forward(stack: Stack, turn: int, items: Any, noise: Tensor) -> tuple[float, float]:
    """The products of a forward pass as the tally weighs them, and each once."""
    with cost.Tally([]) as weighed:
        stack.losses_of(turn, items, noise, {"penalty": torch.ones(1)})
    weight, cost.WITH_BACKWARD = cost.WITH_BACKWARD, 1
    try:
        with cost.Tally([]) as once:
            stack.losses_of(turn, items, noise, {"penalty": torch.ones(1)})
    finally:
        cost.WITH_BACKWARD = weight
    return weighed.products, once.products


@pytest.mark.parametrize(
    ("family", "setting", "factor", "of_products", "of_kept"),
    [
        ("vae_stn:tiny", "time_steps", 2, 2.0, 2.0),
        ("vae_stn:tiny", "batch_size", 2, 1.0, 2.0),
        ("dagan:tiny", "channels", 4, 12.0, 4.0),
        ("diffusion:small_cfgdm", "n_feat", 2, 3.6, 1.5),
        ("set_vae:tiny_ns", "set_size", 2, 1.0, 2.0),
    ],
)
def test_costs_grow_with_settings_as_they_should(
    family: str, setting: str, factor: int, of_products: float, of_kept: float
) -> None:
    small = build(family, device=cost.META)
    value = factor * getattr(small.config, setting)
    one, other = cost.count(small), cost.count(build(family, device=cost.META, **{setting: value}))
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
