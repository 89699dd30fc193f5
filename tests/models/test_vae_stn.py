"""VAE-STN: published parameter counts, closed forms, and a second implementation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from oneshot.contracts import Pairs
from oneshot.models.vae_stn import Config, VaeStn
from oneshot.nn.bernoulli import bernoulli_nll, gaussian_kl


@pytest.mark.parametrize(
    ("z", "count"),
    [(10, 2_369_099), (60, 2_461_999), (80, 2_499_159), (385, 3_065_849), (400, 3_093_719)],
)
def test_parameter_counts(z: int, count: int) -> None:
    for time_steps in (1, 100):
        assert (
            sum(p.numel() for p in VaeStn(Config(z=z, time_steps=time_steps), 50).parameters())
            == count
            == 2_350_519 + 1_858 * z
        )


def published_step_by_step(
    model: VaeStn, pairs: Pairs, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The published recurrence: three reads, a matrix inverse, the library's LSTM cell, the KL."""
    x, e = pairs.target, pairs.exemplar
    n, size, w = len(x), x.shape[-1], model.config.glimpse
    h, c = torch.zeros(n, model.config.lstm_size), torch.zeros(n, model.config.lstm_size)
    canvas, kl = torch.zeros_like(x), torch.zeros(n)
    place = torch.eye(3)[:2].expand(n, 2, 3)

    def read(image: torch.Tensor) -> torch.Tensor:
        return nn.functional.grid_sample(
            image,
            nn.functional.affine_grid(place, [n, 1, w, w], align_corners=False),
            align_corners=False,
        )

    for t in range(model.config.time_steps):
        error = x - torch.sigmoid(canvas)
        r_err, r_x, r_e = (read(i).flatten(1) for i in (error, x, e))
        features = torch.cat([h, r_err, r_x, r_e], 1)
        mu, log_var = model.mean(features), model.log_variance(features)
        kl = kl + torch.distributions.kl_divergence(
            torch.distributions.Normal(mu, torch.exp(log_var / 2)),
            torch.distributions.Normal(0.0, 1.0),
        ).sum(1)
        imagette = model.imagette(h[:, model.steering :]).view(n, 1, w, w)
        full = torch.cat([place, torch.tensor([0.0, 0.0, 1.0]).expand(n, 1, 3)], 1)
        back = nn.functional.affine_grid(
            torch.linalg.inv(full)[:, :2], [n, 1, size, size], align_corners=False
        )
        canvas = canvas + nn.functional.grid_sample(imagette, back, align_corners=False)
        h, c = model.core(torch.cat([mu + torch.exp(log_var / 2) * noise[:, t], r_e], 1), (h, c))
        place = model.location(h[:, : model.steering]).view(n, 2, 3)
    p = torch.sigmoid(canvas)
    return -torch.distributions.Bernoulli(p).log_prob(x).flatten(1).sum(1), kl


def test_elbo_equals_the_published_recurrence() -> None:
    torch.manual_seed(0)
    model = VaeStn(Config(time_steps=4, z=5, lstm_size=32, glimpse=7, hidden=24), 20)
    with torch.no_grad():  # leave the identity window, so that the windows matter
        model.location[-1].weight.normal_(0, 0.3)
        model.imagette[-1].weight.mul_(5)
    x = (torch.rand(6, 1, 20, 20) > 0.8).float()
    pairs, noise = Pairs(x, x.flip(0)), torch.randn(6, *model.noise_shape)
    terms = model.elbo(pairs, noise)
    reconstruction, kl = published_step_by_step(model, pairs, noise)
    torch.testing.assert_close(terms["reconstruction"], reconstruction, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(terms["kl"], kl, rtol=1e-4, atol=1e-4)


def test_first_write_ignores_the_data_and_the_last_latent_does_not_reach_the_output() -> None:
    torch.manual_seed(0)
    model = VaeStn(Config(time_steps=1, z=5, lstm_size=32), 20)
    exemplars = torch.rand(2, 1, 20, 20)
    one = model.sample(exemplars, torch.randn(2, 1, 5))
    torch.testing.assert_close(one[0], one[1])
    model = VaeStn(Config(time_steps=3, z=5, lstm_size=32), 20)
    noise = torch.randn(2, 3, 5)
    changed = noise.clone()
    changed[:, 2] += 5
    torch.testing.assert_close(model.sample(exemplars, noise), model.sample(exemplars, changed))
    changed[:, 0] += 5
    assert (model.sample(exemplars, noise) - model.sample(exemplars, changed)).abs().max() > 1e-6


def test_kl_and_cross_entropy_closed_forms() -> None:
    mu, log_var = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, math.log(4.0)]])
    assert gaussian_kl(mu, log_var).item() == pytest.approx(0.5 * (4 + 1 - 1 - math.log(4)))
    logits, x = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    for published in (False, True):
        assert bernoulli_nll(logits, x, published).tolist() == pytest.approx(
            [9 * math.log(2)] * 2, rel=1e-6
        )
    huge = torch.full((1, 1, 1, 1), -200.0)
    assert bernoulli_nll(huge, torch.ones_like(huge)).item() == pytest.approx(200)
    # saturates, as documented
    assert bernoulli_nll(huge, torch.ones_like(huge), published=True).item() == pytest.approx(100)


def test_beta_weighs_the_kl_and_anneals() -> None:
    model = VaeStn(Config(time_steps=2, z=3, lstm_size=16, beta=3.0, annealing_epochs=4), 20)
    assert [model.hyper(e)["beta"] for e in (0, 2, 4, 9)] == pytest.approx([0.2, 1.6, 3.0, 3.0])
    x = (torch.rand(3, 1, 20, 20) > 0.8).float()
    terms = model.players()[0].loss(Pairs(x, x), torch.randn(3, 2, 3), {"beta": 3.0})
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + 3 * terms["kl"])
