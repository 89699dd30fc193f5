"""A generator that is told noise and class by the gain and shift of its maps.

Beckham et al. (2022), Challenges in leveraging GANs for few-shot data augmentation
(https://arxiv.org/abs/2203.16662). The input is learned and the same for every image. In each
residual block the noise and the block's own embedding of the class make a gain and a shift of each
channel (Perez et al. 2018, FiLM: visual reasoning with a general conditioning layer,
https://arxiv.org/abs/1709.07871). A class is given as weights over all classes, which are
multiplied with the embeddings, so that classes can be mixed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

DOUBLINGS = 4  # at most: the generator has a stage for each


def doublings(side: int) -> int:
    """How often the side of the first maps doubles: as often as it goes, four times at most.

    4 for 32 pixels, which start from 2 x 2. The first maps have at least 2 x 2 pixels, as one alone
    would be normalised to 0.

    Args:
        side: of the images, in pixels.
    """
    return max(n for n in range(DOUBLINGS + 1) if side % 2**n == 0 and side >= 2 * 2**n)


class Film(nn.Module):
    """gain x + shift by channel, made of noise and class: gain, shift = ReLU(A [z, e(y)] + b).

    Both are at least 0. The gain is what the product gives, without 1 added to it.

    Args:
        channels: of the maps.
        z: size of noise and embedding.
        classes: of the data set.
    """

    def __init__(self, channels: int, z: int, classes: int):
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(classes, z))
        self.linear = nn.Linear(2 * z, 2 * channels)

    def forward(self, x: Tensor, z: Tensor, weights: Tensor) -> Tensor:
        code = torch.cat([z, weights @ self.embedding], 1)
        gain, shift = relu(self.linear(code))[..., None, None].chunk(2, 1)
        return gain * x + shift


class FilmBlock(nn.Module):
    """A residual block: [B, I, r, r] -> [B, O, r, r], or [B, O, 2r, 2r] where it doubles.

    Convolution, instance normalisation, ReLU, convolution, instance normalisation, FiLM, plus the
    skip, ReLU. A block that doubles has a transposed convolution for the second, and a pointwise
    one in its skip.

    Args:
        inputs: channels I.
        outputs: channels O.
        z: size of noise and embedding.
        classes: of the data set.
        doubles: whether the side doubles; if not, I = O.
    """

    def __init__(self, inputs: int, outputs: int, z: int, classes: int, doubles: bool):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.first_norm = instance_norm(outputs)
        self.second = (
            nn.ConvTranspose2d(outputs, outputs, 3, stride=2, padding=1, output_padding=1)
            if doubles
            else nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.second_norm = instance_norm(outputs)
        self.film = Film(outputs, z, classes)
        self.skip = nn.Conv2d(inputs, outputs, 1) if doubles else None

    def forward(self, x: Tensor, z: Tensor, weights: Tensor) -> Tensor:
        branch = self.second(relu(self.first_norm(self.first(x))))
        branch = self.film(self.second_norm(branch), z, weights)
        if self.skip is not None:
            x = interpolate(self.skip(x), scale_factor=2, mode="nearest")
        return relu(x + branch)


class FilmGenerator(nn.Module):
    """G: noise [B, z] and weights over the classes [B, classes] -> image in (-1, 1), [B, 3, S, S].

    Each stage has a block that doubles the side and halves the channels, and `blocks` more. No
    normalisation looks beyond an image, so an image depends on its noise, class and weights alone.

    Args:
        width: channels of the first maps; a multiple of 2 to the number of stages.
        z: size of noise and embeddings.
        classes: of the data set.
        blocks: of a stage, beside the one that doubles.
        side: S, of the images; see `doublings`.
    """

    def __init__(self, width: int, z: int, classes: int, blocks: int, side: int):
        super().__init__()
        stages = doublings(side)
        first = side // 2**stages
        self.start = nn.Parameter(torch.randn(width, first, first))
        layers: list[FilmBlock] = []
        for stage in range(stages):
            wide, narrow = width // 2**stage, width // 2 ** (stage + 1)
            layers.append(FilmBlock(wide, narrow, z, classes, True))
            layers += [FilmBlock(narrow, narrow, z, classes, False) for _ in range(blocks)]
        self.blocks = nn.ModuleList(layers)
        self.last = nn.Conv2d(width // 2**stages, 3, 3, padding=1)

    def forward(self, z: Tensor, weights: Tensor) -> Tensor:
        x = self.start.expand(len(z), -1, -1, -1)
        for block in self.blocks:
            x = block(x, z, weights)
        return torch.tanh(self.last(x))

    def films(self) -> list[Film]:
        """Where noise and class enter, block after block."""
        return [module for module in self.modules() if isinstance(module, Film)]


def instance_norm(channels: int) -> nn.GroupNorm:
    """Instance normalisation with a scale and a shift by channel, in a form that stacks."""
    return nn.GroupNorm(channels, channels, eps=1e-5)
