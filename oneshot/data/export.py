"""The four parts of a few-shot split as files that any program reads, and reading them back.

A folder of base.npz, supports.npz, pool.npz and test.npz, and about.json, which says where they
come from and has their checksums. The folder gets its name when it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import oneshot
from oneshot import data
from oneshot.data import few_shot
from oneshot.data.images import read_npz_arrays
from oneshot.paths import DataError
from oneshot.store.machine_cache import sha256
from oneshot.types import DataSet, is_class_split

FORMAT = 1
PARTS = ("base", "supports", "pool", "test")
ABOUT = "about.json"
HELP = "\n  help: export it again, into another folder"
# what about.json says, and of what type
TEXTS = ("oneshot", "dataset", "split", "fingerprint", "pool")
NUMBERS = ("format", "image_size", "shots", "shot_seed")
FIELDS: dict[str, type] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(NUMBERS, int),
    **dict.fromkeys(("base_classes", "novel_classes"), list),
    **dict.fromkeys(("images", "sha256"), dict),
}
# of each array of a part, its dimensions and the kinds of NumPy types that it may have
ARRAYS = {"images": (4, "u"), "label": (1, "i"), "index": (1, "i"), "class_names": (1, "U")}


@dataclass(frozen=True, eq=False)
class PartImages:
    """The images of one part.

    Args:
        images: uint8 [n, channels, S, S].
        label: the class of each, int64 [n], an index into the class names.
        index: the row of each in the data set, int64 [n].
    """

    images: np.ndarray
    label: np.ndarray
    index: np.ndarray


@dataclass(frozen=True, eq=False)
class Export:
    """What an exported folder holds.

    Args:
        about: what about.json says: data set, split, shots, seed, pool, versions, checksums.
        class_names: of all classes of the data set.
        parts: by name, one of PARTS.
    """

    about: dict[str, Any]
    class_names: tuple[str, ...]
    parts: dict[str, PartImages]


def export(
    dataset: str,
    split: str,
    folder: Path,
    shots: int,
    shot_seed: int = 0,
    pool: str = "disjoint",
    image_size: int = 32,
) -> dict[str, Any]:
    """Write the four parts of a split into a new folder.

    Args:
        dataset: with splits of classes.
        split: one of them.
        folder: it must not exist yet; its parent is made.
        shots: images of each novel class whose labels are known.
        shot_seed: 0 for the published shots.
        pool: "disjoint" or "published", as `few_shot.few_shot_parts`.
        image_size: height and width in pixels.

    Returns:
        What about.json says.

    Raises:
        DataError: the folder exists or cannot be written; the split has no novel classes, or these
            too few images; the data are absent or damaged.
    """
    _demand_new(folder)
    if not is_class_split(split) or split not in data.splits(dataset):
        raise _no_class_split(dataset, split)
    found = data.load(dataset, split, image_size)
    try:
        parts = few_shot.few_shot_parts(found, shots, shot_seed, pool)
    except ValueError as error:
        raise DataError(str(error)) from error
    about: dict[str, Any] = dict(
        format=FORMAT,
        oneshot=oneshot.__version__,
        dataset=dataset,
        split=split,
        image_size=image_size,
        fingerprint=found.fingerprint,
        shots=shots,
        shot_seed=shot_seed,
        pool=pool,
        base_classes=[found.class_names[c] for c in found.train],
        novel_classes=[found.class_names[c] for c in found.test],
    )
    rows = {name: np.ravel(getattr(parts, name)) for name in PARTS}
    try:
        return _write(folder, found, rows, about)
    except OSError as error:
        raise DataError(
            f"cannot write {folder}: {error.strerror or error}\n  help: choose a folder with room"
        ) from error


def read_export(folder: Path) -> Export:
    """Read a folder that `export` wrote, and check that it is whole.

    Returns:
        Its parts, class names, and where they are from.

    Raises:
        DataError: a file is missing, damaged, or no export; it is named.
    """
    about = _read_about(folder / ABOUT)
    parts: dict[str, PartImages] = {}
    names: set[tuple[str, ...]] = set()
    for part in PARTS:
        path = folder / f"{part}.npz"
        if not path.is_file():
            raise DataError(f"{path} is missing{HELP}")
        if sha256(path) != about["sha256"].get(part):
            raise DataError(f"{path} is damaged: its checksum is not that of {ABOUT}{HELP}")
        arrays = read_npz_arrays(path, ARRAYS, HELP)
        names.add(tuple(arrays.pop("class_names").tolist()))
        found = parts[part] = PartImages(**arrays)
        if not len(found.images) == len(found.label) == len(found.index) == about["images"][part]:
            raise DataError(f"{path} has not as many images as {ABOUT} says{HELP}")
    if len(names) != 1:
        raise DataError(f"the files of {folder} differ in the names of their classes{HELP}")
    class_names = names.pop()
    _demand_right(folder, about, parts, class_names)
    return Export(about, class_names, parts)


def _demand_new(folder: Path) -> None:
    """Raise DataError if there is something of this name, which is never overwritten."""
    if os.path.lexists(folder):
        raise DataError(
            f"{folder} exists already, and is not overwritten\n  help: name a new folder, or remove"
            " this one"
        )


def _no_class_split(dataset: str, split: str) -> DataError:
    """The error for a split that has no novel classes."""
    having = [n for n in data.names() if any(map(is_class_split, data.splits(n)))]
    of_this = [s for s in data.splits(dataset) if is_class_split(s)]
    if of_this:
        help = f"{dataset} has {', '.join(of_this)}"
    else:
        help = f"data sets that have them: {', '.join(having)}"
    return DataError(
        f"{dataset} {split}: only a split into base and novel classes has the parts of few-shot"
        f" learning\n  help: {help}"
    )


def _write(
    folder: Path, found: DataSet, rows: Mapping[str, np.ndarray], about: dict[str, Any]
) -> dict[str, Any]:
    """Write all files beside the folder's place, then give them its name."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.part"
    hidden.mkdir()
    try:
        for part, index in rows.items():
            with (hidden / f"{part}.npz").open("wb") as file:
                np.savez_compressed(
                    file,
                    images=np.asarray(found.images[index]),
                    label=found.label[index].astype(np.int64),
                    index=index,
                    class_names=np.array(found.class_names),
                )
                file.flush()
                os.fsync(file.fileno())
        about["images"] = {part: len(index) for part, index in rows.items()}
        about["sha256"] = {part: sha256(hidden / f"{part}.npz") for part in rows}
        with (hidden / ABOUT).open("w", encoding="utf-8") as text:
            text.write(json.dumps(about, indent=2) + "\n")
            text.flush()
            os.fsync(text.fileno())
        _demand_new(folder)  # an empty folder would be replaced
        hidden.rename(folder)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return about


