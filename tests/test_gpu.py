"""What must hold on a CUDA device; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oneshot.contracts import Pairs
from oneshot.critics.encoder import embed_all
from oneshot.critics.simclr import SimCLR
from oneshot.models.vae_stn import VARIANTS, Config, VaeStn

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_losses_gradients_and_drawings_agree_with_the_cpu() -> None:
    torch.manual_seed(0)
    model = VaeStn(Config(**VARIANTS["small"]), 28)
    x, noise = (torch.rand(8, 1, 28, 28) > 0.8).float(), torch.randn(8, *model.noise_shape)
    results = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        loss = model.players()[0].loss(Pairs(x.to(device), x.flip(0).to(device)), noise.to(device), {"beta": 1.0})["loss"]
        loss.mean().backward()
        gradient = torch.cat([p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None])
        results.append((loss.detach().cpu(), gradient, model.sample(x.to(device), noise.to(device)).detach().cpu()))
    for here, there in zip(*results):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)


def test_critics_agree_with_the_cpu() -> None:
    torch.manual_seed(0)
    critic, images = SimCLR(28), (np.random.default_rng(0).random((40, 28, 28)) > 0.8).astype(np.uint8)
    here = embed_all(critic, images, "cpu")
    np.testing.assert_allclose(here, embed_all(critic.to("cuda"), images, "cuda"), rtol=1e-2, atol=1e-2)
