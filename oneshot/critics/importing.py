"""Reading the critics that Boutin et al. 2022 published: state dicts for images of 50x50.

https://arxiv.org/abs/2205.10370. Their tensors are tagged with the GPU they were trained on, so
they are always mapped to the CPU. Nothing in the file is executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oneshot.critics.encoder import CriticError
from oneshot.critics.protonet import ProtoNet
from oneshot.critics.simclr import SimCLR

PUBLISHED_SIZE = 50
KINDS: dict[str, type[SimCLR] | type[ProtoNet]] = {"simclr": SimCLR, "protonet": ProtoNet}


def import_weights(path: str | Path, kind: str, image_size: int = PUBLISHED_SIZE) -> nn.Module:
    """Read a published critic from a file, on the CPU and in evaluation mode.

    Counters of batch normalisation (`num_batches_tracked`) may be absent.

    Args:
        path: the file, a bare state dict.
        kind: "simclr" or "protonet".
        image_size: height and width in pixels of the images that it will see.

    Returns:
        The critic.

    Raises:
        CriticError: another kind or size, or the file cannot be used; the message names it.
    """
    if kind not in KINDS:
        raise CriticError(
            f"there are no published weights for a critic {kind!r}; there are for:"
            f" {', '.join(KINDS)}"
        )
    if image_size != PUBLISHED_SIZE:
        raise CriticError(
            f"{path}: published critics see {PUBLISHED_SIZE}x{PUBLISHED_SIZE} images, given"
            f" image_size {image_size}"
        )
    module = KINDS[kind](image_size)
    state = _checked(
        _read(Path(path)), module.state_dict(), f"{path} is not a published {kind} critic"
    )
    module.load_state_dict(state)
    return module.eval()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CriticError(f"{path}: cannot read the file ({error.strerror or error})") from error
    except Exception as error:  # torch raises a dozen types for damaged or foreign files
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CriticError(f"{path}: not a torch file of tensors, or damaged ({reason})") from error
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(v, Tensor) for v in content.values())
    ):
        found = (
            f"keys {', '.join(map(repr, list(content)[:5]))}"
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise CriticError(f"{path}: not a bare state dict (names to tensors) but {found}")
    return content


def _checked(state: dict[str, Any], wanted: dict[str, Tensor], problem: str) -> dict[str, Tensor]:
    """Complete the counters of a state and check its names, shapes and values."""
    counters = {
        name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")
    }
    state = {**counters, **state}
    missing, unexpected = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or unexpected:
        raise CriticError(
            f"{problem}: missing {', '.join(missing) or 'nothing'}; unexpected"
            f" {', '.join(unexpected) or 'nothing'}"
        )
    shapes = [
        f"{n} is {list(v.shape)}, needs {list(wanted[n].shape)}"
        for n, v in state.items()
        if v.shape != wanted[n].shape
    ]
    if shapes:
        raise CriticError(f"{problem}: {'; '.join(shapes)}")
    broken = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise CriticError(f"{problem}: NaN or infinity in {', '.join(broken)}")
    return state
