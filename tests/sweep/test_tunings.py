"""Points that are tuned: their ids nest under the training's; trials are cut by what is stored."""

from __future__ import annotations

import dataclasses

import pytest
from made_sweeps import ROOT, make

from oneshot.sweep import Sweep, grid
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.grouping import stack_member, stacks
from oneshot.sweep.parts import SweepError
from oneshot.sweep.point import Point
from oneshot.trial.trial import group


def points_of(name: str, model: str = "class_gan") -> list[Point]:
    found = expand(load_sweep(ROOT / "sweeps" / f"{name}.py"))
    return [p for p in found if p.model == model]


def made(**axes: list[object]) -> list[Point]:
    fixed = dict(dataset="emnist", split="classes_0", image_size=32)
    fixed = {n: v for n, v in fixed.items() if n not in axes}
    return expand(Sweep("?", "class_gan", grid(**axes), fixed=fixed, references=()))


@pytest.mark.parametrize(
    ("name", "points", "trainings"),
    [("fewshot_small", 24, 2), ("fewshot_gan", 50, 10), ("fewshot_modes", 180, 5)],
)
def test_the_sweeps_share_pre_trainings(name: str, points: int, trainings: int) -> None:
    found = points_of(name)
    assert len(found) == points and len({p.train_id for p in found}) == trainings
    assert len({p.tune_id for p in found}) == len({p.sample_id for p in found}) == points
    assert all(p.tune_id != p.train_id and p.graders == {"few_shot": 1} for p in found)
    assert {name for p in found for name in p.critics} == {"base_classifier"}
    assert len({p.critic_id("base_classifier") for p in found}) == trainings


def test_classifiers_of_eleven_splits_are_a_sweep_of_their_own() -> None:
    found = points_of("fewshot_classifier", "real")
    assert len(found) == 11 and len({p.critic_id("base_classifier") for p in found}) == 11


def test_ids_nest_and_what_is_not_tuned_has_the_id_of_its_training() -> None:
    by_shots = made(shots=[5, 25])
    assert by_shots[0].train_id == by_shots[1].train_id
    assert by_shots[0].tune_id != by_shots[1].tune_id
    assert by_shots[0].row()["tune_id"] == by_shots[0].tune_id
    by_score = made(generated_per_class=[0, 20])
    assert len({p.sample_id for p in by_score}) == 1 and len({p.point_id for p in by_score}) == 2
    plain = expand(make(grid(beta=[0.0, 1.0])))
    assert all(p.tune_id == p.train_id and "tune_id" not in p.row() for p in plain)


def test_tunings_stack_over_weights_and_rates_and_not_over_shots() -> None:
    alike = made(tune_alpha=[0.0, 0.5], tune_rate=[1e-4, 2e-4])
    assert len({p.tune_key for p in alike}) == 1
    assert len({p.tune_key for p in made(shots=[5, 25], semi=[False, True])}) == 4
    trained = {p.train_id for p in alike}
    assert [len(ids) for ids in stacks(alike, 64, 1, trained)] == [4]
    assert [len(ids) for ids in stacks(alike, 64, 2, trained)] == [2, 2]
    assert stacks(alike, 64, 2) == [[alike[0].train_id]]


def test_a_trial_of_a_stored_training_is_cut_by_tunings_so_that_all_slots_work() -> None:
    points = points_of("fewshot_small")
    (first, *_), trainings = points, {p.train_id for p in points}
    together = group(points, 8, 2)
    assert sorted(map(len, together)) == [12, 12]
    assert all(len({p.train_id for p in trial}) == 1 for trial in together)
    cut = group(points, 8, 2, trainings)
    assert len(cut) == 24 and {p.point_id for t in cut for p in t} == {p.point_id for p in points}
    half = group(points, 8, 2, {first.train_id})
    assert sorted(map(len, half)) == [1] * 12 + [12]
    assert stack_member(first) == first.train_id
    assert stack_member(first, trainings) == first.tune_id
    # of what is not tuned, the training is what a stack has
    plain = expand(make(grid(beta=[0.0, 1.0])))
    ids = {p.train_id for p in plain}
    assert list(map(len, group(plain, 8, 1, ids))) == list(map(len, group(plain, 8, 1)))


def test_a_point_that_travels_keeps_its_tuning() -> None:
    (point,) = made(shots=[5])
    assert dataclasses.replace(point, place="").tune_id == point.tune_id


def test_real_images_have_the_shots_of_the_models() -> None:
    real = points_of("fewshot_small", "real")
    assert [(p.settings["split"], p.settings["shots"]) for p in real] == [
        (split, k) for split in ("classes_0", "classes_1") for k in (5, 25)
    ]
    assert {p.settings["generated_per_class"] for p in real} == {100}


@pytest.mark.parametrize(
    ("model", "fixed", "references", "words"),
    [
        ("mlp_vae", dict(dataset="emnist", split="classes_0"), (), "class_gan and real do"),
        ("class_gan", dict(dataset="mnist", split="all"), (), "class_gan needs base and novel"),
        (
            "class_gan",
            dict(dataset="emnist", split="classes_0", image_size=32, generated_per_class=21),
            (),
            "generated_per_class = 21 of class_gan: of each class there are",
        ),
        (
            "class_gan",
            dict(dataset="emnist", split="classes_0", image_size=32),
            ("kept",),
            "kept cannot be a reference: split = 'classes_0'",
        ),
    ],
)
def test_families_and_splits_that_do_not_fit_are_told(
    model: str, fixed: dict[str, object], references: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SweepError, match=words):
        expand(Sweep("?", model, grid(epochs=[1, 2]), fixed=fixed, references=references))
