"""The likelihood of sets: held against integrals of a small exact model, and against sums that keep
everything.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from exact_sets import ExactSets, true_log_likelihood
from torch import Tensor

from oneshot.contracts import Features, SetTerms
from oneshot.scoring import likelihood
from oneshot.scoring.likelihood import Sampling, evaluate, grade_likelihood
from oneshot.scoring.set_bounds import Evaluation
from oneshot.scoring.test_sets import HeldOut, binarised, disjoint_sets
from oneshot.training import loop
from oneshot.training.loop import Stopped, watch
from oneshot.types import DataSet

CPU = torch.device("cpu")


def quiet(*_: object) -> None:
    return None


def bits(n: int, classes: int) -> HeldOut:
    """n random images of 2x2 in equal classes, each with an ink rate of its own."""
    rng = np.random.default_rng(1)
    label = np.arange(n) * classes // n
    rate = rng.uniform(0.1, 0.9, (classes, 1, 2, 2))[label]
    return HeldOut(
        "test",
        (rng.random((n, 1, 2, 2)) < rate).astype(np.uint8),
        1,
        label,
        tuple("abcdefghijklmnopqrstuvwxyz"[:classes]),
    )


def truth(images: HeldOut, sets: np.ndarray) -> np.ndarray:
    """-log p(set) / S."""
    return -true_log_likelihood(images.pixels[sets].reshape(*sets.shape, 4)) / sets.shape[1]


def task(images: HeldOut, family: ExactSets | None = None, budget: int = 512) -> Evaluation:
    return Evaluation(family or ExactSets(), images, CPU, quiet, budget)


class TestSets:
    label = np.array([0] * 20 + [1] * 7 + [2] * 20 + [3] * 3 + [4] * 20)

    def test_each_image_is_in_one_set_of_its_class_at_most(self) -> None:
        sets = disjoint_sets(self.label, np.array([0, 1, 3, 4]), 5)
        assert sets.shape == (4 + 1 + 0 + 4, 5)
        assert len(np.unique(sets)) == sets.size
        of_set = self.label[sets]
        assert (of_set == of_set[:, :1]).all()
        assert np.bincount(of_set[:, 0], minlength=5).tolist() == [4, 1, 0, 0, 4]

    def test_the_first_sets_go_round_the_classes(self) -> None:
        classes = np.array([0, 2, 4])
        every = disjoint_sets(self.label, classes, 5)
        few = disjoint_sets(self.label, classes, 5, most=4)
        assert (few == every[:4]).all()
        assert sorted(self.label[few[:3, 0]]) == [0, 2, 4]

    def test_larger_sets_are_unions_of_smaller_ones(self) -> None:
        small = [set(rows) for rows in disjoint_sets(self.label, np.array([0, 2]), 5).tolist()]
        for rows in disjoint_sets(self.label, np.array([0, 2]), 10).tolist():
            assert sum(part <= set(rows) for part in small) == 2

    def test_the_images_are_shuffled_by_the_seed_alone(self) -> None:
        one, same, other = (
            disjoint_sets(self.label, np.array([0, 2]), 5, seed=seed) for seed in (0, 0, 1)
        )
        assert (one == same).all() and not (one == other).all()
        assert not (np.sort(one, 1) % 20 % 5 == np.arange(5)).all()

    def test_without_a_full_class_there_is_no_set(self) -> None:
        assert disjoint_sets(self.label, np.array([1, 3]), 20).shape == (0, 20)


def test_greys_become_bits_as_often_as_they_are_bright() -> None:
    greys = np.broadcast_to(np.array([0, 1, 64, 128, 254, 255], np.uint8), (40, 500, 6))
    found = binarised(greys, np.arange(40), "here").mean((0, 1))
    want = np.array([0, 1, 64, 128, 254, 255]) / 255
    assert found[0] == 0 and found[5] == 1
    assert np.abs(found - want).max() < 4 * 0.5 / math.sqrt(20_000)
    assert found[1] < 0.02 and found[4] > 0.98


def test_the_bits_of_an_image_depend_on_its_number_alone() -> None:
    greys = np.random.default_rng(0).integers(0, 256, (9, 12, 12), np.uint8)
    every = binarised(greys, np.arange(9), "here")
    assert (binarised(greys[[7, 2]], np.array([7, 2]), "here") == every[[7, 2]]).all()
    assert (binarised(greys, np.arange(9), "there") != every).any()
    assert (binarised(greys, np.arange(9) + 1, "here") != every).any()
    assert set(np.unique(every)) == {0, 1}


def test_held_out_images_are_those_of_the_test_classes() -> None:
    label = np.repeat(np.arange(4), 3)
    images = np.random.default_rng(0).integers(0, 2, (12, 4, 4), np.uint8)
    data = DataSet(
        "made",
        "",
        "",
        images,
        label,
        ("a", "b", "c", "d"),
        np.array([0]),
        np.array([2]),
        np.array([1, 3]),
    )
    plain = HeldOut.of(data, None)
    assert (plain.pixels[:, 0] == images[[3, 4, 5, 9, 10, 11]]).all() and plain.label.tolist() == [
        1,
        1,
        1,
        3,
        3,
        3,
    ]
    greys = np.random.default_rng(1).integers(0, 256, (12, 4, 4), np.uint8)
    assert (
        HeldOut.of(data, greys).pixels[:, 0]
        == binarised(greys, np.arange(12), "made")[[3, 4, 5, 9, 10, 11]]
    ).all()
    colours = np.random.default_rng(1).integers(0, 256, (12, 3, 4, 4), np.uint8)
    coloured = HeldOut.of(
        DataSet(
            "made",
            "",
            "",
            colours,
            *(getattr(data, k) for k in ("label", "class_names", "train", "validation", "test")),
        ),
        None,
    )
    batch = coloured.batch(np.array([[0, 5]]), CPU)
    assert batch.shape == (1, 2, 3, 4, 4) and batch.dtype == torch.float32
    assert np.allclose(batch[0, 1].numpy(), colours[11] / 255)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_bound_is_a_bound_and_its_kl_is_that_of_the_samples(size: int) -> None:
    """The analytic KLs and the sampled ratios have one mean, above the true value, per image."""
    images = bits(10_000, 10)
    sets = disjoint_sets(images.label, np.arange(10), size)
    bound, sampled, true = task(images).bounds(sets), task(images).nll(sets, 1), truth(images, sets)
    difference = bound.nelbo - sampled
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(len(sets))
    gap = bound.nelbo - true
    assert gap.mean() > 5 * gap.std() / math.sqrt(len(sets)) > 0
    assert gap.mean() < 1
    assert (bound.kl_c >= 0).all() and (bound.kl_z >= 0).all()


def test_the_parts_of_the_bound_are_sums_over_a_set_per_image() -> None:
    images, family = bits(60, 3), ExactSets()
    sets = disjoint_sets(images.label, np.arange(3), 4)
    own = task(images, family)
    bounds = own.bounds(sets)
    for i, rows in enumerate(sets):
        terms = family.terms(images.batch(rows[None], CPU), own.noise(np.array([i]), 4))
        whole = -terms.log_likelihood.sum() + terms.kl_c.sum() + terms.kl_z.sum()
        assert bounds.nelbo[i] == pytest.approx(float(whole) / 4, abs=1e-5)
        assert 4 * bounds.kl_c[i, 0] == pytest.approx(float(terms.kl_c), abs=1e-5)
        assert 4 * bounds.kl_z[i] == pytest.approx(terms.kl_z[0].sum(0).numpy(), abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_likelihood_of_many_samples_is_the_true_one(size: int) -> None:
    images = bits(60, 3)
    sets = disjoint_sets(images.label, np.arange(3), size)[:6]
    true = truth(images, sets)
    many = task(images, budget=5_000).nll(sets, 10_000)
    assert np.abs(many - true).max() < 0.05 and abs((many - true).mean()) < 0.015
    few = np.mean(
        [
            task(HeldOut(f"{i}", images.pixels, 1, images.label, images.class_names)).nll(sets, 2)
            for i in range(60)
        ],
        0,
    )
    assert few.mean() > true.mean() + 0.03


def test_the_likelihood_keeps_nothing_yet_equals_the_sum_that_keeps_all() -> None:
    images, family = bits(60, 3), ExactSets()
    sets = disjoint_sets(images.label, np.arange(3), 3)[:1]
    found = task(images, family, budget=12).nll(sets, 50)
    kept = torch.cat(family.log_weights).numpy()
    assert len(kept) == 50
    assert found[0] == pytest.approx((math.log(50) - np.log(np.exp(kept).sum())) / 3, abs=1e-6)


def test_the_likelihood_does_not_overflow() -> None:
    """Weights of exp(-3000) vanish in any sum that is not shifted."""

    class Faint(ExactSets):
        def terms(
            self, images: Tensor, noise: Tensor, features: Features | None = None
        ) -> SetTerms:
            terms = super().terms(images, noise, features)
            return replace(terms, log_likelihood=terms.log_likelihood - 1000)

    images = bits(60, 3)
    sets = disjoint_sets(images.label, np.arange(3), 3)
    assert np.allclose(
        task(images, Faint()).nll(sets, 30), task(images).nll(sets, 30) + 1000, atol=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("budget", [5, 7, 64, 333, 10_000])
def test_nothing_depends_on_the_budget_and_no_pass_exceeds_it(budget: int) -> None:
    images, family = bits(200, 4), ExactSets()
    sets = disjoint_sets(images.label, np.arange(4), 5)
    want_bound, want = task(images).bounds(sets), task(images).nll(sets, 45)
    small = task(images, family, budget)
    assert np.allclose(small.bounds(sets).nelbo, want_bound.nelbo, atol=1e-5)
    family.passes.clear()
    assert np.allclose(small.nll(sets, 45), want, atol=1e-5)
    assert max(n for _, n in family.passes) <= budget
    assert sum(n for what, n in family.passes if what == "encode") == sets.size, (
        "each set is encoded once"
    )
    assert sum(n for what, n in family.passes if what == "terms") == sets.size * 45


def test_a_budget_below_one_set_means_one_set() -> None:
    images, family = bits(200, 4), ExactSets()
    sets = disjoint_sets(images.label, np.arange(4), 10)
    task(images, family, 3).nll(sets, 2)
    assert {n for _, n in family.passes} == {10}


def test_a_set_has_the_same_noise_whatever_is_evaluated_beside_it() -> None:
    images = bits(200, 4)
    sets = disjoint_sets(images.label, np.arange(4), 5)
    assert np.allclose(
        task(images).bounds(sets[:7]).nelbo, task(images).bounds(sets).nelbo[:7], atol=1e-5
    )
    assert np.allclose(task(images).nll(sets[:7], 33), task(images).nll(sets, 33)[:7], atol=1e-5)


def test_the_tables_hold_means_and_errors_over_sets() -> None:
    images = bits(72, 4)  # 18 images a class: no sets of 20
    row, tables = evaluate(task(images), trained_size=3, most=0, sampling=Sampling(25))
    table, layers = tables["likelihood"], tables["layers"]
    assert table["set_size"] == [1, 2, 3, 5, 10] and table["sets"] == [72, 36, 24, 12, 4]
    assert table["dataset"] == ["test"] * 5
    for i, size in enumerate(table["set_size"]):
        sets = disjoint_sets(images.label, np.arange(4), size)
        nelbo, nll = task(images).bounds(sets).nelbo, task(images).nll(sets, 25)
        assert table["nelbo"][i] == pytest.approx(nelbo.mean())
        assert table["nelbo_se"][i] == pytest.approx(np.sqrt(nelbo.var(ddof=1) / len(nelbo)))
        assert (table["nll"][i], table["nll_se"][i]) == pytest.approx(
            (nll.mean(), nll.std(ddof=1) / np.sqrt(len(nll)))
        )
        assert table["nelbo"][i] == pytest.approx(
            table["reconstruction"][i] + table["kl_c"][i] + table["kl_z"][i]
        )
    assert row == {
        name: table[name][2] for name in ("nelbo", "nll", "reconstruction", "kl_c", "kl_z")
    }
    assert layers["latent"] == ["c", "z", "z"] and layers["level"] == [1, 1, 2]
    assert layers["kl"][0] == pytest.approx(row["kl_c"]) and sum(layers["kl"][1:]) == pytest.approx(
        row["kl_z"]
    )


def test_fewer_sets_may_be_sampled_and_of_one_size_only() -> None:
    images = bits(80, 4)
    sets = disjoint_sets(images.label, np.arange(4), 5)
    nelbo, nll = task(images).bounds(sets).nelbo, task(images).nll(sets[:6], 25)
    row, tables = evaluate(
        task(images), trained_size=5, most=0, sampling=Sampling(25, sets=6, size=5)
    )
    table = tables["likelihood"]
    at = table["set_size"].index(5)
    assert all(math.isnan(v) for i, v in enumerate(table["nll"]) if i != at)
    gap = nelbo[:6] - nll
    assert table["nll"][at] == row["nll"] == pytest.approx(nelbo.mean() - gap.mean())
    assert table["nll_se"][at] == pytest.approx(
        np.hypot(nelbo.std(ddof=1) / np.sqrt(16), gap.std(ddof=1) / np.sqrt(6))
    )
    assert (
        "nll"
        not in evaluate(task(images), trained_size=2, most=0, sampling=Sampling(25, size=5))[0]
    )


def test_without_samples_or_with_one_set_there_is_no_number() -> None:
    row, tables = evaluate(task(bits(40, 2)), trained_size=5, most=1)
    assert "nll" not in row
    assert all(map(math.isnan, tables["likelihood"]["nll"] + tables["likelihood"]["nelbo_se"]))
    row, tables = evaluate(task(bits(40, 2)), trained_size=30, most=0)
    assert (
        not row
        and not tables["layers"]["kl"]
        and tables["likelihood"]["set_size"] == [1, 2, 5, 10, 20]
    )


def made_data() -> DataSet:
    images = bits(6 * 20, 6)
    return DataSet(
        "made",
        "",
        "",
        images.pixels[:, 0],
        images.label,
        tuple("abcdef"),
        np.arange(2),
        np.array([2]),
        np.array([3, 4, 5]),
    )


def asked(**settings: object) -> SimpleNamespace:
    return SimpleNamespace(
        **(
            dict(
                likelihood="none",
                nll_samples=30,
                nll_sets=0,
                nll_size=0,
                test_sets=0,
                transfer="none",
                classify=False,
                set_size=5,
                binarisation="stochastic",
            )
            | settings
        )
    )


def made_digits(count: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    assert image_size == 2
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (300, 2, 2), np.uint8), np.repeat(np.arange(10), 30)


def test_nothing_is_graded_unasked() -> None:
    assert grade_likelihood(ExactSets(), asked(), made_data(), None, CPU, quiet) == ({}, {})


def test_all_that_is_asked_is_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood.digits, "load", made_digits)
    seen: dict[str, tuple[int, int]] = {}
    family = ExactSets()
    settings = asked(likelihood="nll", transfer="digits", classify=True)
    row, tables = grade_likelihood(
        family,
        settings,
        made_data(),
        None,
        CPU,
        watch(lambda what, done, total: seen.update({what: (done, total)}), lambda: False),
        100,
    )
    scorers = {"classified_kl", "classified_elbo", "classified_reconstruction"}
    assert row.keys() == {"nelbo", "nll", "reconstruction", "kl_c", "kl_z", "mnist_nelbo", *scorers}
    assert tables.keys() == {"likelihood", "layers", "attention", "confusion"}
    assert all(len(set(map(len, table.values()))) == 1 for table in tables.values())
    table = tables["likelihood"]
    assert [table["dataset"].count(name) for name in ("test", "mnist", "mnist2", "mnist3")] == [
        5,
        5,
        5,
        5,
    ]
    assert table["sets"][:5] == [60, 30, 12, 6, 3]
    assert not any(map(math.isnan, table["nll"][:5])) and all(map(math.isnan, table["nll"][5:]))
    assert row["mnist_nelbo"] == table["nelbo"][7]
    assert sum(tables["confusion"]["count"]) == 3 * 250
    assert all(done == total for done, total in seen.values()) and len(seen) == 5 + 5 + 15 + 1
    assert max(n for _, n in family.passes) <= 100 and not family.training
    again, _ = grade_likelihood(family, settings, made_data(), None, CPU, quiet, 1000)
    assert again == pytest.approx(row, abs=1e-4)


def test_greys_are_drawn_to_bits() -> None:
    data = made_data()
    plain, _ = grade_likelihood(ExactSets(), asked(likelihood="elbo"), data, None, CPU, quiet)
    same, _ = grade_likelihood(
        ExactSets(), asked(likelihood="elbo"), data, data.images * 255, CPU, quiet
    )
    other, _ = grade_likelihood(
        ExactSets(), asked(likelihood="elbo"), data, data.images * 128 + 60, CPU, quiet
    )
    assert same == plain and other != plain
    cut, _ = grade_likelihood(
        ExactSets(),
        asked(likelihood="elbo", binarisation="threshold"),
        data,
        data.images * 128 + 60,
        CPU,
        quiet,
    )
    assert cut == plain, "a model of cut images never sees greys"


def test_digits_are_drawn_or_cut_as_the_model_was_trained() -> None:
    greys, label = made_digits(2, 2)
    drawn, cut = HeldOut.of_digits(2, greys, label), HeldOut.of_digits(2, greys, label, drawn=False)
    assert (drawn.pixels[:, 0] == binarised(greys, np.arange(300), "mnist2")).all()
    assert (cut.pixels[:, 0] == np.round(greys / 255)).all()
    assert drawn.class_names[7] == "07" and len(drawn.class_names) == 100


def test_attention_of_the_first_sets_is_kept_with_their_class() -> None:
    data, family = made_data(), ExactSets()
    _, tables = grade_likelihood(family, asked(likelihood="elbo"), data, None, CPU, quiet)
    table = tables["attention"]
    assert len(table["weight"]) == 12 * 2 * 5
    images = HeldOut.of(data, None)
    sets = disjoint_sets(images.label, data.test, 5)
    for number in range(12):
        rows = [i for i, value in enumerate(table["set"]) if value == number]
        assert {table["class_name"][i] for i in rows} == {
            data.class_names[images.label[sets[number, 0]]]
        }
        want = family.attention(images.batch(sets[number : number + 1], CPU), torch.zeros(1, 11))[
            "c1"
        ][0]
        for i in rows:
            assert table["weight"][i] == pytest.approx(
                float(want[table["head"][i], table["member"][i]])
            )
    _, without = grade_likelihood(
        ExactSets(with_context=False), asked(likelihood="elbo"), data, None, CPU, quiet
    )
    assert "attention" not in without and set(without["layers"]["latent"]) == {"z"}


def test_a_stop_is_heard() -> None:
    with pytest.raises(Stopped):
        grade_likelihood(
            ExactSets(),
            asked(likelihood="nll", nll_samples=10**9),
            made_data(),
            None,
            CPU,
            watch(quiet, iter([False, True]).__next__),
        )


def test_a_stop_is_asked_for_once_a_second_and_unnamed_work_is_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, asked_at, told = [100.0], [], []
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])

    def stop() -> bool:
        asked_at.append(now[0])
        return False

    tick = watch(lambda *what: told.append(what), stop)
    for i in range(350):
        now[0] = 100 + i / 100
        tick("work" if i % 2 else "", i, 350)
    assert asked_at == [100.0, 101.0, 102.0, 103.0]
    assert told == [("work", i, 350) for i in range(1, 350, 2)]
