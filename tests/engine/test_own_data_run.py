"""A data set in a file of the user's, run through the command, and brought to a worker."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest
import small
from own_data_files import forget, forgotten_data, sweep_file, write

from oneshot.store.store import Store
from oneshot.sweep import own_data
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.trial import files, images

__all__ = ["forgotten_data"]
pytestmark = pytest.mark.usefixtures("forgotten_data")


@pytest.mark.slow
def test_a_sweep_of_it_has_critics_drawings_and_rows(tmp_path: Path, own_cache: Path) -> None:
    write(tmp_path)
    words = (sweep_file(tmp_path), "--local", "--results", tmp_path / "results")
    looked = small.main(*words, "--check")
    assert looked.returncode == 0 and "crosses fixed 16x16 v1-1" in looked.stdout
    done = small.main(*words)
    assert done.returncode == 0, done.stderr
    rows = pd.read_parquet(tmp_path / "results/crossed/points.parquet")
    assert len(rows) == 5 and set(rows.status) == {"done"} and set(rows.dataset) == {"crosses"}
    assert rows.diversity.notna().all() and rows.recognizability.notna().all()
    classes = pd.read_parquet(tmp_path / "results/crossed/classes.parquet")
    assert classes.class_name.nunique() == 20 and classes.class_name.str.startswith("cross").all()
    again = small.main(*words)
    assert again.returncode == 0 and "Nothing to run" in again.stderr


def test_a_worker_has_the_file_from_the_store(tmp_path: Path) -> None:
    path = write(tmp_path)
    point, store = expand(load_sweep(sweep_file(tmp_path)))[-1], Store(tmp_path / "results")
    travelled = pickle.loads(pickle.dumps(point))
    files.store_files([point], store)
    path.unlink()
    forget()
    assert own_data.find("crosses") is None
    assert images.load_images(travelled, store).images.shape == (2000, 16, 16)
    forget()
    with pytest.raises(files.MissingInput, match=r"crosses.py is not in .*elsewhere: run"):
        images.load_images(travelled, Store(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("np.stack(images)", "np.stack(image)", "images are uint8 [16, 16], wanted"),
        ("random.integers(-1", "randoms.integers(-1", "line 17: NameError: name 'randoms'"),
        ("= 1\n            images", "= 2\n            images", "images hold 2"),
    ],
)
def test_what_is_wrong_is_told_before_the_first_trial(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    write(tmp_path, old=old, new=new)
    words = (sweep_file(tmp_path), "--local", "--results", tmp_path / "results")
    done = small.main(*words)
    assert done.returncode == 2 and "crosses.py" in done.stderr, done.stderr
    assert told in done.stderr and "crossed.py:" in done.stderr
    assert not (tmp_path / "results").exists()
