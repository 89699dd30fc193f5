"""CelebA and CIFAR-10 made up, in small folders."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot.data import cifar10

WIDE, HIGH = 12, 16  # pixels of a made face


def sizes() -> dict[int, int]:
    """Images of each made identity: 19 and 31 are no classes; 20 are, of them five with 20 and five
    with 30 images.
    """
    return {7: 19, 1000: 31, **{100 - i: 20 + 2 * (i % 6) for i in range(18)}, 3: 20, 2000: 30}


def colour(identity: int, number: int) -> tuple[int, int, int]:
    return identity % 251, 10 * (number % 20), 255 - identity % 200


def make_faces(folder: Path) -> list[str]:
    """Faces of one colour with a black band above and below the centred square, as PNG under JPEG
    names, so that values stay exact.
    """
    (folder / "img_align_celeba").mkdir(parents=True)
    lines, number = [], 0
    for turn in range(31):  # identities are mixed, as in the official list
        for identity, count in sizes().items():
            if turn < count:
                number += 1
                name = f"{number:06d}.jpg"
                lines.append(f"{name} {identity}")
                face = np.zeros((HIGH, WIDE, 3), np.uint8)
                face[2:-2] = colour(identity, turn)
                Image.fromarray(face).save(folder / "img_align_celeba" / name, "png")
    (folder / "identity_CelebA.txt").write_text("\n".join(lines) + "\n")
    return lines


def old_pickle(data: np.ndarray, labels: list[int], name: bytes = b"labels") -> bytes:
    """A batch as Python 2 wrote it: byte strings throughout, NumPy's functions under their old
    names; `name` is what it calls its labels.
    """
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I%d\nI%d\nt"
        % data.shape
    )
    array += b"cnumpy\ndtype\n(U\x02u1I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\n"
    array += b"T" + data.nbytes.to_bytes(4, "little") + data.tobytes() + b"tb"
    numbers = b"(l" + b"".join(b"I%d\na" % label for label in labels)
    called = b"U" + bytes([len(name)]) + name
    start = b"\x80\x02}(U\x0bbatch_labelU\x04test"
    return start + called + numbers + b"U\x04data" + array + b"u."


def make_batches(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Six batches of 110 random images, written as by Python 2 and, every other one, by today's
    NumPy; results in the files' order.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(660, 3072), dtype=np.uint8)
    labels = np.concatenate([rng.permutation(np.repeat(np.arange(10), 11)) for _ in range(6)])
    home = folder / "cifar-10-batches-py"
    home.mkdir(parents=True)
    for i, name in enumerate(cifar10.BATCHES):
        part = slice(110 * i, 110 * i + 110)
        batch = {b"data": pixels[part], b"labels": labels[part].tolist()}
        content = (
            pickle.dumps(batch, protocol=3)
            if i % 2
            else old_pickle(pixels[part], labels[part].tolist())
        )
        (home / name).write_bytes(content)
    return pixels.reshape(-1, 3, 32, 32), labels
