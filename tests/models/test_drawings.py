"""Images made elsewhere: read, checked, scored by the same path, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oneshot.models.drawings import Config, FromFile
from oneshot.types import DataSet

SIZE = 20
NOTHING = np.empty(0, np.int64)
DATA = DataSet(
    "made",
    "fixed",
    "0",
    np.zeros((1, SIZE, SIZE), np.uint8),
    np.zeros(1, np.int64),
    ("a",),
    NOTHING,
    NOTHING,
    NOTHING,
)


def arrays(**changed: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    exemplars = (rng.random((25, SIZE, SIZE)) > 0.8).astype(np.float32)
    index = rng.permutation(np.arange(25).repeat(3))
    return dict(images=exemplars[index] * 0.9, exemplar=index, exemplars=exemplars) | changed


def read(path: Path) -> Any:
    return FromFile(Config(file=str(path))).draw(DATA, NOTHING, 0, 0)


def write_parquet(path: Path, given: dict[str, Any]) -> None:
    rows = [
        dict(kind="drawing", exemplar=int(e), pixels=i.ravel())
        for i, e in zip(given["images"], given["exemplar"])
    ]
    rows += [
        dict(kind="exemplar", exemplar=k, pixels=i.ravel())
        for k, i in enumerate(given["exemplars"])
    ]
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
    assert (
        got.images.shape == (75, SIZE, SIZE)
        and got.constant == 4
        and (got.images.sum((1, 2)) == 0).sum() == 4
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            lambda a: (
                a | dict(images=np.where(np.arange(75)[:, None, None] == 7, np.nan, a["images"]))
            ),
            "400 of 30000 pixels are NaN",
        ),
        (lambda a: a | dict(images=a["images"] * 255), r"\[0, 1\]"),
        (lambda a: a | dict(images=a["images"][:, :, 0]), "three dimensions"),
        (lambda a: a | dict(exemplar=a["exemplar"][:-1]), "75 images but 74 exemplar indices"),
        (lambda a: a | dict(exemplar=a["exemplar"] + 1), "there are 25 exemplars"),
        (lambda a: a | dict(exemplars=a["exemplars"] * 0), "25 of 25 exemplars are constant"),
        (lambda a: {k: v for k, v in a.items() if k != "exemplars"}, "lacks the array exemplars"),
        (lambda a: a | dict(class_names=np.array(list("abcde"))), "5 class names for 25 exemplars"),
        (
            lambda a: a | dict(class_names=np.array([str(i) for i in range(26)])),
            "26 class names for 25 exemplars",
        ),
        (
            lambda a: a | dict(class_names=np.array("all")),
            "class_names has 0 dimensions; it has to be a list",
        ),
        (
            lambda a: a | dict(class_names=np.array(["a"] * 25, object)),
            "plain arrays .*allow_pickle",
        ),
        (lambda a: a | dict(images=np.array([b"x"] * 75)), "three dimensions"),
        (
            lambda a: a | dict(images=np.full((75, SIZE, SIZE), "1")),
            "images are <U1; they have to be numbers",
        ),
        (lambda a: a | dict(images=a["images"] + 0j), "images are complex"),
        (lambda a: a | dict(images=a["images"][:, :0]), "have no pixels"),
        (lambda a: a | dict(images=a["images"][:0], exemplar=a["exemplar"][:0]), "images is empty"),
        (lambda a: a | dict(exemplars=a["exemplars"][:0]), "exemplars is empty"),
        (lambda a: a | dict(exemplars=np.float32(1)), r"exemplars \(\) must have three dimensions"),
        (
            lambda a: a | dict(exemplars=a["exemplars"].astype(np.int64) * 255),
            r"pixels of exemplars .*range 0 \.\. 255; divide bytes",
        ),
        (
            lambda a: a | dict(images=-(a["images"] > 0).astype(np.int8)),
            "pixels of images must lie in",
        ),
        (lambda a: a | dict(exemplar=a["exemplar"] + 0.5), "numbers that are not whole"),
        (lambda a: a | dict(exemplar=a["exemplar"] * np.nan), "numbers that are not whole"),
        (
            lambda a: a | dict(exemplar=a["exemplar"].astype(str)),
            "exemplar is <U.*one whole number for each of the 75 images",
        ),
        (lambda a: a | dict(exemplar=np.int64(3)), r"exemplar is int64 \(\)"),
        (
            lambda a: a | dict(images=1 - a["images"]),
            r"\d\d % of the pixels are ink; ink must be bright \(1\)",
        ),
        (
            lambda a: a | dict(exemplars=1 - a["exemplars"]),
            r"\d\d % of the pixels of exemplars are ink; .*invert the images",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_with_file_and_reason(
    changed: Any, reason: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "bad.npz", **changed(arrays()))
    with pytest.raises(ValueError, match=rf"^{tmp_path}/bad\.npz: .*{reason}"):
        read(tmp_path / "bad.npz")


def test_files_that_are_no_such_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK not really")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    pd.DataFrame({"pixels": [[0.0]]}).to_parquet(tmp_path / "b.parquet")
    np.savez(tmp_path / "whole.npz", **arrays())
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:3000])
    (tmp_path / "flipped.npz").write_bytes(whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:])
    (tmp_path / "zero.npz").write_bytes(b"")
    (tmp_path / "zero.parquet").write_bytes(b"")
    np.save(tmp_path / "array.npy", arrays()["images"])
    (tmp_path / "array.npz").write_bytes((tmp_path / "array.npy").read_bytes())
    (tmp_path / "text.npz").write_text("0 1 1 0\n" * 50)
    (tmp_path / "folder.npz").mkdir()
    given = arrays()
    objects = [
        dict(kind="drawing", exemplar=0, pixels=given["images"][0].astype(np.uint8).tobytes())
    ]
    pd.DataFrame(objects).to_parquet(tmp_path / "bytes.parquet")
    for name, reason in {
        "a.npz": "no whole npz",
        "a.parquet": "no whole Parquet file",
        "b.parquet": "lacks the column kind, exemplar; it has pixels",
        "cut.npz": "no whole npz",
        "flipped.npz": "no whole npz",
        "zero.npz": "no whole npz",
        "zero.parquet": "no whole Parquet",
        "array.npy": "give an .npz",
        "array.npz": "it holds a single array, not an npz with images, exemplar, exemplars",
        "text.npz": "no whole npz",
        "folder.npz": "no whole npz",
        "nothing.npz": "No such file",
        "bytes.parquet": "row 0 of column pixels is not a list of numbers",
    }.items():
        with pytest.raises(ValueError, match=rf"^{tmp_path}/{name}: .*{reason}"):
            read(tmp_path / name)


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint16, bool, np.float16])
def test_zeros_and_ones_of_any_type_are_the_same_drawings(kind: type, tmp_path: Path) -> None:
    given = arrays()
    given["images"] = given["exemplars"][given["exemplar"]]
    np.savez(tmp_path / "a.npz", **given)
    plain = read(tmp_path / "a.npz")
    given |= {name: given[name].astype(kind) for name in ("images", "exemplars")}
    np.savez(tmp_path / "b.npz", **given)
    write_parquet(tmp_path / "b.parquet", given)
    for name in ("b.npz", "b.parquet"):
        again = read(tmp_path / name)
        assert np.array_equal(again.images, plain.images) and np.array_equal(
            again.exemplars, plain.exemplars
        )


def test_pixels_as_python_numbers_in_a_frame(tmp_path: Path) -> None:
    given = arrays()
    given["images"] = given["exemplars"][given["exemplar"]]
    np.savez(tmp_path / "a.npz", **given)
    rows = [
        dict(kind="drawing", exemplar=float(e), pixels=[int(v) for v in i.ravel()])
        for i, e in zip(given["images"], given["exemplar"])
    ]
    rows += [
        dict(kind="exemplar", exemplar=k, pixels=[int(v) for v in i.ravel()])
        for k, i in enumerate(given["exemplars"])
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    one, two = read(tmp_path / "a.npz"), read(tmp_path / "a.parquet")
    assert np.array_equal(one.images, two.images) and np.array_equal(one.label, two.label)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            dict(kind="sketch"),
            r"column kind holds 'sketch'; it has to be \"drawing\" or \"exemplar\"",
        ),
        (dict(kind=None), "column kind holds None"),
        (dict(exemplar=None), "column exemplar holds None|column exemplar holds nan"),
        (dict(exemplar=0.5), r"column exemplar holds 0\.5; it has to be a whole number"),
        (dict(exemplar=25), "there are 25 exemplars"),
        (dict(pixels=None), "row 3 of column pixels is not a list of numbers, but nothing"),
        (dict(pixels=[0.0] * 399), r"images of 399 pixels are not square \(row 3\)"),
        (
            dict(pixels=[0.0, 1.0, 0.0, 1.0]),
            r"images have different sizes: 400 and 4 pixels \(row 3\)",
        ),
        (dict(pixels=[]), r"images of 0 pixels are not square \(row 3\)"),
        (dict(pixels=[None] * 400), "row 3 of column pixels|400 of 30000 pixels are NaN"),
    ],
)
def test_one_odd_row_is_named(changed: dict[str, Any], reason: str, tmp_path: Path) -> None:
    given = arrays()
    rows = [
        dict(kind="drawing", exemplar=int(e), pixels=i.ravel())
        for i, e in zip(given["images"], given["exemplar"])
    ]
    rows += [
        dict(kind="exemplar", exemplar=k, pixels=i.ravel())
        for k, i in enumerate(given["exemplars"])
    ]
    rows[3] |= changed
    pd.DataFrame(rows).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=rf"^{tmp_path}/bad\.parquet: .*({reason})"):
        read(tmp_path / "bad.parquet")


def test_noise_of_even_chances_is_no_bright_paper(tmp_path: Path) -> None:
    noise = (np.random.default_rng(1).random((75, SIZE, SIZE)) < 0.52).astype(np.uint8)
    np.savez(tmp_path / "noise.npz", **arrays(images=noise))
    assert read(tmp_path / "noise.npz").images.mean() > 0.5


def test_grey_paper_counts_as_paper(tmp_path: Path) -> None:
    """Values are stretched before they are judged."""
    given = arrays()
    np.savez(tmp_path / "grey.npz", **given | dict(images=0.7 + 0.3 * given["images"]))
    np.savez(tmp_path / "plain.npz", **given)
    assert np.array_equal(read(tmp_path / "grey.npz").images, read(tmp_path / "plain.npz").images)
