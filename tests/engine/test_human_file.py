"""Drawings of a file as the people whom models are compared with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The last six drawings of each test class of the small sweep."""
    data = small.data()
    rows = data.rows(data.test).reshape(len(data.test), -1)[:, -6:]
    images, sources = data.images[rows.flatten()], data.images[rows[:, 0]]
    np.savez(
        tmp_path / "people.npz",
        images=images,
        exemplar=np.arange(len(data.test)).repeat(6),
        exemplars=sources,
    )
    return tmp_path / "people.npz"


def write_sweep(folder: Path, more: str) -> Path:
    sweep = small.write_sweep(folder)
    text = sweep.read_text()
    sweep.write_text(text.replace("drawings_per_class=4", f"drawings_per_class=4, {more}"))
    return sweep


def test_people_of_a_file_are_the_reference(finished: Path, file: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    before = pd.read_parquet(tmp_path / "results/small/points.parquet").set_index("model")
    sweep = write_sweep(tmp_path, "human_file='people.npz'")
    done = small.main(sweep, "--local", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    frame = pd.read_parquet(tmp_path / "results/small/points.parquet").set_index("model")
    people, models = frame.loc["human"], frame.loc["vae_stn"]
    assert (people.human_distance, people.diversity_ratio, people.drawings) == (
        0,
        1,
        small.TEST_CLASSES * 6,
    )
    assert people.fid < 1e-6 and people.sample_recall == people.coverage == 1
    assert people.diversity != before.diversity["human"]
    assert (frame.human_diversity == people.diversity).all()
    assert models.sample_id.tolist() == before.loc["vae_stn"].sample_id.tolist()
    assert models.diversity.tolist() == pytest.approx(before.loc["vae_stn"].diversity.tolist())
    assert not set(frame.point_id) & set(before.point_id)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda a: a | dict(images=1 - a["images"]), "ink must be bright"),
        (lambda a: {n: v for n, v in a.items() if n != "exemplar"}, "lacks the array exemplar"),
        (
            lambda a: (
                a
                | dict(
                    images=a["images"][:60],
                    exemplar=a["exemplar"][:60],
                    exemplars=a["exemplars"][:10],
                )
            ),
            "there are 10 exemplars; a drawing is recognised among 20 classes",
        ),
        (
            lambda a: a | dict(images=a["images"][5:], exemplar=a["exemplar"][5:]),
            "1 exemplars have fewer than 2 drawings",
        ),
    ],
)
def test_a_file_that_cannot_be_the_reference_is_refused_before_anything_is_made(
    spoil: object, reason: str, file: Path, tmp_path: Path
) -> None:
    with np.load(file) as arrays:
        np.savez(file, **spoil(dict(arrays)))  # type: ignore[operator]
    sweep = write_sweep(tmp_path, "human_file='people.npz'")
    for more in (["--check"], []):
        refused = small.main(sweep, "--local", "--results", tmp_path / "results", *more)
        assert refused.returncode == 2 and "Traceback" not in refused.stderr
        assert f"human_file: {file}" in refused.stderr and reason in refused.stderr
    assert not (tmp_path / "results/store").exists()
