"""A discriminator that is told the class by a projection, and recovers the noise.

Miyato and Koyama (2018), cGANs with projection discriminator (https://arxiv.org/abs/1802.05637), in
the form of Beckham et al. (2022), Challenges in leveraging GANs for few-shot data augmentation
(https://arxiv.org/abs/2203.16662): residual blocks without normalisation but that of the spectrum,
one logit that the class enters and one that it does not, and a head for the noise of drawn images.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from oneshot.nn.spectral_norm import SKIP_GAIN, SpectralConv2d, SpectralLinear

MOVES = ("all", "heads", "none")  # which layers move their singular vectors in a training pass


class Judged(NamedTuple):
    """What the discriminator says of images.

    Args:
        conditional: logit of being real and of the class, [B].
        unconditional: logit of being real, [B].
        noise: what they were drawn from, if they were drawn, [B, z].
    """

    conditional: Tensor
    unconditional: Tensor
    noise: Tensor


class SpectralBlock(nn.Module):
    """A residual block: [B, I, r, r] -> [B, O, r, r], or [B, O, r // 2, r // 2] where it halves.

    ReLU, convolution, ReLU, convolution, mean of two by two pixels, plus the skip, which is a
    pointwise convolution where I differs from O. The first block of a network has no ReLU before
    it, and its skip is halved before its convolution.

    Args:
        inputs: channels I.
        outputs: channels O.
        halves: whether the side halves.
        is_first: whether it is the first block.
    """

    def __init__(self, inputs: int, outputs: int, halves: bool, is_first: bool = False):
        super().__init__()
        self.halves, self.is_first = halves, is_first
        self.first = SpectralConv2d(inputs, outputs, 3)
        self.second = SpectralConv2d(outputs, outputs, 3)
        pointwise = inputs != outputs
        self.skip = SpectralConv2d(inputs, outputs, 1, SKIP_GAIN) if pointwise else None

    def forward(self, x: Tensor, moves: bool) -> Tensor:
        branch = self.first(x if self.is_first else relu(x), moves)
        branch = self.second(relu(branch), moves)
        if self.halves:
            branch = avg_pool2d(branch, 2)
        if self.halves and self.is_first:
            x = avg_pool2d(x, 2)
        if self.skip is not None:
            x = self.skip(x, moves)
        if self.halves and not self.is_first:
            x = avg_pool2d(x, 2)
        return x + branch


class ProjectionDiscriminator(nn.Module):
    """D: images [B, 3, S, S] and weights over the classes [B, classes] -> `Judged`.

    h is the mean of the last maps, hh = ReLU(psi(h)). The unconditional logit is phi(hh), the
    conditional one phi(hh) + <e(y), hh>. The embeddings e have no spectral normalisation.

    Args:
        width: channels of the first maps; the last have eight times as many.
        z: size of the noise.
        classes: of the data set.
    """

    def __init__(self, width: int, z: int, classes: int):
        super().__init__()
        deep = 8 * width
        self.z = z
        self.blocks = nn.ModuleList(
            [
                SpectralBlock(3, width, True, is_first=True),
                SpectralBlock(width, 2 * width, True),
                SpectralBlock(2 * width, 4 * width, True),
                SpectralBlock(4 * width, deep, True),
                SpectralBlock(deep, deep, False),
            ]
        )
        self.psi = SpectralLinear(deep, deep)
        self.phi = SpectralLinear(deep, 1)
        self.embedding = nn.Parameter(torch.empty(classes, deep))
        nn.init.xavier_uniform_(self.embedding)
        # of 2 z outputs, as published, of which the second half is the noise
        self.recovery = nn.ModuleList(
            [SpectralLinear(deep, deep), SpectralLinear(deep, deep), SpectralLinear(deep, 2 * z)]
        )

    def forward(self, images: Tensor, weights: Tensor | None = None, moves: str = "all") -> Judged:
        """What it says of images.

        Args:
            images: in [-1, 1], [B, 3, S, S].
            weights: over the classes, [B, classes]; None: both logits are the unconditional one.
            moves: which layers make a power iteration in a training pass: all, those behind the
                maps ("heads"), or none.

        Returns:
            Both logits and the noise.
        """
        assert moves in MOVES, moves
        of_maps, of_heads = moves == "all", moves != "none"
        x = images
        for block in self.blocks:
            x = block(x, of_maps)
        h = relu(x).mean((2, 3))
        deep = relu(self.psi(h, of_heads))
        unconditional = self.phi(deep, of_heads).squeeze(1)
        conditional = unconditional
        if weights is not None:
            conditional = unconditional + ((weights @ self.embedding) * deep).sum(1)
        first, second, last = self.recovery
        noise = last(relu(second(relu(first(h, of_heads)), of_heads)), of_heads)[:, self.z :]
        return Judged(conditional, unconditional, noise)

    def heads(self) -> list[nn.Module]:
        """The layers behind the maps, but for the embeddings."""
        return [self.psi, self.phi, self.recovery]
