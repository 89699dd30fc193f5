"""The baseline of the benchmarks computes what ours computes: batches, losses, drawings and
scores.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
import small
import torch

sys.path.insert(0, str(small.ROOT))

from benchmarks import baseline, made, scoring
from oneshot.contracts import Pairs
from oneshot.critics.encoder import embed_all
from oneshot.critics.protonet import ProtoNet
from oneshot.critics.simclr import SimCLR
from oneshot.data.images import binarise_omniglot
from oneshot.metrics import diversity, recognizability
from oneshot.metrics.images import standardise
from oneshot.models.vae_stn import Config, VaeStn
from oneshot.training.pair_batches import PairBatches

SIZE, CLASSES, STEPS, Z = 20, 24, 4, 5
SHAPE = dict(time_steps=STEPS, z=Z, lstm_size=24, glimpse=7, hidden=32)


@pytest.fixture(scope="module")
def images() -> made.Images:
    return made.strokes(CLASSES, drawings=5)


def pair(published_loss: bool = False) -> tuple[VaeStn, baseline.VaeStn]:
    """Ours and the baseline with the same weights, whose windows move from the first step on."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        ours = VaeStn(Config(**SHAPE, published_loss=published_loss), SIZE)
        for name, value in ours.location.named_parameters():
            value.data += 0.05 * torch.randn_like(value) if "weight" in name else 0
    plain = baseline.VaeStn(**SHAPE, image_size=SIZE)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def test_made_images_are_the_same_every_time_and_differ_within_and_between_classes(
    images: made.Images,
) -> None:
    again = made.strokes(CLASSES, drawings=5)
    assert np.array_equal(images.grey, again.grey) and images.grey.shape == (
        CLASSES * 5,
        1,
        105,
        105,
    )
    ink = made.data_set(images, 50).images.astype(float)
    assert 0.02 < ink.mean() < 0.15 and (ink.sum((1, 2)) > 0).all()
    within = np.mean([np.abs(ink[i] - ink[i + 1]).mean() for i in range(0, len(ink), 5)])
    between = np.mean([np.abs(ink[i] - ink[i - 5]).mean() for i in range(0, len(ink), 5)])
    assert 0 < within < between


@pytest.mark.parametrize("size", [50, 28])
def test_images_are_prepared_one_by_one_as_our_data_set_prepares_them(
    images: made.Images, size: int
) -> None:
    ours = binarise_omniglot((images.grey[:, 0] == 0).astype(np.uint8), size)
    assert np.array_equal(made.data_set(images, size).images, ours)
    one_by_one = [made.prepare(grey, size)[0].numpy() for grey in images.grey[:7]]
    assert np.array_equal(np.stack(one_by_one), ours[:7])


def test_batches_equal_ours_bit_for_bit(images: made.Images) -> None:
    data = made.data_set(images, SIZE)
    material = PairBatches.of(data, images.exemplar, "test", torch.device("cpu"))
    order = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(1)).numpy()
    items = torch.utils.data.DataLoader(
        baseline.Items(images, SIZE), batch_size=32, sampler=order.tolist()
    )
    seen = 0
    for x, exemplar in items:
        pairs = material.batch({"index": torch.from_numpy(order[seen : seen + len(x)])})
        assert torch.equal(pairs.target, x) and torch.equal(pairs.exemplar, exemplar)
        seen += len(x)
    assert seen == len(order)


@pytest.mark.parametrize("published_loss", [False, True])
def test_the_same_weights_and_noise_give_the_same_losses_step_after_step(
    images: made.Images, published_loss: bool
) -> None:
    ours, plain = pair(published_loss)
    mine, theirs = torch.optim.Adam(ours.parameters(), lr=1e-3), baseline.optimiser_of(plain)
    seen = []
    for step, (x, exemplar) in enumerate(baseline.loader(images, batch_size=16, size=SIZE)):
        noise = torch.randn((len(x), STEPS, Z), generator=torch.Generator().manual_seed(step))
        terms = {name: value.mean() for name, value in ours.elbo(Pairs(x, exemplar), noise).items()}
        loss = terms["reconstruction"] + 2.0 * terms["kl"]
        mine.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ours.parameters(), 5.0)
        mine.step()
        found = baseline.train_step(
            plain, theirs, x, exemplar, noise, beta=2.0, published_loss=published_loss
        )
        assert found == pytest.approx(
            {"loss": loss.item()} | {name: value.item() for name, value in terms.items()}, rel=1e-5
        )
        seen.append(found["loss"])
    assert len(seen) == 8 and seen[-1] < seen[0]


