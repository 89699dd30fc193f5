"""Standardisation against Pillow, closed forms, and refusing what is no image."""

from __future__ import annotations

import numpy as np
import pytest
from glyphs import glyphs
from PIL import Image

from oneshot.data.images import binarise_omniglot
from oneshot.metrics.images import standardise


def test_standardise_stretches_each_image_and_keeps_what_is_strictly_above_one_half():
    image = np.array([[0.25, 0.375], [0.5, 0.75]])  # stretched: 0, 0.25, 0.5, 1
    bits, constant = standardise(np.stack([image, 1 - image]))
    assert bits.dtype == np.uint8 and bits.tolist() == [[[0, 0], [0, 1]], [[1, 1], [0, 0]]]
    assert not constant.any()


def test_standardise_flags_constant_images_and_makes_them_background_at_any_size():
    images = np.stack([np.full((7, 7), value, np.float32) for value in (0.0, 0.3, 1.0)])
    for size in (None, 5, 12):
        bits, constant = standardise(images, size)
        assert constant.all() and not bits.any()


def test_standardise_resizes_as_pillow_does_before_it_stretches():
    rng = np.random.default_rng(1)
    images = rng.random((6, 20, 24)).astype(np.float32) ** 2
    bits, _ = standardise(images, 13)
    for image, result in zip(images, bits):
        paper = Image.fromarray(np.rint(255 * (1 - image)).astype(np.uint8))
        small = np.asarray(paper.resize((13, 13), Image.Resampling.BILINEAR), int)
        # ink is what is strictly darker than the middle between the brightest and the darkest
        assert result.tolist() == (2 * small < int(small.min()) + int(small.max())).tolist()


@pytest.mark.parametrize("size", [16, 28, 50, 64])
def test_standardise_prepares_drawings_as_the_data_set_is_prepared(size: int):
    """A drawing of Omniglot that comes from a file has the bits that people's drawing has."""
    bits = glyphs(9, 12, 105).images
    again, constant = standardise(bits, size)
    assert np.array_equal(again, binarise_omniglot(bits, size)) and not constant.any()
    assert np.array_equal(standardise(bits.astype(np.float64), size)[0], again)


def test_standardise_leaves_binary_images_as_they_are_in_every_type():
    bits = (np.random.default_rng(2).random((5, 9, 9)) > 0.7).astype(np.uint8)
    for given in (bits, bits.astype(bool), bits.astype(np.float32), bits.astype(np.float64)):
        assert np.array_equal(standardise(given, 9)[0], bits)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.array([[[0.0, np.nan], [np.inf, 1.0]]]), "2 of 4 pixels are NaN"),
        (np.array([[[0.0, 1.5], [-0.1, 1.0]]]), "2 of 4 do not"),
        (np.full((1, 2, 2), 255, np.uint8), "divide bytes by 255"),
        (np.zeros((1, 2, 2), np.int64), "given int64"),
        (np.zeros((2, 2)), r"\[N, H, W\]"),
        (np.zeros((1, 2, 3)), "2x3"),
    ],
)
def test_standardise_refuses(images, reason):
    with pytest.raises(ValueError, match=reason):
        standardise(images)
