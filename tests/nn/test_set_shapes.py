"""Settings of set VAEs that do not fit together, and the shapes that follow from them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from oneshot.models.set_vae import VARIANTS, Config, SetVae
from oneshot.nn.set_shapes import encoder_sizes

PYRAMID: dict[str, Any] = dict(latents="pyramid", context="hierarchical", carry="stream")


def test_the_decoder_mirrors_every_image_size_that_is_allowed() -> None:
    refused = 0
    for stages in range(1, 6):
        for size in range(16, 105):
            config = Config(**{**VARIANTS["tiny_ns"], "stages": stages, "channels": 1})
            problems = config.problems(size, 1, 20)
            refused += bool(problems)
            if problems:
                assert "cannot mirror" in problems[0] and f"images of {size} pixels" in problems[0]
            elif size in (16, 18, 20, 28, 32, 50, 64, 96, 100):
                model = SetVae(config, size).eval()
                x, noise = torch.ones(1, 1, 1, size, size), torch.zeros(1, model.noise_size(1))
                assert model.reconstruct(x, noise).shape == x.shape
    assert refused > 200
    for size in (16, 20, 28, 32, 50, 64):
        assert Config().problems(size, 1, 20) == []
    assert encoder_sizes(50, 4) == [50, 25, 13, 7, 4] and encoder_sizes(64, 3) == [32, 16, 8, 4]


FILM = (
    "conditioner = 'film' needs latents = 'vector', context = 'hierarchical' and pooling ="
    " 'attention'"
)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            dict(latents="pyramid", carry="stream"),
            "latents = 'pyramid' needs context = 'hierarchical'",
        ),
        (
            dict(latents="pyramid", context="hierarchical"),
            "latents = 'pyramid' needs carry = 'stream'",
        ),
        (dict(carry="stream"), "latents = 'vector' needs carry = 'sample'"),
        (dict(conditioner="film"), FILM),
        (
            dict(conditioner="film", latents="map", context="hierarchical", pooling="attention"),
            FILM,
        ),
        (dict(context="none", pooling="max"), "leave pooling at 'mean'"),
        (dict(pooling="attention", hidden=130), "hidden = 130 must be divisible by 4"),
        (dict(**PYRAMID, hidden=130), "hidden = 130 must be divisible by 4"),
        (dict(set_size=21), "set_size = 21 is more than the 20 images of a class"),
        (dict(pixels="logistic_mixture"), "'bernoulli' for 1, 'logistic_mixture' for 3"),
        (dict(transfer="digits", likelihood="none"), "likelihood = 'elbo' or 'nll'"),
        (
            dict(**PYRAMID, latent_layout="8-2,2-2,1-2"),
            "latent_layout = '8-2,2-2,1-2' must be resolution-count",
        ),
        (
            dict(**PYRAMID, decoder_layout="32x4"),
            "decoder_layout = '32x4' must be resolution-count",
        ),
        (
            dict(**PYRAMID, encoder_layout="32-4,16-0,8-2"),
            "encoder_layout = '32-4,16-0,8-2' must be",
        ),
        (
            dict(**PYRAMID, encoder_layout="32-4,16-4,8-2,4-2,2-2"),
            "lacks the resolutions 1 of latent_layout",
        ),
        (
            dict(**PYRAMID, latent_layout="8-2,4-2,2-2"),
            "latent_layout must end at resolution 1, not 2",
        ),
        (
            dict(**PYRAMID, decoder_layout="32-4,16-4"),
            "decoder_layout must end where latent_layout begins, at 8, not 16",
        ),
        (
            dict(**PYRAMID, decoder_layout="16-4,8-2"),
            "decoder_layout must begin where encoder_layout does, at 32, not 16",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(
    changed: dict[str, Any], message: str
) -> None:
    (problem,) = Config(**changed).problems(28, 1, 20)
    assert message in problem


def test_problems_name_sizes_and_every_mistake_at_once() -> None:
    assert Config().problems(105, 1, 20) == [
        "3 stages cannot mirror images of 105 pixels; image_size near it: "
        + ", ".join(str(size) for size in range(94, 118, 2) if not Config().problems(size, 1, 20))
    ]
    assert len(Config(conditioner="film", set_size=30, carry="stream").problems(33, 3, 20)) == 5
    assert "encoder_layout must begin at 50" in Config(**PYRAMID).problems(50, 1, 20)[0]
