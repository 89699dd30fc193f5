"""The results of the small sweep, and the model of one of its points."""

from __future__ import annotations

from pathlib import Path

import pytest

import oneshot


@pytest.fixture(scope="module")
def folder(finished: Path) -> Path:
    return finished / "results" / "small"


@pytest.fixture(scope="module")
def model(folder: Path) -> oneshot.TrainedModel:
    table = oneshot.load(folder, "model == 'vae_stn' and beta == 1")
    return oneshot.model(folder, table["point_id"][0][:8], device="cpu")
