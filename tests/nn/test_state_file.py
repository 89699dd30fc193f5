"""State dicts of others are read without running anything, and refused with the reason."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from oneshot.nn.state_file import StateFileError, checked, listed, read

WANTED = {"a.weight": torch.zeros(2, 3), "a.num_batches_tracked": torch.tensor(0)}


class Harm:
    """An object whose reading would run a function."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.mkdir, (Path("ran"),)  # type: ignore[return-value]


def test_nothing_of_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a.weight": torch.zeros(2, 3), "harm": Harm()}, tmp_path / "x.pt")
    with pytest.raises(StateFileError, match=r"x\.pt: not a torch file of tensors, or damaged"):
        read(tmp_path / "x.pt")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([torch.zeros(1)], "but list"),
        ({}, "but keys"),
        ({"epoch": 3}, "but keys 'epoch'"),
        ({1: torch.zeros(1)}, "but keys 1"),
    ],
)
def test_a_file_must_be_a_bare_state_dict(content: object, told: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(StateFileError, match=told):
        read(tmp_path / "x.pt")


def test_a_state_that_fits_is_completed_and_kept_as_it_is() -> None:
    weight = torch.ones(2, 3)
    state = checked({"a.weight": weight}, WANTED, "x")
    assert state["a.weight"] is weight and state.keys() == WANTED.keys()


def test_long_lists_are_cut() -> None:
    names = [f"n{i}" for i in range(11)]
    assert listed(names, ", ") == "n0, n1, n2, n3, n4, n5, n6, n7, 3 more"
    assert listed(names[:8]) == "; ".join(names[:8]) and listed([]) == ""


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"b": torch.ones(1)}, r"^x: missing a\.weight; unexpected b$"),
        ({"a.weight": torch.ones(3, 2)}, r"^x: a\.weight is \[3, 2\], needs \[2, 3\]$"),
        ({"a.weight": torch.ones(2, 3, dtype=torch.int64)}, "is int64, needs floats"),
        ({"a.weight": torch.ones(2, 3, dtype=torch.complex64)}, "is complex64, needs floats"),
        ({"a.weight": torch.ones(2, 3).to_sparse()}, "is not dense"),
        ({"a.weight": torch.full((2, 3), math.inf)}, r"NaN or infinity in a\.weight"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state: dict[str, torch.Tensor], told: str) -> None:
    with pytest.raises(StateFileError, match=told):
        checked(state, WANTED, "x")