def _read_about(path: Path) -> dict[str, Any]:
    """What about.json says; DataError if it is not there or not what `export` writes."""
    if not path.is_file():
        raise DataError(f"{path} is missing: {path.parent} is no whole export{HELP}")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}{HELP}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DataError(f"{path} is no export of format {FORMAT}{HELP}")
    wrong = [name for name, kind in FIELDS.items() if not isinstance(about.get(name), kind)]
    if not wrong:
        wrong = [f"images of {part}" for part in PARTS if part not in about["images"]]
    if wrong:
        raise DataError(f"{path} is damaged: it does not say {', '.join(wrong)}{HELP}")
    return about


def _demand_right(
    folder: Path, about: dict[str, Any], parts: Mapping[str, PartImages], names: tuple[str, ...]
) -> None:
    """Raise DataError unless the parts are of their classes, and disjoint if they say so."""
    for name, part in parts.items():
        there = {names[c] if 0 <= c < len(names) else str(c) for c in np.unique(part.label)}
        expected = set(about["base_classes" if name == "base" else "novel_classes"])
        if not there <= expected:
            other = ", ".join(sorted(there - expected))
            raise DataError(f"{folder / name}.npz has images of other classes: {other}{HELP}")
    if about["pool"] == "disjoint":
        index = np.concatenate([part.index for part in parts.values()])
        if len(np.unique(index)) != len(index):
            raise DataError(f"{folder}: an image is in two parts, which are disjoint{HELP}")
