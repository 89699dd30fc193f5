"""References that know nothing of a class that was left out: a ring, chords, kept data."""

from __future__ import annotations

import numpy as np
from made_labelled import made
from tiny_families import build

from oneshot import data as datasets
from oneshot.types import Part

FIRST = np.zeros(8, np.int64)


def test_a_ring_has_the_radius_of_the_data_and_every_angle() -> None:
    data = datasets.load("gaussians", "without_2", 50)
    drawn = build("ring").draw(data, FIRST, 500, 3)
    assert drawn.images.shape == (4000, 2) and drawn.images.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(drawn.images, axis=1), np.sqrt(2), rtol=2e-3)
    angle = np.arctan2(*drawn.images.T)
    assert np.histogram(angle, 8, (-np.pi, np.pi))[0].min() > 400
    assert drawn.class_names == ("",) and not drawn.label.any()


def test_chords_lie_between_kept_points_and_end_at_them() -> None:
    data = made("points", without=2)  # class c lies near (c, 0)
    drawn = build("chords").draw(data, FIRST[:5], 400, 3).images
    assert np.abs(drawn[:, 1]).max() < 0.2 and drawn[:, 0].min() > -0.3
    assert drawn[:, 0].max() < 4.3 and (np.abs(drawn[:, 0] - 2) < 0.5).mean() > 0.1


def test_kept_are_items_for_tests_of_kept_classes_each_once() -> None:
    for kind in ("points", "greys"):
        data = made(kind, without=2)
        drawn = build("kept").draw(data, FIRST[:5], 3, 5)
        rows = data.rows_of_part(data.train, Part.TEST)
        real = data.images[rows]
        real = np.moveaxis(real, 1, -1) if kind == "greys" else real
        known = {row.tobytes() for row in np.ascontiguousarray(real)}
        found = [row.tobytes() for row in np.ascontiguousarray(drawn.images)]
        assert len(found) == 15 and len(set(found)) == 15 and set(found) <= known
        assert drawn.images.dtype == data.images.dtype
        assert drawn.exemplars.shape[1:] == drawn.images.shape[1:]
        assert len(build("kept").draw(data, FIRST[:5], 50, 5).images) == 24, (
            "no more than there are"
        )
