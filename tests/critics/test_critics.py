"""The critics: their published shape, their losses against independent computations, their views,
learning, and importing of weights.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from glyphs import SIZE, glyphs
from torch.nn import functional as F

from oneshot.critics import protonet, simclr
from oneshot.critics.encoder import CriticError, embed_all, flat_features, frozen, initialised
from oneshot.sweep import families, settings
from oneshot.types import DataSet

CPU = "cpu"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return glyphs()


def silent(*_: object) -> None:
    """A report that nobody reads."""


def published_shapes(last: str) -> dict[str, list[int]]:
    shapes: dict[str, list[int]] = {}
    for i in range(4):
        shapes |= {
            f"embedding.{i}.0.weight": [64, 64 if i else 1, 3, 3],
            f"embedding.{i}.0.bias": [64],
        }
        shapes |= {
            f"embedding.{i}.1.{name}": [64]
            for name in ("weight", "bias", "running_mean", "running_var")
        }
        shapes[f"embedding.{i}.1.num_batches_tracked"] = []
    shapes |= {"embedding.6.weight": [256, 576], "embedding.6.bias": [256]}
    return shapes | {f"{last}.weight": [128, 256], f"{last}.bias": [128]}


@pytest.mark.parametrize(
    ("family", "last"), [(simclr.FAMILY, "projection.0"), (protonet.FAMILY, "metric_layer")]
)
def test_critics_have_the_published_names_shapes_and_number_of_parameters(family, last):
    module = family(50)
    assert {
        name: list(value.shape) for name, value in module.state_dict().items()
    } == published_shapes(last)
    assert sum(p.numel() for p in module.parameters()) == 292_544


def test_the_linear_layer_fits_other_image_sizes():
    assert [flat_features(size) for size in (16, 28, 48, 50, 64, 105)] == [
        64,
        64,
        576,
        576,
        1024,
        2304,
    ]
    assert protonet.ProtoNet(28).embed(torch.zeros(2, 1, 28, 28)).shape == (2, 128)
    with pytest.raises(CriticError, match="at least 16 pixels, given 15"):
        simclr.SimCLR(15)


@pytest.mark.parametrize("family", [simclr.FAMILY, protonet.FAMILY])
def test_features_equal_a_computation_from_the_weights_in_the_published_order_of_layers(family):
    module = initialised(lambda: family(50), 3, "test")
    x = (torch.rand(5, 1, 50, 50, generator=torch.Generator().manual_seed(0)) > 0.8).float()
    module.train()
    module.embed(x)  # moves the running statistics away from 0 and 1
    w = {name: value.detach().double() for name, value in module.eval().state_dict().items()}
    h = x.double()
    for i in range(4):
        p = f"embedding.{i}."
        h = F.conv2d(h, w[p + "0.weight"], w[p + "0.bias"], padding=1)
        mean, var, gain, shift = (
            w[p + "1." + n].reshape(1, -1, 1, 1)
            for n in ("running_mean", "running_var", "weight", "bias")
        )
        h = F.max_pool2d(torch.relu((h - mean) / (var + 1e-5).sqrt() * gain + shift), 2)
    h = (
        torch.einsum("bchw,kchw->bk", h, w["embedding.6.weight"].reshape(256, 64, 3, 3))
        + w["embedding.6.bias"]
    )
    last = "projection.0" if family is simclr.SimCLR else "metric_layer"
    out = h @ w[f"{last}.weight"].T + w[f"{last}.bias"]
    with torch.no_grad():
        if family is simclr.SimCLR:
            torch.testing.assert_close(module.embed(x).double(), h, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(module.project(x).double(), out, rtol=1e-4, atol=1e-5)
        else:
            torch.testing.assert_close(module.embed(x).double(), out, rtol=1e-4, atol=1e-5)


def test_initial_weights_depend_on_seed_and_purpose_and_leave_the_global_state_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    a, b, c, d = (
        initialised(lambda: simclr.SimCLR(SIZE), *key)
        for key in ((1, "x"), (1, "x"), (2, "x"), (1, "y"))
    )
    assert torch.equal(torch.get_rng_state(), state)
    first = [module.embedding[0][0].weight for module in (a, b, c, d)]
    assert (
        torch.equal(first[0], first[1])
        and not torch.equal(first[0], first[2])
        and not torch.equal(first[0], first[3])
    )


def test_embed_all_does_not_depend_on_the_batch_size_and_restores_the_mode(data):
    module = initialised(lambda: simclr.SimCLR(SIZE), 0, "test").train()
    images = data.images[:37]
    whole = embed_all(module, images, CPU)
    assert whole.shape == (37, 256) and whole.dtype == np.float32 and module.training
    assert (
        np.abs(embed_all(module, images, CPU, batch_size=5) - whole).max()
        < 1e-5 * np.abs(whole).max()
    )
    counter = module.embedding[0][1].num_batches_tracked
    assert int(counter) == 0  # evaluation mode: no statistics were moved
    with pytest.raises(ValueError, match="no images"):
        embed_all(module, images[:0], CPU)


@pytest.mark.parametrize("size", [16, 21, 50])
@pytest.mark.parametrize("critic", [simclr.SimCLR, protonet.ProtoNet])
def test_the_short_cut_for_bits_equals_the_network(critic, size):
    rng = np.random.default_rng(size)
    # from empty to full
    images = (rng.random((9, size, size)) < np.linspace(0, 1, 9)[:, None, None]).astype(np.uint8)
    images[1], images[1, 0, 0], images[1, -1, -1] = 0, 1, 1
    module = initialised(lambda: critic(size), 0, "test").train()
    with torch.no_grad():
        # also factors below zero, which turn the order of values round
        for block in module.embedding[:4]:
            block[1].weight.normal_(generator=torch.Generator().manual_seed(1))
            block[1].bias.normal_(generator=torch.Generator().manual_seed(2))
        for _ in range(3):
            module.embed(torch.from_numpy(images)[:, None].float())
    state = {name: value.clone() for name, value in module.state_dict().items()}
    found = embed_all(module, images, CPU)
    assert (
        all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        and module.training
    )
    with torch.no_grad():
        plain = module.eval().embed(torch.from_numpy(images)[:, None].float()).numpy()
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-5 * np.abs(plain).max())


def test_nt_xent_equals_a_loop_over_views():
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 5, 7))
    z = [v / np.linalg.norm(v) for v in np.concatenate([first, second])]
    losses = []
    for i in range(10):
        scores = {j: math.exp(float(z[i] @ z[j]) / 0.3) for j in range(10) if j != i}
        losses.append(-math.log(scores[(i + 5) % 10] / sum(scores.values())))
    assert float(
        simclr.nt_xent(torch.from_numpy(first), torch.from_numpy(second), 0.3)
    ) == pytest.approx(np.mean(losses), rel=1e-12)


@pytest.mark.parametrize(("n", "perfect"), [(448, 4.80), (64, 2.89)])
def test_nt_xent_levels(n, perfect):
    orthogonal = torch.eye(n, dtype=torch.float64)
    assert float(simclr.nt_xent(orthogonal, 3 * orthogonal, 0.5)) == pytest.approx(
        perfect, abs=0.005
    )
    assert float(simclr.nt_xent(orthogonal, orthogonal, 0.5)) == pytest.approx(
        math.log(math.exp(2) + 2 * n - 2) - 2, rel=1e-12
    )
    same = torch.ones(n, 4, dtype=torch.float64)
    assert float(simclr.nt_xent(same, same, 0.5)) == pytest.approx(math.log(2 * n - 1), rel=1e-12)


def test_protonet_loss_equals_a_loop_over_queries():
    rng = np.random.default_rng(2)
    features = rng.standard_normal((4, 3, 6))  # 4 ways, a support and 2 queries each
    losses = []
    for c in range(4):
        for query in features[c, 1:]:
            logits = [-float(((query - features[k, 0]) ** 2).sum()) for k in range(4)]
            losses.append(-logits[c] + math.log(sum(map(math.exp, logits))))
    assert float(protonet.loss_of(torch.from_numpy(features.reshape(12, 6)), 4)) == pytest.approx(
        np.mean(losses), rel=1e-9
    )


@pytest.mark.parametrize("with_exemplars", [True, False])
def test_episodes_hold_different_classes_and_no_drawing_twice(data, with_exemplars):
    # Image i carries its own number, so that a drawn episode tells where its images came from.
    number = np.arange(len(data.label))
    coded = np.zeros((len(number), SIZE, SIZE), np.uint8)
    coded[:, 0, 0], coded[:, 0, 1] = number % 250, number // 250
    keep = np.flatnonzero(~((data.label == 3) & (number % 12 > 5)))  # class 3 has only 6 drawings
    label = data.label[keep]
    made = dataclasses.replace(data, images=coded[keep], label=label)
    exemplars = np.searchsorted(label, np.arange(36)) + 2 if with_exemplars else None
    sampler = protonet._Episodes(
        protonet.Config(train_ways=6, train_queries=5), made, exemplars, CPU
    )
    rng, asked = torch.Generator().manual_seed(0), set()
    for _ in range(30):
        images = sampler.draw(rng)
        assert images.shape == (36, 1, SIZE, SIZE) and images.dtype == torch.float32
        rows = (images[:, 0, 0, 0] + 250 * images[:, 0, 0, 1]).long().numpy().reshape(6, 6)
        classes = rows // 12
        assert (
            (classes == classes[:, :1]).all()
            and len(set(classes[:, 0])) == 6
            and classes.max() < 12
        )
        assert len(set(rows.ravel())) == 36
        if exemplars is not None:
            assert (rows[:, 0] == keep[exemplars[classes[:, 0]]]).all()
        asked |= set(rows[:, 1:].ravel().tolist())
    assert len(asked) > 0.85 * (11 * 12 + 6 - 12 * with_exemplars)


SIMCLR = simclr.Config(epochs=10, batch_size=32)


PROTONET = protonet.Config(epochs=4, episodes_per_epoch=20, train_ways=60, train_queries=4)


@pytest.fixture(scope="module")
def learned(data):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    told: list[tuple[int, dict]] = []
    first = simclr.train(
        SIMCLR, data, None, 0, CPU, lambda epoch, losses: told.append((epoch, losses))
    )
    exemplars = np.arange(36) * 12 + 1
    second = protonet.train(
        PROTONET, data, exemplars, 0, CPU, lambda epoch, losses: told.append((epoch, losses))
    )
    torch.set_num_threads(before)
    return first, second, told


def test_simclr_learns(data, learned):
    module, quality, curve = learned[0]
    assert not module.training
    assert quality["test_batch"] == 144 and quality["chance_loss"] == pytest.approx(math.log(287))
    assert quality["orthogonal_loss"] == pytest.approx(math.log(math.exp(2) + 286) - 2)
    untrained = simclr.quality(
        initialised(lambda: simclr.SimCLR(SIZE), 0, "simclr"), data, None, 0, CPU
    )["test_loss"]
    assert quality["test_loss"] < min(untrained, quality["chance_loss"]) - 0.2
    validation = [entry["validation_loss"] for entry in curve]
    assert quality["best_epoch"] == 1 + int(np.argmin(validation)) and quality[
        "best_validation_loss"
    ] == min(validation)
    again = simclr._held_out_loss(
        module, torch.from_numpy(data.images[144:288])[:, None], 32, 0.5, "normal", 0
    )
    # the weights returned are those of the best epoch
    assert again == pytest.approx(min(validation), rel=1e-5)


def test_protonet_learns(data, learned):
    module, quality, curve = learned[1]
    assert not module.training
    assert (
        quality["test_ways"] == 12
        and quality["train_ways"] == 12
        and quality["chance_recognizability"] == 100 / 12
    )
    start = initialised(lambda: protonet.ProtoNet(SIZE), 0, "protonet")
    untrained = protonet.quality(start, data, np.arange(36) * 12 + 1, 0, CPU)[
        "test_recognizability"
    ]
    assert (
        quality["test_recognizability"] > untrained + 3
        and quality["test_recognizability"] > 3 * 100 / 12
    )
    validation = [entry["validation_recognizability"] for entry in curve]
    assert quality["best_epoch"] == 1 + int(np.argmax(validation)) and quality[
        "best_validation_recognizability"
    ] == max(validation)
    # The quality by hand: nearest of all 8 exemplars, without the exemplars as queries, which are
    # drawing 1 of each class.
    features = embed_all(module, data.images[288:], CPU).astype(np.float64).reshape(12, 12, 128)
    queries = np.delete(features, 1, axis=1)
    near = ((queries[:, :, None] - features[None, None, :, 1]) ** 2).sum(-1).argmin(-1)
    assert quality["test_recognizability"] == pytest.approx(
        100 * (near == np.arange(12)[:, None]).mean()
    )


def test_every_epoch_is_reported_once(learned):
    first, second, told = learned
    assert [epoch for epoch, _ in told] == [*range(1, 11), *range(1, 5)]
    assert [{"epoch": epoch, **losses} for epoch, losses in told] == first[2] + second[2]


def test_training_depends_on_the_seed_only_and_leaves_the_global_state_alone(data):
    small = (
        simclr.Config(epochs=2, batch_size=32, batches_per_epoch=1),
        protonet.Config(epochs=2, episodes_per_epoch=1, train_ways=4),
    )
    state = torch.get_rng_state()
    for family, config in zip((simclr, protonet), small):
        runs = []
        for seed in (7, 7, 8):
            torch.rand(3)  # another global state must not matter
            module, _, curve = family.train(config, data, None, seed, CPU, silent)
            runs.append((module.state_dict(), curve))
        assert (
            all(torch.equal(runs[0][0][name], runs[1][0][name]) for name in runs[0][0])
            and runs[0][1] == runs[1][1]
        )
        assert runs[0][1] != runs[2][1]
    torch.set_rng_state(state)
    simclr.train(small[0], data, None, 0, CPU, silent)
    protonet.train(small[1], data, None, 0, CPU, silent)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_refuses_and_says_what_is_needed(data):
    with pytest.raises(
        CriticError,
        match=(
            r"at least 2 train classes, each with 13 drawings; glyphs has 12, the smallest with 12"
        ),
    ):
        protonet.train(protonet.Config(train_queries=12), data, None, 0, CPU, silent)
    none = dataclasses.replace(data, validation=np.empty(0, np.int64))
    with pytest.raises(CriticError, match="at least 2 drawings"):
        simclr.train(SIMCLR, none, None, 0, CPU, silent)
    with pytest.raises(CriticError, match="at least 2 classes"):
        protonet.train(
            dataclasses.replace(PROTONET, episodes_per_epoch=1), none, None, 0, CPU, silent
        )


@pytest.mark.parametrize(("family", "loss"), [(simclr, "nt_xent"), (protonet, "loss_of")])
def test_training_that_diverges_ends_with_a_reason(data, monkeypatch, family, loss):
    finite = getattr(family, loss)
    monkeypatch.setattr(family, loss, lambda *given: finite(*given) * math.inf)
    config = settings.resolve(loss, family.Config, family.VARIANTS["tiny"])
    with pytest.raises(
        CriticError, match=r"diverged in epoch 1.* Lower its learning_rate \(0\.001\)"
    ):
        family.train(config, data, None, 0, CPU, silent)


def test_the_settings_are_read_without_importing_the_critics():
    assert {"simclr", "protonet"} <= set(families.names("critics"))
    assert not {"encoder", "importing"} & set(families.names("critics"))
    head = families.declaration("critics", "simclr")
    assert (
        head.config().batch_size == 448
        and head.config().epochs == 100
        and head.version == simclr.VERSION
    )
    assert head.summary.startswith("SimCLR")
    assert settings.resolve("protonet", protonet.Config, {"train_ways": 20}).train_ways == 20
    for family in (simclr, protonet):
        for variant in family.VARIANTS.values():
            settings.resolve(family.__name__, family.Config, variant)
    with pytest.raises(settings.SettingError, match="light, normal, strong"):
        settings.resolve("simclr", simclr.Config, {"strength": "huge"})


def test_a_frozen_critic_follows_its_weights() -> None:
    """It is kept between calls, and made anew when a weight or a statistic changes."""
    torch.manual_seed(0)
    module, images = (
        simclr.FAMILY(16).eval(),
        np.random.default_rng(0).integers(0, 2, (5, 16, 16)).astype(np.uint8),
    )
    assert frozen(module)._modules["embedding"] is frozen(module)._modules["embedding"]
    before = embed_all(module, images, "cpu")
    with torch.no_grad():
        for value in module.state_dict().values():
            value.add_(1)
    after = embed_all(module, images, "cpu")
    assert not np.allclose(before, after)
    np.testing.assert_allclose(
        after,
        module.embed(torch.from_numpy(images)[:, None].float()).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )
