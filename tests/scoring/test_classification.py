"""Few-shot classification by sets: each scorer against its formula, written out once more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_sets import ExactSets
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from oneshot.contracts import Features, SetFamily, SetTerms
from oneshot.scoring.classification import SCORERS, classify, split

CPU = torch.device("cpu")
WAYS, SHOTS, QUERIES = 3, 5, 7


def quiet(*_: object) -> None:
    return None


class Sharp(ExactSets):
    """Surer of the context of a larger set, so that the two directions of a divergence differ."""

    def posterior_of_context(self, h: Tensor) -> Normal:
        return Normal(0.8 * h.mean(1), 0.9 / h.shape[1] ** 0.5 * torch.ones(len(h)))


def made(spread: float = 1.0) -> tuple[ExactSets, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """A family and what a scorer gets: support, query, noise of each."""
    torch.manual_seed(0)
    family = ExactSets(spread=spread)
    support = (
        torch.rand(WAYS, SHOTS, 1, 2, 2) < torch.tensor([0.2, 0.5, 0.9]).view(-1, 1, 1, 1, 1)
    ).float()
    query = (torch.rand(QUERIES, 1, 2, 2) < 0.5).float()
    return family, (
        support,
        query,
        torch.randn(WAYS, family.noise_size(SHOTS)),
        torch.randn(QUERIES, family.noise_size(1)),
    )


def scores(name: str, family: SetFamily, given: tuple[Tensor, ...]) -> Tensor:
    support, query, support_noise, query_noise = given
    return SCORERS[name](family, support, support_noise)(query.unsqueeze(1), query_noise)


def test_kl_is_that_of_the_support_against_the_query_alone() -> None:
    family, (_, (support, query, *noise)) = Sharp(), made()
    found = scores("kl", family, (support, query, *noise))
    for i in range(QUERIES):
        for way in range(WAYS):
            (given,), (alone,) = (
                family.context(support[way][None], noise[0]),
                family.context(query[i][None, None], noise[1]),
            )
            p, q = (Normal(mean, (log_variance / 2).exp()) for mean, log_variance in (given, alone))
            assert float(found[i, way]) == pytest.approx(
                -float(kl_divergence(p, q).sum()), abs=1e-5
            )
            assert float(kl_divergence(p, q)) != pytest.approx(float(kl_divergence(q, p)), abs=1e-3)


def test_kl_adds_up_levels_and_dimensions() -> None:
    class Deep(ExactSets):
        def context(self, images: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
            ((mean, log_variance),) = super().context(images, noise)
            return [(mean.repeat(1, 3), log_variance.repeat(1, 3)), (mean, log_variance)]

    _, given = made()
    assert torch.allclose(
        scores("kl", Deep(), given), 4 * scores("kl", ExactSets(), given), rtol=1e-4
    )


def set_elbo(family: SetFamily, images: Tensor, noise: Tensor) -> float:
    terms = family.terms(images[None], noise[None])
    return float(terms.log_likelihood.sum() - terms.kl_c.sum() - terms.kl_z.sum())


def test_elbo_is_what_the_query_adds_to_the_bound_of_the_support() -> None:
    family, (support, query, *noise) = made(spread=0.0)  # the noise does not matter
    found = scores("elbo", family, (support, query, *noise))
    for i in range(QUERIES):
        for way in range(WAYS):
            six = set_elbo(
                family, torch.cat([query[i][None], support[way]]), torch.zeros(family.noise_size(6))
            )
            five = set_elbo(family, support[way], torch.zeros(family.noise_size(5)))
            assert float(found[i, way]) == pytest.approx(six - five, abs=1e-4)


def test_elbo_adds_up_levels() -> None:
    class Levels(ExactSets):
        def terms(
            self, images: Tensor, noise: Tensor, features: Features | None = None
        ) -> SetTerms:
            terms = super().terms(images, noise, features)
            return replace(
                terms,
                kl_c=terms.kl_c * torch.tensor([0.25, 0.75]),
                kl_z=terms.kl_z.sum(2, keepdim=True),
            )

    _, given = made()
    assert torch.allclose(
        scores("elbo", Levels(), given), scores("elbo", ExactSets(), given), atol=1e-5
    )


def test_elbo_shares_the_noise_of_context_and_support() -> None:
    family, (support, query, given_noise, query_noise) = made()
    found = scores("elbo", family, (support, query, given_noise, query_noise))
    six_noise = torch.cat([given_noise[2, :1], query_noise[4, 1:], given_noise[2, 1:]])
    six = set_elbo(family, torch.cat([query[4][None], support[2]]), six_noise)
    assert float(found[4, 2]) == pytest.approx(
        six - set_elbo(family, support[2], given_noise[2]), abs=1e-4
    )


def test_reconstruction_is_the_best_likelihood_of_the_query() -> None:
    family, (support, query, *noise) = made()
    found = scores("reconstruction", family, (support, query, *noise))
    probability = family.reconstruct(support, noise[0])
    for i in range(QUERIES):
        for way in range(WAYS):
            each = [float(Bernoulli(p).log_prob(query[i]).sum()) for p in probability[way]]
            assert float(found[i, way]) == pytest.approx(max(each), abs=1e-4)


def test_a_certain_reconstruction_gives_finite_scores() -> None:
    class Sure(ExactSets):
        def reconstruct(self, images: Tensor, noise: Tensor) -> Tensor:
            return images

    _, (support, query, *noise) = made()
    found = scores("reconstruction", Sure(), (support, query, *noise))
    wrong = torch.stack([(support - x).abs().sum((2, 3, 4)).amin(1) for x in query])
    assert torch.equal(found, -100 * wrong.double())


def test_supports_and_queries_are_disjoint() -> None:
    label = np.random.default_rng(0).integers(0, 10, 1000)
    supports, queries = split(label, 300, 4, 5)
    assert supports.shape == (4, 10, 5) and len(queries) == 300
    assert len(np.unique(np.concatenate([supports.ravel(), queries]))) == 4 * 50 + 300
    assert (label[supports] == np.arange(10)[:, None]).all()
    assert (np.bincount(label[queries]) == 30).all()
    assert (split(label, 300, 1, 5)[1] == queries).all(), "the same queries for any number of draws"
    supports, queries = split(label, 10**6, 2, 5)
    assert len(queries) == 1000 - 100 and not np.isin(queries, supports).any()
    with pytest.raises(ValueError, match="way 0"):
        split(np.repeat(np.arange(3), 10), 100, 2, 5)


def patterned(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Two ways of 2x2 images that differ in every pixel, with some of them flipped."""
    rng = np.random.default_rng(3)
    label = np.repeat([3, 8], 100)
    images = np.where(label == 3, 0, 1)[:, None, None] * np.ones((1, 2, 2), int)
    images[:, 0, 1] = 1 - images[:, 0, 1]  # along the direction that the family's summary sees
    return (images ^ (rng.random(images.shape) < noise)).astype(np.uint8), label


