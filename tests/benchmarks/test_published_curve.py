"""The curve of VAE-STN beside the published one: its table and its figure say what rows say."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from made_critics import score_again
from synthetic_results import grid, write_results

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import published_curve


def test_means_with_intervals_of_each_beta_and_the_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_results(tmp_path / "made", grid(beta=[0.0, 1.0, 4.0]), seeds=3)
    score_again(made, 1)
    made.rename(tmp_path / published_curve.SWEEP)
    published_curve.main(tmp_path, tmp_path)
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        *("beta 0", "beta 1", "beta 4"),
        *("human", "copy", "noise"),
    ]
    shown = pd.read_csv(tmp_path / f"{published_curve.SWEEP}_beside_published.csv")
    assert shown.seeds[0] == 3 and shown.critics[0] == 2
    rows = pd.read_parquet(tmp_path / published_curve.SWEEP / "points.parquet")
    mean = rows[(rows.model == "vae_stn") & (rows.beta == 1)].recognizability.mean()
    mine = shown[shown.beta == 1].iloc[0]
    assert mine.recognizability == pytest.approx(mean, abs=1e-3)
    assert mine.recognizability_low < mean < mine.recognizability_high
    assert f"{mean:.1f} [" in lines[3]
    assert (tmp_path / f"{published_curve.SWEEP}_beside_published.png").stat().st_size > 10_000
