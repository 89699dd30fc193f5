"""Outputs for weights made by a formula equal numbers that the published code gave for them.

The numbers were computed once, in float64, by the code of each model's authors with the same
weights, images and noise (`support/golden_fill.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden_fill import centres, cross, filled, sines, square
from torch import Tensor, nn

from oneshot import data as datasets
from oneshot.contracts import Pairs
from oneshot.models import dagan, diffusion, set_vae, vae_stn
from oneshot.nn.dense_blocks import NoiseStream
from oneshot.nn.diffusion_process import DiffusionProcess
from oneshot.nn.pyramid import ObservationNet
from oneshot.training.batches import batches_for

NONE = NoiseStream(torch.zeros(1, 0, dtype=torch.float64))  # nothing is dropped in evaluation mode


def near(value: Tensor | float, golden: float, digits: float = 1e-7) -> bool:
    """Whether a number is the golden one to so many of its digits."""
    return float(value.detach() if isinstance(value, Tensor) else value) == pytest.approx(
        golden, rel=digits
    )


def pixels(image: Tensor, *places: tuple[int, int]) -> list[float]:
    """The values of the first image [B, 1, H, W] at (row, column)."""
    return [image[0, 0, row, column].item() for row, column in places]


@pytest.fixture(scope="module")
def stn() -> vae_stn.VaeStn:
    config = vae_stn.Config(time_steps=5, z=10, published_loss=True)
    model = filled(vae_stn.VaeStn(config, 50), 2.0)
    last = model.location[-1]
    with torch.no_grad():
        last.bias.copy_(torch.tensor([1, 0.1, 0.05, -0.1, 0.9, -0.05], dtype=torch.float64))
        last.weight.mul_(0.3)
    model.window, model.canvas = centres(15), centres(50)
    return model


def test_vae_stn_bounds_a_likelihood_as_published(stn: vae_stn.VaeStn) -> None:
    terms = stn.elbo(Pairs(cross(50), square(50)), sines(50, 0.5).view(1, 5, 10))
    assert near(terms["reconstruction"], 2280.045669, 1e-8)
    assert near(terms["kl"], 2.82493416, 1e-7)


def test_vae_stn_draws_as_published(stn: vae_stn.VaeStn) -> None:
    drawn = stn.sample(square(50), sines(50, 0.5).view(1, 5, 10))
    assert near(drawn.mean(), 0.4995162513)
    assert pixels(drawn, (10, 10), (25, 25), (40, 12)) == pytest.approx(
        [0.2471124, 0.83770705, 0.16426407], rel=2e-7
    )


def test_vae_stn_starts_from_the_published_weights() -> None:
    torch.manual_seed(32)
    model = vae_stn.VaeStn(vae_stn.Config(time_steps=100, z=80), 50)
    assert sum(p.double().sum().item() for p in model.parameters()) == pytest.approx(
        5.251155, abs=2e-5
    )


@pytest.mark.slow
def test_the_first_batch_of_vae_stn_costs_what_the_published_one_cost(
    shared_data: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    torch.manual_seed(32)
    config = vae_stn.Config(time_steps=100, z=80, published_loss=True)
    model = vae_stn.VaeStn(config, 50)
    data = datasets.load("omniglot", "weak", 50)
    first_of_class = (data.label.searchsorted(range(len(data.class_names)))).astype("int64")
    batches = batches_for(model, data, first_of_class, torch.device("cpu"), None)
    spec = next(iter(batches.epoch(32, 0, 128)))
    noise = torch.randn(128, *model.noise_shape, generator=torch.Generator().manual_seed(32))
    with torch.no_grad():
        terms = model.elbo(batches.batch(spec), noise)
    assert terms["reconstruction"].mean().item() == pytest.approx(3757, abs=30)
    assert terms["kl"].mean().item() == pytest.approx(23.0, abs=0.2)


def test_the_unet_predicts_noise_as_published() -> None:
    config = diffusion.Config(n_feat=48, time_steps=500, published_process=True)
    model = filled(diffusion.Diffusion(config, 48), 1.5)
    x = sines(48 * 48, 0.0, 0.1).view(1, 1, 48, 48)
    exemplar = cross(50)[..., 1:-1, 1:-1]
    context = model._context(exemplar.unsqueeze(1))
    ones = torch.ones(1, dtype=torch.float64)
    with torch.no_grad():
        noise_hat = model._noise_hat(x, torch.tensor([250]), context, ones)
    assert near(noise_hat.mean(), -0.3827929967)
    assert near(noise_hat.std(), 1.1362782183)
    assert pixels(noise_hat, (0, 0), (24, 24), (40, 7)) == pytest.approx(
        [-2.56605565, 0.16908024, -0.06179273], rel=1e-6
    )


def test_alpha_bar_ends_as_published() -> None:
    process = DiffusionProcess(500, published=True)
    assert process.alpha_bar[500].item() == pytest.approx(0.006289, abs=5e-7)


@pytest.fixture(scope="module")
def ns_50() -> set_vae.SetVae:
    config = set_vae.Config(**set_vae.VARIANTS["ns_50"])  # z 16
    return filled(set_vae.SetVae(config, 50), 1.5)


def test_the_neural_statistician_bounds_a_likelihood_as_published(ns_50: set_vae.SetVae) -> None:
    images = torch.stack([square(50)[0], cross(50)[0]]).unsqueeze(0)
    noise = torch.cat([sines(512, 0.5), sines(32, 0.2)]).unsqueeze(0)
    with torch.no_grad():
        terms = ns_50.terms(images, noise)
    # of the whole set, an image
    assert near(terms.log_likelihood.sum() / 2, -2445.02104273, 1e-9)
    assert near(terms.kl_c.sum() / 2, 378.45166449, 1e-9)
    assert near(terms.kl_z.sum() / 2, 11.78730479, 1e-8)


def test_the_neural_statistician_draws_as_published(ns_50: set_vae.SetVae) -> None:
    """A drawing takes the context at its posterior mean, whatever noise there is for it."""
    for start in (0.5, 0.9):
        noise = torch.cat([sines(512, start), sines(16, 0.2)]).view(1, 1, -1)
        with torch.no_grad():
            drawn = ns_50.sample(square(50), noise)
        assert near(drawn.mean(), 0.6344041542, 1e-9)


def dagan_model(generator: str) -> dagan.Dagan:
    return filled(dagan.Dagan(dagan.Config(generator=generator), 50), 2.0)


@pytest.mark.parametrize(
    ("generator", "mean", "score"),
    [
        ("uresnet", 0.4863179178, 0.1799321650),
        ("resnet", 0.4829979217, -1.7146612349),
    ],
)
def test_dagan_draws_and_judges_as_published(generator: str, mean: float, score: float) -> None:
    model = dagan_model(generator)
    drawn = model.sample(cross(50), sines(128, 0.5).unsqueeze(0))
    assert near(drawn.mean(), mean)
    if generator == "uresnet":
        assert pixels(drawn, (10, 10), (25, 25), (40, 12)) == pytest.approx(
            [0.48596817, 0.48698538, 0.4859785], rel=2e-8
        )
    with torch.no_grad():
        assert near(model.critic(cross(50), square(50), NONE), score)


def test_the_last_layer_of_a_pyramids_decoder_starts_as_small_as_published() -> None:
    layout = [(32, 9), (16, 6), (8, 6)]
    torch.manual_seed(0)
    layers = [ObservationNet(layout, 128, 100, 28, False).last.weight for _ in range(8)]
    # uniform on +- 1 / sqrt 128, by sqrt(1 / 21 blocks)
    assert torch.cat(layers).std().item() == pytest.approx(0.0110, rel=0.02)


LIVE = {
    "vae": 13_226_827,
    "ns": 14_729_167,
    "tns": 15_517_135,
    "cns": 16_968_001,
    "ctns": 17_165_377,
    "hfsgm": 20_827_351,
    "thfsgm": 21_704_407,
    "chfsgm": 9_222_849,
    "cthfsgm": 9_371_457,
    "chfsgm_multiscale": 4_761_793,
}


@pytest.mark.parametrize(
    ("variant", "changed", "live"),
    [
        *((name, {}, live) for name, live in LIVE.items()),
        ("chfsgm_multiscale", {"pooling": "attention"}, 5_653_441),
    ],
)
def test_set_vaes_have_the_published_live_parameters(
    variant: str, changed: dict[str, Any], live: int
) -> None:
    with torch.device("meta"):
        model: nn.Module = set_vae.SetVae(
            set_vae.Config(**{**set_vae.VARIANTS[variant], **changed}), 28
        )
    assert sum(p.numel() for p in model.parameters()) == live
