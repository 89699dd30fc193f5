"""Layers whose weights are divided by their largest singular value.

Miyato et al. (2018), Spectral normalization for generative adversarial networks
(https://arxiv.org/abs/1802.05957), section 2.1 and algorithm 1. Unlike torch's own layers, these
stack: their state is buffers, which a training pass changes in place, as batch normalisation does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, normalize

EPSILON = 1e-12  # least length that a vector is divided by
FIRST_ITERATIONS = 15  # at the start, so that a layer can be evaluated before it is trained
SKIP_GAIN = math.sqrt(2)  # of the first weights of a skip


class SpectralNorm(nn.Module):
    """W -> W / sigma, where sigma = u^T W v estimates the largest singular value of W.

    W is a matrix of as many rows as the layer has outputs. u and v are its singular vectors, as far
    as power iteration has come; no gradient passes through them.

    Args:
        weight: the first weights, [outputs, ...].
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        matrix = weight.detach().flatten(1)
        u = normalize(torch.randn_like(matrix[:, 0]), dim=0, eps=EPSILON)
        for _ in range(FIRST_ITERATIONS):
            u, v = iterated(matrix, u)
        self.register_buffer("u", u)
        self.register_buffer("v", v)
        self.u: Tensor
        self.v: Tensor

    def forward(self, weight: Tensor, moves: bool = True) -> Tensor:
        """The weights divided; a training pass that `moves` makes one power iteration before."""
        matrix = weight.flatten(1)
        if self.training and moves:
            with torch.no_grad():
                u, v = iterated(matrix, self.u)
                self.u.copy_(u)
                self.v.copy_(v)
        else:  # copies, as a later pass may change the buffers before the gradient is computed
            u, v = self.u.clone(), self.v.clone()
        sigma = (u * (matrix @ v)).sum()
        return weight / sigma


class SpectralConv2d(nn.Conv2d):
    """A convolution that keeps the side of its maps: [B, I, r, r] -> [B, O, r, r].

    Args:
        inputs: channels I.
        outputs: channels O.
        kernel: side, odd.
        gain: of the first weights, which are Glorot's uniform ones.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = 1.0):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        nn.init.xavier_uniform_(self.weight, gain)
        self.norm = SpectralNorm(self.weight)

    def forward(self, x: Tensor, moves: bool = True) -> Tensor:
        return conv2d(x, self.norm(self.weight, moves), self.bias, padding=self.padding)


class SpectralLinear(nn.Linear):
    """A linear map, [B, I] -> [B, O].

    Args:
        inputs: I.
        outputs: O.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        nn.init.xavier_uniform_(self.weight)
        self.norm = SpectralNorm(self.weight)

    def forward(self, x: Tensor, moves: bool = True) -> Tensor:
        return linear(x, self.norm(self.weight, moves), self.bias)


def iterated(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """One power iteration: v = W^T u and u = W v, each divided by its length.

    Args:
        matrix: W, [outputs, n].
        u: [outputs].

    Returns:
        The new u and v.
    """
    v = normalize(matrix.T @ u, dim=0, eps=EPSILON)
    return normalize(matrix @ v, dim=0, eps=EPSILON), v
