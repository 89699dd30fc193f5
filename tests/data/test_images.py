"""Preparing images: the published steps, sizes, packing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_omniglot import Made
from PIL import Image

from oneshot.data import (
    images,
    omniglot,
)
from oneshot.data.omniglot_files import PACKED


def test_mean_ink_of_the_weak_test_classes_is_the_published_one(shared_data: Path) -> None:
    with np.load(shared_data / PACKED) as file:
        packed = file["packed"].reshape(1623, 20, -1)
    test = omniglot.class_split("weak")[2]
    ink = images.binarise_omniglot(images.unpack(packed[test].reshape(3000, -1), 105), 50)
    assert ink.dtype == np.uint8 and set(np.unique(ink)) == {0, 1}
    assert f"{ink.mean():.4f}" == "0.0780"


def test_binarise_agrees_with_the_published_steps_one_by_one(made: Made) -> None:
    for size in (28, 50):
        for bits, got in zip(made.bits[:10], images.binarise_omniglot(made.bits[:10], size)):
            picture = Image.fromarray(np.where(bits, 0, 255).astype(np.uint8)).resize(
                (size, size), Image.Resampling.BILINEAR
            )
            x = np.asarray(picture).astype(np.float32) / 255
            x = 1 - (x - x.min()) / (x.max() - x.min())
            assert np.array_equal(got, x / x.max() > 0.5)


def test_the_native_size_and_empty_images_stay_as_they_are(made: Made) -> None:
    assert np.array_equal(images.binarise_omniglot(made.bits, 105), made.bits)
    assert np.array_equal(images.resize_bits(made.bits, 105), made.bits)
    empty = np.zeros((2, 105, 105), np.uint8)
    assert not images.binarise_omniglot(empty, 50).any() and not images.resize_bits(empty, 50).any()
    assert images.binarise_omniglot(empty[:0], 50).shape == (0, 50, 50)


def test_resized_drawings_keep_their_place_and_most_of_their_shape(made: Made) -> None:
    block = np.zeros((1, 28, 28), np.uint8)
    block[0, 4:14, 7:21] = 1
    large = images.resize_bits(block, 56)
    assert np.array_equal(large[0], np.kron(block[0], np.ones((2, 2), np.uint8)))
    assert np.array_equal(images.resize_bits(large, 28), block)


def test_packing_is_undone_by_unpacking(made: Made) -> None:
    assert np.array_equal(images.unpack(images.pack(made.bits), 105), made.bits)
