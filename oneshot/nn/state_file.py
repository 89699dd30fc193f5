"""State dicts in files that others made: read without running anything of them, and checked.

Their tensors may be tagged with the GPU that they were trained on, so they are mapped to the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

COUNTER = "num_batches_tracked"  # of batch normalisation: nothing that a model computes needs it


LISTED = 8  # names in a message


class StateFileError(ValueError):
    """A file holds no state dict, or not that of the model it shall be of."""


def read(path: str | Path) -> dict[str, Tensor]:
    """Read a bare state dict, on the CPU.

    Args:
        path: the file, as torch.save writes it.

    Returns:
        Tensors by name, in the order of the file.

    Raises:
        StateFileError: it cannot be read, is damaged, holds code, or is no bare state dict; the
            message names the file.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise StateFileError(f"{path}: cannot read the file ({error.strerror or error})") from error
    except Exception as error:  # torch raises a dozen types for damaged or foreign files
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StateFileError(
            f"{path}: not a torch file of tensors, or damaged ({reason})"
        ) from error
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(v, Tensor) for v in content.values())
        or not all(isinstance(name, str) for name in content)
    ):
        found = (
            f"keys {', '.join(map(repr, list(content)[:5]))}"
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise StateFileError(f"{path}: not a bare state dict (names to tensors) but {found}")
    return content


def checked(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], problem: str
) -> dict[str, Tensor]:
    """Check the names, shapes, types and values of a state; counters that are absent are added.

    Args:
        state: of a file.
        wanted: of the model, on any device, by the same names.
        problem: how a message begins, as in "x.pt is not a published critic".

    Returns:
        The state, complete.

    Raises:
        StateFileError: the state does not fit; the message says in what.
    """
    counters = {name: value for name, value in wanted.items() if name.endswith(COUNTER)}
    state = {**counters, **state}
    missing, unexpected = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or unexpected:
        raise StateFileError(
            f"{problem}: missing {listed(missing, ', ') or 'nothing'}; unexpected"
            f" {listed(unexpected, ', ') or 'nothing'}"
        )
    shapes = [
        f"{n} is {list(v.shape)}, needs {list(wanted[n].shape)}"
        for n, v in state.items()
        if v.shape != wanted[n].shape
    ]
    if shapes:
        raise StateFileError(f"{problem}: {listed(shapes)}")
    kinds = [
        f"{n} is {str(v.dtype).removeprefix('torch.')}, needs floats"
        for n, v in state.items()
        if wanted[n].is_floating_point() and not v.is_floating_point()
    ]
    kinds += [f"{n} is not dense" for n, v in state.items() if v.layout is not torch.strided]
    if kinds:
        raise StateFileError(f"{problem}: {listed(kinds)}")
    broken = [
        n for n, v in state.items() if v.device.type != "meta" and not torch.isfinite(v).all()
    ]
    if broken:
        raise StateFileError(f"{problem}: NaN or infinity in {listed(broken, ', ')}")
    return state


def listed(texts: Sequence[str], between: str = "; ") -> str:
    """The first of these texts as one, and how many more there are.

    Args:
        texts: names, or what is wrong with them.
        between: what stands between two.

    Returns:
        The text; "" for none.
    """
    more = [f"{len(texts) - LISTED} more"] if len(texts) > LISTED else []
    return between.join([*texts[:LISTED], *more])
