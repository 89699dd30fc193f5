"""Pooling of a set's features to one: mean, maximum, or learned attention whose query is the mean.

None of them depends on the order or the size of the set.
"""

from __future__ import annotations

from torch import Tensor, nn

from oneshot.nn.set_layers import Pointwise

HEADS = 4


class Pool(nn.Module):
    """Features of a set [B, S, W, r, r] -> pooled [B, W, r, r], and weights [B, HEADS, S] or None.

    Attention is the "learnable aggregation" of SCHA-VAE (Giannone and Winther 2022, algorithm 2),
    with heads: the mean of the set is the query, the images are keys and values; each head has one
    weight an image, of the inner product over its channels and all positions. There is no output
    projection.
    """

    def __init__(self, kind: str, width: int):
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.query, self.key, self.value = (Pointwise(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.kind == "mean":
            return x.mean(1), None
        if self.kind == "max":
            return x.amax(1), None
        query = self.query(x.mean(1)).unflatten(1, (HEADS, -1)).flatten(2)  # [B, heads, D]
        # [B, S, heads, W / heads, r, r]
        key, value = (f(x).unflatten(2, (HEADS, -1)) for f in (self.key, self.value))
        scores = (query.unsqueeze(1) * key.flatten(3)).sum(3) * query.shape[2] ** -0.5
        weights = scores.softmax(1)
        pooled = (weights[..., None, None, None] * value).sum(1).flatten(1, 2)
        return pooled, weights.transpose(1, 2)
