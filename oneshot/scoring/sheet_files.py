"""Sheets as the store keeps them: images in rows and columns, a file a sheet of a point's drawings.

No torch, so that analysis reads them too.
"""

from __future__ import annotations

import io

import numpy as np

from oneshot.store.store import DamagedFile, with_checksum, without_checksum

FOLDER = "store/sheets"


def key(sample_id: str, name: str) -> str:
    """Where the store keeps a sheet.

    Args:
        sample_id: of the drawings beside which it was made.
        name: of the sheet.

    Returns:
        A key of the store.
    """
    return f"{FOLDER}/{sample_id}/{name}.npz"


def to_bytes(images: np.ndarray) -> bytes:
    """The file of a sheet: an npz with a checksum behind it, which readers of npz pass over.

    Its array `images` is uint8 [rows, columns, H, W, C].
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images)
    return with_checksum(buffer.getvalue())


def from_bytes(data: bytes, where: str = "a sheet") -> np.ndarray:
    """The images in the bytes of `to_bytes`.

    Args:
        data: the bytes.
        where: the name of the file, for the error.

    Returns:
        uint8 [rows, columns, H, W, C].

    Raises:
        DamagedFile: whatever is wrong with the bytes.
    """
    data = without_checksum(data, where)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            images: np.ndarray = file["images"]
        if images.dtype != np.uint8 or images.ndim != 5 or not images.size:
            raise ValueError(f"images are {images.dtype} {list(images.shape)}")
    except MemoryError:
        raise
    except Exception as error:  # zip, deflate, header and pickle errors of many kinds
        raise DamagedFile(f"{where} is damaged ({type(error).__name__}: {error})") from None
    return images
