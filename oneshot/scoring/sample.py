"""draw: images for the exemplars of the test classes, and the file in which they are stored."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import TrainedFamily
from oneshot.store.store import DamagedFile, with_checksum, without_checksum
from oneshot.training.loop import Diverged, Tick, unwatched
from oneshot.types import DataSet, Drawings


@torch.inference_mode()
def draw(
    model: TrainedFamily,
    data: DataSet,
    exemplars: np.ndarray,
    n: int,
    seed: int,
    device: torch.device,
    batch: int = 0,
    tick: Tick = unwatched,
) -> Drawings:
    """Draw `n` images for the exemplar of each test class.

    The noise of a drawing depends on (seed, class, its number) alone, so it is the same drawing at
    any batch size. Images are standardised to bits, or bytes where they are in colour.

    Args:
        model: a trained family, on the device.
        data: the images.
        exemplars: image index of each class's exemplar, int64 [classes].
        n: drawings a class.
        seed: of the noise.
        device: where the model draws.
        batch: most drawings at a time; 0 for as many as suit device and family.
        tick: is called with ("drawing", done, total) before each batch; it may raise.

    Returns:
        Drawings of the test classes, class after class.

    Raises:
        Diverged: the model draws non-finite pixels.
        ValueError: the model draws pixels outside [0, 1].
    """
    model.eval()
    size = batch or (model.cached_batch if device.type == "cpu" else model.drawing_batch)
    classes, numbers = data.test.repeat(n), np.tile(np.arange(n), len(data.test))
    sources = np.asarray(data.images[exemplars[data.test]])
    side = data.image_size
    on_device = torch.from_numpy(sources).to(device).view(len(sources), -1, side, side)
    images = np.empty((len(classes), *sources.shape[1:]), np.uint8)
    constant = broken = 0
    for start in range(0, len(classes), size):
        tick("drawing", start, len(classes))
        rows = np.arange(start, min(start + size, len(classes)))
        noise = torch.from_numpy(
            rng.normal_per_drawing(seed, classes[rows], numbers[rows], model.drawing_noise_shape)
        ).to(device)
        source = on_device[torch.from_numpy(rows // n).to(device)].float()
        if data.colour:
            pixels, flat, finite = _as_bytes(model.sample(source / 255, noise))
        else:
            pixels, flat, finite = _standardised(model.sample(source, noise).squeeze(1))
        images[rows] = pixels.cpu().numpy()
        constant += int(flat.sum())
        broken += int((~finite).sum())
    if broken:
        raise Diverged(f"{broken} of {len(classes)} drawings hold non-finite pixels")
    names = tuple(data.class_names[c] for c in data.test)
    if data.colour:  # channels last, as in image files
        images, sources = np.moveaxis(images, 1, -1), np.moveaxis(sources, 1, -1)
    return Drawings(images, np.arange(len(data.test)).repeat(n), sources, names, constant)


def none(data: DataSet) -> Drawings:
    """No drawings of no class."""
    return Drawings(data.images[:0], np.empty(0, np.int64), data.images[:0], ())


def _as_bytes(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Colour images [B, 3, S, S] in [0, 1] as uint8 0 .. 255; which are constant, which finite."""
    flat = images.flatten(1)
    finite, constant = torch.isfinite(flat).all(1), (flat == flat[:, :1]).all(1)
    return (images.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8), constant, finite


def _standardised(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images float [B, S, S] as uint8 of 0 and 1; which are constant, which finite: bool [B].

    As `metrics.images.standardise`, but on the device, so that only one byte a pixel leaves it.
    Raises ValueError for finite values outside [0, 1].
    """
    flat = images.flatten(1).double()
    low, high = flat.aminmax(dim=1, keepdim=True)
    finite, constant = torch.isfinite(high - low), high == low  # a NaN is both minimum and maximum
    if bool((finite & ((low < 0) | (high > 1))).any()):
        raise ValueError("a model must draw pixels in [0, 1]")
    ink = (flat - low) / (high - low) > 0.5  # a constant image gives NaN, which is not above
    return ink.view_as(images).to(torch.uint8), constant[:, 0], finite[:, 0]


def to_bytes(drawings: Drawings) -> bytes:
    """The file of drawings: an npz with a checksum behind it, which readers of npz pass over.

    Arrays: `packed` and `exemplars` (np.packbits of each image), `label`, `shape`, `class_names`,
    `constant`. Colour is not packed: `images` and `exemplars` as they are.
    """
    buffer = io.BytesIO()
    if drawings.images.ndim == 4:  # colour
        images: dict[str, Any] = dict(images=drawings.images, exemplars=drawings.exemplars)
    else:
        images = dict(
            packed=_pack(drawings.images),
            exemplars=_pack(drawings.exemplars),
            shape=np.array(drawings.images.shape[1:]),
        )
    np.savez_compressed(
        buffer,
        label=drawings.label.astype(np.int64),
        class_names=np.array(drawings.class_names),
        constant=np.array(drawings.constant),
        **images,
    )
    return with_checksum(buffer.getvalue())


def from_bytes(data: bytes, where: str = "a file of drawings") -> Drawings:
    """The drawings in the bytes of `to_bytes`, also of those written before it had a checksum.

    Args:
        data: the bytes.
        where: the name of the file, for the error.

    Returns:
        The drawings.

    Raises:
        DamagedFile: whatever is wrong with the bytes.
    """
    data = without_checksum(data, where)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            label, exemplars, constant = file["label"], file["exemplars"], int(file["constant"])
            names = tuple(map(str, file["class_names"]))
            if "images" in file:
                images = file["images"]
            else:
                shape = tuple(file["shape"])
                images, exemplars = _unpack(file["packed"], shape), _unpack(exemplars, shape)
        labels_fit = not len(label) or 0 <= label.min() <= label.max() < len(exemplars)
        if len(label) != len(images) or not labels_fit:
            raise ValueError(
                f"{len(label)} labels, {len(images)} images, {len(exemplars)} exemplars"
            )
    except MemoryError:
        raise
    except Exception as error:  # zip, deflate, header and pickle errors of many kinds
        raise DamagedFile(f"{where} is damaged ({type(error).__name__}: {error})") from None
    return Drawings(images, label, exemplars, names, constant)


def _pack(images: np.ndarray) -> np.ndarray:
    """Images of 0 and 1, [N, H, W], as 8 pixels a byte."""
    return np.packbits(images.reshape(len(images), -1), axis=1)


def _unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What `_pack` was given; shape: (H, W)."""
    return np.unpackbits(packed, axis=1)[:, : int(np.prod(shape))].reshape(-1, *shape)
