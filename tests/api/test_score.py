"""oneshot.score: given drawings on the plane, by the critics of a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_exemplars import bars, stored_drawings

import oneshot


def test_stored_drawings_score_as_they_did(folder: Path, model: oneshot.TrainedModel) -> None:
    stored = stored_drawings(model)
    drawings = stored.images.reshape(len(stored.exemplars), 4, 16, 16)
    for critics in (folder, model):
        scores = oneshot.score(drawings, stored.exemplars, critics)
        known = {name: model.row[name] for name in scores}
        for name, value in scores.items():
            expected = np.nan if known[name] is None else known[name]
            assert value == pytest.approx(expected, rel=1e-4, nan_ok=True), name
    assert {"diversity", "recognizability_se", "human_distance"} <= set(known)


def test_copies_of_exemplars_have_no_diversity(folder: Path) -> None:
    given = bars(10)
    copies = np.repeat(given[:, None], 3, axis=1)
    scores = oneshot.score(copies, given, folder, ways=5, diversity_drawings=2)
    assert scores["diversity"] == 0 and scores["originality"] == 0
    assert scores["recognizability"] == 100
    bits = oneshot.score(copies > 0.5, given > 0.5, folder, ways=5, diversity_drawings=2)
    assert str(scores) == str(bits), "grey levels play no part"


@pytest.mark.parametrize(
    ("drawings", "given", "words"),
    [
        ((10, 3, 16, 16), (9, 16, 16), r"given \(10, 3, 16, 16\) and \(9, 16, 16\)"),
        ((10, 16, 16), (10, 16, 16), r"must be \[C, n, H, W\]"),
        ((10, 1, 16, 16), (10, 16, 16), "two drawings of each"),
        ((10, 2, 16, 16), (10, 16, 16), "10 classes, but a drawing is recognised among 20"),
    ],
)
def test_arrays_that_do_not_fit_are_told(
    folder: Path, drawings: tuple[int, ...], given: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        oneshot.score(np.ones(drawings), np.ones(given), folder)
