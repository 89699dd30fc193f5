"""Inputs and scores: exemplars, imported critics, and the metrics of a set of drawings through
untrained critics.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oneshot.critics.encoder import CriticError, embed_all
from oneshot.critics.protonet import ProtoNet
from oneshot.critics.simclr import SimCLR
from oneshot.metrics import generalization
from oneshot.scoring.plane import Critics, Grades, Human, grade
from oneshot.store.store import Store
from oneshot.sweep.point import CriticSpec
from oneshot.trial.exemplars import choose_exemplars
from oneshot.trial.prepare import read_or_make_critic
from oneshot.types import DataSet, Drawings

CPU = torch.device("cpu")
CLASSES = 24


@pytest.fixture(scope="module")
def critics() -> Critics:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Critics(SimCLR(20).eval(), ProtoNet(20).eval(), CPU)


def drawings(per_class: int = 5, seed: int = 0) -> Drawings:
    """Jittered copies of random patterns, one pattern a class."""
    rng = np.random.default_rng(seed)
    exemplars = np.kron(rng.random((CLASSES, 5, 5)) > 0.6, np.ones((1, 4, 4))).astype(np.uint8)
    flips = rng.random((CLASSES * per_class, 20, 20)) > 0.95
    label = np.arange(CLASSES).repeat(per_class)
    return Drawings(
        exemplars[label] ^ flips,
        label,
        exemplars,
        tuple(f"class {c:02d}" for c in rng.permutation(CLASSES)),
    )


def test_copies_have_no_diversity_and_are_always_recognised(critics: Critics) -> None:
    made = drawings()
    got = grade(
        Drawings(
            made.exemplars.repeat(3, 0),
            np.arange(CLASSES).repeat(3),
            made.exemplars,
            made.class_names,
        ),
        critics,
        "expected",
        grade(made, critics, "expected").human,
    )
    assert got.totals["diversity_ratio"] == 0 and got.totals["human_distance"] > 1.65
    assert (got.totals["diversity"], got.totals["recognizability"], got.totals["originality"]) == (
        0,
        100,
        0,
    )


def test_people_who_all_draw_alike_are_no_reference(critics: Critics) -> None:
    made = drawings()
    copies = dataclasses.replace(made, images=made.exemplars[made.label])
    with pytest.raises(ValueError, match="do not differ"):
        grade(copies, critics, "expected")


def test_people_are_at_distance_zero_and_set_the_scale(critics: Critics) -> None:
    got = grade(drawings(), critics, "expected")
    assert got.totals["human_distance"] == 0 and got.human.diversity == got.totals["diversity"]
    again = grade(drawings(), critics, "expected", got.human)
    assert again.totals == pytest.approx(got.totals, nan_ok=True)
    half = Human(
        got.human.diversity / (1 + 0.775 / 1.286),
        got.human.recognizability,
        got.human.originality,
        got.human.scale / 2,
    )
    other = grade(drawings(), critics, "expected", half)
    assert other.totals["human_distance"] == pytest.approx(1.0)
    assert other.totals["originality"] == pytest.approx(2 * got.totals["originality"])


def test_people_s_curve_is_at_area_zero_and_survives_its_file(critics: Critics) -> None:
    got = grade(drawings(per_class=12), critics, "expected")
    assert (got.totals["generalization_area"], got.totals["generalization_coverage"]) == (0, 1)
    stored = Human(**json.loads(json.dumps(dataclasses.asdict(got.human))))
    assert stored == got.human and [len(column) for column in stored.curve] == [10, 10]
    other = grade(drawings(per_class=15, seed=1), critics, "expected", stored)
    bins = other.generalization
    assert bins["bin"] == list(range(1, 11)) and all(
        type(v) is float for v in bins["originality"] + bins["recognizability"]
    )
    area, coverage = generalization.compare(
        (bins["originality"], bins["recognizability"]), got.human.curve
    )
    assert (other.totals["generalization_area"], other.totals["generalization_coverage"]) == (
        area,
        coverage,
    ) and 0 < coverage <= 1


def test_the_curve_rests_on_the_drawings_whose_originality_is_known_and_on_the_closed_form(
    critics: Critics,
) -> None:
    made = drawings(per_class=13)
    expected, episodes = (
        grade(made, critics, p, diversity_drawings=11) for p in ("expected", "episodes")
    )
    known = np.isfinite(expected.drawings["originality"])
    original, recognized = (
        expected.drawings[name][known] for name in ("originality", "recognized")
    )
    curve = generalization.curve(original, recognized, made.label[known])
    assert expected.generalization == {
        "bin": list(range(1, 11)),
        "originality": curve[0].tolist(),
        "recognizability": curve[1].tolist(),
    }
    assert episodes.generalization == expected.generalization


def test_people_s_curve_leaves_their_exemplars_out_and_takes_the_next_drawings(
    critics: Critics,
) -> None:
    made = drawings(per_class=14)
    # the third of each class is the exemplar
    made.images[made.label.searchsorted(np.arange(CLASSES)) + 2] = made.exemplars
    got = grade(made, critics, "expected", diversity_drawings=10)
    assert (
        got.generalization["originality"][0] > 0
        and (got.drawings["originality"].reshape(CLASSES, 14)[:, 2] == 0).all()
    )
    turn = np.tile(np.arange(14), CLASSES)
    ten = (turn < 11) & (turn != 2)
    as_model = grade(
        Drawings(made.images[ten], made.label[ten], made.exemplars, made.class_names),
        critics,
        "expected",
        got.human,
        10,
    )
    assert as_model.generalization == {
        n: pytest.approx(v, rel=1e-6) for n, v in got.generalization.items()
    }
    assert as_model.totals["generalization_area"] == pytest.approx(0, abs=1e-6)
    copied = Drawings(
        made.exemplars.repeat(12, 0),
        np.arange(CLASSES).repeat(12),
        made.exemplars,
        made.class_names,
    )
    assert grade(copied, critics, "expected", got.human).generalization["originality"] == [0.0] * 10


def test_without_ten_drawings_of_each_class_there_is_no_curve(critics: Critics) -> None:
    people, few = (
        grade(drawings(per_class=12), critics, "expected").human,
        grade(drawings(per_class=9), critics, "expected"),
    )
    assert few.generalization == {} and few.human.curve == []
    assert all(np.isnan(few.totals[f"generalization_{name}"]) for name in ("area", "coverage"))
    for of, human in ((9, people), (12, few.human)):
        totals = grade(drawings(per_class=of), critics, "expected", human).totals
        assert np.isnan([totals["generalization_area"], totals["generalization_coverage"]]).all()


def test_totals_are_means_of_classes_and_classes_of_drawings(critics: Critics) -> None:
    got = grade(drawings(), critics, "expected")
    for metric, values in got.classes.items():
        assert len(values) == CLASSES and got.totals[metric] == pytest.approx(np.mean(values))
    np.testing.assert_allclose(
        got.drawings["originality"].reshape(CLASSES, 5).mean(1), got.classes["originality"]
    )
    np.testing.assert_allclose(
        100 * got.drawings["recognized"].reshape(CLASSES, 5).mean(1), got.classes["recognizability"]
    )


def test_the_protocols_agree_and_episodes_depend_on_names_not_on_order(critics: Critics) -> None:
    made = drawings(per_class=20)
    expected, episodes = (grade(made, critics, p) for p in ("expected", "episodes"))
    assert episodes.totals["recognizability"] == pytest.approx(
        expected.totals["recognizability"], abs=1.0
    )
    order = np.random.default_rng(1).permutation(CLASSES)
    images = made.images.reshape(CLASSES, 20, 20, 20)[order].reshape(-1, 20, 20)
    shuffled = Drawings(
        images, made.label, made.exemplars[order], tuple(made.class_names[i] for i in order)
    )
    by_name = dict(
        zip(shuffled.class_names, grade(shuffled, critics, "episodes").classes["recognizability"])
    )
    assert [by_name[n] for n in made.class_names] == pytest.approx(
        episodes.classes["recognizability"]
    )


@pytest.mark.parametrize(("classes", "per_class", "reason"), [(19, 3, "19"), (24, 1, "2")])
def test_too_few_classes_or_drawings_are_refused(
    classes: int, per_class: int, reason: str, critics: Critics
) -> None:
    made = drawings(per_class)
    keep = made.label < classes
    few = Drawings(
        made.images[keep], made.label[keep], made.exemplars[:classes], made.class_names[:classes]
    )
    with pytest.raises(ValueError, match=reason):
        grade(few, critics, "expected")


def test_diversity_rests_on_the_first_drawings_of_a_class_and_recognizability_on_all(
    critics: Critics,
) -> None:
    whole = drawings()
    count = np.bincount(whole.label).min()
    first = np.arange(len(whole.label)) - np.searchsorted(whole.label, whole.label) < count - 1
    fewer = Drawings(whole.images[first], whole.label[first], whole.exemplars, whole.class_names)
    got, less = (
        grade(whole, critics, "expected", diversity_drawings=int(count) - 1),
        grade(fewer, critics, "expected"),
    )
    for name in ("diversity", "diversity_se", "originality", "originality_se"):
        assert got.totals[name] == pytest.approx(less.totals[name], rel=1e-6)
    assert (
        got.totals["recognizability"]
        == grade(whole, critics, "expected").totals["recognizability"]
        != less.totals["recognizability"]
    )
    assert (
        np.isnan(got.drawings["originality"][~first]).all()
        and np.isfinite(got.drawings["originality"][first]).all()
    )


def test_critics_that_give_nan_never_score(critics: Critics) -> None:
    broken = SimCLR(20).eval()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="finite"):
        grade(drawings(), Critics(broken, critics.protonet, CPU), "expected")


def data(size: int = 20) -> DataSet:
    rng = np.random.default_rng(0)
    images = (rng.random((30, size, size)) > 0.7).astype(np.uint8)
    names, cut = tuple("abcde"), (np.array([0, 1]), np.array([2]), np.array([3, 4]))
    return DataSet("made", "fixed", "0", images, np.arange(5).repeat(6), names, *cut)


def test_exemplars_are_the_medoid_the_first_or_one_by_seed(critics: Critics) -> None:
    given = data()
    features = embed_all(critics.simclr, given.images, CPU).reshape(5, 6, -1)
    nearest = [
        int(np.linalg.norm(f - f.mean(0), axis=1).argmin()) + 6 * c for c, f in enumerate(features)
    ]
    assert choose_exemplars(given, "medoid", critics.simclr, 0, CPU).tolist() == nearest
    assert choose_exemplars(given, "first", critics.simclr, 0, CPU).tolist() == [
        0,
        6,
        12,
        18,
        24,
    ]
    one, same, other = (
        choose_exemplars(given, "random", critics.simclr, s, CPU) for s in (1, 1, 2)
    )
    assert (
        np.array_equal(one, same)
        and not np.array_equal(one, other)
        and (one // 6 == np.arange(5)).all()
    )


def imported(path: Path, store: Store) -> Any:
    spec = CriticSpec("simclr", dict(weights=str(path)), 0, "abc")
    return read_or_make_critic(spec, lambda: data(50), lambda: None, store, CPU, lambda *_: None)


def test_published_weights_are_imported_once_and_their_quality_noted(tmp_path: Path) -> None:
    torch.manual_seed(1)
    original, store = SimCLR(50).eval(), Store(tmp_path)
    torch.save(original.state_dict(), tmp_path / "_best.model")
    first = imported(tmp_path / "_best.model", store)
    (tmp_path / "_best.model").unlink()
    second = imported(tmp_path / "_best.model", store)  # from the store now
    x = torch.rand(2, 1, 50, 50)
    for got in (first, second):
        torch.testing.assert_close(got.embed(x), original.embed(x))
    assert json.loads(store.read("store/critics/abc/quality.json"))["test_loss"] > 0


def test_weights_of_another_network_are_refused_with_the_reason(tmp_path: Path) -> None:
    torch.save(ProtoNet(50).state_dict(), tmp_path / "_best.model")
    with pytest.raises(CriticError, match=r"missing projection\.0\.bias"):
        imported(tmp_path / "_best.model", Store(tmp_path))
    assert not Store(tmp_path).exists("store/critics/abc/weights.pt")


def test_grades_are_plain_numbers(critics: Critics) -> None:
    got = grade(drawings(), critics, "expected")
    assert isinstance(got, Grades) and all(type(v) is float for v in got.totals.values()), (
        got.totals
    )
