"""Workers of Ray, which have folders of their own, start from the file that a sweep names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import published_files
import pytest
import small
import torch

from oneshot.models.vae_stn import VARIANTS, Config, VaeStn


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_worker_finds_the_weights_whatever_its_folder_is(prepared: Path) -> None:
    torch.manual_seed(1)
    model = VaeStn(Config(**VARIANTS["tiny"]), 16)
    torch.save(published_files.vae_stn(model), prepared / "tiny.model")
    sweep = small.write_sweep(prepared, epochs=0)
    sweep.write_text(sweep.read_text().replace("epochs=0", "epochs=0, weights_file='tiny.model'"))
    done = small.main("small.py", "--results", "results", cwd=prepared)
    assert done.returncode == 0, done.stdout + done.stderr
    points = pd.read_parquet(prepared / "results/small/points.parquet")
    models = points[points.model == "vae_stn"]
    assert len(models) == 3 and (models.epochs_done == 0).all()
    # beta weighs a loss that nobody computes: what is drawn depends on the seed's noise alone
    assert models.diversity.nunique() == 1
    assert (models.weights_file == "tiny.model").all()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_worker_finds_files_of_drawings_whatever_its_folder_is(prepared: Path) -> None:
    data = small.data()
    rows = data.rows(data.test).reshape(len(data.test), -1)[:, :4]
    np.savez(
        prepared / "people.npz",
        images=data.images[rows.flatten()],
        exemplar=np.arange(len(rows)).repeat(4),
        exemplars=data.images[rows[:, 0]],
    )
    sweep = small.write_sweep(prepared)
    text = sweep.read_text().replace('model="vae_stn"', 'model="drawings"')
    text = text.replace('variant="tiny",', "").replace("epochs=2, batch_size=512, ", "")
    text = text.replace("beta=[0.0, 1.0, 2.0]", "file=['people.npz']")
    sweep.write_text(text.replace("drawings_per_class=4", "human_file='people.npz'"))
    done = small.main("small.py", "--results", "results", cwd=prepared)
    assert done.returncode == 0, done.stdout + done.stderr
    points = pd.read_parquet(prepared / "results/small/points.parquet").set_index("model")
    assert points.human_distance[["human", "drawings"]].tolist() == [0, 0]
    assert points.file["drawings"] == points.human_file["drawings"] == "people.npz"