def test_the_same_noise_gives_the_same_drawings() -> None:
    ours, plain = pair()
    generator = torch.Generator().manual_seed(0)
    exemplars = (torch.rand((6, 1, SIZE, SIZE), generator=generator) > 0.8).float()
    noise = torch.randn((6, STEPS, Z), generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.sample(exemplars, noise), plain.sample(exemplars, noise), rtol=0, atol=2e-6
        )


def test_training_reads_its_losses_and_learns(images: made.Images) -> None:
    _, plain = pair()
    losses = baseline.train(plain, baseline.loader(images, batch_size=40, size=SIZE), steps=12)
    assert len(losses) == 12 and losses[-1]["loss"] < losses[0]["loss"]


@pytest.fixture(scope="module")
def given(images: made.Images) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(drawings uint8 [C * 5, S, S], label, exemplars) of the made classes."""
    data = made.data_set(images, SIZE)
    return data.images, data.label, data.images[images.exemplar]


def as_floats(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images)[:, None].float()


def test_the_same_drawings_have_the_same_diversity(
    given: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    drawings, label, exemplars = given
    critic = SimCLR(SIZE).eval()
    plain = baseline.Encoder.of(critic, SIZE)
    found = baseline.diversity(
        None, plain, as_floats(exemplars), drawings=as_floats(drawings).unflatten(0, (CLASSES, 5))
    )
    ours = diversity.diversity(embed_all(critic, drawings, "cpu"), label, CLASSES)
    assert found == pytest.approx(ours.tolist(), rel=1e-4) and min(found) > 0


def test_the_published_episodes_have_the_same_hits_in_every_class(
    given: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    drawings, label, exemplars = given
    critic = ProtoNet(SIZE).eval()
    tasks = recognizability.episodes(CLASSES, 20, 50)
    plain = baseline.Encoder.of(critic, SIZE)
    hits, asked = baseline.recognizability(
        None, plain, as_floats(exemplars), tasks, as_floats(drawings).unflatten(0, (CLASSES, 5))
    )
    queries, prototypes = (embed_all(critic, i, "cpu") for i in (drawings, exemplars))
    ours = recognizability.by_episodes(queries, label, prototypes, 20, 50)
    assert (asked == 50).all() and 5 < ours.mean() < 100
    assert (100 * hits / asked).tolist() == ours.tolist()


def test_drawn_scores_agree_with_ours_on_the_same_noise(
    given: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    exemplars, (ours, plain), critic = as_floats(given[2]), pair(), SimCLR(SIZE).eval()
    noise = torch.randn((CLASSES, 6, STEPS, Z), generator=torch.Generator().manual_seed(0))
    found = baseline.diversity(plain, baseline.Encoder.of(critic, SIZE), exemplars, noise, n=6)
    with torch.no_grad():
        drawn = ours.sample(exemplars.repeat_interleave(6, 0), noise.flatten(0, 1))[:, 0]
    features = embed_all(critic, standardise(drawn.numpy())[0], "cpu")
    values = diversity.diversity(features, np.arange(CLASSES).repeat(6))
    # a pixel at one half may fall on either side
    assert np.mean(found) == pytest.approx(values.mean(), rel=1e-3)
    hits, asked = baseline.recognizability(
        plain,
        baseline.Encoder.of(ProtoNet(SIZE), SIZE),
        exemplars,
        recognizability.episodes(CLASSES, 20, 5),
    )
    assert (asked == 5).all() and hits.min() >= 0 and hits.max() <= 5


def test_the_scoring_benchmark_runs_at_a_tiny_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scoring.py", "--quick", "--threads", "1"])
    scoring.main()
    shown = capsys.readouterr().out
    assert shown.count("[4]") == 2 and "nan" not in shown
