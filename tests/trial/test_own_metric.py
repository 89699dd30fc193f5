"""Metrics of the user's in a trial: tried before it, brought to workers, asked for numbers."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import small
from own_metric_files import forget, forgotten_metrics, sweep_file, write

from oneshot.store.store import Store
from oneshot.sweep import own_metrics
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.trial import files, own_metric
from oneshot.types import Drawings, Kind

__all__ = ["forgotten_metrics"]
pytestmark = pytest.mark.usefixtures("forgotten_metrics")


def points(folder: Path) -> list[Point]:
    return expand(load_sweep(sweep_file(folder)))


def test_a_worker_has_the_file_from_the_store(tmp_path: Path) -> None:
    path = write(tmp_path)
    point, store = points(tmp_path)[-1], Store(tmp_path / "results")
    travelled = pickle.loads(pickle.dumps(point))
    files.store_files([point], store)
    path.unlink()
    forget()
    assert not own_metrics.is_known("ink")
    own_metric.use(travelled, store)
    drawn = own_metric.made_drawings(Kind.BITS, 16)
    assert own_metric.score("ink", drawn)["ink_share"] == pytest.approx(drawn.images.mean())
    forget()
    with pytest.raises(files.MissingInput, match=r"ink.py is not in .*elsewhere: run the sweep"):
        own_metric.use(travelled, Store(tmp_path / "elsewhere"))


def test_an_edit_during_a_run_is_told(tmp_path: Path) -> None:
    path = write(tmp_path)
    made = points(tmp_path)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(Exception, match="has changed since this run began"):
        files.store_files(made, Store(tmp_path / "results"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("share.mean()", "share.mean(", "line 13: "),
        ("share.mean()", "shares.mean()", "ink.py, line 13: NameError: name 'shares'"),
        ("import numpy", "import absent_package, numpy", "line 4: ModuleNotFoundError"),
        ('"ink_share": share', '"inc": share', "ink returns columns inc, ink_sd; its"),
        ('{"ink_share": share.mean(), ', "share or {", "line 13: ValueError"),
        ("share.mean()", "'a lot'", "ink returns ink_share = 'a lot', which is no number"),
    ],
)
def test_what_is_wrong_is_told_before_the_first_trial(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    write(tmp_path, old=old, new=new)
    done = small.main(sweep_file(tmp_path), "--local", "--results", tmp_path / "results")
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert not (tmp_path / "results").exists()


def test_a_column_that_the_table_has_is_refused(tmp_path: Path) -> None:
    write(tmp_path, old='"ink_share":', new='"diversity":')
    ((text, _),) = own_metric.problems(points(tmp_path))
    assert text.endswith("ink.py: the table has a column 'diversity' already")


def test_a_number_that_is_not_finite_is_left_empty(tmp_path: Path) -> None:
    write(tmp_path)
    points(tmp_path)
    nothing = Drawings(np.full((2, 4, 4), np.nan), np.zeros(2), np.zeros((0, 4, 4)), ())
    assert own_metric.score("ink", nothing) == {"ink_share": None, "ink_sd": None}


@pytest.mark.parametrize("kind", list(Kind))
def test_made_drawings_are_of_their_kind(kind: Kind) -> None:
    drawn = own_metric.made_drawings(kind, 8)
    shape = {"bits": (8, 8), "greys": (8, 8, 1), "colour": (8, 8, 3), "points": (2,)}[kind]
    assert drawn.images.shape == (12, *shape) and drawn.exemplars.shape == (3, *shape)
    assert (drawn.images.max() == 1) == (kind == Kind.BITS) and not math.isnan(drawn.images.sum())
