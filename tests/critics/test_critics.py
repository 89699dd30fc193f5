"""The critics: their published shape, their losses against independent computations, their views,
learning, and importing of weights.
"""

from __future__ import annotations

import dataclasses
import io
import math
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from oneshot.critics import importing, protonet, simclr
from oneshot.critics.encoder import CriticError, embed_all, flat_features, frozen, initialised
from oneshot.nn import augment
from oneshot.sweep import families, settings
from oneshot.types import DataSet

CPU = "cpu"
SIZE = 20


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def glyphs(classes: int = 36, per_class: int = 12, size: int = SIZE) -> DataSet:
    """Characters of three straight strokes, each drawing shifted and with its own ends; in thirds
    for train, validation and test.
    """
    rng = np.random.default_rng(0)
    images = np.zeros((classes, per_class, size, size), np.uint8)
    for c in range(classes):
        ends = rng.uniform(6, size - 6, (3, 2, 2))
        for d in range(per_class):
            moved = ends + rng.normal(0, 0.5, ends.shape) + rng.uniform(-2, 2, 2)
            for t in np.linspace(0, 1, 40):
                x, y = (
                    (moved[:, 0] * (1 - t) + moved[:, 1] * t)
                    .T.round()
                    .astype(int)
                    .clip(0, size - 2)
                )
                images[c, d, y, x] = images[c, d, y + 1, x] = 1
    third, ids = classes // 3, np.arange(classes)
    label = np.repeat(ids, per_class)
    names = tuple(f"glyph{c}" for c in ids)
    split = ids[:third], ids[third : 2 * third], ids[2 * third :]
    return DataSet("glyphs", "fixed", "made", images.reshape(-1, size, size), label, names, *split)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return glyphs()


def silent(*_: object) -> None:
    """A report that nobody reads."""


# ---------------------------------------------------------------- the network


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


# ---------------------------------------------------------------- losses


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


# ---------------------------------------------------------------- episodes of ProtoNet


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


# ---------------------------------------------------------------- learning


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


# ---------------------------------------------------------------- views


def picture(size: int = 9) -> torch.Tensor:
    return torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(4))


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("size", [9, 28])
def test_unmoved_warps_give_the_image_back(size):
    image = picture(size)
    whole = augment.crops(double(0, 0)[None], double(size, size)[None], size)
    still = augment.affines(double(0), double(0, 0)[None], double(1), double(0), size)
    corners = augment.perspectives(augment._corners(size)[None], size)
    for warps in (whole, still, corners):
        torch.testing.assert_close(augment.warp(image, warps), image, atol=1e-5, rtol=0)


def test_affines_shift_turn_zoom_and_shear_as_said():
    image, size = picture(), 9
    moved = augment.warp(
        image, augment.affines(double(0), double(2, -3)[None], double(1), double(0), size)
    )[0, 0]
    torch.testing.assert_close(moved[:6, 2:], image[0, 0, 3:, :7], atol=1e-6, rtol=0)
    assert not moved[6:].any() and not moved[:, :2].any()
    turned = augment.warp(
        image, augment.affines(double(90), double(0, 0)[None], double(1), double(0), size)
    )
    # clockwise
    torch.testing.assert_close(turned, torch.rot90(image, -1, (2, 3)), atol=1e-6, rtol=0)
    larger = augment.warp(
        image, augment.affines(double(0), double(0, 0)[None], double(3), double(0), size)
    )[0, 0]
    torch.testing.assert_close(
        larger,
        image[0, 0, 3:6, 3:6].repeat_interleave(3, 0).repeat_interleave(3, 1),
        atol=1e-6,
        rtol=0,
    )
    leaned = augment.warp(
        image, augment.affines(double(0), double(0, 0)[None], double(1), double(45), size)
    )[0, 0]
    torch.testing.assert_close(leaned[4], image[0, 0, 4], atol=1e-6, rtol=0)
    # two rows below the centre: two pixels left
    torch.testing.assert_close(leaned[6, :7], image[0, 0, 6, 2:], atol=1e-6, rtol=0)


