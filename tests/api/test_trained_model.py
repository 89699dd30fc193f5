"""oneshot.model: the trained weights of a point draw for exemplars given as an array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_exemplars import bars, stored_drawings

import oneshot
from oneshot.api import arrays
from oneshot.api.stored_points import NoSuchPoint
from oneshot.types import Kind


def test_a_model_draws_as_its_weights_and_the_seed_say(model: oneshot.TrainedModel) -> None:
    given = bars(3)
    drawings = model.sample(given, n=4, seed=1)
    assert drawings.shape == (3, 4, 16, 16) and drawings.dtype == np.uint8
    assert set(np.unique(drawings)) <= {0, 1} and drawings.any()
    assert np.array_equal(drawings, model.sample(given, n=4, seed=1))
    assert np.array_equal(drawings[:2, :2], model.sample(given[:2], n=2, seed=1))
    assert not np.array_equal(drawings, model.sample(given, n=4, seed=2))
    alone = model.sample(given[0] > 0.5)
    assert alone.shape == (1, 1, 16, 16)


def test_drawings_of_the_sweep_are_drawn_again(model: oneshot.TrainedModel) -> None:
    """With other noise, as that of a trial depends on the numbers of the classes."""
    stored = stored_drawings(model)
    data = arrays.as_data(stored.exemplars, 16, Kind.BITS)
    assert np.array_equal(data.images, stored.exemplars), "bits stay as they are"
    again = model.sample(stored.exemplars, n=4, seed=model.row["seed"])
    of_trial = stored.images.reshape(len(stored.exemplars), 4, 16, 16)
    # the same weights: ink lies where it lay, whatever the noise
    ink = [images.mean(axis=(0, 1)).ravel() for images in (again, of_trial)]
    assert np.corrcoef(*ink)[0, 1] > 0.95


def test_what_cannot_be_drawn_is_told(folder: Path, model: oneshot.TrainedModel) -> None:
    copy = oneshot.load(folder).query("model == 'copy'")["point_id"].iloc[0]
    with pytest.raises(NoSuchPoint, match="copy learns nothing"):
        oneshot.model(folder, copy)
    with pytest.raises(NoSuchPoint, match=r"'xyz' is no point of .*small. It has [0-9a-f]{16}, "):
        oneshot.model(folder, "xyz")
    with pytest.raises(NoSuchPoint, match="begins the ids of 6 points"):
        oneshot.model(folder, "")
    for wrong, words in {
        "no images": (np.zeros(3), r"must be \[N, H, W\]"),
        "bytes": (np.full((1, 16, 16), 255, np.uint8), "divide bytes by 255"),
        "empty": (np.zeros((1, 16, 16)), "exemplar 0 is empty"),
    }.values():
        with pytest.raises(ValueError, match=words):
            model.sample(wrong)
    with pytest.raises(ValueError, match="n = 0"):
        model.sample(bars(1), n=0)
