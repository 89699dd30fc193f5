"""Reading the critics that Boutin et al. 2022 published: state dicts for images of 50x50.

https://arxiv.org/abs/2205.10370. Nothing in the file is executed.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from oneshot.critics.encoder import CriticError
from oneshot.critics.protonet import ProtoNet
from oneshot.critics.simclr import SimCLR
from oneshot.nn import state_file

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
    try:
        state = state_file.checked(
            state_file.read(path), module.state_dict(), f"{path} is not a published {kind} critic"
        )
    except state_file.StateFileError as error:
        raise CriticError(str(error)) from error
    module.load_state_dict(state)
    return module.eval()
