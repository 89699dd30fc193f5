"""Every family computes on the meta device, whose tensors have shapes and no values.

So no value is read back to the host and no tensor of another device is mixed in: what a CUDA graph
of a round needs, proved without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import SIZE, TRAINED, asked, build, class_count, item_shape, kind
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from oneshot.contracts import ExplainedFamily, Labelled, SetFamily, Sets, TrainedFamily
from oneshot.training.batch_source import Batches, BatchSpec
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.pair_batches import PairBatches
from oneshot.training.set_batches import SetBatches
from oneshot.training.stack import Stack
from oneshot.types import Kind

META = torch.device("meta")
BATCH = 4


class NoMixing(TorchDispatchMode):
    """Refuses operators that have tensors of the meta device and of another one.

    Arithmetic of the host alone is none of a device's business.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        devices = {t.device for t in tree_iter((args, kwargs, result)) if isinstance(t, Tensor)}
        assert len(devices) <= 1, f"{func} mixes tensors of {sorted(map(str, devices))}"
        return result


class NoCopies(TorchFunctionMode):
    """Refuses tensors made of the host's numbers, for which a device would have to wait."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor):
            assert result.device != META, f"{func.__name__} copies numbers to the device"
        return result


@contextmanager
def device_alone() -> Iterator[None]:
    """Within it, tensors without values neither meet others nor are made of the host's numbers."""
    with NoMixing(), NoCopies():
        yield


def material(model: TrainedFamily) -> tuple[Batches, BatchSpec]:
    """Images without values, and one batch of them with all that an item may hold."""
    rows = np.arange(60), np.arange(60) // 10
    if model.trains_on is Sets:
        members = model.config.set_size
        images = torch.zeros(60, 1, SIZE, SIZE, dtype=torch.uint8, device=META)
        shape = (BATCH, members, 1, SIZE, SIZE)
        item = {
            "index": torch.zeros(BATCH, members, dtype=torch.long, device=META),
            "motion": torch.zeros(BATCH, 4, device=META),
            "uniform": torch.zeros(shape, device=META),
        }
        return SetBatches(images, 255.0, members, 1, rows, rows), item
    exemplar = torch.zeros(60, dtype=torch.long, device=META)
    index = torch.zeros(BATCH, dtype=torch.long, device=META)
    if model.trains_on is Labelled:
        dtype = torch.float32 if kind(model) == Kind.POINTS else torch.uint8
        items = torch.zeros(60, *item_shape(model), dtype=dtype, device=META)
        scale, classes = 255.0 if kind(model) == Kind.GREYS else 1.0, class_count(model)
        return LabelledBatches(items, scale, exemplar, classes, *rows), {"index": index}
    images = torch.zeros(60, SIZE, SIZE, dtype=torch.uint8, device=META)
    return PairBatches(images, exemplar, *rows), {"index": index}


@pytest.mark.parametrize("count", [1, 3], ids=["alone", "stacked"])
@pytest.mark.parametrize("family", TRAINED)
def test_a_round_and_an_evaluation_read_no_value(family: str, count: int) -> None:
    """Batches from images, losses, gradients, optimiser and schedule, for all players."""
    models = [build(family, device=META) for _ in range(count)]
    if count > 1 and models[0].cannot_stack:
        return
    stack = Stack(models, META)
    source, item = material(models[0])
    noise = torch.zeros(BATCH, *models[0].noise_shape, device=META)
    hyper = {name: torch.zeros(count, device=META) for name in models[0].hyper(0)}
    players = range(len(stack.players))
    with device_alone():
        means = stack.train_step(source.batch(item), noise, hyper, players)
        losses = stack.losses(source.batch(item), noise, hyper)
        rates = stack.end_epoch(losses["loss"].mean(1), 0.5)
        alive = stack.alive
    assert "loss" in means and all(value.shape == (count,) for value in means.values())
    assert (
        any(name.startswith(stack.players[-1].player.name) for name in means) or len(players) == 1
    )
    assert all(value.shape == (count, BATCH) for value in losses.values())
    assert rates.shape == alive.shape == (count,)


@pytest.mark.parametrize("family", TRAINED)
def test_a_drawing_reads_no_value(family: str) -> None:
    model = build(family, device=META).eval()
    exemplars = asked(model, BATCH).to(META)
    noise = torch.zeros(BATCH, *model.drawing_noise_shape, device=META)
    with device_alone():
        assert model.sample(exemplars, noise).shape == (BATCH, *item_shape(model))
    if isinstance(model, ExplainedFamily):
        noise = torch.zeros(BATCH, *model.importance_noise_shape, device=META)
        with device_alone():
            assert model.importance(exemplars, noise).shape == (BATCH, SIZE, SIZE)
    if isinstance(model, SetFamily):
        sets = torch.zeros(BATCH, 3, 1, SIZE, SIZE, device=META)
        noise = torch.zeros(BATCH, model.noise_size(3), device=META)
        with device_alone():
            assert model.terms(sets, noise, model.encode(sets)).log_likelihood.shape == (BATCH, 3)
            assert model.reconstruct(sets, noise).shape == sets.shape


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: float(x.sum()),
        lambda x: x.nonzero().tolist(),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x + torch.tensor(2.0),
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: x.cpu(),
        lambda x: x * torch.tensor([1.0, 2.0, 3.0], device=x.device),
    ],
)
def test_what_a_graph_cannot_hold_is_noticed(wrong: Callable[[Tensor], Any]) -> None:
    with pytest.raises((RuntimeError, AssertionError)), device_alone():
        wrong(torch.ones(3, device=META))