def test_crops_equal_cutting_out_and_enlarging():
    image = picture(20)
    warps = augment.crops(double(3, 7)[None], double(12, 9)[None], 20)
    cut = F.interpolate(image[:, :, 7:16, 3:15], (20, 20), mode="bilinear", align_corners=False)
    torch.testing.assert_close(augment.warp(image, warps), cut, atol=1e-5, rtol=0)


def test_perspectives_put_the_corners_where_they_were_sent():
    corners = torch.tensor([[[2, 1], [15, 3], [17, 18], [0, 14]]], dtype=torch.float64)
    matrix = augment.perspectives(corners, 20).matrix[0]
    seen = torch.cat([corners[0], torch.ones(4, 1)], dim=1) @ matrix.T
    torch.testing.assert_close(seen[:, :2] / seen[:, 2:], augment._corners(20))
    image = picture(20)
    view = augment.warp(image, augment.perspectives(corners, 20))[0, 0]
    for (x, y), (u, v) in zip(corners[0].long().tolist(), augment._corners(20).long().tolist()):
        assert float(view[y, x]) == pytest.approx(float(image[0, 0, v, u]), abs=1e-4)


@pytest.mark.parametrize("strength", list(augment.STRENGTHS))
def test_parameters_stay_in_their_ranges_and_fill_them(strength):
    s, n, size = augment.STRENGTHS[strength], 4000, 50
    rng = torch.Generator().manual_seed(0)
    matrix = augment.random_affines(n, size, s, rng).matrix[:, :2, :2]
    zoom = torch.linalg.det(matrix).abs() ** -0.5
    assert s.zoom[0] <= zoom.min() < s.zoom[0] + 0.01 and s.zoom[1] - 0.01 < zoom.max() <= s.zoom[1]
    forward = torch.linalg.inv(matrix)
    angle = torch.rad2deg(torch.atan2(forward[:, 1, 0], forward[:, 0, 0]))
    assert (
        0.99 * s.rotation < angle.abs().max() <= s.rotation
        and abs(angle.mean()) < 0.05 * s.rotation
    )
    crops = augment.random_crops(n, size, s, rng)
    sides = crops.high - crops.low + 1
    assert (
        (crops.low >= 0).all() and (crops.high <= size - 1).all() and (sides == sides.round()).all()
    )
    ratio, area = sides[:, 0] / sides[:, 1], sides.prod(1) / size**2
    assert s.crop_ratio[0] * 0.95 < ratio.min() and ratio.max() < s.crop_ratio[1] * 1.05
    assert s.crop_area[0] * 0.95 < area.min() < s.crop_area[0] * 1.05 and area.max() == 1
    moved = augment.random_perspectives(n, size, s, rng).matrix
    still = (moved - torch.eye(3)).abs().amax((1, 2)) < 1e-9
    assert abs(still.double().mean() - 0.5) < 4 * 0.5 / n**0.5


