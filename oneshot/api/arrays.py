"""Arrays of the user's, in the forms that families and critics take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from oneshot.types import DataSet, Drawings, Kind


def bits_of(images: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images as bits of one size, as the images that models learn from.

    >>> import numpy as np
    >>> grey = np.zeros((1, 4, 4))
    >>> grey[0, :2] = 0.7
    >>> bits_of(grey, 2)[0].tolist()
    [[[1, 1], [0, 0]]]

    Args:
        images: [N, H, W], bool, floats in [0, 1], or whole numbers 0 and 1.
        size: side of the result.

    Returns:
        uint8 [N, size, size] of 0 and 1, and bool [N]: which were constant.

    Raises:
        ValueError: on another shape, and on values outside [0, 1].
    """
    import numpy as np

    from oneshot.metrics.images import standardise

    return standardise(images.astype(np.float64) if images.dtype.kind == "i" else images, size)


def bytes_of(images: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Images in grey or colour as those that models learn from.

    Args:
        images: [N, size, size, channels], uint8 0 .. 255 or floats in [0, 1].
        size: side of the images.
        channels: 1 or 3.

    Returns:
        uint8 [N, channels, size, size].

    Raises:
        ValueError: on another shape or type, and on values outside [0, 1].
    """
    import numpy as np

    if images.ndim != 4 or images.shape[1:] != (size, size, channels):
        wanted = f"[N, {size}, {size}, {channels}]"
        raise ValueError(f"images must be {wanted}, given shape {images.shape}")
    if images.dtype != np.uint8:
        if images.dtype.kind != "f" or not ((images >= 0) & (images <= 1)).all():
            raise ValueError("images must be uint8 0 .. 255, or floats in [0, 1]")
        images = np.rint(images * 255).astype(np.uint8)
    return np.moveaxis(images, -1, 1)


def as_data(exemplars: np.ndarray, size: int, kind: Kind) -> DataSet:
    """Exemplars as a data set of one image a class, all of them to be drawn.

    Args:
        exemplars: one or several images.
        size: side of the images of the model.
        kind: what these are.

    Returns:
        The data set.

    Raises:
        ValueError: on another shape or type, and on exemplars without ink.
    """
    import numpy as np

    from oneshot.types import DataSet, Kind

    alone = 2 if kind == Kind.BITS else 3
    several = exemplars[None] if exemplars.ndim == alone else exemplars
    if kind == Kind.BITS:
        images, constant = bits_of(several, size)
        if constant.any():
            raise ValueError(f"exemplar {int(constant.argmax())} is empty: it has no ink")
    else:
        images = bytes_of(several, size, 3 if kind == Kind.COLOUR else 1)
    every, none = np.arange(len(images)), np.empty(0, np.int64)
    names = tuple(map(str, every))
    return DataSet("exemplars", "", "", images, every, names, none, none, every)


def as_drawings(drawings: np.ndarray, exemplars: np.ndarray, size: int) -> Drawings:
    """Drawings by class, with their exemplars, as bits of the size that critics see.

    >>> import numpy as np
    >>> exemplars = np.eye(3)[[0, 1]].reshape(2, 1, 3).repeat(3, axis=1)
    >>> made = as_drawings(exemplars[:, None].repeat(2, axis=1), exemplars, 3)
    >>> made.label.tolist(), made.images.shape
    ([0, 0, 1, 1], (4, 3, 3))

    Args:
        drawings: [C, n, H, W].
        exemplars: [C, H, W].
        size: side of the result.

    Returns:
        The drawings, sorted by class.

    Raises:
        ValueError: the arrays do not fit together, or are no such images.
    """
    import numpy as np

    from oneshot.types import Drawings

    if drawings.ndim != 4 or exemplars.ndim != 3 or len(drawings) != len(exemplars):
        raise ValueError(
            "drawings must be [C, n, H, W] and exemplars [C, H, W] of the same C; given"
            f" {drawings.shape} and {exemplars.shape}"
        )
    if drawings.shape[1] < 2:
        raise ValueError("diversity needs two drawings of each exemplar, or more")
    classes, each = drawings.shape[:2]
    images, constant = bits_of(drawings.reshape(classes * each, *drawings.shape[2:]), size)
    label, names = np.arange(classes).repeat(each), tuple(map(str, range(classes)))
    return Drawings(images, label, bits_of(exemplars, size)[0], names, int(constant.sum()))
