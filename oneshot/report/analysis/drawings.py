"""The drawings of points, as the store keeps them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneshot.report.results import Results
from oneshot.store.store import without_checksum


@dataclass(frozen=True, eq=False)
class Drawings:
    """What the store keeps of one point.

    Attributes:
        images: uint8 [N, H, W] of 0 and 1, or in grey or colour uint8 [N, H, W, 1 or 3] of 0 ..
            255, or points, float32 [N, 2]; sorted by label.
        label: The class of each, [N].
        exemplars: One of each class, as the images.
        class_names: The name of each class; "" for the only one of drawings for no class.
    """

    images: np.ndarray
    label: np.ndarray
    exemplars: np.ndarray
    class_names: list[str]


def read_drawings(results: Results, sample_id: str) -> Drawings | None:
    """The drawings of a point, from the store beside the sweep's folder.

    Args:
        results: The results.
        sample_id: The `sample_id` of the point.

    Returns:
        The drawings; None if they are not, no longer or not wholly there.
    """
    file = Path(results.folder).parent / "store" / "drawings" / str(sample_id) / "drawings.npz"
    try:
        data = without_checksum(file.read_bytes(), str(file))
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            if "images" in kept:
                images, exemplars = kept["images"], kept["exemplars"]
            else:
                shape = tuple(int(length) for length in kept["shape"])
                images, exemplars = (
                    _unpacked(kept[name], shape) for name in ("packed", "exemplars")
                )
            names = [str(name) for name in kept["class_names"]]
            drawings = Drawings(images, kept["label"], exemplars, names)
            return drawings if _fit_together(drawings) else None
    except Exception:
        # a damaged archive raises whatever its bytes lead to: errors of zip, zlib, of the
        # tokenizer, of memory
        return None


def _unpacked(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images of bits [N, H, W] from their rows of bytes."""
    height, width = shape
    return np.unpackbits(packed, axis=1)[:, : height * width].reshape(-1, height, width)


def _fit_together(drawings: Drawings) -> bool:
    """Whether shapes and types are those of one point."""
    points = drawings.images.dtype == np.float32 and drawings.images.ndim == 2
    images = drawings.images.dtype == np.uint8 and drawings.images.ndim in (3, 4)
    return bool(
        (points or images)
        and drawings.images.size > 0
        and drawings.images.shape[1:] == drawings.exemplars.shape[1:]
        and drawings.label.shape == drawings.images.shape[:1]
        and len(drawings.exemplars) == len(drawings.class_names)
    )
