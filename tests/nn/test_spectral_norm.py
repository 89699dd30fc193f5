"""Spectral norm: torch's own hook step by step, singular values, what moves, and stacks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from oneshot.nn.spectral_norm import SKIP_GAIN, SpectralConv2d, SpectralLinear, SpectralNorm

KINDS = ["conv", "linear"]
Layer = SpectralConv2d | SpectralLinear


def made(kind: str, seed: int = 0) -> Layer:
    torch.manual_seed(seed)
    return SpectralConv2d(3, 5, 3) if kind == "conv" else SpectralLinear(4, 6)


def given(kind: str, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, 6, 6) if kind == "conv" else (7, 4)
    return torch.randn(shape, generator=generator)


def hooked(layer: Layer) -> Any:
    """A layer of torch's with the hook of its own, with the same weights and vectors."""
    plain = nn.Conv2d(3, 5, 3, padding=1) if isinstance(layer, nn.Conv2d) else nn.Linear(4, 6)
    other: Any = nn.utils.spectral_norm(plain)
    with torch.no_grad():
        other.weight_orig.copy_(layer.weight)
        other.bias.copy_(layer.bias)
        other.weight_u.copy_(layer.norm.u)
        other.weight_v.copy_(layer.norm.v)
    return other


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch_s_hook(kind: str) -> None:
    layer = made(kind)
    layer.norm.u.copy_(nn.functional.normalize(torch.ones_like(layer.norm.u), dim=0))
    other = hooked(layer)
    ours = torch.optim.SGD(layer.parameters(), 0.1)
    theirs = torch.optim.SGD(other.parameters(), 0.1)
    for step in range(5):
        x = given(kind, step)
        for optimizer, one in ((ours, layer), (theirs, other)):
            optimizer.zero_grad()
            one(x).square().mean().backward()
        torch.testing.assert_close(layer.weight.grad, other.weight_orig.grad)
        assert layer.weight.grad is not None and layer.weight.grad.abs().max() > 1e-3
        torch.testing.assert_close(layer.norm.u, other.weight_u)
        torch.testing.assert_close(layer.norm.v, other.weight_v)
        ours.step()
        theirs.step()
    layer.eval()
    other.eval()
    torch.testing.assert_close(layer(given(kind)), other(given(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_singular_value_becomes_1(kind: str) -> None:
    layer = made(kind)
    for _ in range(200):
        layer(given(kind))
    normed = layer.norm(layer.weight, moves=False).flatten(1)
    assert float(torch.linalg.svdvals(normed.detach())[0]) == pytest.approx(1, abs=1e-4)
    expected = layer.weight / torch.linalg.svdvals(layer.weight.flatten(1))[0]
    torch.testing.assert_close(normed, expected.flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_layer_can_be_evaluated(kind: str) -> None:
    layer = made(kind).eval()
    largest = float(torch.linalg.svdvals(layer.norm(layer.weight).detach().flatten(1))[0])
    assert 1 - 1e-4 < largest < 1.3


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_move_in_training_passes_that_ask_for_it(kind: str) -> None:
    layer = made(kind)
    layer.norm.u.copy_(nn.functional.normalize(torch.ones_like(layer.norm.u), dim=0))
    before = layer.norm.u.clone(), layer.norm.v.clone()

    def moved() -> list[bool]:
        return [not torch.equal(a, b) for a, b in zip(before, (layer.norm.u, layer.norm.v))]

    layer(given(kind), moves=False)
    assert moved() == [False, False]
    layer.eval()(given(kind))
    assert moved() == [False, False]
    layer.train()(given(kind))
    assert moved() == [True, True]
    assert set(layer.state_dict()) == {"weight", "bias", "norm.u", "norm.v"}


@pytest.mark.parametrize("first", [True, False])
def test_a_later_pass_that_moves_leaves_the_gradient_of_an_earlier_one(first: bool) -> None:
    layer, x = made("linear"), given("linear")
    u, v = layer.norm.u.clone(), layer.norm.v.clone()
    early = layer(x, moves=first).square().mean()
    if first:
        u, v = layer.norm.u.clone(), layer.norm.v.clone()
    layer(given("linear", 2))
    early.backward()
    weight = layer.weight.detach().clone().requires_grad_()
    sigma = torch.dot(u, torch.mv(weight, v))
    expected = nn.functional.linear(x, weight / sigma, layer.bias).square().mean()
    expected.backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error")
def test_stacked_layers_are_those_alone(kind: str) -> None:
    layers, x = [made(kind, seed) for seed in range(3)], given(kind)
    for layer in layers:  # away from what they converge to
        layer.norm.u.copy_(nn.functional.normalize(torch.ones_like(layer.norm.u), dim=0))
    state = {
        name: torch.stack([layer.state_dict()[name] for layer in layers])
        for name in layers[0].state_dict()
    }

    def one(own: dict[str, Tensor]) -> Tensor:
        result: Tensor = functional_call(layers[0], own, (x,))
        return result

    together = vmap(one)(state)
    for k, layer in enumerate(layers):
        torch.testing.assert_close(together[k], layer(x))
        for name in ("norm.u", "norm.v"):
            torch.testing.assert_close(state[name][k], layer.state_dict()[name])


def test_first_weights_are_glorot_s() -> None:
    torch.manual_seed(0)
    for layer, fans, gain in (
        (SpectralConv2d(16, 32, 3), 9 * (16 + 32), 1.0),
        (SpectralConv2d(16, 32, 1, SKIP_GAIN), 16 + 32, 2**0.5),
        (SpectralLinear(64, 64), 128, 1.0),
    ):
        bound = gain * (6 / fans) ** 0.5
        assert bound * 0.98 < float(layer.weight.detach().abs().max()) <= bound
        assert float(layer.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05)


def test_a_norm_has_one_vector_for_rows_and_one_for_columns() -> None:
    norm = SpectralNorm(torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0)))
    assert norm.u.shape == (5,) and norm.v.shape == (12,)
    assert float(norm.u.norm()) == pytest.approx(1) == float(norm.v.norm())
