"""Features of DINOv2: a network that others trained on photographs, read from a file of weights.

The network is the Dinov2Model of the package transformers, which is needed for nothing else and is
therefore imported here alone, where a file is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneshot.nn.published import dinov2
from oneshot.training.loop import Tick, unwatched

SIDE = 224  # of the images that it sees, in pixels: 16 patches
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue


class MissingPackage(RuntimeError):
    """A package that only some sweeps need is not installed; the message says how to get it."""


def read(path: str | Path) -> nn.Module:
    """Read the network of a file, on the CPU and in evaluation mode.

    Args:
        path: a safetensors file or a state dict, by the names of transformers or of the authors.

    Returns:
        A Dinov2Model of float32.

    Raises:
        MissingPackage: transformers is not installed, or a release that reads no such file.
        StateFileError: the file cannot be used; the message says why.
    """
    config, model, logging = _transformers()
    sizes, state = dinov2.read(path)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # of a second, among the lines of a run
    try:
        # by the package's own reader, as its releases have other names inside than its files
        network, read = model.from_pretrained(
            None,
            config=config(
                hidden_size=sizes.width,
                num_hidden_layers=sizes.layers,
                num_attention_heads=sizes.width // dinov2.HEAD,
                mlp_ratio=sizes.widening,
                image_size=sizes.grid * dinov2.PATCH,
                patch_size=dinov2.PATCH,
                use_swiglu_ffn=sizes.gated,
            ),
            state_dict=state,
            dtype=torch.float32,
            output_loading_info=True,
        )
    finally:
        if shown:
            logging.enable_progress_bar()
    if odd := [name for names in read.values() for name in names]:
        raise MissingPackage(f"this release of transformers reads {path} otherwise: {odd[:3]}")
    module: nn.Module = network.eval()
    return module


def embed(
    network: nn.Module, images: np.ndarray, device: torch.device, tick: Tick = unwatched
) -> np.ndarray:
    """Compute the features of images: the class token behind the last normalisation.

    Equal images have equal features to the bit, whichever batch they fall into.

    Args:
        network: as `read` gives it, on the device.
        images: uint8, bits [N, H, W] or colour [N, H, W, 3].
        device: where it is computed.
        tick: is called with (what, done, total) batch by batch; it may raise.

    Returns:
        float32 [N, width].
    """
    seen: dict[bytes, int] = {}
    place = np.array([seen.setdefault(image.tobytes(), len(seen)) for image in images])
    _, first = np.unique(place, return_index=True)
    size = 32 if device.type == "cpu" else 256
    parts = []
    with torch.inference_mode():
        for start in range(0, len(first), size):
            tick("DINOv2 features", start, len(first))
            batch = torch.from_numpy(images[first[start : start + size]]).to(device)
            output = network(pixel_values=prepared(batch))
            parts.append(output.last_hidden_state[:, 0].float().cpu())
    return torch.cat(parts).numpy()[place]


def prepared(images: Tensor) -> Tensor:
    """Images as the network sees them: 224 x 224, bicubic, by the mean and spread of ImageNet.

    Bits [B, H, W] become black ink on white paper, in three equal channels. Colour is
    uint8 [B, H, W, 3]. The result is float32 [B, 3, 224, 224].
    """
    if images.ndim == 3:
        pixels = (1.0 - images.float())[:, None].expand(-1, 3, -1, -1)
    else:
        pixels = images.permute(0, 3, 1, 2).float() / 255.0
    # with antialias, the kernel is that of Pillow, by which the network was trained and tested
    large = F.interpolate(
        pixels, size=(SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True
    ).clamp(0.0, 1.0)
    mean, spread = (large.new_tensor(of)[:, None, None] for of in (MEAN, SPREAD))
    return (large - mean) / spread


def _transformers() -> tuple[Any, Any, Any]:
    """The classes Dinov2Config and Dinov2Model, and the module of what the package prints."""
    try:
        from transformers import Dinov2Config, Dinov2Model
        from transformers.utils import logging
    except ImportError as error:
        raise MissingPackage(
            f"dino_weights needs the package transformers ({error}): pip install 'oneshot[eval]'"
        ) from error
    return Dinov2Config, Dinov2Model, logging
