"""class_gan: sizes, losses by plain formulas, a second training, tuning, sheets, stacks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_class_gan import PlainDiscriminator, PlainGenerator, PlainTraining, copied
from torch import Tensor, nn
from torch.nn import functional

from oneshot.contracts import Labelled
from oneshot.models.class_gan import VARIANTS, ClassGan, Config
from oneshot.nn.projection_discriminator import ProjectionDiscriminator
from oneshot.training.owners import check_owners
from oneshot.training.stack import Stack

CPU = torch.device("cpu")
SIDE = 16
NOVEL = [2, 5, 7]
MODES = ["embed", "linear", "all"]


def model(seed: int = 0, variant: str = "tiny", side: int = SIDE, **changed: Any) -> ClassGan:
    torch.manual_seed(seed)
    return ClassGan(Config(**{**VARIANTS[variant], **changed}), side)


def batch(
    family: ClassGan, n: int = 6, seed: int = 1, classes: tuple[int, ...] = (0, 3, 4, 9)
) -> tuple[Labelled, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(
        n, family.config.channels, family.image_size, family.image_size, generator=generator
    )
    label = torch.eye(family.config.classes)[[classes[i % len(classes)] for i in range(n)]]
    return Labelled(images, label), torch.randn(n, *family.noise_shape, generator=generator)


def with_pool(items: Labelled, seed: int = 3) -> Labelled:
    generator = torch.Generator().manual_seed(seed)
    return Labelled(items.images, items.label, torch.rand(items.images.shape, generator=generator))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def hyper(stack: Stack, **values: float) -> dict[str, Tensor]:
    return {name: torch.full((stack.size,), value) for name, value in values.items()}


# --- sizes and start -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "classes", "parameters"),
    [
        (64, 47, 120_091),
        (64, 62, 127_771),
        (64, 100, 147_227),
        (256, 47, 1_175_203),
        (1024, 47, 16_901_251),
        (1024, 1623, 17_708_163),
    ],
)
def test_the_generator_has_the_published_size(width: int, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        family = ClassGan(Config(width=width, classes=classes), 32)
    assert count(family.generator) == parameters
    films = family.generator.films()
    embeddings = sum(film.embedding.numel() for film in films)
    linears = sum(count(film.linear) for film in films)
    if (width, classes) == (64, 47):
        assert (embeddings, linears) == (24_064, 30_960)
    if (width, classes) == (1024, 1623):
        assert (embeddings, linears) == (830_976, 495_360)


@pytest.mark.parametrize(
    ("width", "classes", "parameters"),
    [(16, 47, 671_921), (16, 100, 678_705), (16, 1623, 873_649), (64, 47, 10_456_385)],
)
def test_the_discriminator_has_the_published_size(
    width: int, classes: int, parameters: int
) -> None:
    with torch.device("meta"):
        family = ClassGan(Config(discriminator_width=width, classes=classes), 32)
    assert count(family.discriminator) == parameters
    check_owners(family)
    assert count(family) == parameters + count(family.generator)


def test_defaults_are_those_published() -> None:
    config = Config()
    assert (config.width, config.discriminator_width, config.z, config.blocks) == (64, 16, 64, 1)
    assert (config.gamma, config.alpha, config.learning_rate) == (1, 0, 2e-4)
    assert (config.batch_size, config.epochs, config.generator_every) == (32, 200, 1)
    assert (config.g_mode, config.d_mode, config.latent_std) == ("linear", "embed", 1)
    for player in ClassGan(config, 32).players():
        assert (player.learning_rate, player.betas) == (2e-4, (0.9, 0.9))
        assert player.weight_decay == player.clip == player.skips == 0


def test_the_published_decay_does_nothing() -> None:
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(weight * (1 - 2e-4 * 1e-6), weight)


def test_problems_say_what_does_not_fit() -> None:
    assert not Config().problems(32, 1, 20) and not Config(channels=3).problems(28, 3, 20)
    assert Config(width=40).problems(50, 3, 20) == [
        "image_size = 50 of class_gan: its maps double at least twice, and need a multiple of 4"
        " (of 16 as published)",
        "channels = 1 of class_gan: the images have 3",
        "width = 40 of class_gan: its maps need a multiple of 16",
    ]


# --- what the networks give ----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_drawings_have_the_channels_of_the_data(channels: int) -> None:
    family = model(channels=channels, latent_std=2.0).eval()
    noise, label = torch.randn(3, *family.drawing_noise_shape), torch.eye(10)[[1, 5, 5]]
    drawn = family.sample(label, noise)
    assert drawn.shape == (3, channels, SIDE, SIDE) and 0 <= drawn.min() <= drawn.max() <= 1
    full = (family.generator(2 * noise, label).detach() + 1) / 2
    torch.testing.assert_close(drawn, full.mean(1, keepdim=True) if channels == 1 else full)


def test_grey_images_are_seen_three_times_in_minus_1_to_1() -> None:
    family = model()
    seen = family._seen(torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1, 1))
    assert seen.shape == (3, 3, 1, 1)
    assert seen[:, :, 0, 0].tolist() == [[-1.0] * 3, [-0.5] * 3, [1.0] * 3]


def test_weights_over_classes_mix_their_embeddings() -> None:
    family = model().eval()
    noise, weights = torch.randn(2, *family.noise_shape), torch.zeros(2, 10)
    weights[:, 3], weights[:, 8] = 0.3, 0.7
    mixed = family.sample(weights, noise)
    with torch.no_grad():
        for film in family.generator.films():
            film.embedding[0] = 0.3 * film.embedding[3] + 0.7 * film.embedding[8]
    torch.testing.assert_close(mixed, family.sample(torch.eye(10)[[0, 0]], noise))
    assert not torch.allclose(mixed, family.sample(torch.eye(10)[[3, 3]], noise), atol=1e-3)


def test_a_discriminator_that_is_told_no_class_is_one_with_a_row_of_zeros() -> None:
    torch.manual_seed(0)
    network = ProjectionDiscriminator(4, 5, 10).eval()
    images, label = torch.randn(6, 3, SIDE, SIDE), torch.eye(10)[[0, 1, 2, 3, 4, 5]]
    untold = network(images)
    assert torch.equal(untold.conditional, untold.unconditional)
    told = network(images, label)
    assert torch.equal(told.unconditional, untold.unconditional)
    assert not torch.allclose(told.conditional, told.unconditional, atol=1e-3)
    assert told.noise.shape == (6, 5)
    with torch.no_grad():
        network.embedding[2].zero_()
    told = network(images, label)
    differ = (told.conditional != told.unconditional).tolist()
    assert differ == [True, True, False, True, True, True]


# --- losses and training -------------------------------------------------------------------------


def plain(family: ClassGan) -> tuple[PlainGenerator, PlainDiscriminator]:
    """Both networks of plain layers, with the same weights."""
    config, start = family.config, family.generator.start
    stages = len(family.generator.blocks) // 2
    widths = [config.width // 2**stage for stage in range(stages + 1)]
    networks = (
        PlainGenerator(widths, start.shape[1], config.z, config.classes),
        PlainDiscriminator(config.discriminator_width, config.z, config.classes),
    )
    copied(family.generator, networks[0])
    copied(family.discriminator, networks[1])
    return networks


@pytest.mark.parametrize("semi", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_losses_are_those_of_plain_formulas(semi: bool, channels: int) -> None:
    family = model(channels=channels, discriminator_width=4, latent_std=1.5).eval()
    generator, discriminator = (network.eval() for network in plain(family))
    items, noise = batch(family)
    items = with_pool(items) if semi else items
    label, z = items.label.argmax(1), 1.5 * noise
    three = (3 // channels, 1, 1)
    x = (2 * items.images - 1).repeat(1, *three)
    x_u = x if items.unlabelled is None else (2 * items.unlabelled - 1).repeat(1, *three)
    with torch.no_grad():
        drawn = generator(z, label)
        real, _, _ = discriminator(x, label)
        _, real_u, _ = discriminator(x_u, label)
        fake, fake_u, recovered = discriminator(drawn, label)
    recovery = ((recovered - z) ** 2).mean(1)

    def log(logit: Tensor) -> Tensor:  # -log of the probability
        return -torch.sigmoid(logit).log()

    expected = [
        (0.5 * (log(real) + log(-fake)), recovery, 0.5 * (log(real_u) + log(-fake_u))),
        (log(fake), recovery, log(fake_u)),
    ]
    for player, (adversarial, recovered_, unconditional) in zip(family.players(), expected):
        found = player.loss(items, noise, {"gamma": 0.7, "alpha": 0.4})
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(found["adversarial"], adversarial, **close)
        torch.testing.assert_close(found["recovery"], recovered_, **close)
        torch.testing.assert_close(found["unconditional"], unconditional, **close)
        total = adversarial + 0.7 * recovered_ + 0.4 * unconditional
        torch.testing.assert_close(found["loss"], total, **close)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_training_is_that_of_a_second_implementation(alpha: float) -> None:
    rate = 1e-3
    family = model(discriminator_width=4, learning_rate=rate, gamma=0.8, alpha=alpha)
    generator, discriminator = plain(family)
    training = PlainTraining(generator, discriminator, rate, 0.8, alpha)
    stack = Stack([family], CPU)
    for step in range(3):
        items, noise = batch(family, 8, seed=step)
        found = stack.train_step(items, noise, hyper(stack, gamma=0.8, alpha=alpha), (0, 1))
        images = (2 * items.images - 1).repeat(1, 3, 1, 1)
        expected = training.step(images, items.label.argmax(1), noise)
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(value, rel=1e-4, abs=1e-5), name
    tables = [film.embedding for film in family.generator.films()]
    family.load_state_dict(stack.snapshot().weights(0))
    others = [m for m in generator.modules() if isinstance(m, nn.Embedding)]
    base = [0, 3, 4, 9]
    for table, other in zip(tables, others, strict=True):
        torch.testing.assert_close(table[base], other.weight[base], rtol=0, atol=rate / 20)
        rest = [c for c in range(10) if c not in base]
        assert torch.equal(table[rest], other.weight[rest]), "nothing is learned of other classes"
    normed: list[Any] = [m for m in family.discriminator.modules() if hasattr(m, "norm")]
    hooked: list[Any] = [m for m in discriminator.modules() if hasattr(m, "weight_u")]
    for ours, theirs in zip(normed, hooked, strict=True):
        torch.testing.assert_close(ours.norm.u, theirs.weight_u, rtol=0, atol=1e-3)
        torch.testing.assert_close(ours.weight, theirs.weight_orig, rtol=0, atol=rate / 4)


def test_the_generator_may_move_less_often() -> None:
    family = model(generator_every=3)
    assert [player.every for player in family.players()] == [1, 3]
    assert [player.every for player in family.tuners()] == [1, 3]


@pytest.mark.parametrize("tuning", [False, True])
def test_with_alpha_0_unlabelled_images_change_nothing_to_the_bit(tuning: bool) -> None:
    states = []
    for semi in (False, True):
        families = [model(seed, g_mode="all", d_mode="all") for seed in (0, 0)]
        for family in families:
            family.tuning = tuning
        stack = Stack(families, CPU)
        values = {"gamma": torch.tensor([1.0, 0.5]), "alpha": torch.zeros(2)}
        for step in range(3):
            items, noise = batch(families[0], seed=step)
            items = with_pool(items, seed=10 + step) if semi else items
            stack.train_step(items, noise, values, (0, 1))
        states.append(stack.snapshot())
    one, other = states
    for name, tensors in one.players.items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, other.players[name][key]), (name, key)
    assert all(torch.equal(tensor, other.buffers[n]) for n, tensor in one.buffers.items())


def test_with_alpha_unlabelled_images_change_the_discriminator() -> None:
    family = model()
    items, noise = batch(family)
    first = family.eval().players()[0]
    weights = {"gamma": 1.0, "alpha": 0.5}
    without, semi = (first.loss(i, noise, weights) for i in (items, with_pool(items)))
    assert torch.equal(without["adversarial"], semi["adversarial"])
    assert not torch.allclose(without["loss"], semi["loss"])


@pytest.mark.filterwarnings("error")
def test_a_stack_trains_each_model_as_it_would_alone() -> None:
    gamma, alpha = torch.tensor([1.0, 0.5]), torch.tensor([0.0, 0.4])
    stack = Stack([model(0), model(1)], CPU)
    alone = [Stack([model(seed)], CPU) for seed in (0, 1)]
    for step in range(2):
        items, noise = batch(stack.template, seed=step)
        items = with_pool(items)
        together = stack.train_step(items, noise, {"gamma": gamma, "alpha": alpha}, (0, 1))
        for k, single in enumerate(alone):
            own = {"gamma": gamma[k : k + 1], "alpha": alpha[k : k + 1]}
            found = single.train_step(items, noise, own, (0, 1))
            for name, value in found.items():
                torch.testing.assert_close(together[name][k], value[0], rtol=1e-3, atol=1e-4)
    for k, single in enumerate(alone):
        for name, buffer in single.buffers.items():
            torch.testing.assert_close(stack.buffers[name][k], buffer[0], rtol=1e-2, atol=1e-3)


# --- tuning --------------------------------------------------------------------------------------


def tuned(
    family: ClassGan, steps: int = 3, novel: tuple[int, ...] = (2, 5, 7)
) -> dict[str, Tensor]:
    """What of a model its tuning changes, by name: the state after some steps on novel classes."""
    before = {n: t.clone() for n, t in family.state_dict().items()}
    family.tuning = True
    stack = Stack([family], CPU)
    values = hyper(stack, **family.hyper(0))
    for step in range(steps):
        items, noise = batch(family, seed=step, classes=novel)
        items = with_pool(items) if family.config.semi else items
        stack.train_step(items, noise, values, (0, 1))
    after = {**before, **stack.snapshot().weights(0)}
    family.load_state_dict(after)
    family.requires_grad_(True)
    return {n: t for n, t in after.items() if not torch.equal(t, before[n])}


G_MOVES = {
    "embed": [".film.embedding"],
    "linear": [".film.embedding", ".film.linear."],
    "all": ["generator."],
}
D_MOVES = {
    "embed": ["discriminator.embedding"],
    "linear": [f"discriminator.{name}" for name in ("embedding", "psi.", "phi.", "recovery.")],
    "all": ["discriminator."],
}


@pytest.mark.parametrize("d_mode", MODES)
@pytest.mark.parametrize("g_mode", MODES)
def test_tuning_moves_what_its_modes_say_and_nothing_else(g_mode: str, d_mode: str) -> None:
    family = model(g_mode=g_mode, d_mode=d_mode, tune_rate=1e-3, tune_alpha=0.3, width=32, z=8)
    changed = tuned(family)
    wanted = G_MOVES[g_mode] + D_MOVES[d_mode]
    assert not [name for name in changed if not any(w in name for w in wanted)]
    parameters = [n for n, _ in family.named_parameters() if any(w in n for w in wanted)]
    assert not set(parameters) - set(changed)


@pytest.mark.parametrize(
    ("mode", "of_discriminator", "of_generator"),
    [
        ("embed", 6_016, 24_064),
        ("linear", 6_016 + 16_512 + 129 + 49_536, 24_064 + 30_960),
        ("all", 671_921, 120_091),
    ],
)
def test_tuners_have_their_parameters_and_step_size(
    mode: str, of_discriminator: int, of_generator: int
) -> None:
    config = Config(g_mode=mode, d_mode=mode, tune_rate=3e-4, learning_rate=1e-3)
    players = ClassGan(config, 32).tuners()
    assert [player.name for player in players] == ["discriminator", "generator"]
    sizes = [sum(p.numel() for p in player.parameters()) for player in players]
    assert sizes == [of_discriminator, of_generator]
    assert all((p.learning_rate, p.betas) == (3e-4, (0.9, 0.9)) for p in players)


def test_weights_of_the_losses_are_those_of_the_stage() -> None:
    family = model(gamma=0.1, alpha=0.2, tune_gamma=0.3, tune_alpha=0.4)
    assert family.hyper(0) == {"gamma": 0.1, "alpha": 0.2}
    family.tuning = True
    assert family.hyper(0) == {"gamma": 0.3, "alpha": 0.4}


def test_embed_leaves_all_but_novel_rows_and_base_drawings_to_the_bit() -> None:
    family = model(g_mode="embed", d_mode="embed", tune_rate=1e-2, semi=True, tune_alpha=0.5)
    noise = torch.randn(20, *family.noise_shape, generator=torch.Generator().manual_seed(5))
    base = torch.eye(10)[[c for c in range(10) if c not in NOVEL for _ in range(2)]]
    novel = torch.eye(10)[NOVEL]
    before = {n: t.clone() for n, t in family.state_dict().items()}
    drawn, of_novel = family.sample(base, noise[:14]), family.sample(novel, noise[:3])
    changed = tuned(family, steps=10)
    assert all("embedding" in name for name in changed)
    for name, value in changed.items():
        rows = (value != before[name]).any(1).nonzero()[:, 0].tolist()
        assert rows == NOVEL, name
    assert torch.equal(family.sample(base, noise[:14]), drawn)
    assert not torch.allclose(family.sample(novel, noise[:3]), of_novel, atol=1e-3)


def test_linear_can_forget_base_classes() -> None:
    family = model(g_mode="linear", tune_rate=1e-2)
    noise, base = torch.randn(3, *family.noise_shape), torch.eye(10)[[0, 1, 3]]
    drawn = family.sample(base, noise)
    tuned(family)
    assert not torch.allclose(family.sample(base, noise), drawn, atol=1e-3)


@pytest.mark.filterwarnings("error")
def test_a_stack_tunes_each_model_as_it_would_alone() -> None:
    rates = (1e-3, 3e-3)

    def start() -> list[ClassGan]:
        families = [model(0, tune_rate=rate, g_mode="linear", d_mode="linear") for rate in rates]
        for family in families:
            family.tuning = True
        return families

    stack = Stack(start(), CPU)
    alone = [Stack([family], CPU) for family in start()]
    for step in range(2):
        items, noise = batch(stack.template, seed=step, classes=(2, 5, 7))
        together = stack.train_step(items, noise, hyper(stack, gamma=1, alpha=0.3), (0, 1))
        for k, single in enumerate(alone):
            found = single.train_step(items, noise, hyper(single, gamma=1, alpha=0.3), (0, 1))
            for name, value in found.items():
                torch.testing.assert_close(together[name][k], value[0], rtol=1e-3, atol=1e-4)
    assert not torch.equal(stack.players[0].flat[0], stack.players[0].flat[1])


def test_a_frozen_layer_keeps_its_singular_vectors() -> None:
    for d_mode, moving in (("embed", []), ("linear", ["psi", "phi", "recovery"]), ("all", None)):
        family = model(d_mode=d_mode, discriminator_width=4)
        for module in family.modules():
            if hasattr(module, "norm"):  # away from what they converge to
                module.norm.u.copy_(functional.normalize(torch.ones_like(module.norm.u), dim=0))
        changed = {n for n in tuned(family) if n.endswith(".norm.u")}
        every = {n for n in family.state_dict() if n.endswith(".norm.u") and "phi" not in n}
        wanted = every if moving is None else {n for n in every if any(m in n for m in moving)}
        assert changed - {"discriminator.phi.norm.u"} == wanted, d_mode


# --- classes and sheets --------------------------------------------------------------------------


def test_classes_of_the_training_are_kept_through_a_tuning() -> None:
    family = model()
    assert family.base.all() and "base" in family.state_dict()
    trained = torch.ones(10, dtype=torch.bool)
    trained[NOVEL] = False
    family.set_trained_classes(trained)
    assert torch.equal(family.base, trained)
    family.tuning = True
    family.set_trained_classes(~trained)
    assert torch.equal(family.base, trained)


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets_show_classes_mixtures_and_noise_across_classes(channels: int) -> None:
    family = model(channels=channels).eval()
    trained = torch.ones(10, dtype=torch.bool)
    trained[NOVEL] = False
    family.set_trained_classes(trained)
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(10, 2, channels, SIDE, SIDE, generator=generator)
    noise = torch.randn(6, *family.noise_shape, generator=generator)
    sheets = family.sheets(images, noise)
    shape = (6, channels, SIDE, SIDE)
    rows = {"generated_base": 7, "generated_novel": 3, "class_interp": 16, "interp_xover": 8}
    assert {name: sheet.shape for name, sheet in sheets.items()} == {
        name: (count, *shape) for name, count in rows.items()
    }
    every = torch.eye(10)

    def of_class(c: int, z: Tensor) -> Tensor:
        return family.sample(every[c].expand(len(z), -1), z)

    for row, c in enumerate(NOVEL):
        torch.testing.assert_close(sheets["generated_novel"][row], of_class(c, noise))
    torch.testing.assert_close(sheets["generated_base"][2], of_class(3, noise))
    interp = sheets["class_interp"]
    torch.testing.assert_close(interp[0], of_class(5, noise))  # y2 at the top
    torch.testing.assert_close(interp[-1], of_class(2, noise))
    mixed = (4 / 15 * every[2] + 11 / 15 * every[5]).expand(6, -1)
    torch.testing.assert_close(interp[4], family.sample(mixed, noise))
    crossed, y2 = sheets["interp_xover"], [5, 7, 5, 7, 5, 7]
    assert torch.equal(crossed[0], images[2, 0].expand(6, -1, -1, -1))
    assert torch.equal(crossed[1], images[y2, [0, 0, 1, 1, 0, 0]])
    assert not crossed[2].any()
    z2 = noise.roll(1, 0)
    for row, z in ((3, noise), (4, z2), (5, 0 * noise)):
        torch.testing.assert_close(crossed[row], of_class(2, z))
    for row, z in ((6, noise), (7, z2)):
        torch.testing.assert_close(crossed[row], family.sample(every[y2], z))


@pytest.mark.parametrize("novel", [[], [4]])
def test_sheets_take_base_classes_where_novel_ones_are_too_few(novel: list[int]) -> None:
    family = model().eval()
    trained = torch.ones(10, dtype=torch.bool)
    trained[novel] = False
    family.set_trained_classes(trained)
    noise = torch.randn(2, *family.noise_shape)
    sheets = family.sheets(torch.rand(10, 1, 1, SIDE, SIDE), noise)
    assert ("generated_novel" in sheets) == bool(novel)
    y1, y2 = (0, 1) if not novel else (4, 0)
    every = torch.eye(10)
    for row, c in ((0, y2), (-1, y1)):
        expected = family.sample(every[c].expand(2, -1), noise)
        torch.testing.assert_close(sheets["class_interp"][row], expected)


def test_a_sheet_shows_forty_classes_at_most() -> None:
    family = model(classes=43).eval()
    noise = torch.randn(1, *family.noise_shape)
    sheets = family.sheets(torch.rand(43, 1, 1, SIDE, SIDE), noise)
    assert len(sheets["generated_base"]) == 40
