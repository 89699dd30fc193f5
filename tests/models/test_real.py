"""Real images in place of drawings: of which images, and of how many."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_few_shot import CLASSES, IMAGES, NOVEL, clusters
from tiny_families import build

from oneshot.data.few_shot import few_shot_parts
from oneshot.types import DataSet, Part

FIRST = np.arange(0, CLASSES * IMAGES, IMAGES)


def numbered(channels: int) -> tuple[DataSet, dict[bytes, int]]:
    """The data, and the row of each image by its bytes, channels last."""
    data = clusters(channels)
    rows = {image.tobytes(): i for i, image in enumerate(data.as_drawings(np.arange(480)).copy())}
    assert len(rows) == 480
    return data, rows


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pool", ["published", "disjoint"])
def test_they_are_of_the_pool_without_shots_and_of_base_images(channels: int, pool: str) -> None:
    data, row_of = numbered(channels)
    drawn = build("real", shots=4, shot_seed=2, pool=pool).draw(data, FIRST, 20, 7)
    rows = np.array([row_of[image.tobytes()] for image in drawn.images])
    assert len(set(rows.tolist())) == len(rows) == 20 * CLASSES
    assert np.array_equal(data.label[rows], drawn.label) and (np.diff(drawn.label) >= 0).all()
    assert drawn.class_names == data.class_names and len(drawn.exemplars) == CLASSES
    assert drawn.images.shape[1:] == (16, 16, channels) and drawn.images.dtype == np.uint8
    parts = few_shot_parts(data, 4, 2, pool)
    novel = np.isin(data.label[rows], NOVEL)
    assert not set(rows) & {*parts.supports.reshape(-1), *parts.test}
    assert set(rows[novel]) <= set(parts.pool)
    assert (data.part[rows[~novel]] == Part.TRAIN).all()  # type: ignore[index]


def test_there_are_no_more_than_there_are_and_the_first_stay_the_first() -> None:
    data, row_of = numbered(1)
    family = build("real", shots=5)
    few, many = (family.draw(data, FIRST, n, 7) for n in (3, 1000))
    count = np.bincount(many.label)
    assert (count[NOVEL] == 48 - 5).all() and count.sum() == 3 * 43 + 270
    for c in range(CLASSES):
        assert np.array_equal(few.images[few.label == c], many.images[many.label == c][:3])
    other = family.draw(data, FIRST, 3, 8)
    assert not np.array_equal(other.images, few.images)
    fewer = build("real", shots=1).draw(data, FIRST, 1000, 7)
    assert len(fewer.images) == len(many.images) + 12 and len(row_of) == 480


def test_data_without_novel_classes_are_refused() -> None:
    data = dataclasses.replace(clusters(), split="all")
    with pytest.raises(ValueError, match="has no novel classes"):
        build("real").draw(data, FIRST, 3, 7)
