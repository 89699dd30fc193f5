"""The file of importance maps: units, damage, and the table made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oneshot.metrics.importance import sparsity
from oneshot.scoring import importance_maps as maps
from oneshot.scoring.importance_maps import Maps

CPU = torch.device("cpu")


def some_maps() -> Maps:
    rng = np.random.default_rng(2)
    drawn = rng.gamma(0.2, 1e-3, (3, 11, 9)).astype(np.float32)
    drawn[1] = 0
    drawn[2] = 0
    drawn[2, 4, 4] = 1e-9
    return Maps(drawn, (rng.random((3, 11, 9)) > 0.5).astype(np.uint8), ("a/1", "b", "ü"))


def test_the_file_holds_maps_in_units_of_their_mean() -> None:
    given = some_maps()
    kept = maps.from_bytes(maps.to_bytes(given))
    assert (
        kept.class_names == given.class_names
        and np.array_equal(kept.exemplars, given.exemplars)
        and kept.maps.dtype == np.float32
    )
    assert kept.maps[0] == pytest.approx(given.maps[0] / given.maps[0].mean(), rel=1e-3, abs=1e-7)
    assert not kept.maps[1].any() and kept.maps[2, 4, 4] == 99 and kept.maps[2].sum() == 99
    assert sparsity(kept.maps)[[0, 2]] == pytest.approx(sparsity(given.maps)[[0, 2]], rel=1e-3)
    whole = maps.from_bytes(
        maps.to_bytes(
            Maps(
                np.eye(255, dtype=np.float32)[None] * np.eye(255)[0],
                np.zeros((1, 255, 255), np.uint8),
                ("x",),
            )
        )
    )
    # one pixel of the largest images: still within float16
    assert whole.maps.max() == pytest.approx(255**2, rel=1e-3)


def test_a_damaged_file_is_told_from_a_whole_one() -> None:
    data = maps.to_bytes(some_maps())
    for broken in (
        b"",
        b"nonsense",
        data[: len(data) // 2],
        data[:-80],
        data.replace(b"maps.npy", b"mops.npy"),
    ):
        with pytest.raises(ValueError, match="not a whole file of importance maps"):
            maps.from_bytes(broken)
    # flipped bits: an error of this kind or, in names of zip members, none
    for place in range(0, len(data), max(len(data) // 60, 1)):
        flipped = bytearray(data)
        flipped[place] ^= 0xFF
        try:
            maps.from_bytes(bytes(flipped))
        except ValueError as error:
            assert "not a whole file" in str(error)


def test_columns_of_the_table() -> None:
    columns = maps.columns(some_maps())
    assert columns["class_name"] == ["a/1", "b", "ü"] and columns["sparsity"][2] == pytest.approx(
        0.5 / 99
    )
    assert maps.mean_sparsity(columns) == pytest.approx(
        (columns["sparsity"][0] + columns["sparsity"][2]) / 2
    )
    assert math.isnan(maps.mean_sparsity({"sparsity": [math.nan]}))
