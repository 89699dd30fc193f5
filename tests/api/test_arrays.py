"""Arrays of the user's become images of models and critics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oneshot.api import arrays
from oneshot.types import Kind


def test_grey_and_colour_come_in_and_keep_their_levels() -> None:
    levels: Any = np.linspace(0, 1, 2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    data = arrays.as_data(levels, 4, Kind.COLOUR)
    assert data.kind == Kind.COLOUR and data.images.shape == (2, 3, 4, 4)
    assert data.images[1, 2, 3, 3] == 255 and data.test.tolist() == [0, 1]
    as_bytes = np.rint(levels * 255).astype(np.uint8)
    assert np.array_equal(arrays.as_data(as_bytes, 4, Kind.COLOUR).images, data.images)
    assert arrays.as_data(as_bytes[0, ..., :1], 4, Kind.GREYS).images.shape == (1, 1, 4, 4)
    for wrong in (levels[:, :3], levels * 2, levels[..., :1]):
        with pytest.raises(ValueError, match="images must be"):
            arrays.as_data(wrong, 4, Kind.COLOUR)
