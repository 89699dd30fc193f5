"""MLP VAE: its size, its loss in closed form, its shots, its sheets, a stack as models alone."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import SIDE, made
from torch import Tensor

from oneshot.contracts import Labelled
from oneshot.models.mlp_vae import GRID, VARIANTS, Config, MlpVae
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.stack import Stack

CPU = torch.device("cpu")


def model(seed: int = 0, image_size: int = SIDE, **changed: Any) -> MlpVae:
    torch.manual_seed(seed)
    return MlpVae(Config(**{**VARIANTS["tiny"], **changed}), image_size)


def batch(family: MlpVae, n: int = 6) -> tuple[Labelled, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(n, 1, family.image_size, family.image_size, generator=generator)
    label = torch.eye(5)[torch.arange(n) % 5]
    return Labelled(images, label), torch.randn(n, *family.noise_shape, generator=generator)


@pytest.mark.parametrize(("z", "expected"), [(2, 631_188), (3, 632_390), (20, 652_824)])
def test_it_has_the_size_of_the_seed(z: int, expected: int) -> None:
    with torch.device("meta"):
        family = MlpVae(Config(z=z), 28)
    assert sum(p.numel() for p in family.parameters()) == expected == 628_784 + 1202 * z


def test_the_loss_is_that_of_a_plain_second_implementation() -> None:
    family = model()
    items, noise = batch(family)
    with torch.no_grad():
        losses = family.players()[0].loss(items, noise, {"beta": 2.5})
    weights = {n: p.detach().double().numpy() for n, p in family.named_parameters()}

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    for i, (image, e) in enumerate(zip(items.images.double().numpy(), noise.double().numpy())):
        x = image.reshape(-1)
        hidden = np.maximum(layer("encoder", x), 0)
        mean, log_variance = layer("mean", hidden), layer("log_variance", hidden)
        z = mean + np.exp(log_variance / 2) * e
        p = 1 / (1 + np.exp(-layer("image", np.maximum(layer("decoder", z), 0))))
        cross_entropy = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum()
        kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum()
        assert float(losses["reconstruction"][i]) == pytest.approx(cross_entropy, rel=1e-4)
        assert float(losses["kl"][i]) == pytest.approx(kl, rel=1e-3, abs=1e-5)
        assert float(losses["loss"][i]) == pytest.approx(cross_entropy + 2.5 * kl, rel=1e-4)


def test_the_reconstruction_of_greys_has_the_entropy_of_the_pixels_as_its_floor() -> None:
    family = model()
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    items = Labelled(image, torch.eye(5)[:1])
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.zero_()
        family.image.bias.copy_(image.flatten().logit())
    p = image.double().clamp(1e-12, 1 - 1e-12)
    floor = float(-(p * p.log() + (1 - p) * (1 - p).log()).sum())
    family.requires_grad_(False)
    noise = torch.zeros(1, *family.noise_shape)
    terms = family.elbo(items, noise)
    assert floor > 100 and float(terms["reconstruction"]) == pytest.approx(floor, rel=1e-4)
    assert float(terms["kl"]) == 0
    for step in (-0.5, 0.5):
        with torch.no_grad():
            family.image.bias.copy_(image.flatten().logit() + step)
        assert float(family.elbo(items, noise)["reconstruction"]) > floor + 1


def test_the_elbo_of_a_model_that_ignores_its_latent_is_known() -> None:
    """With all weights 0 every pixel costs ln 2, and q(z | x) is the prior but for its bias."""
    family = model(z=3)
    items, noise = batch(family)
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.zero_()
        family.mean.bias.fill_(1.0)
        family.log_variance.bias.fill_(math.log(2))
    terms = family.elbo(items, noise)
    torch.testing.assert_close(
        terms["reconstruction"], torch.full((6,), SIDE**2 * math.log(2)), rtol=1e-5, atol=1e-3
    )
    expected = 3 * 0.5 * (1 + 2 - 1 - math.log(2))
    torch.testing.assert_close(terms["kl"], torch.full((6,), expected))


def test_a_stack_has_the_gradients_of_each_model_alone() -> None:
    betas, source = [1.0, 4.0, 0.5], LabelledBatches.of(made("greys", 2), Config(), CPU)
    items = source.batch(next(source.epoch(1, 0, 8)))
    noise = torch.randn(8, 3, generator=torch.Generator().manual_seed(3))

    def gradient(places: list[int]) -> Tensor:
        stack = Stack([model(k, beta=betas[k]) for k in places], CPU)
        hyper = {"beta": torch.tensor([betas[k] for k in places])}
        loss = stack.losses_of(0, items, noise, hyper)["loss"].mean(1).sum()
        return torch.autograd.grad(loss, stack.players[0].flat)[0]

    together = gradient([0, 1, 2])
    for k in range(3):
        alone = gradient([k])[0]
        assert alone.abs().max() > 0.1
        torch.testing.assert_close(together[k], alone, rtol=1e-3, atol=1e-4)


def test_shots_are_replicated_to_the_size_of_a_kept_class() -> None:
    data = made("greys", 2)
    for shots, expected in ((0, 0), (1, 20), (4, 20), (3, 21)):
        config = Config(shots=shots, shot_seed=5)
        seen = np.concatenate(
            [s["index"].numpy() for s in LabelledBatches.of(data, config, CPU).epoch(0, 0, 1)]
        )
        counts = np.bincount(data.label[seen], minlength=5).tolist()
        assert counts == [20, 20, expected, 20, 20]
        assert len(set(seen[data.label[seen] == 2])) == shots
    config = Config(shots=4, images_per_class=8)
    seen = np.concatenate(
        [s["index"].numpy() for s in LabelledBatches.of(data, config, CPU).epoch(0, 0, 1)]
    )
    assert np.bincount(data.label[seen]).tolist() == [8] * 5


def test_a_drawing_is_the_decoder_at_its_noise() -> None:
    family = model().eval()
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    drawn = family.sample(torch.empty(4, 0), noise)
    hidden = torch.relu(noise @ family.decoder.weight.T + family.decoder.bias)
    flat = torch.sigmoid(hidden @ family.image.weight.T + family.image.bias)
    torch.testing.assert_close(drawn, flat.view(4, 1, SIDE, SIDE))


@pytest.mark.parametrize("z", [1, 2, 3])
def test_the_latent_grid_holds_the_images_of_equally_likely_quantiles(z: int) -> None:
    family = model(z=z).eval()
    images = torch.rand(5, 2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    sheets = family.sheets(images, torch.empty(0, z))
    grid = sheets["latent_grid"]
    assert grid.shape == (GRID if z > 1 else 1, GRID, 1, SIDE, SIDE)
    quantile = [NormalDist().inv_cdf((i + 0.5) / GRID) for i in range(GRID)]
    last = len(grid) - 1
    for row, column in ((0, 0), (0, GRID - 1), (last, 3)):
        at = torch.zeros(1, z)
        at[0, 0] = quantile[column]
        if z > 1:
            at[0, 1] = quantile[GRID - 1 - row]
        torch.testing.assert_close(grid[row, column], family.sample(torch.empty(1, 0), at)[0])


def test_reconstructions_stand_behind_their_images() -> None:
    family = model().eval()
    images = torch.rand(5, 2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    sheet = family.sheets(images, torch.empty(0, 3))["reconstructions"]
    assert sheet.shape == (5, 4, 1, SIDE, SIDE) and torch.equal(sheet[:, ::2], images)
    mean, _ = family._posterior(images[3])
    again = family.sample(torch.empty(2, 0), mean)
    torch.testing.assert_close(sheet[3, 1::2], again)
