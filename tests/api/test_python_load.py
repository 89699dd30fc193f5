"""oneshot.load, model and score, of the results of the small sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import s3
import small

import oneshot
from oneshot.api import arrays
from oneshot.api.load import uri_of
from oneshot.api.stored_points import NoSuchPoint
from oneshot.report.errors import AnalysisError
from oneshot.scoring import sample
from oneshot.store.store import Store
from oneshot.types import Drawings, Kind


@pytest.fixture(scope="module")
def folder(finished: Path) -> Path:
    return finished / "results" / "small"


@pytest.fixture(scope="module")
def model(folder: Path) -> oneshot.TrainedModel:
    table = oneshot.load(folder, "model == 'vae_stn' and beta == 1")
    return oneshot.model(folder, table["point_id"][0][:8], device="cpu")


def stored_drawings(model: oneshot.TrainedModel) -> Drawings:
    key = f"store/drawings/{model.row['sample_id']}/drawings.npz"
    return sample.from_bytes(model.stored.store.read(key))


def exemplars(count: int) -> np.ndarray:
    """Bars of different lengths, in grey, larger than the model's images."""
    images = np.zeros((count, 32, 32))
    for i in range(count):
        images[i, 4 : 8 + i, 6 : 28 - i] = 0.9
    return images


def test_the_table_is_that_of_the_command(folder: Path, tmp_path: Path) -> None:
    written = tmp_path / "points.parquet"
    words = [folder, "--no-figures", "--parquet", written, "--top", "0"]
    assert small.main(*words, script="analyze.py").returncode == 0
    table = oneshot.load(folder)
    pd.testing.assert_frame_equal(table, pd.read_parquet(written).reset_index(drop=True))
    assert len(table) == 6 and str(table["epochs"].dtype) in ("int64", "Int64")
    chosen = oneshot.load(str(folder.parent), where="beta >= 1")
    assert set(chosen["model"]) == {"vae_stn", "human", "copy", "noise"}
    assert sorted(chosen["beta"].dropna()) == [1.0, 2.0]
    assert len(oneshot.load([folder, folder])) == 6, "points of both are taken once"


def test_tables_of_an_object_store_are_read(folder: Path, s3_server: s3.Server) -> None:
    store = Store(s3_server.uri)
    store.write("small/points.parquet", (folder / "points.parquet").read_bytes())
    assert "?" in s3_server.uri, "the address of the server stands behind the folder"
    there = oneshot.load(uri_of(store, "small"))
    pd.testing.assert_frame_equal(there, oneshot.load(folder))


def test_results_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="there is no folder"):
        oneshot.load(tmp_path / "nothing")
    with pytest.raises(AnalysisError, match="there is no folder"):
        oneshot.model(tmp_path / "nothing", "1")


def test_a_model_draws_as_its_weights_and_the_seed_say(model: oneshot.TrainedModel) -> None:
    given = exemplars(3)
    drawings = model.sample(given, n=4, seed=1)
    assert drawings.shape == (3, 4, 16, 16) and drawings.dtype == np.uint8
    assert set(np.unique(drawings)) <= {0, 1} and drawings.any()
    assert np.array_equal(drawings, model.sample(given, n=4, seed=1))
    assert np.array_equal(drawings[:2, :2], model.sample(given[:2], n=2, seed=1))
    assert not np.array_equal(drawings, model.sample(given, n=4, seed=2))
    alone = model.sample(given[0] > 0.5)
    assert alone.shape == (1, 1, 16, 16)


def test_drawings_of_the_sweep_are_drawn_again(model: oneshot.TrainedModel) -> None:
    """A trial's noise depends on the number of a class: here the first test class is drawn."""
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
        model.sample(exemplars(1), n=0)


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
    given = exemplars(10)
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
