"""Critics in files of the user's: how much ink each row and column has, through a linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import small

from oneshot.sweep import families, own_critics

EDGES = '''
"""edges: ink by row and column."""

import torch
from torch import nn

VERSION = 1


class Edges(nn.Module):
    def __init__(self, image_size):
        super().__init__()
        self.mix = nn.Linear(2 * image_size, 32)

    def forward(self, images):
        return self.mix(torch.cat([images.mean(2), images.mean(3)], 2)[:, 0])


def make(image_size):
    return Edges(image_size)


def train(module, data, seed, device):
    rows = data.rows(data.train)[:64]
    images = torch.tensor(data.images[rows], device=device).float().unsqueeze(1)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    loss = (module(images) - 1).square().mean()
    loss.backward()
    optimizer.step()
'''


def write(folder: Path, name: str = "edges", old: str = "", new: str = "") -> Path:
    """Write a critic.

    Args:
        folder: where.
        name: of its file.
        old: what of the text is replaced; it must be there.
        new: what takes its place.

    Returns:
        The file.
    """
    assert old in EDGES
    path = folder / f"{name}.py"
    path.write_text(EDGES.replace(old, new) if old else EDGES)
    return path


def sweep_file(folder: Path, role: str = "simclr", critic: str = '"./edges.py"') -> Path:
    """The small sweep with a critic of the user's.

    Args:
        folder: where.
        role: the critic whose place it takes.
        critic: as the sweep file says it.

    Returns:
        The sweep file.
    """
    path = small.write_sweep(folder)
    lines = path.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{role}="))
    lines[place] = f"        {role}={critic},"
    path.write_text("\n".join(lines) + "\n")
    return path


def forget() -> None:
    """Know no critic of the user's, and look for installed ones anew."""
    own_critics._known.clear()
    own_critics._installed.cache_clear()
    families.family_files.installed.cache_clear()


@pytest.fixture
def forgotten_critics() -> Iterator[None]:
    """After the test, this process knows no critic of the user's."""
    yield
    forget()
