"""Attention (Vaswani et al. 2017), written out: the library's fused operator has no batching rule
on a CPU.
"""

from __future__ import annotations

from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each query's mean of the values, weighted by softmax(q k / sqrt(d)): [..., L, d], [..., M,
    d], [..., M, e] -> [..., L, e].
    """
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
