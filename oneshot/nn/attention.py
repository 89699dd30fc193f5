"""Attention, written out: the library's fused operator has no batching rule on a CPU."""

from __future__ import annotations

from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, equation 1).

    Args:
        q: queries, [..., L, d].
        k: keys, [..., M, d].
        v: values, [..., M, e].

    Returns:
        Each query's weighted mean of the values, [..., L, e].
    """
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
