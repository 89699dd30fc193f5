"""draw: images for the exemplars of the test classes, and the file in which they are stored."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import ShotFamily, TrainedFamily
from oneshot.scoring import adapt
from oneshot.store.store import DamagedFile, with_checksum, without_checksum
from oneshot.training.loop import Diverged, Tick, unwatched
from oneshot.types import DataSet, Drawings, Kind


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
    """Draw `n` images for the exemplar of each test class, or for what else the family `asks`.

    A family that adapts to a few examples does so for each class first (`adapt.py`). The noise of a
    drawing depends on (seed, class, its number) alone, so it is the same drawing at
    any batch size. Images are standardised to bits, or bytes where they are grey or in colour;
    points stay as they are.

    Args:
        model: a trained family, on the device.
        data: the images.
        exemplars: image index of each class's exemplar, int64 [classes].
        n: drawings a class; a family that is asked by nothing draws as many in all as if it were
            asked by each class.
        seed: of the noise.
        device: where the model draws.
        batch: most drawings at a time; 0 for as many as suit device and family.
        tick: is called with ("drawing", done, total) before each batch; it may raise.

    Returns:
        Drawings of the test classes, class after class; of a family that is asked by a class, of
        all classes; of one that is asked by nothing, of a single class without a name, whose
        exemplar is blank.

    Raises:
        Diverged: the model draws non-finite pixels.
        ValueError: the model draws pixels outside [0, 1].
    """
    model.eval()
    size = batch or (model.cached_batch if device.type == "cpu" else model.drawing_batch)
    asked = _asked(model, data, exemplars, n)
    count = len(asked.classes) * asked.each
    if isinstance(model, ShotFamily):
        drawn = adapt.drawn(model, data, exemplars, n, seed, device, size)
    else:
        drawn = _drawn(model, asked, seed, device, size)
    form = _FORMS[data.kind]
    images = np.empty((count, *data.images.shape[1:]), data.images.dtype)
    constant = broken = 0
    if count:
        tick("drawing", 0, count)
    for rows, output in drawn:
        pixels, flat, finite = form(output)
        images[rows] = pixels.cpu().numpy()
        constant += int(flat.sum())
        broken += int((~finite).sum())
        if (done := int(rows[-1]) + 1) < count:
            tick("drawing", done, count)
    if broken:
        what = "points" if data.kind == Kind.POINTS else "pixels"
        raise Diverged(f"{broken} of {count} drawings hold non-finite {what}")
    sources = asked.sources
    if images.ndim == 4:  # channels last, as in image files
        images, sources = np.moveaxis(images, 1, -1), np.moveaxis(sources, 1, -1)
    label = np.arange(len(asked.classes)).repeat(asked.each)
    return Drawings(images, label, sources, asked.names, constant)


@dataclass(frozen=True)
class _Asked:
    """What drawings are asked by.

    Args:
        classes: of which noise depends, int64 [C].
        names: of the classes.
        each: drawings of a class.
        given: what the family is given for each class, [C, ...].
        scale: that `given` is divided by.
        sources: what stands as the exemplar of each class, as in the data set, [C, ...].
    """

    classes: np.ndarray
    names: tuple[str, ...]
    each: int
    given: np.ndarray
    scale: float
    sources: np.ndarray


def _asked(model: TrainedFamily, data: DataSet, exemplars: np.ndarray, n: int) -> _Asked:
    """What `draw` asks the family by; n: drawings a class."""
    everything = np.arange(len(data.class_names))
    if model.asks == "nothing":
        blank = np.zeros((1, *data.images.shape[1:]), data.images.dtype)
        none, each = np.empty((1, 0), np.float32), n * len(everything)
        return _Asked(np.zeros(1, np.int64), ("",), each, none, 1.0, blank)
    classes = everything if model.asks == "class" else data.test
    names = tuple(data.class_names[c] for c in classes)
    sources = np.asarray(data.images[exemplars[classes]])
    if model.asks == "class":
        one_hot = np.eye(len(classes), dtype=np.float32)
        return _Asked(classes, names, n, one_hot, 1.0, sources)
    scale = 255.0 if sources.ndim == 4 else 1.0
    given = sources[:, None] if sources.ndim == 3 else sources
    return _Asked(classes, names, n, given, scale, sources)


def _drawn(
    model: TrainedFamily, asked: _Asked, seed: int, device: torch.device, size: int
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows of the drawings, at most `size` at a time and in their order, and what was drawn."""
    classes = asked.classes.repeat(asked.each)
    numbers = np.tile(np.arange(asked.each), len(asked.classes))
    given = torch.from_numpy(asked.given).to(device)
    for start in range(0, len(classes), size):
        rows = np.arange(start, min(start + size, len(classes)))
        noise = torch.from_numpy(
            rng.normal_per_drawing(seed, classes[rows], numbers[rows], model.drawing_noise_shape)
        ).to(device)
        source = given[torch.from_numpy(rows // asked.each).to(device)].float()
        yield rows, model.sample(source / asked.scale, noise)


def none(data: DataSet) -> Drawings:
    """No drawings of no class."""
    return Drawings(data.images[:0], np.empty(0, np.int64), data.images[:0], ())


def _as_bits(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images [B, 1, S, S] in [0, 1] as `_standardised`."""
    return _standardised(images.squeeze(1))


def _as_bytes(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images [B, C, S, S] in [0, 1] as uint8 0 .. 255; which are constant, which finite."""
    flat = images.flatten(1)
    finite, constant = torch.isfinite(flat).all(1), (flat == flat[:, :1]).all(1)
    return (images.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8), constant, finite


def _as_points(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points [B, 2] as they are; none is constant; which are finite."""
    finite = torch.isfinite(points).all(1)
    return points, torch.zeros_like(finite), finite


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


_FORMS: dict[Kind, Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]] = {
    Kind.BITS: _as_bits,
    Kind.GREYS: _as_bytes,
    Kind.COLOUR: _as_bytes,
    Kind.POINTS: _as_points,
}


def to_bytes(drawings: Drawings) -> bytes:
    """The file of drawings: an npz with a checksum behind it, which readers of npz pass over.

    Arrays: `packed` and `exemplars` (np.packbits of each image), `label`, `shape`, `class_names`,
    `constant`. What are no bits is not packed: `images` and `exemplars` as they are.
    """
    buffer = io.BytesIO()
    if drawings.images.ndim != 3:  # no bits
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
