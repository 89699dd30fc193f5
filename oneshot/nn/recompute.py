"""Modules that keep only their inputs for the backward pass, and compute the rest again.

Chen et al. (2016), Training deep nets with sublinear memory cost. The weights a module has at the
moment are taken along, so that it works under `torch.func.functional_call`, whose weights are gone
when the backward pass runs. It does not work under vmap, whose tensors are gone then, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_recomputing = False


def is_recomputing() -> bool:
    """Whether a module runs a second time, in the backward pass, and must not change buffers."""
    return _recomputing


@contextlib.contextmanager
def _marked() -> Iterator[None]:
    """While the context lasts, modules run a second time."""
    global _recomputing
    before, _recomputing = _recomputing, True
    try:
        yield
    finally:
        _recomputing = before


def recomputed(modules: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Run one module after the other and keep only their inputs.

    A sequence that holds sequences keeps, when it runs again, the inputs of its members alone, so
    that no more than one of them is in memory whole.

    Args:
        modules: each takes what the one before returns.
        x: of the first.

    Returns:
        What the last one returns.
    """
    for module in modules:
        weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}

        def run(
            x: Tensor, module: nn.Module = module, weights: dict[str, Tensor] = weights
        ) -> Tensor:
            result: Tensor = torch.func.functional_call(
                _Inner(module), {f"module.{n}": w for n, w in weights.items()}, (x,)
            )
            return result

        x = checkpoint(
            run,
            x,
            use_reentrant=False,
            preserve_rng_state=False,
            determinism_check="none",
            context_fn=lambda: (contextlib.nullcontext(), _marked()),
        )
    return x


class _Inner(nn.Module):
    """A module; members of a sequence that holds sequences are recomputed one by one within it."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        members = list(self.module.children()) if isinstance(self.module, nn.Sequential) else []
        if any(isinstance(member, nn.Sequential) for member in members):
            return recomputed(members, x)
        result: Tensor = self.module(x)
        return result
