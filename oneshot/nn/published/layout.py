"""How a tensor of a published file lies in memory, where that differs from ours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where the numbers of one of our tensors are in the published one.

    Args:
        rows: along the first dimension ours[i] = published[rows[i]]; empty: the same order.
        columns: likewise along the second.
        turned: the published kernel is that of a transposed convolution of stride 1: inputs before
            outputs, and turned by 180 degrees.
        kernel: the published layer is a 1x1 convolution, where ours is a product.
    """

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    turned: bool = False
    kernel: bool = False

    def to_ours(self, published: Tensor) -> Tensor:
        """The tensor as ours lies in memory."""
        ours = published
        if self.kernel:
            ours = ours[..., 0, 0]
        if self.turned:
            ours = ours.transpose(0, 1).flip(2, 3)
        for dim, order in enumerate((self.rows, self.columns)):
            if order:
                ours = ours.index_select(dim, torch.tensor(order))
        return ours

    def to_published(self, ours: Tensor) -> Tensor:
        """The tensor as the published one lies in memory: the inverse of `to_ours`."""
        published = ours
        for dim, order in enumerate((self.rows, self.columns)):
            if order:
                inverse = torch.tensor(order).argsort().to(ours.device)
                published = published.index_select(dim, inverse)
        if self.turned:
            published = published.flip(2, 3).transpose(0, 1)
        if self.kernel:
            published = published[..., None, None]
        return published


SAME = Layout()
