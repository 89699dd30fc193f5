"""The file of a training: read by later versions, and by those before."""

from __future__ import annotations

import io

import pytest
import torch

from oneshot.store.store import DamagedFile
from oneshot.training.checkpoint import Training


def training() -> Training:
    weights = {"w": torch.arange(3.0)}
    return Training(weights, weights, epochs_done=2, optimizer_state={"rounds": 4}, how="eager")


def test_a_file_has_the_names_that_all_versions_read() -> None:
    state = torch.load(io.BytesIO(training().to_bytes(weights_only=False)), weights_only=True)
    names = {"end", "best", "best_epoch", "best_loss", "epochs_done", "seconds", "curve", "how"}
    assert set(state) == names | {"game"} and state["game"] == {"rounds": 4}
    finished = torch.load(io.BytesIO(training().to_bytes(weights_only=True)), weights_only=True)
    assert set(finished) == names


def test_a_training_survives_its_file() -> None:
    again = Training.from_bytes(training().to_bytes(weights_only=False))
    assert torch.equal(again.end["w"], training().end["w"])
    assert (again.epochs_done, again.optimizer_state, again.how) == (2, {"rounds": 4}, "eager")
    assert Training.from_bytes(training().to_bytes(weights_only=True)).optimizer_state == {}


@pytest.mark.parametrize("what", [b"", b"no file of torch", "other"])
def test_bytes_that_hold_no_training_are_damage_by_name(what: bytes | str) -> None:
    if isinstance(what, str):
        buffer = io.BytesIO()
        torch.save({what: 1}, buffer)
        what = buffer.getvalue()
    with pytest.raises(DamagedFile, match="the file of t1 holds no training of this version"):
        Training.from_bytes(what, "the file of t1")
