"""draw: images for the exemplars of the test classes, and the file they are stored in."""

from __future__ import annotations

import io

import numpy as np
import torch

from oneshot import streams
from oneshot.contracts import TrainedFamily
from oneshot.episodes import DataSet, Drawings
from oneshot.metrics.images import standardise
from oneshot.train import Diverged

BATCH = 500


@torch.inference_mode()
def draw(
    model: TrainedFamily, data: DataSet, exemplars: np.ndarray, n: int, seed: int, device: torch.device, batch: int = BATCH
) -> Drawings:
    """`n` drawings for the exemplar of each test class, standardised to bits.

    exemplars: image index of each class's exemplar. The noise of a drawing depends on (seed, class, its number) alone, so it is the same
    drawing at any batch size. Raises Diverged if the model draws non-finite pixels.
    """
    model.eval()
    classes, numbers = data.test.repeat(n), np.tile(np.arange(n), len(data.test))
    sources = np.asarray(data.images[exemplars[data.test]])
    images = np.empty((len(classes), data.image_size, data.image_size), np.float32)
    for start in range(0, len(classes), batch):
        rows = slice(start, start + batch)
        noise = torch.from_numpy(streams.normal_per_drawing(seed, classes[rows], numbers[rows], model.noise_shape)).to(device)
        source = torch.from_numpy(sources[np.arange(len(classes))[rows] // n]).to(device).float().unsqueeze(1)
        images[rows] = model.sample(source, noise).squeeze(1).cpu().numpy()
    if not np.isfinite(images).all():
        raise Diverged(f"{int((~np.isfinite(images)).any((1, 2)).sum())} of {len(images)} drawings hold non-finite pixels")
    bits, constant = standardise(images, None)
    names = tuple(data.class_names[c] for c in data.test)
    return Drawings(bits, np.arange(len(data.test)).repeat(n), sources, names, int(constant.sum()))


def to_bytes(drawings: Drawings) -> bytes:
    """An npz: `packed` and `exemplars` (np.packbits of each image), `label`, `shape`, `class_names`, `constant`."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        packed=_pack(drawings.images),
        label=drawings.label.astype(np.int64),
        exemplars=_pack(drawings.exemplars),
        shape=np.array(drawings.images.shape[1:]),
        class_names=np.array(drawings.class_names),
        constant=np.array(drawings.constant),
    )
    return buffer.getvalue()


def from_bytes(data: bytes) -> Drawings:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        shape = tuple(file["shape"])
        names = tuple(map(str, file["class_names"]))
        return Drawings(_unpack(file["packed"], shape), file["label"], _unpack(file["exemplars"], shape), names, int(file["constant"]))


def _pack(images: np.ndarray) -> np.ndarray:
    return np.packbits(images.reshape(len(images), -1), axis=1)


def _unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.unpackbits(packed, axis=1)[:, : int(np.prod(shape))].reshape(-1, *shape)
