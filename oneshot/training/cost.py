"""What a training step costs, counted from a forward pass on the meta device, for every family.

A tensor of the meta device has a shape and no values, so that the largest model is counted in
memory for none, within a second or two.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from oneshot.contracts import Items, Labelled, Pairs, Sets
from oneshot.store import costs
from oneshot.store.costs import Cost, Shape
from oneshot.sweep import families
from oneshot.training.stack import Stack

META = torch.device("meta")
# Each product y = w x has two more in its backward pass: dw = dy x and dx = w dy.
WITH_BACKWARD = 3


class Tally(TorchDispatchMode):
    """Counts the multiply-adds of what runs within it, and the bytes that stay of it.

    Args:
        before: tensors that were there before, whose bytes do not count.
    """

    def __init__(self, before: Iterable[Tensor]):
        super().__init__()
        self.products = 0.0
        self._before = {StorageWeakRef(t.untyped_storage()).cdata for t in before}
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        products = _products(func, args, kwargs or {}, result)
        self.products += products * (WITH_BACKWARD if torch.is_grad_enabled() else 1)
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                weak = StorageWeakRef(storage)
                if weak.cdata not in self._before:
                    self._storages[weak.cdata] = weak, storage.nbytes()
        return result

    def kept(self) -> int:
        """Bytes of the tensors made here that are still there."""
        return sum(size for weak, size in self._storages.values() if not weak.expired())


def _products(func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> float:
    """The multiply-adds of an operator; 0 of one that has none to speak of."""
    if func._overloadpacket is torch.ops.aten.convolution_backward:
        # the library's own formula takes no notice of groups, which vmap makes of models
        out_gradient, x, weight, *_, wanted = args
        transposed = args[7]
        maps = x if transposed else out_gradient
        places = maps.shape[0] * math.prod(maps.shape[2:])
        return float(weight.numel() * places * sum(wanted[:2]))
    operations = flop_registry.get(func._overloadpacket)
    # a multiplication and an addition are two operations
    return operations(*args, **kwargs, out_val=result) / 2 if operations else 0.0


def count(stack: Stack, channels: int = 1) -> Cost:
    """The cost of a training step of each model of a stack, by one forward pass of each player.

    Args:
        stack: on any device, which makes no difference to what is counted.
        channels: of its images; 0: it models points of the plane.

    Returns:
        The cost of one model.
    """
    model, device = stack.template, stack.players[0].flat.device
    config, side = model.config, model.image_size
    images = config.set_size if model.trains_on is Sets else 1
    shape = (2,) if channels == 0 else (channels, side, side)
    batch = torch.zeros(config.batch_size, images, *shape, device=device)
    items: Items = Pairs(batch[:, 0], batch[:, 0])
    if model.trains_on is Sets:
        items = Sets(batch)
    elif model.trains_on is Labelled:
        label = torch.zeros(config.batch_size, getattr(config, "classes", 10), device=device)
        items = Labelled(batch[:, 0], label)
    noise = torch.zeros(config.batch_size, *model.noise_shape, device=device)
    hyper = {name: torch.ones(stack.size, device=device) for name in model.hyper(0)}
    weights = [*(player.flat for player in stack.players), *stack.buffers.values()]
    before = [*weights, *model.parameters(), *model.buffers(), batch, noise, *hyper.values()]
    model.train()
    products = kept = 0.0
    for turn, player in enumerate(stack.players):
        with Tally(before) as tally:
            losses = stack.losses_of(turn, items, noise, hyper)
            kept = max(kept, tally.kept())
            del losses
        products += tally.products / player.player.every
    parameters = sum(p.numel() for p in model.parameters())
    products /= stack.size * config.batch_size * images
    return Cost(products, kept / stack.size, parameters)


def of_shape(shape: Shape) -> Cost:
    """The cost of a shape, as of each model of a stack, counted unless it has been.

    Args:
        shape: of a model.
    """
    if (cost := costs.load(shape)) is None:
        module = families.module("models", shape.family)
        config = module.Config(**dict(shape.settings))
        with META:
            models = [module.FAMILY(config, shape.image_size) for _ in range(2)]
        # a stack keeps more of each model than the model alone; two tell as much as many
        cost = count(Stack(models[: 1 if models[0].cannot_stack else 2], META), shape.channels)
        costs.save(shape, cost)
    return cost


def count_all(shapes: Iterable[Shape], seconds: float) -> None:
    """Count these shapes, unless they have been.

    Args:
        shapes: of models.
        seconds: of a processor, after which no other is begun.
    """
    begun = time.process_time()
    for shape in shapes:
        # settings that make no model fail where it is trained, and are told there
        with contextlib.suppress(Exception):
            of_shape(shape)
        if time.process_time() - begun > seconds:
            break
