"""Omniglot made up, with the structure of the real one: zips, folders, one npz."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from oneshot.data import (
    images,
)
from oneshot.data.omniglot_files import PACKED, SETS, Release

# alphabets with their number of characters; 8 classes
SMALL = {"Zulu_(made)": 4, "Arch-Made": 1}, {"Beta": 3}


@dataclasses.dataclass
class Made:
    """A small data set in the form of Omniglot: `release` says what it holds, `bits` are its
    images, `zips` the bytes of its two zips.
    """

    release: Release
    bits: np.ndarray
    zips: dict[str, bytes]


def png(bits: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(bits == 0).save(file, "png")  # mode "1", black strokes, as the original
    return file.getvalue()


def make_zips(bits: np.ndarray, release: Release) -> dict[str, bytes]:
    """The two zips, entries in an order that is not the canonical one, with a stray file as macOS
    leaves them.
    """
    zips, start = {}, 0
    for name, alphabets in zip(SETS, (release.background, release.evaluation)):
        keys = [
            (a, c, d)
            for a, count in alphabets.items()
            for c in range(1, count + 1)
            for d in range(1, 21)
        ]
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for i in reversed(range(len(keys))):
                alphabet, character, drawer = keys[i]
                file_name = f"{700 + character:04d}_{drawer:02d}.png"
                place = f"{name}/{alphabet}/character{character:02d}/{file_name}"
                archive.writestr(place, png(bits[start + i]))
            archive.writestr(f"__MACOSX/{name}/Beta/character01/._0701_01.png", b"not an image")
        zips[name] = file.getvalue()
        start += len(keys)
    return zips


def make(bits: np.ndarray, background: dict[str, int], evaluation: dict[str, int]) -> Made:
    content = hashlib.sha256(np.packbits(bits.reshape(len(bits), -1), axis=1).tobytes()).hexdigest()
    # port 9: nobody answers
    release = Release(
        dict(sorted(background.items())), evaluation, content, "http://127.0.0.1:9", ("", "")
    )
    zips = make_zips(bits, release)
    md5 = tuple(hashlib.md5(zips[name]).hexdigest() for name in SETS)
    return Made(dataclasses.replace(release, md5=md5), bits, zips)


def put_zips(folder: Path, zips: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zips.items():
        (folder / f"{name}.zip").write_bytes(content)
    return folder


def put_npz(folder: Path, made: Made, **changes: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    alphabets = [*made.release.background, *made.release.evaluation]
    arrays = {
        "packed": images.pack(made.bits),
        "label": np.repeat(np.arange(8), 20),
        "alphabet_names": np.array(alphabets),
        "class_alphabet": np.array([alphabets.index(a) for a, _ in made.release.characters]),
        "class_character": np.array([c for _, c in made.release.characters]),
    }
    np.savez(folder / PACKED, **{**arrays, **changes})
    return folder


def put_folders(folder: Path, zips: dict[str, bytes]) -> Path:
    for content in zips.values():
        zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder
