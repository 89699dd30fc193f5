"""A metric of the user's over results that are there: scored anew, and nothing is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import small
from own_metric_files import forgotten_metrics, sweep_file, write

from oneshot.scoring import sample

__all__ = ["forgotten_metrics"]
pytestmark = pytest.mark.usefixtures("forgotten_metrics")


@pytest.mark.slow
def test_drawings_that_are_there_are_scored_and_nothing_is_trained(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    before = pd.read_parquet(tmp_path / "results/small/points.parquet")
    write(tmp_path)
    done = small.main(sweep_file(tmp_path), "--local", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    after = pd.read_parquet(tmp_path / "results/small/points.parquet")
    assert len(after) == len(before) == 6 and not {*after.point_id} & {*before.point_id}
    assert after.train_seconds.tolist() == before.train_seconds.tolist(), "trained anew"
    assert (after.draw_seconds == 0).all()
    assert after.diversity.tolist() == pytest.approx(before.diversity.tolist())
    assert after.ink_share.between(0.01, 0.99).all() and after.ink_sd.notna().all()
    for sample_id, share in zip(after.sample_id, after.ink_share):
        stored = tmp_path / "results/store/drawings" / sample_id / "drawings.npz"
        drawn = sample.from_bytes(stored.read_bytes()).images
        assert share == pytest.approx(drawn.mean()), "scored from the drawings that are stored"
    assert [*before.columns] == [n for n in after.columns if n not in ("ink_share", "ink_sd")]
    shown = small.main(
        tmp_path / "results/small",
        *("--no-figures", "--columns", "beta,ink_share", "--where", "ink_share > 0"),
        script="analyze.py",
    )
    assert shown.returncode == 0 and "ink_share" in shown.stdout, shown.stderr
    folder = tmp_path / "results/small"
    means = small.main(
        *(folder, "--no-figures", "--over-seeds", "--columns", "beta,ink_share,ink_share_low"),
        script="analyze.py",
    )
    assert means.returncode == 0 and "ink_share_low" in means.stdout, means.stderr
    again = small.main(sweep_file(tmp_path), "--local", "--results", tmp_path / "results")
    assert again.returncode == 0 and "Nothing to run" in again.stderr
    small.main(small.write_sweep(tmp_path), "--local", "--results", tmp_path / "results")
    back = pd.read_parquet(tmp_path / "results/small/points.parquet")
    assert [*back.columns] == [*before.columns], "the sweep without it has no such column"
