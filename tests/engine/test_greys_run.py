"""A sweep on greys, from its file to its figures: the classifier, hits and their null."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
from made_family import REAL_MIX, installed
from made_greys import write_npz

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Is the class drawn that was left out?",
    model="real_mix",
    points=grid(part=[0.0, 0.3], split=["without_1", "without_4", "all"]),
    references=(),
    fixed=dict(dataset="mnist", image_size=16, drawings_per_class=20),
    critics=dict(classifier=dict(epochs=8, batch_size=16, augment=0)),
)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, small.Done]]:
    """A folder with a finished run, and how it ended."""
    folder = tmp_path_factory.mktemp("greys")
    write_npz(folder / "data" / "mnist_10k.npz", 60)
    (folder / "mix.py").write_text(SWEEP)
    with installed(folder / "package", "real_mix", REAL_MIX):
        yield folder, main(folder)


def main(folder: Path, *flags: str) -> small.Done:
    """Run the sweep in this process."""
    places = dict(ONESHOT_CACHE=str(folder / "cache"), ONESHOT_DATA=str(folder / "data"))
    given = ("mix.py", "--local", "--results", "results", *flags)
    return small.main(*given, cwd=folder, **places)


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / "mix" / f"{name}.parquet")


def test_hits_are_those_that_were_drawn(run: tuple[Path, small.Done]) -> None:
    folder, done = run
    assert done.returncode == 0, done.stderr
    points = table(folder, "points").set_index(["split", "part"])
    assert (points.status == "done").all() and len(points) == 6 and (points.drawings == 200).all()
    (critic,) = table(folder, "critics").to_dict("records")
    assert critic["critic"] == "classifier" and critic["split"] == "all"
    assert critic["test_images"] == 90 and critic["test_accuracy"] > 90
    assert set(points.classifier_id) == {critic["critic_id"]} and set(points.simclr_id) == {""}
    assert points.human_distance.isna().all() and points.diversity.isna().all()
    for split in ("without_1", "without_4"):
        row = points.loc[split]
        assert row.hits_missing[0.3] == pytest.approx(0.3, abs=0.06)
        assert row.hits_missing[0.0] < 0.05 and (row.false_hits < 0.05).all()
        assert (row.hits_missing_90 <= row.hits_missing).all()
        assert (row.classes_covered == 9).all() and (row.class_entropy < np.log(10) / 2).all()
        assert row.removed_diversity[0.3] == pytest.approx(1, abs=0.25)
        assert np.isnan(row.removed_diversity[0.0]) and row.removed_to_shots.isna().all()
    nothing = points.loc["all"]
    assert nothing.hits_missing.isna().all() and nothing.false_hits.isna().all()
    assert (nothing.classes_covered == 10).all() and nothing.asked_accuracy.isna().all()
    predicted = table(folder, "predicted").merge(points.reset_index(), on="point_id")
    assert len(predicted) == 60
    missing = predicted[predicted.left_out == 1]
    assert dict(zip(missing.split, missing.class_name)) == {"without_1": "1", "without_4": "4"}
    assert np.allclose(missing.share, missing.hits_missing)
    assert np.allclose(missing.real_share, missing.false_hits)


def test_what_a_run_says(run: tuple[Path, small.Done]) -> None:
    folder, done = run
    assert "of MNIST only mnist_10k.npz is here" in done.stderr
    assert "% of 90 real test images" in done.stderr + done.stdout
    lines = done.stdout.splitlines()
    best = next(line for line in lines if line.startswith("most hits"))
    assert " 0.3 " in f"{best} " and "false hits" in lines[lines.index(best) - 1]
    again = main(folder)
    assert again.returncode == 0 and "classifier" not in again.stderr
    status = main(folder, "--status", "--json")
    assert json.loads(status.stdout)["done"] == 6
    checked = main(folder, "--check")
    assert "classifier" in checked.stdout and "present" in checked.stdout


def test_tables_and_figures_do_without_a_plane(run: tuple[Path, small.Done]) -> None:
    folder, _ = run
    done = small.main(folder / "results" / "mix", script="analyze.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    header, first = done.stdout.splitlines()[:2]
    assert {"hits_missing", "false_hits", "class_entropy"} <= set(header.split())
    assert "human_distance" not in header and "without" in first and " 0.3" in first
    figures = folder / "results" / "mix" / "figures"
    assert {"removed", "sheet"} <= {path.stem for path in figures.glob("*.png")}
    shown = pd.read_csv(figures / "removed.csv")
    assert sorted(shown.class_name) == [1, 1, 4, 4]
    assert shown.set_index("part").above.to_dict() == {0.0: False, 0.3: True}
    assert "2 of 2 classes left out are drawn more often" in done.stderr
    assert "Drawings in what was left out: most 0.3" in done.stderr
    assert "no plane: no point has a diversity" in done.stderr
    averaged = small.main(
        *(folder / "results" / "mix", "--over-seeds", "--no-figures"),
        script="analyze.py",
        cwd=folder,
    )
    assert averaged.returncode == 0 and "hits_missing" in averaged.stdout
