"""Sets of points: what they hold, where their modes lie, splits and parts."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from oneshot import data
from oneshot.data.points import PointSet, modes_of
from oneshot.sweep import families
from oneshot.sweep.settings import COMMON
from oneshot.types import Kind, Part

SETS = ("gaussians", "gaussians_uneven", "gaussians_grid", "swiss_roll")


def made(name: str) -> PointSet:
    found: PointSet = importlib.import_module(f"oneshot.data.{name}").POINTS
    return found


@pytest.mark.parametrize("name", SETS)
def test_the_fingerprint_is_that_of_the_content(name: str) -> None:
    assert families.constant("data", name, "FINGERPRINT") == made(name).hash()
    again = PointSet(name, "", made(name).modes, made(name).counts)
    assert again.hash() == made(name).hash() and np.array_equal(
        again.content[0], made(name).content[0]
    )
    fewer = PointSet(name, "", made(name).modes, tuple(n + 6 for n in made(name).counts))
    assert fewer.hash() != made(name).hash()


@pytest.mark.parametrize("name", SETS)
def test_what_the_file_says_is_what_it_holds(name: str) -> None:
    def told(variable: str) -> object:
        return families.constant("data", name, variable)

    counts = told("TRAIN_IMAGES")
    assert isinstance(counts, dict) and tuple(counts) == told("SPLITS") == data.splits(name)
    assert told("CLASSES") == len(modes_of(name).names) == len(counts) - 1
    assert told("KIND") == Kind.POINTS and set(counts) <= set(COMMON["split"].metadata["choices"])
    for split, count in counts.items():
        points = data.load(name, split, 50)
        assert points.kind == Kind.POINTS and points.images.dtype == np.float32
        assert len(points.rows_of_part(points.train, Part.TRAIN)) == count, split
    assert np.bincount(points.label).min() == told("DRAWINGS_PER_CLASS")


@pytest.mark.parametrize("name", SETS)
def test_a_split_leaves_out_its_class_and_nothing_else(name: str) -> None:
    whole, cut = data.load(name, "all", 50), data.load(name, "without_3", 50)
    assert len(whole.test) == 0 and cut.test.tolist() == [3] and len(cut.validation) == 0
    assert np.array_equal(np.setdiff1d(whole.train, cut.train), [3])
    assert whole.images is cut.images and not whole.images.flags.writeable
    assert whole.fingerprint == data.fingerprint(name) and whole.part is not None
    parts = np.bincount(whole.part)
    assert parts[Part.TRAIN] == 4 * parts[Part.SELECTION] == 4 * parts[Part.TEST]
    with pytest.raises(data.DataError, match="has no split 'without_99'"):
        data.load(name, "without_99", 50)


@pytest.mark.parametrize("name", SETS)
def test_points_lie_round_the_centres_of_their_modes(name: str) -> None:
    """Means within five standard errors, standard deviations within a few per cent."""
    points, modes = data.load(name, "all", 50), modes_of(name)
    assert (np.diff(points.label) >= 0).all() and (np.diff(modes.owner) >= 0).all()
    for mode in range(len(modes.names)):
        mine = points.images[points.label == mode].astype(float)
        centres = modes.centres[modes.owner == mode]
        spread = np.sqrt(modes.sigma**2 + centres.var(axis=0))
        away = np.abs(mine.mean(axis=0) - centres.mean(axis=0))
        assert (away < 5 * spread / math.sqrt(len(mine))).all(), mode
        np.testing.assert_allclose(mine.std(axis=0), spread, rtol=0.08)
    np.testing.assert_allclose(modes.middles[2], modes.centres[modes.owner == 2].mean(0))


def test_eight_modes_run_clockwise_from_the_top_on_a_circle_of_radius_sqrt_2() -> None:
    modes = modes_of("gaussians")
    one = math.sqrt(2)
    expected = [(0, one), (1, 1), (one, 0), (1, -1), (0, -one), (-1, -1), (-one, 0), (-1, 1)]
    np.testing.assert_allclose(modes.centres, expected, atol=1e-12)
    assert modes.radius == pytest.approx(one) and modes.sigma == pytest.approx(0.0353553, rel=1e-5)
    assert modes.names[0] == "top" and modes.names[2] == "right" and modes.names[5] == "lower left"
    apart = np.linalg.norm(modes.centres[0] - modes.centres[1]) / modes.sigma
    assert apart == pytest.approx(30.6, abs=0.05)


def test_two_uneven_modes_hold_half_of_the_points() -> None:
    counts = np.bincount(data.load("gaussians_uneven", "all", 50).label)
    assert counts[[0, 4]].sum() == counts.sum() / 2 and len(set(counts[[1, 2, 3, 5, 6, 7]])) == 1


def test_the_grid_runs_row_by_row_from_the_top() -> None:
    modes = modes_of("gaussians_grid")
    one = math.sqrt(2)
    assert modes.radius is None and modes.names[7] == "row 2, column 3"
    np.testing.assert_allclose(
        modes.centres[[0, 4, 12, 24]] / one, [(-2, 2), (2, 2), (0, 0), (2, -2)]
    )


def test_the_arcs_of_the_roll_lie_end_to_end() -> None:
    """One and a half turns, without a gap between arcs, neighbouring turns far apart."""
    modes = modes_of("swiss_roll")
    steps = np.linalg.norm(np.diff(modes.centres, axis=0), axis=1) / modes.sigma
    assert steps.min() > 0.1 and steps.max() < 0.4
    turned = np.unwrap(np.arctan2(modes.centres[:, 1], modes.centres[:, 0]))
    assert turned[-1] - turned[0] == pytest.approx(3 * math.pi, rel=1e-3)
    lengths = np.linalg.norm(modes.centres, axis=1)
    turn = len(lengths) * 2 // 3
    assert (lengths[turn:] - lengths[:-turn]).min() > 20 * modes.sigma
