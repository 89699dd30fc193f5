"""A critic in a file of the user's, run through the command, and brought to a worker."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
import small
import torch
from own_critic_files import forget, forgotten_critics, sweep_file, write

from oneshot.critics.encoder import embed_all
from oneshot.store.store import Store
from oneshot.sweep import own_critics
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.trial import files, own_critic

__all__ = ["forgotten_critics"]
pytestmark = pytest.mark.usefixtures("forgotten_critics")


@pytest.mark.slow
@pytest.mark.parametrize("role", ["simclr", "protonet"])
def test_drawings_that_are_there_are_scored_by_it(
    role: str, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    before = pd.read_parquet(tmp_path / "results/small/points.parquet")
    write(tmp_path)
    lines = (finished / "small.py").read_text().splitlines()
    given = next(line for line in lines if line.strip().startswith(f"{role}=dict("))
    critic = given.split("=", 1)[1].rstrip(",").replace("dict(", 'dict(own="./edges.py", ')
    words = (sweep_file(tmp_path, role, critic), "--local", "--results", tmp_path / "results")
    done = small.main(*words)
    assert done.returncode == 0, done.stderr
    assert "recognises" in done.stderr and "edges " in done.stderr
    after = pd.read_parquet(tmp_path / "results/small/points.parquet")
    assert after.train_seconds.tolist() == before.train_seconds.tolist(), "trained anew"
    assert (after.draw_seconds == 0).all() and set(after.status) == {"done"}
    stays, moves = "recognizability", "diversity"
    if role == "protonet":
        stays, moves = moves, stays
    assert after[stays].tolist() == pytest.approx(before[stays].tolist())
    assert after[moves].notna().all() and after[moves].tolist() != before[moves].tolist()
    critics = pd.read_parquet(tmp_path / "results/small/critics.parquet").set_index("critic")
    assert 0 < critics.loc["edges", "test_recognizability"] <= 100
    again = small.main(*words)
    assert again.returncode == 0 and "Nothing to run" in again.stderr


def test_a_worker_has_the_file_from_the_store(tmp_path: Path) -> None:
    path = write(tmp_path)
    point, store = expand(load_sweep(sweep_file(tmp_path)))[-1], Store(tmp_path / "results")
    spec = pickle.loads(pickle.dumps(point)).critics["simclr"]
    files.store_files([point], store)
    path.unlink()
    forget()
    assert own_critics.find("edges") is None
    critic = own_critic.family_of(spec, store).FAMILY(16)
    features = embed_all(critic, torch.zeros(3, 16, 16, dtype=torch.uint8).numpy(), "cpu")
    assert features.shape == (3, 32)
    forget()
    with pytest.raises(files.MissingInput, match=r"edges.py is not in .*elsewhere: run"):
        own_critic.family_of(spec, Store(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("return Edges(image_size)", "return Edge(image_size)", "line 20: NameError"),
        ("return Edges(image_size)", "return 3", "make returns no torch module, but a int"),
        ("return self.mix(", "return 3 or self.mix(", "the module returns no features [B, d]"),
        ("return self.mix(", "return 0 / 0 * self.mix(", "line 16: ZeroDivisionError"),
        ("return self.mix(", "return torch.nan * self.mix(", "are not finite numbers"),
    ],
)
def test_what_is_wrong_is_told_before_the_first_trial(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    write(tmp_path, old=old, new=new)
    words = (sweep_file(tmp_path), "--local", "--results", tmp_path / "results")
    done = small.main(*words)
    assert done.returncode == 2 and told in done.stderr and "edges.py" in done.stderr, done.stderr
    assert not (tmp_path / "results").exists()
