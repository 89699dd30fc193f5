"""Images made elsewhere: read, checked, scored by the same path, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oneshot.episodes import DataSet
from oneshot.models.drawings import Config, FromFile

SIZE = 20
NOTHING = np.empty(0, np.int64)
DATA = DataSet("made", "fixed", "0", np.zeros((1, SIZE, SIZE), np.uint8), np.zeros(1, np.int64), ("a",), NOTHING, NOTHING, NOTHING)


def arrays(**changed: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    exemplars = (rng.random((25, SIZE, SIZE)) > 0.8).astype(np.float32)
    index = rng.permutation(np.arange(25).repeat(3))
    return dict(images=exemplars[index] * 0.9, exemplar=index, exemplars=exemplars) | changed


def read(path: Path) -> Any:
    return FromFile(Config(file=str(path))).draw(DATA, NOTHING, 0, 0)


def write_parquet(path: Path, given: dict[str, Any]) -> None:
    rows = [dict(kind="drawing", exemplar=int(e), pixels=i.ravel()) for i, e in zip(given["images"], given["exemplar"])]
    rows += [dict(kind="exemplar", exemplar=k, pixels=i.ravel()) for k, i in enumerate(given["exemplars"])]
    pd.DataFrame(rows).to_parquet(path)


def test_both_formats_give_the_same_drawings_sorted_by_exemplar(tmp_path: Path) -> None:
    given = arrays()
    np.savez(tmp_path / "a.npz", **given)
    write_parquet(tmp_path / "a.parquet", given)
    one, two = read(tmp_path / "a.npz"), read(tmp_path / "a.parquet")
    for got in (one, two):
        assert np.array_equal(got.label, np.arange(25).repeat(3)) and got.constant == 0
        assert np.array_equal(got.images, given["exemplars"][got.label].astype(np.uint8))
        assert np.array_equal(got.exemplars, given["exemplars"].astype(np.uint8))


def test_other_sizes_are_resized_and_constant_images_counted(tmp_path: Path) -> None:
    given = arrays()
    given["images"] = given["images"].repeat(2, 1).repeat(2, 2)
    given["images"][:4] = 0.3
    np.savez(tmp_path / "a.npz", **given)
    got = read(tmp_path / "a.npz")
    assert got.images.shape == (75, SIZE, SIZE) and got.constant == 4 and (got.images.sum((1, 2)) == 0).sum() == 4


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (lambda a: a | dict(images=np.where(np.arange(75)[:, None, None] == 7, np.nan, a["images"])), "400 of 30000 pixels are NaN"),
        (lambda a: a | dict(images=a["images"] * 255), r"\[0, 1\]"),
        (lambda a: a | dict(images=a["images"][:, :, 0]), "three dimensions"),
        (lambda a: a | dict(exemplar=a["exemplar"][:-1]), "75 images but 74 exemplar indices"),
        (lambda a: a | dict(exemplar=a["exemplar"] + 1), "there are 25 exemplars"),
        (lambda a: a | dict(exemplars=a["exemplars"] * 0), "25 of 25 exemplars are constant"),
        (lambda a: {k: v for k, v in a.items() if k != "exemplars"}, "lacks the array exemplars"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_file_and_reason(changed: Any, reason: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **changed(arrays()))
    with pytest.raises(ValueError, match=rf"bad\.npz: .*{reason}"):
        read(tmp_path / "bad.npz")


def test_files_that_are_no_such_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK not really")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    pd.DataFrame({"pixels": [[0.0]]}).to_parquet(tmp_path / "b.parquet")
    for name in ("a.npz", "a.parquet", "b.parquet"):
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)
