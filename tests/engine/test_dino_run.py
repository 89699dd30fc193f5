"""Sweeps whose drawings are compared with people's in the features of DINOv2."""

from __future__ import annotations

import sys
from pathlib import Path

import made_dino
import pandas as pd
import pytest
import small
import torch
from made_colour import make_faces

from oneshot.store.tables import DINO
from oneshot.sweep import Sweep, SweepError, grid
from oneshot.sweep.expansion import expand

FACES = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Which faces are like photographs?",
    model="set_vae",
    variant="tiny",
    points=grid(beta=[1.0, 2.0]),
    fixed=dict(
        dataset="celeba", split="identities", image_size=16, pixels="logistic_mixture", epochs=1,
        set_size=3, drawings_per_class=18, likelihood="none", augmented_copies=0,{more}
    ),
)
"""


def write(folder: Path, more: str = ' dino_weights="dino.pth",') -> Path:
    path = folder / "faces.py"
    path.write_text(FACES.format(more=more))
    return path


@pytest.fixture
def home(tmp_path: Path, own_cache: Path) -> Path:
    """A folder with made faces and a DINOv2 of random weights."""
    make_faces(tmp_path / "data" / "celeba")
    torch.save(made_dino.state(width=64, layers=1), tmp_path / "dino.pth")
    return tmp_path


@pytest.mark.slow
def test_colour_is_compared_with_people(home: Path) -> None:
    pytest.importorskip("transformers", reason="needs transformers: pip install 'oneshot[eval]'")
    for more in ("", ' dino_weights="dino.pth",'):
        done = small.main(write(home, more), "--local", "--results", "results", cwd=home)
        assert done.returncode == 0, done.stdout + done.stderr
        frame = pd.read_parquet(home / "results" / "faces" / "points.parquet")
        drawn = sorted((home / "results/store/drawings").glob("*/drawings.npz"))
        if not more:
            before, files = frame, {path: path.stat().st_mtime_ns for path in drawn}
    assert before[list(DINO)].isna().all(axis=None) and set(before.model) == {"set_vae"}
    assert (frame.status == "done").all() and frame[list(DINO)].notna().all(axis=None)
    rows = frame.set_index("model")
    assert sorted(rows.index) == ["copy", "human", "set_vae", "set_vae"]
    people, copies, models = rows.loc["human"], rows.loc["copy"], rows.loc["set_vae"]
    assert people.dino_fid < 1e-6 and people.dino_recall == people.dino_coverage == 1
    assert copies.dino_recall == 0 and copies.dino_fid > 0 and copies.dino_kid > 0
    assert (models.dino_fid > people.dino_fid).all()
    # stored drawings are scored: nothing is drawn again
    assert sorted(models.sample_id) == sorted(before.sample_id) and len(files) == 2
    assert not set(models.point_id) & set(before.point_id)
    assert all(path.stat().st_mtime_ns == time for path, time in files.items())
    assert len(list((home / "results/store/features").glob("*.npy"))) == 1
    for more in ([], ["--over-seeds"]):
        looked = small.main("results/faces", *more, script="analyze.py", cwd=home, COLUMNS="300")
        shown = {line.split()[0] for line in looked.stdout.splitlines()}
        assert looked.returncode == 0 and "dino_fid" in looked.stdout, looked.stderr
        assert {"human", "copy", "set_vae"} <= shown and "recognizability" not in looked.stdout
    again = small.main(write(home), "--check", "--results", "results", cwd=home)
    assert "to run 0" in again.stdout


@pytest.mark.parametrize("way", ["--check", "--local"])
def test_a_file_that_does_not_fit_is_told_before_anything_is_made(way: str, home: Path) -> None:
    pytest.importorskip("transformers", reason="needs transformers: pip install 'oneshot[eval]'")
    torch.save({"weight": torch.ones(2)}, home / "dino.pth")
    done = small.main(write(home), way, "--results", "results", cwd=home)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "error: dino.pth is not a file of DINOv2: it lacks embeddings" in done.stderr
    assert "--> faces.py" in done.stderr and not (home / "results").exists()


def test_without_the_package_the_check_says_how_to_get_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    done = small.main(write(home), "--check", "--results", "results", cwd=home)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "pip install 'oneshot[eval]'" in done.stderr and "transformers" in done.stderr


def refusal(model: str, **fixed: object) -> str:
    """What an expansion with these settings says."""
    with pytest.raises(SweepError) as caught:
        expand(Sweep("?", model, grid(exemplar=["first"]), fixed=fixed))
    return str(caught.value)


def test_what_the_file_cannot_score_is_refused(home: Path) -> None:
    faces = dict(dataset="celeba", split="identities", image_size=16)
    none = refusal(
        "set_vae",
        **faces,
        pixels="logistic_mixture",
        drawings_per_class=0,
        likelihood="elbo",
        dino_weights="dino.pth",
    )
    assert "drawings_per_class = 0 draws none" in none
    people = refusal("human", **faces, human_file="dino.pth")
    assert "without dino_weights nothing would be scored" in refusal("human", **faces)
    assert "human_file holds binary images; celeba holds colour images" in people


def test_the_content_of_the_file_enters_the_ids_of_what_it_scores(home: Path) -> None:
    (home / "other.pth").write_bytes(b"other")
    (home / "same.pth").write_bytes((home / "dino.pth").read_bytes())
    bits = dict(dataset="quickdraw", split="fixed", image_size=16)
    found = {
        name: expand(
            Sweep(
                "?",
                "vae_stn",
                grid(beta=[1.0]),
                fixed={**bits, "dino_weights": name and f"{name}.pth"},
            )
        )
        for name in ("", "dino", "other", "same")
    }
    models = {name: points[0] for name, points in found.items()}
    assert models[""].graders == {"panel": 1, "plane": 2}
    assert models["dino"].graders == {"dino": 1, "panel": 1, "plane": 2}
    assert models["dino"].point_id == models["same"].point_id
    assert len({point.point_id for point in models.values()}) == 3
    assert len({point.sample_id for point in models.values()}) == 1
    assert all("dino" in point.graders for point in found["dino"])  # references, too
