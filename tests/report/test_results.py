"""Loading the results of one sweep, and of several."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from figure_checks import analyze
from synthetic_results import grid, write_results

from oneshot.report import analysis
from oneshot.report.analysis.plane import across, human_point
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, plane
from oneshot.report.results import Results, join, load, several_critics
from oneshot.report.select import select

ANALYSIS = Path(analysis.__file__).parent


def test_load_knows_what_was_swept(loaded: Results, folder: Path) -> None:
    assert (loaded.name, loaded.axes, loaded.folder, loaded.revision) == (
        "vae_stn",
        ["beta", "time_steps", "z"],
        folder,
        "e41c2d7",
    )
    assert len(loaded.points) == 3 + 90 and len(loaded.models) == 87 and len(loaded.references) == 3
    assert set(loaded.curves["point_id"]) <= set(loaded.points["point_id"])


def test_load_takes_the_only_sweep_of_a_results_folder_and_the_file_itself(folder: Path) -> None:
    assert load(folder.parent).name == load(folder / "points.parquet").name == "vae_stn"


def test_load_lists_the_sweeps_when_there_are_several(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_results(tmp_path, grid(beta=[1.0]), name=name)
    with pytest.raises(AnalysisError, match="holds 2 sweeps") as caught:
        load(tmp_path)
    assert str(tmp_path / "one") in caught.value.help and str(tmp_path / "two") in caught.value.help


def test_load_names_near_folders(folder: Path) -> None:
    with pytest.raises(AnalysisError, match="no folder") as caught:
        load(folder.parent / "vae_snt")
    assert str(folder) in caught.value.help


def test_load_says_when_there_is_no_table_yet(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="holds no results"):
        load(tmp_path)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "ab.json").write_text("{}")
    with pytest.raises(AnalysisError, match="has records but no points"):
        load(tmp_path)


def test_load_refuses_foreign_newer_and_broken_tables(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0]))
    file = folder / "points.parquet"
    table = pyarrow.parquet.read_table(file)
    newer = {
        b"oneshot": json.dumps({"format": 9, "sweep": "x", "question": "", "axes": []}).encode()
    }
    pyarrow.parquet.write_table(table.replace_schema_metadata(newer), file)
    with pytest.raises(AnalysisError, match=r"has table format 9; this oneshot reads 1 \.\. 4"):
        load(folder)
    pyarrow.parquet.write_table(table.replace_schema_metadata(None), file)
    with pytest.raises(AnalysisError, match="was not written by"):
        load(folder)
    file.write_bytes(b"PAR1 nonsense")
    with pytest.raises(AnalysisError, match="cannot read"):
        load(folder)


def test_load_does_without_curves_and_classes(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0]))
    (folder / "curves.parquet").unlink()
    (folder / "classes.parquet").unlink()
    assert select(load(folder), "beta == 1").curves.empty


def other_sweep(folder: Path, name: str, critic: str) -> Path:
    """A copy of a sweep under another name, its models other points, people the same."""
    target = folder.parent / name
    for file in folder.glob("*.parquet"):
        table = pyarrow.parquet.read_table(file)
        frame = table.to_pandas()
        if "model" in frame:
            frame["sweep"], frame["simclr_id"] = name, critic
            frame["point_id"] = [
                p if m in ("human", "copy", "noise") else f"x{p}"
                for p, m in zip(frame.point_id, frame.model)
            ]
        else:
            frame["point_id"] = "x" + frame["point_id"]
        about = json.loads(table.schema.metadata[b"oneshot"]) | {"sweep": name}
        made = pyarrow.Table.from_pandas(frame, preserve_index=False)
        target.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(
            made.replace_schema_metadata({b"oneshot": json.dumps(about)}), target / file.name
        )
    return target


def test_sweeps_of_the_same_critics_lie_on_one_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_results(tmp_path, grid(beta=[0.5, 1.0], z=[10, 20]), name="first")
    first, second = other_sweep(folder, "a", "c1"), other_sweep(folder, "b", "c1")
    together = join([load(first), load(second)])
    # the same points in both
    assert (
        together.axes[0] == "sweep"
        and len(together.models) == 8 - 4
        and len(together.references) == 3
    )
    renamed = load(second)
    renamed.points["point_id"] = [
        p if m in ("human", "copy", "noise") else f"y{p}"
        for p, m in zip(renamed.points.point_id, renamed.points.model)
    ]
    together = join([load(first), renamed])
    assert len(together.models) == 8 and len(together.references) == 3 and together.name == "a + b"
    assert together.generalization.groupby("point_id").size().unique().tolist() == [10]
    old = write_results(tmp_path, grid(beta=[0.5, 1.0], z=[10, 20]), name="old", version=3)
    mixed = join([load(first), load(other_sweep(old, "d", "c1"))])
    assert (
        len(mixed.generalization) == 70
        and mixed.generalization["bin"].tolist() == [*range(1, 11)] * 7
    )
    monkeypatch.setattr(all_figures, "FIGURES", {"plane": plane.draw})
    done = analyze(first, second, "--figures", tmp_path / "figures")
    assert done.returncode == 0 and (tmp_path / "figures" / "plane.png").exists(), done.stderr
    refused = analyze(first, second)
    assert refused.returncode == 2 and "--figures DIR" in refused.stderr


def test_sweeps_scored_by_different_versions_are_not_joined(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[0.5, 1.0], z=[10, 20]), name="first")
    old, new = load(other_sweep(folder, "a", "c1")), load(other_sweep(folder, "b", "c1"))
    new.points["point_id"] = "y" + new.points["point_id"]
    old.points["metric_versions"] = "standardise 1 diversity 1 recognizability 1"
    new.points["metric_versions"] = "panel 1 plane 2"
    with pytest.raises(AnalysisError, match=r"versions of the plane: a by 1, b by 2") as caught:
        join([old, new])
    assert "stored drawings" in str(caught.value.help)
    old.points["metric_versions"] = "importance 1 plane 2"  # other graders are no matter
    assert len(join([old, new]).points) > len(new.points)


def test_sweeps_of_different_critics_are_joined_in_multiples_of_people_s_diversity(
    tmp_path: Path,
) -> None:
    folder = write_results(tmp_path, grid(beta=[0.5, 1.0], z=[10, 20]), name="first")
    first, other = load(other_sweep(folder, "a", "c1")), load(other_sweep(folder, "b", "c2"))
    assert across(first) == "diversity"
    other.points["point_id"] = "y" + other.points["point_id"]
    for name in ("diversity", "human_diversity", "diversity_se"):  # a critic of small features
        other.points[name] *= 0.25
    together = join([first, other])
    assert several_critics(together) and across(together) == "diversity_ratio"
    assert human_point(together) == (1.0, pytest.approx(97.6))
    ratios = together.models.groupby("sweep")["diversity_ratio"].mean()
    assert ratios["a"] == pytest.approx(ratios["b"])
    plot = plane.draw(together)
    assert plot.figure.axes[0].get_xlabel() == "diversity / people's"
    assert plot.figure.axes[0].get_xlim() == (0, 2.4)
    other.points.loc[other.points["model"] != "human", "human_diversity"] = np.nan
    other.points["diversity_ratio"] = np.nan
    with pytest.raises(AnalysisError, match=r"different critics.* is not known in b"):
        join([first, other])


def test_the_ratio_is_made_where_tables_lack_it(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[0.5, 1.0]))
    file = folder / "points.parquet"
    table = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(table.drop_columns(["diversity_ratio"]), file)
    assert "diversity_ratio" not in pd.read_parquet(file)
    rows = load(folder).models
    assert rows["diversity_ratio"].tolist() == pytest.approx((rows["diversity"] / 1.29).tolist())


def test_plain_pandas_queries_answer_questions(folder: Path) -> None:
    p = pd.read_parquet(folder / "points.parquet").query("status == 'done'")
    nearest = p.nsmallest(10, "human_distance")[
        ["beta", "time_steps", "z", "diversity", "recognizability"]
    ]
    by_beta = p.groupby("beta")[["diversity", "recognizability"]].agg(["mean", "std", "count"])
    seeds = p.groupby(["beta", "time_steps", "z"]).human_distance.agg(["mean", "sem"])
    hours = p.assign(gpu_h=p.train_seconds / 3600).groupby("time_steps").gpu_h.sum()
    hardest = (
        pd.read_parquet(folder / "classes.parquet")
        .groupby("class_name")
        .recognizability.mean()
        .nsmallest(10)
    )
    assert (
        len(nearest) == 10
        and by_beta[("diversity", "mean")].is_monotonic_decreasing
        and len(seeds) == 29
    )
    assert hours.loc[20] == pytest.approx(30 * 80 / 3600) and hardest.index[0] == "class02"


def test_analysis_needs_neither_torch_nor_matplotlib_nor_ray() -> None:
    names = [f"oneshot.report.analysis.{file.stem}" for file in ANALYSIS.glob("[a-z]*.py")]
    code = f"import sys, {', '.join(['oneshot.report.table', *names])}\n"
    code += "sys.exit(any(m in sys.modules for m in ('torch', 'matplotlib', 'ray')))"
    assert len(names) > 5 and subprocess.run([sys.executable, "-c", code]).returncode == 0
