"""The FiLM generator: blocks by plain layers, gain and shift, mixtures of classes, sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from oneshot.nn.film import Film, FilmBlock, FilmGenerator, doublings


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("side", "times"),
    [(16, 3), (20, 2), (28, 2), (32, 4), (48, 4), (50, 1), (64, 4), (105, 0)],
)
def test_the_side_doubles_as_often_as_it_goes_from_two_pixels_on(side: int, times: int) -> None:
    assert doublings(side) == times
    assert side // 2**times >= 2 and side % 2**times == 0


def test_gain_and_shift_are_halves_of_a_product_and_at_least_0() -> None:
    torch.manual_seed(0)
    film = Film(3, 4, 5)
    x, z, label = normal(6, 3, 2, 2), normal(6, 4, seed=2), torch.tensor([0, 4, 2, 2, 1, 3])
    out = film(x, z, functional.one_hot(label, 5).float())
    code = torch.cat([z, film.embedding[label]], 1)
    both = (code @ film.linear.weight.T + film.linear.bias).clamp(min=0)
    for n in range(6):
        for channel in range(3):
            gain, shift = both[n, channel], both[n, 3 + channel]
            torch.testing.assert_close(out[n, channel], gain * x[n, channel] + shift)
    with torch.no_grad():
        film.linear.weight.zero_()
        film.linear.bias.copy_(torch.tensor([2.0, 0, -1, 0, 3, -1]))
    expected = torch.stack([2 * x[:, 0], torch.full_like(x[:, 1], 3), 0 * x[:, 2]], 1)
    torch.testing.assert_close(film(x, z, functional.one_hot(label, 5).float()), expected)


def test_weights_mix_the_embeddings_of_classes() -> None:
    torch.manual_seed(0)
    film = Film(3, 4, 5)
    x, z = normal(2, 3, 2, 2), normal(2, 4, seed=2)
    weights = torch.tensor([[0.25, 0, 0.75, 0, 0]]).expand(2, -1)
    own = Film(3, 4, 1)
    own.load_state_dict(
        {
            **film.state_dict(),
            "embedding": (0.25 * film.embedding[0] + 0.75 * film.embedding[2]).detach()[None],
        }
    )
    torch.testing.assert_close(film(x, z, weights), own(x, z, torch.ones(2, 1)))


@pytest.mark.parametrize("doubles", [True, False])
def test_a_block_is_that_of_plain_layers(doubles: bool) -> None:
    torch.manual_seed(0)
    outputs = 3 if doubles else 6
    block = FilmBlock(6, outputs, 4, 5, doubles)
    for norm in (block.first_norm, block.second_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x, z, weights = normal(2, 6, 4, 4), normal(2, 4, seed=2), torch.eye(5)[[3, 1]]

    def instance(maps: Tensor, norm: nn.GroupNorm) -> Tensor:
        return functional.instance_norm(maps, weight=norm.weight, bias=norm.bias)

    branch = functional.conv2d(x, block.first.weight, block.first.bias, padding=1)
    branch = functional.relu(instance(branch, block.first_norm))
    weight, bias = block.second.weight, block.second.bias
    if doubles:
        branch = functional.conv_transpose2d(branch, weight, bias, 2, 1, 1)
    else:
        branch = functional.conv2d(branch, weight, bias, padding=1)
    branch = block.film(instance(branch, block.second_norm), z, weights)
    skip = x
    if doubles:
        assert block.skip is not None
        small = functional.conv2d(x, block.skip.weight, block.skip.bias)
        skip = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    out = block(x, z, weights)
    assert out.shape == ((2, 3, 8, 8) if doubles else (2, 6, 4, 4))
    torch.testing.assert_close(out, functional.relu(skip + branch))


@pytest.mark.parametrize("side", [16, 20, 28, 32, 48])
def test_images_have_the_side_and_depend_on_nothing_but_their_own(side: int) -> None:
    torch.manual_seed(0)
    generator = FilmGenerator(16, 4, 5, 1, side).double()
    z, weights = normal(3, 4).double(), torch.eye(5).double()[:3]
    with torch.no_grad():
        images = generator(z, weights)
        assert images.shape == (3, 3, side, side) and images.abs().max() < 1
        torch.testing.assert_close(images[1:2], generator(z[1:2], weights[1:2]))
        assert not torch.allclose(images[0], generator(z, weights.roll(1, 0))[0])
        assert torch.equal(images, generator.eval()(z, weights))


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_each_block_has_an_embedding_and_a_product_of_its_own(blocks: int) -> None:
    torch.manual_seed(0)
    generator = FilmGenerator(32, 4, 5, blocks, 32)
    films = generator.films()
    assert len(films) == len(generator.blocks) == 4 * (1 + blocks)
    assert len({id(film.embedding) for film in films}) == len(films)
    of_stage = [film.linear.out_features for film in films[:: 1 + blocks]]
    assert of_stage == [32, 16, 8, 4]  # twice the channels that a stage gives
    many = torch.cat([generator.start.flatten(), *(film.embedding.flatten() for film in films)])
    assert generator.start.shape == (32, 2, 2)
    assert float(many.detach().mean()) == pytest.approx(0, abs=0.3)
    assert float(many.detach().std()) == pytest.approx(1, abs=0.2)