@pytest.mark.parametrize("strength", list(augment.STRENGTHS))
def test_views_are_binary_keep_ink_and_come_from_the_generator_only(data, strength):
    images = torch.from_numpy(data.images).float()[:, None]
    one, two, other = (
        augment.views(images, augment.STRENGTHS[strength], torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert (
        one.shape == images.shape
        and one.dtype == torch.float32
        and set(one.unique().tolist()) == {0.0, 1.0}
    )
    ink = one.mean((1, 2, 3)) / images.mean((1, 2, 3))
    assert (ink > 0).double().mean() > 0.99 and 0.7 < ink.mean() < 1.4
    # about one in six is an unmoved perspective
    assert 0.5 < (one != images).flatten(1).any(1).double().mean() < 1


def test_binary_makes_a_constant_image_background():
    given = torch.stack([torch.full((1, 2, 2), 0.7), torch.tensor([[[0.0, 0.25], [0.5, 0.75]]])])
    assert augment.binary(given).flatten(1).tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]


# ---------------------------------------------------------------- importing published weights


def saved(state: object, tag: str = "cpu") -> bytes:
    """A torch file whose storages are tagged with another device, as the published ones are
    (`cuda:7`).
    """
    buffer, out = io.BytesIO(), io.BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith("data.pkl"):
                content = content.replace(
                    b"X\x03\x00\x00\x00cpu", b"X" + len(tag).to_bytes(4, "little") + tag.encode()
                )
                assert tag.encode() in content
            new.writestr(info.filename, content)
    return out.getvalue()


@pytest.fixture(scope="module")
def published() -> OrderedDict[str, torch.Tensor]:
    module = initialised(lambda: protonet.ProtoNet(50), 1, "published")
    module.train()
    module.embed(
        (torch.rand(8, 1, 50, 50, generator=torch.Generator().manual_seed(0)) > 0.9).float()
    )
    return OrderedDict((name, value.contiguous()) for name, value in module.state_dict().items())


def test_published_files_of_another_machines_gpu_are_read(tmp_path: Path, published):
    path = tmp_path / "_best.model"
    path.write_bytes(saved(published, "cuda:7"))
    if torch.cuda.device_count() < 8:
        with pytest.raises(RuntimeError):
            torch.load(path, weights_only=True)  # so the tag is real
    module = importing.import_weights(path, "protonet")
    assert isinstance(module, protonet.ProtoNet) and not module.training
    assert all(
        torch.equal(value, published[name]) and value.device.type == "cpu"
        for name, value in module.state_dict().items()
    )
    reference = protonet.ProtoNet(50).eval()
    reference.load_state_dict(published)
    images = (np.random.default_rng(0).random((3, 50, 50)) > 0.9).astype(np.uint8)
    assert np.array_equal(embed_all(module, images, CPU), embed_all(reference, images, CPU))


def test_counters_of_batch_normalisation_may_be_absent(tmp_path: Path, published):
    path = tmp_path / "bare.model"
    torch.save(
        {
            name: value
            for name, value in published.items()
            if not name.endswith("num_batches_tracked")
        },
        path,
    )
    assert torch.equal(
        importing.import_weights(str(path), "protonet").state_dict()["metric_layer.bias"],
        published["metric_layer.bias"],
    )


def test_damaged_and_foreign_files_are_refused_with_the_reason(tmp_path: Path, published):
    whole = saved(published, "cuda:2")
    nan = {**published, "embedding.6.bias": torch.full((256,), math.nan)}
    less = {name: value for name, value in published.items() if name != "embedding.2.0.bias"}
    files = {
        "truncated": (whole[: len(whole) // 2], "not a torch file"),
        "text": (b"weights\n", "not a torch file"),
        "empty": (b"", "not a torch file"),
        "code": (saved({"a": torch.ones(1), "fit": dataclasses.replace}), "not a torch file"),
        "tensor": (saved(torch.ones(3)), "but Tensor"),
        "checkpoint": (saved({"epoch": 3, "state": dict(published)}), "but keys 'epoch', 'state'"),
        "missing": (saved(less), r"missing embedding\.2\.0\.bias; unexpected nothing"),
        "more": (
            saved({**published, "head.weight": torch.ones(1)}),
            r"missing nothing; unexpected head\.weight",
        ),
        "shape": (
            saved({**published, "embedding.6.weight": torch.ones(256, 64)}),
            r"embedding\.6\.weight is \[256, 64\], needs \[256, 576\]",
        ),
        "nan": (saved(nan), r"NaN or infinity in embedding\.6\.bias"),
    }
    for name, (content, reason) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CriticError, match=reason) as caught:
            importing.import_weights(path, "protonet")
        assert str(path) in str(caught.value)


def test_wrong_kinds_sizes_and_paths_are_refused(tmp_path: Path, published):
    path = tmp_path / "protonet.model"
    path.write_bytes(saved(published))
    with pytest.raises(
        CriticError,
        match=(
            r"simclr critic: missing projection\.0\.bias, projection\.0\.weight; unexpected"
            r" metric_layer"
        ),
    ):
        importing.import_weights(path, "simclr")
    with pytest.raises(CriticError, match="50x50 images, given image_size 28"):
        importing.import_weights(path, "protonet", 28)
    with pytest.raises(CriticError, match=r"'resnet'; there are for: simclr, protonet"):
        importing.import_weights(path, "resnet")
    with pytest.raises(CriticError, match="cannot read the file"):
        importing.import_weights(tmp_path / "absent", "protonet")


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
