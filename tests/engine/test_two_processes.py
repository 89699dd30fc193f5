"""Two processes that train one point together have the losses and checkpoints of one."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
from bars import SIZE, bars
from tiny_families import TRAINED, batch, build

from oneshot.nn import data_parallel
from oneshot.nn.data_parallel import SINGLE_PROCESS, ProcessGroup
from oneshot.nn.set_layers import BatchNorm
from oneshot.store.store import Store
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import Stopped, fit
from oneshot.training.stack import Stack

BATCHED = dict(batch_size=12)


def train(
    family: str, folder: Path, epochs: int = 2, stop_after: int | None = None
) -> Training | None:
    """Train a tiny model with the peers of now; its checkpoint lies in the folder. None if it was
    stopped.
    """
    model, data = build(family, 3, SIZE, epochs=epochs, **BATCHED), bars()
    exemplars = np.searchsorted(data.label, np.arange(len(data.class_names)))
    material = batches_for(model, data, exemplars, torch.device("cpu"))
    seen: list[int] = []
    checkpoint = Checkpoint(
        Store(folder), "checkpoint.pt", 1e9, writes=data_parallel.current_group().rank == 0
    )
    stop = lambda: stop_after is not None and len(seen) >= stop_after  # noqa: E731
    try:
        (ended,) = fit([model], material, 5, [checkpoint], lambda *_: seen.append(1), stop)
    except Stopped:
        return None
    assert isinstance(ended, Training)
    return ended


class Pair:
    """Two processes that do together what they are told; starting them and importing torch there is
    paid once.
    """

    def __init__(self) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.pipes, self.processes = list[Any](), list[Any]()
        for rank in range(2):
            mine, theirs = context.Pipe()
            self.pipes.append(mine)
            self.processes.append(context.Process(target=serve, args=(theirs, rank), daemon=True))
            self.processes[-1].start()
            theirs.close()

    def do(self, function: Callable[..., None], *args: Any) -> None:
        """Call function(rank, *args) in both and wait for both; fails with the traceback of one
        that raises.
        """
        for pipe in self.pipes:
            pipe.send((function, args))
        for pipe in self.pipes:
            assert pipe.poll(300), "a process of the pair does not answer"
            raised = pipe.recv()
            assert not raised, raised

    def end(self) -> None:
        for process in self.processes:  # they are idle, and only their exit would take time
            process.kill()
            process.join()


def serve(pipe: Any, rank: int) -> None:
    """What a process of the pair does until the other end of its pipe is closed."""
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError):
        while True:
            function, args = pipe.recv()
            try:
                function(rank, *args)
                pipe.send("")
            except BaseException:
                pipe.send(traceback.format_exc())
            finally:
                torch.set_default_dtype(torch.float32)
                if torch.distributed.is_initialized():
                    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    started = Pair()
    yield started
    started.end()


def peer(
    rank: int, size: int, family: str, folder: Path, epochs: int, stop_after: int | None
) -> None:
    """One process of a group, over a file in the folder."""
    torch.distributed.init_process_group(
        "gloo", f"file://{folder}/meet", rank=rank, world_size=size
    )
    with data_parallel.use_group(ProcessGroup(rank, size)):
        ended = train(family, folder, epochs, stop_after)
        if ended is not None:
            torch.save(
                {"curve": ended.curve, "end": ended.end, "how": ended.how},
                folder / f"ended-{rank}.pt",
            )


def by_two(
    pair: Pair, family: str, folder: Path, epochs: int = 2, stop_after: int | None = None
) -> list[dict[str, Any]]:
    """The same training by two processes; what each of them holds at the end."""
    folder.mkdir(exist_ok=True)
    (folder / "meet").unlink(missing_ok=True)
    pair.do(peer, 2, family, folder, epochs, stop_after)
    return [torch.load(path) for path in sorted(folder.glob("ended-*.pt"))]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae_stn:tiny", "diffusion:tiny"])
def test_two_processes_have_the_losses_of_one(pair: Pair, family: str, tmp_path: Path) -> None:
    """Epoch by epoch, in float32; both processes end with the same bits."""
    alone = train(family, tmp_path)
    assert alone is not None
    first, second = by_two(pair, family, tmp_path / "two")
    assert first["how"] == "2 workers, eager" and first["curve"].keys() == alone.curve.keys()
    for name, column in alone.curve.items():
        np.testing.assert_allclose(first["curve"][name], column, rtol=2e-3, err_msg=name)
    assert all(torch.equal(value, second["end"][name]) for name, value in first["end"].items())


def one_round(family: str) -> dict[str, torch.Tensor]:
    """Losses, gradients (as the first moments after one move) and running statistics of one batch,
    in float64.
    """
    model = build(family, 3, SIZE).double()
    items, noise = batch(model, 7)
    stack = Stack([model], torch.device("cpu"))
    hyper = {n: torch.tensor([v]) for n, v in model.hyper(0).items()}
    mine, given, share = data_parallel.current_group().shard(
        {n: t.double() for n, t in vars(items).items() if t is not None}, noise.double()
    )
    means = stack.train_step(type(items)(**mine), given, hyper, range(len(stack.players)), share)
    return (
        means
        | {side.player.name: side.adam.first.clone() for side in stack.players}
        | stack.buffers
    )


def rounds(rank: int, folder: Path) -> None:
    torch.set_default_dtype(torch.float64)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    with data_parallel.use_group(ProcessGroup(rank, 2)):
        found = {family: one_round(family) for family in TRAINED}
    torch.save(found, folder / f"rounds-{rank}.pt")


@pytest.mark.slow
def test_of_every_family_two_processes_compute_the_gradients_of_one(
    pair: Pair, tmp_path: Path
) -> None:
    """Batches of seven, which two cannot halve; with batch statistics, dropout and gradient
    penalties where a family has them.

    In float64, as Adam turns roundings of small gradients into whole steps.
    """
    pair.do(rounds, tmp_path)
    first, second = (torch.load(tmp_path / f"rounds-{rank}.pt") for rank in range(2))
    torch.set_default_dtype(torch.float64)
    try:
        for family in TRAINED:
            for name, value in one_round(family).items():
                torch.testing.assert_close(
                    first[family][name],
                    value,
                    rtol=1e-7,
                    atol=1e-9,
                    msg=lambda m: f"{family} {name}: {m}",  # noqa: B023
                )
                assert torch.equal(
                    first[family][name].nan_to_num(), second[family][name].nan_to_num()
                )
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.slow
def test_checkpoints_of_one_process_and_of_two_are_interchangeable(
    pair: Pair, tmp_path: Path
) -> None:
    """One epoch alone, one by two, one alone again: the unbroken training."""
    unbroken = train("vae_stn:tiny", tmp_path / "whole", epochs=3)
    assert unbroken is not None
    relay = tmp_path / "relay"
    assert train("vae_stn:tiny", relay, epochs=3, stop_after=1) is None
    assert by_two(pair, "vae_stn:tiny", relay, epochs=3, stop_after=1) == []
    assert Training.from_bytes(Store(relay).unseal("checkpoint.pt")).epochs_done == 2
    last = train("vae_stn:tiny", relay, epochs=3)
    assert last is not None and last.curve["epoch"] == [0, 1, 2]
    for name, column in unbroken.curve.items():
        np.testing.assert_allclose(last.curve[name], column, rtol=2e-3, err_msg=name)


def test_a_batch_is_cut_into_rows_that_are_all_of_it() -> None:
    item, noise = {"index": torch.arange(7), "motion": torch.rand(7, 4)}, torch.rand(7, 2)
    parts = [ProcessGroup(rank, 3).shard(item, noise) for rank in range(3)]
    assert torch.equal(torch.cat([part["index"] for part, _, _ in parts]), item["index"])
    assert torch.equal(torch.cat([given for _, given, _ in parts]), noise) and math.isclose(
        sum(share for *_, share in parts), 1
    )
    few = [ProcessGroup(rank, 8).shard(item, noise) for rank in range(8)]
    assert all(
        torch.equal(part["motion"], item["motion"]) and share == 1 / 8 for part, _, share in few
    )
    assert (
        SINGLE_PROCESS.shard(item, noise)[2] == 1
        and SINGLE_PROCESS.broadcast_flag(True)
        and data_parallel.current_group() is SINGLE_PROCESS
    )


def norms(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, 2, 2, generator=generator, dtype=torch.float64).requires_grad_()
    layer = BatchNorm(3).double()
    with data_parallel.use_group(ProcessGroup(rank, 2)):
        mine = slice(0, 4) if rank == 0 else slice(4, 6)
        y = layer(x[mine])
        (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), x)
    state = {n: v.clone() for n, v in layer.state_dict().items()}
    torch.save((mine, y.detach(), first.detach(), second, state), folder / f"norm-{rank}.pt")


@pytest.mark.slow
def test_batch_statistics_of_two_processes_are_torch_s_of_the_whole_batch(
    pair: Pair, tmp_path: Path
) -> None:
    """Values, running statistics, first derivatives, and the second ones that a gradient penalty
    takes.
    """
    pair.do(norms, tmp_path)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, 2, 2, generator=generator, dtype=torch.float64).requires_grad_()
    layer = torch.nn.BatchNorm2d(3).double()
    y = layer(x)
    (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), x)
    found = [torch.load(tmp_path / f"norm-{rank}.pt", weights_only=False) for rank in range(2)]
    for mine, part, part_first, _, state in found:
        torch.testing.assert_close(part, y[mine])
        torch.testing.assert_close(part_first[mine], first[mine])
        for name, value in layer.state_dict().items():
            torch.testing.assert_close(state[name], value)
    torch.testing.assert_close(found[0][3] + found[1][3], second)