def test_what_differs_is_told_apart_and_what_does_not_is_not() -> None:
    bits, label = patterned(0.02)
    percent, table = classify(ExactSets(), bits, label, CPU, quiet, queries=100)
    assert percent.keys() == {"kl", "elbo", "reconstruction"} and all(
        value >= 90 for value in percent.values()
    ), percent
    for scorer, value in percent.items():
        rows = [i for i, name in enumerate(table["scorer"]) if name == scorer]
        right = sum(table["count"][i] for i in rows if table["digit"][i] == table["predicted"][i])
        assert sum(table["count"][i] for i in rows) == 100 and right == pytest.approx(value)
        assert {table["digit"][i] for i in rows} == {3, 8} and len(rows) == 4
    mixed = np.random.default_rng(0).permutation(label)
    percent, _ = classify(ExactSets(), bits, mixed, CPU, quiet, queries=100)
    assert all(30 <= value <= 70 for value in percent.values()), percent


def test_nothing_depends_on_the_budget_and_no_pass_exceeds_it() -> None:
    bits, label = patterned(0.2)
    family, done = ExactSets(), []
    small = classify(
        family,
        bits,
        label,
        CPU,
        lambda what, *counts: done.append(counts),
        queries=50,
        draws=3,
        budget=12,
    )
    assert max(n for _, n in family.passes) <= 12
    assert done[-1] == (150, 150) and sum(small[1]["count"]) == 3 * 150
    assert small == classify(ExactSets(), bits, label, CPU, quiet, queries=50, draws=3, budget=1000)


def test_without_a_context_the_support_says_nothing_by_it() -> None:
    bits, label = patterned(0.02)
    percent, table = classify(ExactSets(with_context=False), bits, label, CPU, quiet, queries=20)
    assert percent.keys() == {"reconstruction"} == set(table["scorer"])
