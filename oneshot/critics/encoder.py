"""What the critics share: a small convolutional network, its initial weights, embedding.

Four blocks of 3x3 convolution, batch normalisation, 2x2 maximum pooling and ReLU with 64 channels,
then one linear layer (Snell et al. 2017, https://arxiv.org/abs/1703.05175, with the linear layer of
Boutin et al. 2022, https://arxiv.org/abs/2205.10370). The order of the modules fixes the names in a
state dict, which are those of the published weight files.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from oneshot import rng
from oneshot.types import DataSet

CHANNELS = 64
FEATURES = 256
OUTPUTS = 128
BLOCKS = 4
HELD_OUT_DRAWINGS = 20  # of each class, which an epoch is judged by: as many as Omniglot has


class CriticError(ValueError):
    """A critic cannot be trained on these data, diverged, or cannot be read from its file."""


class Embeds(Protocol):
    """A network that maps images, float [B, 1, S, S] of 0 and 1, to features [B, d]."""

    def embed(self, images: Tensor) -> Tensor:
        """Compute the features of images."""
        ...


Report = Callable[[int, dict[str, Any]], None]
M = TypeVar("M", bound=nn.Module)


def flat_features(image_size: int) -> int:
    """Inputs of the linear layer: 576 for 50x50 (50, 25, 12, 6, 3), 64 for 28x28.

    Raises:
        CriticError: the images are smaller than 16x16.
    """
    side = image_size >> BLOCKS
    if side < 1:
        raise CriticError(
            f"the critics need images of at least {1 << BLOCKS} pixels, given {image_size}"
        )
    return CHANNELS * side * side


def embedding(image_size: int) -> nn.Sequential:
    """The shared network: [B, 1, S, S] -> [B, 256]."""
    inputs = [1] + [CHANNELS] * (BLOCKS - 1)
    # The ReLU after the last block changes nothing; it keeps the linear layer at the place where
    # the published files have it.
    network = nn.Sequential(
        *map(_block, inputs),
        nn.Flatten(),
        nn.ReLU(),
        nn.Linear(flat_features(image_size), FEATURES),
    )
    # 1.4 times as fast on a CPU
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _block(inputs: int) -> nn.Sequential:
    # ReLU after pooling equals ReLU before it, as both keep the order of values, and has a quarter
    # of the work.
    return nn.Sequential(
        nn.Conv2d(inputs, CHANNELS, 3, padding=1),
        nn.BatchNorm2d(CHANNELS),
        nn.MaxPool2d(2),
        nn.ReLU(),
    )


def initialised(make: Callable[[], M], seed: int, purpose: str) -> M:
    """Make a module whose starting weights depend only on (seed, purpose).

    The global random state is left as it was.

    Args:
        make: makes the module, with torch's global generator.
        seed: of the critic.
        purpose: which of the critic's modules it is.

    Returns:
        The module.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.key(seed, purpose, "weights"))
        return make()


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator for one purpose.

    Args:
        seed: of the critic.
        purpose: what the numbers are for.

    Returns:
        A new generator, the same for the same arguments.
    """
    return torch.Generator().manual_seed(rng.key(seed, *purpose))


def embed_all(
    module: nn.Module, images: np.ndarray, device: torch.device | str, batch_size: int = 0
) -> np.ndarray:
    """Compute the features of images in evaluation mode, whatever mode the module is in.

    Args:
        module: a critic, on `device`.
        images: uint8 [N, H, W] of 0 and 1.
        device: where it is computed.
        batch_size: images at a time, 0: as suits the device. It changes the result by rounding
            only, and so does the short cut of `Frozen`.

    Returns:
        float32 [N, d].

    Raises:
        ValueError: there are no images.
    """
    if not len(images):
        raise ValueError("there are no images to embed")
    # a batch of 128 stays in a processor's cache
    size = batch_size or (128 if torch.device(device).type == "cpu" else 2048)
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            fast = frozen(module)
            parts = [
                fast.embed(as_tensor(images[start : start + size], device)).float().cpu()  # type: ignore[operator]
                for start in range(0, len(images), size)
            ]
    finally:
        module.train(was_training)
    return torch.cat(parts).numpy()


def frozen(module: nn.Module) -> nn.Module:
    """A copy of a critic in evaluation mode that embeds bytes and shares the critic's weights.

    It is for inference only. It is made once for the weights as they are, since a worker scores
    thousands of points with the same critics.
    """
    if not hasattr(module, "embedding"):
        return module  # of another architecture: it embeds bytes itself
    state = tuple((id(t), t._version) for t in module.state_dict(keep_vars=True).values())
    known, fast = _frozen.get(module, (None, None))
    if known != state:
        fast = Frozen(module.embedding)  # type: ignore[arg-type]
        _frozen[module] = state, fast
    copied = copy.copy(module)
    copied._modules = {**module._modules, "embedding": fast}
    return copied


_frozen: weakref.WeakKeyDictionary[nn.Module, tuple[Any, Any]] = weakref.WeakKeyDictionary()


class Frozen(nn.Module):
    """The shared network in evaluation mode: uint8 [B, 1, S, S] of 0 and 1 -> [B, 256].

    A value behind the first block depends on 4x4 pixels, that is on 16 bits, so the block is a
    table of 65,536 rows. In the other blocks the normalisation is folded into the convolution.
    Equal to the network up to rounding, and about three times as fast on a CPU.
    """

    def __init__(self, network: nn.Sequential):
        super().__init__()
        blocks = [block for block in network.children() if isinstance(block, nn.Sequential)]
        self.table = _table(blocks[0])
        self.convolutions = [_folded(block) for block in blocks[1:]]
        self.last = network[-1]

    def forward(self, images: Tensor) -> Tensor:
        # channels last in memory
        x = F.embedding(_codes(images[:, 0]), self.table).permute(0, 3, 1, 2)
        for convolution in self.convolutions:
            x = F.max_pool2d(convolution(x), 2).relu_()
        return self.last(x.flatten(1))


def _folded(block: nn.Sequential) -> nn.Conv2d:
    """The convolution of a block with its normalisation in the weights."""
    convolution, normalisation = block[0], block[1]
    assert isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
    return fuse_conv_bn_eval(convolution, normalisation)


def _table(block: nn.Sequential) -> Tensor:
    """What a block makes of every 4x4 patch of bits: float [65536, 64].

    The lowest bit of a row's number is the first pixel, row after row.
    """
    convolution, normalisation = block[0], block[1]
    assert isinstance(convolution, nn.Conv2d)
    device = convolution.weight.device
    codes = torch.arange(1 << 9, device=device)
    patches = (codes[:, None] >> torch.arange(9, device=device) & 1).float().view(-1, 1, 3, 3)
    values = normalisation(F.conv2d(patches, convolution.weight, convolution.bias)).flatten(1)
    codes = torch.arange(1 << 16, device=device)
    table = torch.full((1 << 16, CHANNELS), -torch.inf, device=device)
    for corner in (0, 1, 4, 5):  # the four 3x3 patches that the pooling compares
        shifted = codes >> corner
        table = torch.maximum(
            table,
            F.embedding(shifted & 7 | (shifted >> 4 & 7) << 3 | (shifted >> 8 & 7) << 6, values),
        )
    return table.relu_()


def _codes(images: Tensor) -> Tensor:
    """The bits under each 2x2 pooling window and its border of one pixel.

    uint8 [B, S, S] -> int64 [B, S // 2, S // 2].
    """
    size = images.shape[-1] // 2 * 2
    bits = F.pad(images, (1, 1, 1, 1)).int()
    across = torch.stack([bits[:, :, i : i + size : 2] << i for i in range(4)]).sum(0)
    return torch.stack([across[:, i : i + size : 2] << 4 * i for i in range(4)]).sum(0)


def as_tensor(images: np.ndarray, device: torch.device | str) -> Tensor:
    """Move images to a device; the array may be read-only.

    Args:
        images: uint8 [N, H, W].
        device: where to.

    Returns:
        uint8 [N, 1, H, W].
    """
    return torch.from_numpy(np.array(images)).to(device)[:, None]


def held_out_rows(data: DataSet, classes: np.ndarray) -> np.ndarray:
    """Choose at most 20 drawings of each class, evenly spaced.

    Args:
        data: the data set.
        classes: int64 [C], class ids.

    Returns:
        int64 [n], image indices, class after class.
    """
    chosen = []
    for c in classes:
        rows = data.rows(np.array([c]))
        chosen.append(
            rows
            if len(rows) <= HELD_OUT_DRAWINGS
            else rows[np.arange(HELD_OUT_DRAWINGS) * len(rows) // HELD_OUT_DRAWINGS]
        )
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def as_bytes(data: DataSet, rows: np.ndarray, device: torch.device | str) -> Tensor:
    """Move images as bytes to a device, to be indexed there.

    Args:
        data: the data set.
        rows: int64 [n], image indices.
        device: where to.

    Returns:
        uint8 [n, 1, H, W].
    """
    return torch.from_numpy(data.images[rows]).to(device)[:, None]


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the state that later training steps do not change."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
