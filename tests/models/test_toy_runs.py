"""A sweep of toy GANs from the command to tables, figures and the summary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Do points work?",
    model="toy_gan",
    variant="tiny",
    points=grid(lambda_g=[0.0, 0.5], split=["without_0", "without_3"]),
    fixed=dict(dataset="gaussians", drawings_per_class=20),
    references=("ring", "chords", "kept"),
)
"""
ASKED = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Do classes of points work?",
    model="toy_gan",
    variant="tiny_class",
    points=grid(fake_labels=["all", "kept"], shots=[0, 2]),
    fixed=dict(dataset="swiss_roll", split="without_3", drawings_per_class=5),
    references=(),
)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.py").write_text(SWEEP)
    done = small.main("toy.py", "--local", "--results", "results", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout + done.stderr)
    return folder


def table(folder: Path, name: str, sweep: str = "toy") -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / sweep / f"{name}.parquet")


def test_points_are_scored_by_modes_alone_and_need_no_critics(results: Path) -> None:
    found = table(results, "points")
    own = found[found["model"] == "toy_gan"]
    assert len(own) == 4 and len(found) == 10 and (found["status"] == "done").all()
    assert not list((results / "results" / "store").glob("critics/*"))
    numbers = found[["hits_missing", "mode_distance", "modes_covered", "off_modes"]]
    assert np.isfinite(numbers.to_numpy(float)).all() and found["diversity"].isna().all()
    assert (own["trained_as"] == "stack of 2, eager").all() and (own["drawings"] == 160).all()
    assert (found["metric_versions"] == "modes 1").all()
    nulls = found.set_index("model")["hits_missing"]
    assert nulls["chords"].eq(0).all() and nulls["kept"].eq(0).all()


def test_the_table_of_modes_has_a_line_a_point_and_mode(results: Path) -> None:
    modes, points = table(results, "modes"), table(results, "points")
    assert len(modes) == 80 and (modes.groupby("point_id")["removed"].sum() == 1).all()
    removed = modes[modes["removed"] == 1].set_index("point_id")["hits"]
    whole = points.set_index("point_id")["hits_missing"]
    np.testing.assert_allclose(removed.sort_index(), whole.sort_index())
    curves = table(results, "curves")
    assert {"train_adversarial", "train_classification", "train_generator_creativity"} <= set(
        curves
    )


def test_the_summary_names_the_nearest_to_the_modes_and_the_references(results: Path) -> None:
    text = (results / "said.txt").read_text()
    assert "nearest  " in text and "hits_missing" in text and "nearest to people" not in text
    assert all(f"\n{name} " in text for name in ("ring", "chords", "kept"))


def test_figures_are_those_of_points_alone(results: Path) -> None:
    folder = results / "results" / "toy"
    done = small.main(folder, script="analyze.py")
    assert done.returncode == 0, done.stderr
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn == {"modes", "missing", "curves"} and "no plane" not in done.stderr
    assert "mode_distance" in done.stdout and "human_distance" not in done.stdout
    status = small.main("toy.py", "--local", "--results", "results", "--status", cwd=results)
    assert status.returncode == 0, status.stderr
    averaged = small.main(folder, "--over-seeds", "--no-figures", script="analyze.py")
    assert averaged.returncode == 0 and "hits_missing" in averaged.stdout


def test_families_asked_by_a_class_draw_all_classes_and_take_shots(tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text(ASKED)
    done = small.main("asked.py", "--local", "--results", "results", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = table(tmp_path, "points", "asked")
    assert len(found) == 4 and (found["status"] == "done").all() and (found["drawings"] == 40).all()
    modes = table(tmp_path, "modes", "asked")
    assert (modes["drawings"] == 5).all() and set(modes["mode"]) == {
        f"arc {i}" for i in range(1, 9)
    }
    assert found["train_id"].nunique() == 4
    assert sorted(found["trained_as"]) == ["stack of 2, eager"] * 4


def test_a_number_of_classes_that_the_data_do_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(ASKED.replace('"swiss_roll"', '"gaussians_grid"'))
    done = small.main("wrong.py", "--check", "--results", "results", cwd=tmp_path)
    assert done.returncode == 2
    assert "classes = 8 of toy_gan: gaussians_grid has 25" in done.stderr
    (tmp_path / "bits.py").write_text(
        ASKED.replace('"swiss_roll", split="without_3"', '"quickdraw", split="fixed"')
    )
    done = small.main("bits.py", "--check", "--results", "results", cwd=tmp_path)
    assert "toy_gan models points of the plane, quickdraw holds binary images" in done.stderr
