"""Sets of images of one class: cut, mirrored, rotated and binarised on the device, a batch at a
time.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_families import build

from oneshot.contracts import Sets
from oneshot.training.batches import batches_for
from oneshot.training.set_batches import SetBatches, cut_sets, transform_sets
from oneshot.types import DataSet

CPU = torch.device("cpu")


def made(classes: int = 12, each: int = 7, size: int = 9, colour: bool = False) -> DataSet:
    """Class c, image i has its number in the first pixels, so that an image tells who it is."""
    images = np.zeros((classes * each, size, size), np.uint8)
    bits = np.unpackbits(np.arange(classes * each, dtype=np.uint8)[:, None], axis=1)
    images[:, 0, : min(size, 8)] = bits[:, -min(size, 8) :]
    if colour:
        images = np.repeat(images[:, None] * 255, 3, 1)
    label, names = np.arange(classes).repeat(each), tuple(f"c{c}" for c in range(classes))
    parts = np.arange(8), np.arange(8, 10), np.arange(10, 12)
    return DataSet("made", "fixed", "0", images, label, names, *parts)


def batches(material: SetBatches, seed: int = 0, epoch: int = 0, size: int = 4) -> list[Sets]:
    return [material.batch(item) for item in material.epoch(seed, epoch, size)]


def test_sets_are_disjoint_and_of_one_class() -> None:
    label = np.array([0, 0, 0, 0, 0, 1, 1, 4, 4, 4, 4])
    sets = cut_sets(np.arange(100, 111), label, 2, np.random.default_rng(0))
    assert sets.shape == (2 + 1 + 2, 2) and len(np.unique(sets)) == sets.size
    assert (label[sets - 100] == label[sets[:, :1] - 100]).all()
    seen = {
        tuple(sorted(row))
        for seed in range(40)
        for row in cut_sets(np.arange(100, 111), label, 2, np.random.default_rng(seed)).tolist()
    }
    assert len(seen) == 10 + 1 + 6  # every pair of every class comes up


def test_an_epoch_holds_each_set_and_its_copies_and_repeats_by_seed() -> None:
    material = SetBatches.of(made(), 3, 2, "validation", CPU)
    items = list(material.epoch(5, 1, 6))
    index, motion = (torch.cat([item[name] for item in items]) for name in ("index", "motion"))
    # 8 classes x 2 sets of 3 from 7 images, thrice
    assert len(index) == 8 * 2 * 3 and index.shape[1] == 3
    assert (motion[:, 0] == 0).sum() == 16
    sets, counts = np.unique(index.numpy(), axis=0, return_counts=True)
    assert len(sets) == 16 and (counts == 3).all()
    again, other = (torch.cat([i["index"] for i in material.epoch(5, e, 6)]) for e in (1, 2))
    assert torch.equal(index, again) and not torch.equal(index, other)
    one, two = batches(material, 5, 1), batches(material, 5, 1)
    assert all(torch.equal(a.images, b.images) for a, b in zip(one, two))


def test_a_copy_count_below_zero_keeps_the_images_of_an_epoch_at_any_set_size() -> None:
    sizes = {
        s: sum(
            len(b.images)
            for b in batches(SetBatches.of(made(each=12), s, -1, "validation", CPU), size=1)
        )
        for s in (2, 3, 4, 6)
    }
    # sets x (1 + s - 1), Boutin et al. 2022
    assert sizes == {s: 8 * 12 // s * s for s in (2, 3, 4, 6)}


def test_without_copies_bits_pass_unchanged_and_batches_are_whole() -> None:
    data = made()
    material = SetBatches.of(data, 2, 0, "validation", CPU)
    items = list(material.epoch(0, 0, 5))
    # 24 sets: the last 4 wait for another epoch
    assert [len(item["index"]) for item in items] == [5] * 4
    for item in items:
        assert set(item) == {"index"}
        images = material.batch(item).images
        np.testing.assert_array_equal(
            images[:, :, 0].numpy(), data.images[item["index"].numpy()].astype(np.float32)
        )
    few = list(SetBatches.of(data, 2, 0, "validation", CPU).epoch(0, 0, 1000))
    assert [len(item["index"]) for item in few] == [24]


def test_an_epoch_of_some_steps_has_the_first_of_its_batches() -> None:
    data, family = made(), build("figr:tiny", set_size=2, epoch_steps=3)
    some = batches_for(family, data, np.zeros(0, np.int64), CPU)
    every = list(SetBatches.of(data, 2, 0, "validation", CPU).epoch(5, 1, 4))
    items = list(some.epoch(5, 1, 4))
    assert len(items) == 3 < len(every)
    assert all(torch.equal(a["index"], b["index"]) for a, b in zip(items, every))
    many = SetBatches.of(data, 2, 0, "validation", CPU, steps=1000)
    assert len(list(many.epoch(5, 1, 4))) == len(every)


def test_unmoved_bits_stay_and_moved_ones_are_binary() -> None:
    material = SetBatches.of(made(), 3, 1, "validation", CPU)
    for item in material.epoch(0, 0, 8):
        images, still = material.batch(item).images, item["motion"][:, 0] == 0
        assert set(images.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(images[still], material.images[item["index"][still]].float())


def test_stochastic_binarisation_has_the_grey_as_its_mean() -> None:
    data = made()
    greys = np.random.default_rng(0).integers(0, 256, data.images.shape).astype(np.uint8)
    material = SetBatches.of(data, 7, 0, "validation", CPU, greys)
    drawn = np.zeros((len(greys), 9, 9))
    for epoch in range(400):
        for item in material.epoch(0, epoch, 8):
            drawn[item["index"].flatten().numpy()] += (
                material.batch(item).images.flatten(0, 2).numpy()
            )
    seen = drawn[: 8 * 7] / 400
    assert np.abs(seen - greys[: 8 * 7] / 255).max() < 5 * 0.5 / math.sqrt(400)
    one, two = ([material.batch(i).images for i in material.validation()] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two))


def test_a_set_turns_as_one_about_its_centre() -> None:
    images = torch.rand(4, 2, 1, 9, 9)
    quarter = math.pi / 2
    motion = torch.tensor([[1, 1, 1, 0], [1, -1, 1, 0], [1, 1, -1, 0], [1, 1, 1, quarter]])
    out = transform_sets(images, motion)
    torch.testing.assert_close(out[0], images[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(out[1], images[1].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(out[2], images[2].flip(-2), atol=1e-5, rtol=0)
    turned = [torch.rot90(images[3], k, (-2, -1)) for k in (1, -1)]
    assert any(torch.allclose(out[3], t, atol=1e-5) for t in turned)
    both = transform_sets(images[3:], torch.tensor([[1, -1, 1, quarter]]))  # mirrored, then turned
    torch.testing.assert_close(
        both, transform_sets(images[3:].flip(-1), motion[3:]), atol=1e-5, rtol=0
    )


def test_colour_is_only_mirrored_and_stays_grey_by_grey() -> None:
    material = SetBatches.of(made(colour=True), 2, 1, "validation", CPU)
    for item in material.epoch(0, 0, 4):
        assert (
            "uniform" not in item
            and (item["motion"][:, 2:] == item["motion"][:, :1] * torch.tensor([1.0, 0.0])).all()
        )
        images = material.batch(item).images
        assert images.shape[1:] == (2, 3, 9, 9) and images.max() <= 1 and images.min() >= 0


def test_with_test_classes_driving_the_schedule_validation_classes_train() -> None:
    held, published = (SetBatches.of(made(), 2, 0, kind, CPU) for kind in ("validation", "test"))
    assert np.unique(held.train[1]).tolist() == list(range(8)) and np.unique(
        held.schedule[1]
    ).tolist() == [8, 9]
    assert np.unique(published.train[1]).tolist() == list(range(10)) and np.unique(
        published.schedule[1]
    ).tolist() == [10, 11]


def test_a_set_larger_than_every_class_is_refused() -> None:
    with pytest.raises(ValueError, match="set_size = 8: no training class has more than 7 images"):
        SetBatches.of(made(), 8, 0, "validation", CPU)


def test_sets_are_evaluated_as_many_at_a_time_as_the_family_allows() -> None:
    data = made(each=30)
    family = build("set_vae:tiny", set_size=5)
    material = batches_for(family, data, np.zeros(0, np.int64), CPU)
    assert isinstance(material, SetBatches) and material.most == family.evaluation_batch
    sizes = {}
    for most in (5, 12, 512):
        sets = SetBatches.of(data, 5, 0, "validation", CPU, None, most)
        sizes[most] = [len(spec["index"]) for spec in sets.validation()]
    total = sum(sizes[512])
    assert total > 2 and sizes[512] == [total]
    assert sizes[5] == [1] * total and sizes[12][0] == 2 and sum(sizes[12]) == total
