"""Set VAEs: parameter counts, symmetries of sets, exact likelihoods, drawing modes, stacks."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from oneshot.contracts import Sets
from oneshot.models.set_vae import VARIANTS, Config, SetVae
from oneshot.nn.pyramid import Flow
from oneshot.nn.set_gaussian import Gaussian
from oneshot.nn.set_levels import Samples
from oneshot.nn.top_down import ALL_POSTERIOR, POSTERIOR, PRIOR, Sources, top_down
from oneshot.sweep import families
from oneshot.training.stack import Stack, by_vmap

SIZE = 16
TINY = [name for name in VARIANTS if name.startswith("tiny")]
MODES = (
    "conditional",
    "conditional_prior",
    "unconditional",
    "reconstruction",
    "refined",
    "refined_union",
)
PYRAMID: dict[str, Any] = dict(latents="pyramid", context="hierarchical", carry="stream")


def build(name: str, size: int = SIZE, seed: int = 0, **changed: Any) -> SetVae:
    """In evaluation mode, with biases and pyramids' priors moved off zero, so that nothing is
    symmetric by initialisation.
    """
    torch.manual_seed(seed)
    model = SetVae(Config(**{**VARIANTS[name], **changed}), size).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def sets(model: SetVae, count: int = 3, images: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    side = model.image_size
    x = (torch.rand(count, images, 1, side, side, generator=generator) > 0.8).float()
    return x, torch.randn(count, model.noise_size(images), generator=generator)


def numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Published totals at 28x28, hidden 128, c = z = 32, and the weights among them that never receive a
# gradient. A "1x1" is 32 * 128 + 128. - 1 x 1x1 for each of q and p of the top z, which has no z
# above: 2 x 4,224 = 8,448. - vae: 7 x 4,224 = 29,568: the c-products of three q(z), two p(z) and
# the decoder, and the z-product of the top q(z). - multiscale inherits a whole chfsgm: 7,326,273 of
# other weights in every total, and no top z-product (128 * 128 + 128) either.
PUBLISHED = {
    "vae": (5_456_587, 7 * 4224),
    "ns": (5_565_391, 2 * 4224),
    "tns": (5_614_927, 2 * 4224),
    "cns": (7_348_673, 2 * 4224),
    "ctns": (7_398_209, 2 * 4224),
    "hfsgm": (6_008_791, 2 * 4224),
    "thfsgm": (6_080_599, 2 * 4224),
    "chfsgm": (9_231_297, 2 * 4224),
    "cthfsgm": (9_379_905, 2 * 4224),
    "chfsgm_multiscale": (12_088_066, 7_326_273),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_ten_have_the_published_number_of_live_parameters(name: str) -> None:
    published, dead = PUBLISHED[name]
    assert numbers(SetVae(Config(**{**VARIANTS[name], "hidden": 128}), 28)) == published - dead


@pytest.mark.parametrize(
    ("changed", "live"),
    [
        ({}, 2_172_865),
        ({"pooling": "attention"}, 2_569_153),
        ({**VARIANTS["chfsgm_multiscale"], "pooling": "attention"}, 5_653_441),
        ({**VARIANTS["chfsgm_multiscale"], "hidden": 256}, 18_358_145),
    ],
)
def test_pyramids_have_the_published_number_of_live_parameters(
    changed: dict[str, Any], live: int
) -> None:
    assert numbers(SetVae(Config(**{**PYRAMID, **changed}), 28)) == live


@pytest.mark.parametrize(
    ("z", "published"), [(10, 7_468_847), (16, 7_479_623), (32, 7_508_359), (100, 7_630_487)]
)
def test_the_neural_statistician_of_50_pixels_has_the_published_number(
    z: int, published: int
) -> None:
    """Less the products of a z above, of q and p, which one level never uses: z * 256 + 256 each,
    8,704 at z = 16.
    """
    assert numbers(SetVae(Config(**{**VARIANTS["ns_50"], "z": z}), 50)) == published - 2 * (
        z * 256 + 256
    )


def test_parts_have_the_published_number_of_parameters() -> None:
    def level(number: int, **changed: Any) -> Any:
        return SetVae(Config(**changed), 28).levels[number]

    assert numbers(SetVae(Config(), 28).encoder) == 1_921_536 + 524_672
    assert numbers(SetVae(Config(latents="map"), 28).encoder) == 1_921_536 + 33_152
    assert (
        numbers(SetVae(Config(), 28).decoder) == 2_625_793
        and numbers(SetVae(Config(latents="map"), 28).decoder) == 2_130_433
    )
    assert numbers(SetVae(Config(context="hierarchical"), 28).decoder) == 2_625_793 + 8_192
    for latents, statistic, q, p in (
        ("vector", 41_794, 83_522, 67_010),
        ("map", 451_904, 476_864, 460_352),
    ):
        top, lower = level(0, latents=latents), level(1, latents=latents)
        assert (numbers(top.posterior_c), numbers(lower.posterior_z), numbers(lower.net_z)) == (
            statistic,
            q,
            p,
        )
        assert numbers(
            level(0, latents=latents, pooling="attention").posterior_c
        ) == statistic + 3 * (128**2 + 128)
    film = level(1, context="hierarchical", pooling="attention", conditioner="film")
    assert (numbers(film.posterior_z), numbers(film.net_z)) == (87_746, 71_234)
    contexts = {
        ("vector", "mean"): (117_058, 100_546),
        ("vector", "attention"): (116_290, 99_778),
        ("map", "mean"): (476_864, 460_352),
        ("map", "attention"): (526_400, 460_352),
    }
    for (latents, pooling), (q, p) in contexts.items():
        one = level(1, latents=latents, pooling=pooling, context="hierarchical")
        assert (numbers(one.posterior_c), numbers(one.net_c)) == (q, p)
    coarse, fine = level(1, **PYRAMID), level(7, **PYRAMID)
    assert [numbers(one.c) + numbers(one.of_z) for one in (coarse, fine)] == [52_128, 101_280]
    assert [numbers(one.z) + numbers(one.of_c) for one in (coarse, fine)] == [56_224, 105_376]


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_receives_a_gradient(name: str) -> None:
    """But for the scale that film gives the top prior, whose sum it scales is empty."""
    model = build(name)
    x, noise = sets(model)
    model.elbo(Sets(x), noise)["kl"].sum().add(model.reconstruct(x, noise).sum()).backward()
    assert [
        n
        for n, p in model.named_parameters()
        if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ] == []


@pytest.mark.parametrize(
    "name", ["tiny_vae", "tiny_thfsgm", "tiny_cthfsgm", "tiny_chfsgm_multiscale"]
)
def test_the_log_ratio_has_minus_the_kl_as_its_mean(name: str) -> None:
    model = build(name)
    count = 1000 if "multiscale" in name else 3000
    x, _ = sets(model, 1, 2)
    noise = torch.randn(count, model.noise_size(2), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        features = {r: f.expand(count, -1, -1, -1, -1) for r, f in model.encode(x).items()}
        terms = model.terms(x.expand(count, -1, -1, -1, -1), noise, features)
    kl = terms.kl_c.sum(1) + terms.kl_z.sum((1, 2))
    difference = -terms.log_ratio - kl
    error = difference.std() / math.sqrt(count)
    assert difference.mean().abs() < 4 * error and error < 0.15 * kl.mean()


@pytest.mark.parametrize("name", TINY)
def test_the_order_of_a_set_moves_only_what_belongs_to_an_image(name: str) -> None:
    model = build(name)
    x, noise = sets(model)
    order = torch.tensor([2, 0, 3, 1])
    of_c = model.noise_size(0)
    moved = torch.cat(
        [noise[:, :of_c], noise[:, of_c:].unflatten(1, (4, -1))[:, order].flatten(1)], 1
    )
    one, other = model.terms(x, noise), model.terms(x[:, order], moved)
    torch.testing.assert_close(one.kl_c, other.kl_c, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one.kl_z[:, order], other.kl_z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        one.log_likelihood[:, order], other.log_likelihood, rtol=1e-4, atol=1e-3
    )
    torch.testing.assert_close(one.log_ratio, other.log_ratio, rtol=1e-4, atol=1e-3)
    contexts = list(zip(model.context(x, noise), model.context(x[:, order], moved), strict=True))
    assert len(contexts) == one.kl_c.shape[1]
    for a, b in contexts:
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    for level, weights in model.attention(x, noise).items():
        torch.testing.assert_close(
            weights[:, :, order], model.attention(x[:, order], moved)[level], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", TINY)
def test_a_set_does_not_depend_on_the_others_nor_on_where_features_come_from(name: str) -> None:
    model = build(name)
    x, noise = sets(model)
    whole, alone = (
        model.terms(x, noise),
        model.terms(x[1:2], noise[1:2], {r: f[1:2] for r, f in model.encode(x).items()}),
    )
    for key, value in vars(whole).items():
        torch.testing.assert_close(value[1:2], getattr(alone, key), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", TINY)
def test_the_loss_at_weight_one_is_minus_the_elbo(name: str) -> None:
    model = build(name)
    x, noise = sets(model)
    (player,) = model.players()
    terms = model.terms(x, noise)
    elbo = (terms.log_likelihood.sum(1) - terms.kl_c.sum(1) - terms.kl_z.sum((1, 2))) / 4
    torch.testing.assert_close(
        player.loss(Sets(x), noise, {"weight": 1.0, "beta": 1.0})["loss"], -elbo
    )
    losses = player.loss(Sets(x), noise, {"weight": 3.0, "beta": 0.5})
    torch.testing.assert_close(losses["loss"], 3 * losses["reconstruction"] + losses["kl"] / 6)
    torch.testing.assert_close(losses["kl_c"] + losses["kl_z"], losses["kl"])


def test_the_weight_falls_to_one_by_epochs() -> None:
    model = build("tiny", alpha=2.0, alpha_step=0.9, beta=4.0)
    assert [round(model.hyper(epoch)["weight"], 6) for epoch in (0, 1, 2, 500)] == [3, 2.8, 2.62, 1]
    assert model.hyper(7)["beta"] == 4
    (player,) = model.players()
    assert (player.clamp, player.weight_decay, player.clip) == (1.0, 1e-5, 0.0)


def test_importance_sampling_finds_the_exact_likelihood() -> None:
    """A context and a latent of one number each: log p(set of two) by quadrature over both."""
    model = build("tiny_ns", stages=3, layers=1, c=1, z=1, channels=1, hidden=4)
    x, _ = sets(model, 1, 2)
    level: Any = model.levels[0]
    grid = torch.linspace(-6, 6, 61)
    cell = math.log(float(grid[1] - grid[0]))
    with torch.no_grad():
        of_c = Samples(torch.zeros(61, 1, 0), (grid[:, None, None, None],))
        prior = Gaussian.from_parameters(level.net_z(of_c, None)[:, 0])  # p(z | c) of each c
        # [c, z, 1, 1], in units of its spread
        z = prior.mu + grid.reshape(1, -1, 1, 1) * (0.5 * prior.log_var).exp()
        state = Samples(torch.zeros(61, 61, 0), of_c.cs, (z.unsqueeze(2),))
        logits = model.decoder(state)
        of_z = Normal(0.0, 1.0).log_prob(grid) + cell
        log_p = [
            -nn.functional.softplus(logits * (1 - 2 * x[0, s])).sum((2, 3, 4)) for s in range(2)
        ]
        given_c = torch.stack([(one + of_z).logsumexp(1) for one in log_p]).sum(0)
        exact = (given_c + Normal(0.0, 1.0).log_prob(grid) + cell).logsumexp(0)
        noise = torch.randn(8000, model.noise_size(2), generator=torch.Generator().manual_seed(5))
        features = {r: f.expand(8000, -1, -1, -1, -1) for r, f in model.encode(x).items()}
        terms = model.terms(x.expand(8000, -1, -1, -1, -1), noise, features)
    weights = (terms.log_likelihood.sum(1) + terms.log_ratio).double()
    estimate = weights.logsumexp(0) - math.log(8000)
    spread = (weights - estimate).exp().std() / math.sqrt(8000)
    assert spread < 0.02 and abs(float(estimate) - float(exact)) < 4 * float(spread) + 1e-3
    assert weights.mean() < estimate < exact + 4 * spread
    bound = (terms.log_likelihood.sum(1) - terms.kl_c.sum(1) - terms.kl_z.sum((1, 2))).double()
    assert abs(float(bound.mean() - weights.mean())) < 4 * float(
        (bound - weights).std()
    ) / math.sqrt(8000)


def test_pyramid_priors_begin_as_standard_normal() -> None:
    torch.manual_seed(0)
    model = SetVae(Config(**VARIANTS["tiny_chfsgm_multiscale"]), SIZE)
    x, noise = sets(model)
    path = model.top_down(noise, ALL_POSTERIOR, model.encode(x))
    priors = [step.prior for step in path.c + path.z]
    assert len(priors) == 6 and not any(p.mu.any() or p.log_var.any() for p in priors)


@pytest.mark.parametrize(
    ("name", "seen"),
    [("tiny_chfsgm_multiscale", False), ("tiny_hfsgm", True), ("tiny_cthfsgm", True)],
)
def test_lower_contexts_see_the_latents_of_images_in_all_priors_but_a_pyramids(
    name: str, seen: bool
) -> None:
    model = build(name)
    _, noise = sets(model)
    changed = noise.clone()
    changed[:, model.noise_size(0) :] += 1
    one, other = (
        model.top_down(given, Sources(PRIOR, PRIOR, PRIOR), None) for given in (noise, changed)
    )
    assert torch.equal(one.c[0].value, other.c[0].value)
    assert torch.allclose(one.c[1].value, other.c[1].value, atol=1e-6) != seen


def test_a_pyramids_decoder_sees_the_whole_context_or_its_corner() -> None:
    for corner in (False, True):
        model = build("tiny_chfsgm_multiscale", published_context=corner)
        state = Flow(torch.randn(1, 8, 4, 4), torch.randn(1, 2, 8, 4, 4), 2)
        elsewhere, at_corner = state.c.clone(), state.c.clone()
        elsewhere[..., 1:] += 1
        at_corner[..., 0, 0] += 1
        before = model.decoder(state)
        assert torch.allclose(model.decoder(replace(state, c=elsewhere)), before) == corner
        assert not torch.allclose(model.decoder(replace(state, c=at_corner)), before)


def test_a_walk_without_features_cannot_ask_for_a_posterior() -> None:
    model = build("tiny_ns")
    _, noise = sets(model)
    with pytest.raises(ValueError, match="posterior needs features"):
        top_down(model.typed_levels, model.start(noise, 4), noise, Sources(POSTERIOR, PRIOR, PRIOR))


@pytest.mark.parametrize("name", TINY)
def test_drawings_of_every_mode(name: str) -> None:
    model = build(name)
    x, _ = sets(model)
    noise = torch.randn(3, 4, model.noise_size(4), generator=torch.Generator().manual_seed(2))
    drawn = {mode: model.draw(x, noise, mode) for mode in MODES}
    for mode, images in drawn.items():
        assert images.shape == x.shape and images.min() >= 0 and images.max() <= 1
        assert torch.equal(images, model.draw(x, noise, mode))
        assert torch.equal(images, model.draw(1 - x, noise, mode)) == (
            mode == "unconditional" or (name == "tiny_vae" and mode != "reconstruction")
        )
        assert not torch.allclose(images, model.draw(x, noise.flip(1), mode), atol=1e-4)
    assert torch.equal(drawn["reconstruction"], model.reconstruct(x, noise[:, 0]))
    for mode in ("refined", "refined_union"):
        assert torch.equal(model.draw(x, noise[:, :1], mode), drawn["conditional"])
        assert not torch.allclose(drawn[mode], drawn["conditional"], atol=1e-4)
        assert not torch.allclose(drawn[mode], model.draw(x, noise[:, :3], mode), atol=1e-5)
    with pytest.raises(
        ValueError,
        match=r"no drawing mode 'best'; known: reconstruction, conditional, .*unconditional",
    ):
        model.draw(x, noise, "best")


def test_refinement_is_a_reconstruction_of_the_drawing_under_the_first_context() -> None:
    """One latent level with its noise at zero: refined draws from q(c | X) and q(z | drawing, c),
    written out.
    """
    model = build("tiny_ns", layers=1)
    x, _ = sets(model)
    noise = torch.zeros(3, 2, model.noise_size(4))
    level: Any = model.levels[0]
    empty = torch.zeros(3, 4, 0)
    c = level.posterior_c(Samples(empty), model.encode(x)[1])[0][:, :4]
    again = model.encode(model.draw(x, noise[:, :1], "conditional"))[1]
    z = level.posterior_z(Samples(empty, (c,)), again)[:, :, :4]
    torch.testing.assert_close(
        model.draw(x, noise, "refined"), torch.sigmoid(model.decoder(Samples(empty, (c,), (z,))))
    )
    union = level.posterior_c(Samples(empty), torch.cat([model.encode(x)[1], again], 1))[0][:, :4]
    z = level.posterior_z(Samples(empty, (union,)), again)[:, :, :4]
    torch.testing.assert_close(
        model.draw(x, noise, "refined_union"),
        torch.sigmoid(model.decoder(Samples(empty, (union,), (z,)))),
    )


@pytest.mark.parametrize("drawing", MODES)
def test_one_shot_samples_are_sets_of_one(drawing: str) -> None:
    model = build("tiny", drawing=drawing, refinements=3)
    assert model.drawing_noise_shape == (
        4 if drawing.startswith("refined") else 1,
        model.noise_size(1),
    )
    exemplars, noise = sets(model)[0][:, 0], torch.randn(3, *model.drawing_noise_shape)
    torch.testing.assert_close(
        model.sample(exemplars, noise)[:, None], model.draw(exemplars[:, None], noise, drawing)
    )


@pytest.mark.parametrize(
    ("name", "changed"), [*((name, {}) for name in TINY), ("tiny_ns", {"stages": 3, "size": 20})]
)
def test_a_training_stack_equals_each_model_alone(name: str, changed: dict[str, int]) -> None:
    """Losses, gradients and running statistics in training mode, by vmap without a slow
    fallback.
    """
    models = [build(name, seed=k, **changed).train() for k in range(3)]
    x, noise = sets(models[0])
    hyper = {"weight": torch.tensor([3.0, 2.0, 1.0]), "beta": torch.tensor([0.0, 1.0, 4.0])}
    stack = Stack(models, torch.device("cpu"))
    side, buffers = stack.players[0], {n: b.clone() for n, b in stack.buffers.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = by_vmap(stack.template, 0, {**side.weights(), **buffers}, Sets(x), noise, hyper)
        gradient = torch.autograd.grad(together["loss"].mean(1).sum(), side.flat)[0]
    for k, model in enumerate(models):
        own = model.players()[0].loss(Sets(x), noise, {n: float(v[k]) for n, v in hyper.items()})
        for key, value in own.items():
            torch.testing.assert_close(together[key][k], value, rtol=1e-4, atol=1e-3)
        own["loss"].mean().backward()
        theirs = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        ours = torch.cat([part.flatten() for part in gradient[k].split(side.sizes)[::2]])
        assert (ours - theirs).norm() < 1e-3 * theirs.norm()
        for buffer, value in model.named_buffers():
            torch.testing.assert_close(buffers[buffer][k], value, rtol=1e-4, atol=1e-4)


def test_statistics_move_in_training_alone() -> None:
    model = build("tiny")
    x, noise = sets(model)
    before = {n: b.clone() for n, b in model.named_buffers()}
    model.elbo(Sets(x), noise)
    assert all(torch.equal(b, before[n]) for n, b in model.named_buffers())
    model.train().elbo(Sets(x), noise)
    assert not any(torch.equal(b, before[n]) for n, b in model.named_buffers())


@pytest.mark.parametrize("name", ["tiny_ns", "tiny"])
def test_a_last_batch_of_one_image_trains(name: str) -> None:
    model = build(name).train()
    x, noise = sets(model, 1, 1)
    assert model.elbo(Sets(x), noise)["kl"].isfinite().all()


def test_every_variant_can_be() -> None:
    head = families.declaration("models", "set_vae")
    assert head.variants == VARIANTS and {
        "tiny",
        "ns_50",
        *PUBLISHED,
        *(f"tiny_{name}" for name in PUBLISHED),
    } == {n for n in VARIANTS if not n.startswith("small")}
    for name, values in VARIANTS.items():
        config = head.config(**values)  # made without torch
        assert config.problems(50 if name == "ns_50" else 28, 1, 20) == []
        if name in TINY:
            assert config.problems(16, 1, 20) == config.problems(20, 1, 20) == []


def test_colour_sets_have_finite_terms_and_pixels() -> None:
    model = build("tiny_cns", pixels="logistic_mixture")
    x, noise = torch.rand(2, 3, 3, SIZE, SIZE), torch.randn(2, model.noise_size(3))
    terms = model.terms(x, noise)
    assert (
        terms.log_likelihood.shape == (2, 3)
        and terms.log_likelihood.isfinite().all()
        and (terms.log_likelihood < 0).all()
    )
    drawn = model.reconstruct(x, noise)
    assert drawn.shape == x.shape and drawn.min() >= 0 and drawn.max() <= 1


def test_latents_have_the_published_sizes() -> None:
    """Of the context and of an image, at 28 pixels: vectors, maps, and the two published
    pyramids.
    """
    expected = {
        "ns": (32, 3 * 32),
        "cns": (32 * 16, 3 * 32 * 16),
        "chfsgm": (3 * 32 * 16, 3 * 32 * 16),
        "chfsgm_multiscale": (15_840, 15_840),
    }
    models = {name: SetVae(Config(**VARIANTS[name]), 28) for name in expected}
    assert {
        name: (m.noise_size(0), m.noise_size(3) / 3 - m.noise_size(0) / 3)
        for name, m in models.items()
    } == expected
    assert SetVae(Config(**PYRAMID), 28).noise_size(0) == 5_440
