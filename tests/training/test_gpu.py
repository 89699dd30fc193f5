"""What must hold on a CUDA device; skipped where there is none."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_families import TRAINED, build, data_for

from oneshot.contracts import Labelled, Pairs, Sets, TrainedFamily
from oneshot.critics.encoder import embed_all
from oneshot.critics.simclr import SimCLR
from oneshot.models import set_vae
from oneshot.models.vae_stn import VARIANTS, Config, VaeStn
from oneshot.sweep import families
from oneshot.training.batch_source import Batches, BatchSpec
from oneshot.training.cuda_graph import StepRunner
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.loop import noise
from oneshot.training.pair_batches import PairBatches
from oneshot.training.set_batches import SetBatches
from oneshot.training.stack import Stack, matrix_products

META = torch.device("meta")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_losses_gradients_and_drawings_agree_with_the_cpu() -> None:
    torch.manual_seed(0)
    model = VaeStn(Config(**VARIANTS["small"]), 28)
    x, noise = (torch.rand(8, 1, 28, 28) > 0.8).float(), torch.randn(8, *model.noise_shape)
    results = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        loss = model.players()[0].loss(
            Pairs(x.to(device), x.flip(0).to(device)), noise.to(device), {"beta": 1.0}
        )["loss"]
        loss.mean().backward()
        gradient = torch.cat(
            [p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None]
        )
        results.append(
            (
                loss.detach().cpu(),
                gradient,
                model.sample(x.to(device), noise.to(device)).detach().cpu(),
            )
        )
    for here, there in zip(*results):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)


def test_critics_agree_with_the_cpu() -> None:
    torch.manual_seed(0)
    critic, images = (
        SimCLR(28),
        (np.random.default_rng(0).random((40, 28, 28)) > 0.8).astype(np.uint8),
    )
    here = embed_all(critic, images, "cpu")
    np.testing.assert_allclose(
        here, embed_all(critic.to("cuda"), images, "cuda"), rtol=1e-2, atol=1e-2
    )


def rounds(
    betas: tuple[float, ...], by_graph: bool, count: int, accelerated: bool = False
) -> tuple[StepRunner, torch.Tensor]:
    """So many rounds of a stack on fixed batches; the stack, and the losses of every round,
    [rounds, K].
    """
    rng = np.random.default_rng(0)
    images = torch.from_numpy((rng.random((64, 28, 28)) > 0.8).astype(np.uint8)).to("cuda")
    material = PairBatches(
        images, torch.arange(64, device="cuda") // 8 * 8, np.arange(64), np.arange(8)
    )
    models = []
    for beta in betas:
        torch.manual_seed(0)
        models.append(VaeStn(Config(**{**VARIANTS["small"], "beta": beta}), 28))
    device = torch.device("cuda")
    played = StepRunner(Stack(models, device, accelerated), material.batch, by_graph)
    hyper = {"beta": torch.tensor(betas, device=device)}
    losses = []
    with matrix_products("float32"):
        for i in range(count):
            index = torch.arange(16, device=device) + 16 * (i % 4)
            given = noise(0, ("test", i), 16, models[0].noise_shape, device)
            losses.append(played.step({"index": index}, given, hyper)["loss"].clone())
    return played, torch.stack(losses)


@pytest.mark.parametrize("accelerated", [False, True], ids=["eager", "compiled"])
def test_a_graph_of_a_round_replays_what_eager_rounds_do(accelerated: bool) -> None:
    plain, expected = rounds((0.5, 2.0), by_graph=False, count=20)
    graphed, got = rounds((0.5, 2.0), by_graph=True, count=20, accelerated=accelerated)
    assert graphed.by_graph, "recording must not have failed"
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)
    assert (got[-4:].mean(0) < got[:4].mean(0)).all()
    difference = (
        graphed.stack.players[0].flat - plain.stack.players[0].flat
    ).norm() / plain.stack.players[0].flat.norm()
    assert difference < 1e-2


def test_a_slice_on_a_gpu_ends_where_it_ends_alone() -> None:
    _, together = rounds((0.25, 1.0, 2.0, 4.0), by_graph=True, count=50)
    _, alone = rounds((2.0,), by_graph=True, count=50)
    torch.testing.assert_close(together[:, 2], alone[:, 0], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("variant", ["small_ns", "small_ctns", "small_chfsgm_multiscale"])
def test_a_graph_of_a_round_on_sets_replays_what_eager_rounds_do(variant: str) -> None:
    """Indexing, turning and binarising sets on the device among them, and the running statistics of
    the normalisations.
    """
    device = torch.device("cuda")
    greys = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (160, 1, 28, 28)).astype(np.uint8)
    ).to(device)
    rows = np.arange(160), np.arange(160) // 20
    material = SetBatches(greys, 255.0, 5, 1, rows, rows)
    variants = [{**set_vae.VARIANTS[variant], "beta": beta} for beta in (0.5, 2.0)]
    (one, buffers), (other, others) = replayed(
        lambda k: set_vae.SetVae(set_vae.Config(**variants[k]), 28), material
    )
    torch.testing.assert_close(one, other, rtol=2e-2, atol=1e-2)
    assert all(
        torch.allclose(b.float(), others[n].float(), rtol=0.1, atol=0.05)
        for n, b in buffers.items()
    )


@pytest.mark.parametrize(
    "family",
    [
        "dagan:tiny",
        "dagan:tiny_resnet",
        "diffusion:tiny",
        "diffusion:tiny_cross",
        "diffusion:tiny_film",
        *(f for f in TRAINED if build(f, device=META).trains_on is Labelled),
    ],
)
def test_a_graph_of_a_round_replays_it_for_other_families(family: str) -> None:
    """Two players, of whom one rests at most batches, and a gradient of a gradient; noise by tables
    that lie on the device; labelled images and points.
    """
    name, variant = family.split(":")
    module = importlib.import_module(f"oneshot.models.{name}")
    device = torch.device("cuda")
    images = torch.from_numpy(
        (np.random.default_rng(0).random((160, 28, 28)) > 0.8).astype(np.uint8)
    ).to(device)
    pairs = PairBatches(
        images, torch.arange(160, device=device) // 8 * 8, np.arange(160), np.arange(8)
    )
    sets = SetBatches(
        images.unsqueeze(1),
        1.0,
        3,
        0,
        (np.arange(160), np.arange(160) // 20),
        (np.arange(160), np.arange(160) // 20),
    )
    fields = families.declaration("models", name).fields
    rate = next(n for n in fields if n.endswith("rate"))
    rates = (1e-4, 1e-3)

    def made(k: int) -> TrainedFamily:
        model: TrainedFamily = module.FAMILY(
            module.Config(**{**module.VARIANTS[variant], rate: rates[k]}), 28
        )
        return model

    material: Batches = sets if made(0).trains_on is Sets else pairs
    if made(0).trains_on is Labelled:
        data = data_for(made(0))
        material = LabelledBatches.of(data, made(0).config, device)
    (one, buffers), (other, others) = replayed(made, material)
    torch.testing.assert_close(one, other, rtol=2e-2, atol=1e-2)
    assert all(
        torch.allclose(b.float(), others[n].float(), rtol=0.1, atol=0.05)
        for n, b in buffers.items()
    )


def replayed(
    build: Callable[[int], TrainedFamily], material: Batches
) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Four epochs of a stack of two, played directly and by graph: the losses of every round
    [rounds, 2], and the buffers at the end.
    """
    device, ended = torch.device("cuda"), []
    items: list[BatchSpec] = [item for epoch in range(4) for item in material.epoch(0, epoch, 16)]
    for by_graph in (False, True):
        models = []
        for k in range(2):
            torch.manual_seed(0)
            models.append(build(k))
        played = StepRunner(Stack(models, device), material.batch, by_graph)
        hyper = {
            n: torch.tensor([m.hyper(0)[n] for m in models], device=device)
            for n in models[0].hyper(0)
        }
        losses = []
        for i, item in enumerate(items):
            given = noise(0, ("test", i), len(item["index"]), models[0].noise_shape, device)
            losses.append(played.step(item, given, hyper)["loss"].clone())
        assert played.by_graph == by_graph, "recording must not have failed"
        ended.append((torch.stack(losses), {n: b.clone() for n, b in played.stack.buffers.items()}))
    return ended


def test_sets_of_twenty_at_50_pixels_train_in_batches_of_a_hundred_within_4_gb() -> None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    config = set_vae.Config(**{**set_vae.VARIANTS["ns_50"], "set_size": 20})
    stack = Stack([set_vae.SetVae(config, 50)], torch.device("cuda"))
    images = (torch.rand(100, 20, 1, 50, 50, device="cuda") > 0.9).float()
    hyper = {n: torch.tensor([v], device="cuda") for n, v in stack.template.hyper(0).items()}
    for _ in range(2):
        stack.train_step(
            Sets(images), torch.randn(100, *stack.template.noise_shape, device="cuda"), hyper, (0,)
        )
    assert torch.cuda.max_memory_allocated() < 4e9
