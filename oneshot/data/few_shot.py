"""Few-shot learning: classes cut into base and novel ones, novel classes into shots, pool and test.

The rules of Beckham et al. 2022 (arXiv 2203.16662), in NumPy's legacy stream of random numbers,
which never changes. A split `classes_3` says which classes are novel. Images of each class stand in
an order that depends on the class alone, so the first k of a class are its published shots, and
those of a smaller k are among those of a larger one. Other shots are chosen by a seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot import rng
from oneshot.types import CLASS_SPLIT, DataSet, Part, is_class_split

SPLITS = tuple(f"{CLASS_SPLIT}{seed}" for seed in range(5))
POOLS = ("published", "disjoint")
# of the images of a base class for training, and of a novel one for shots and pool, in per cent
BASE_SHARE, POOL_SHARE = 90, 80


@dataclass(frozen=True, eq=False)
class FewShotParts:
    """The images of a data set by what they are for, as rows of it.

    Args:
        base: every image of the base classes, int64 [images], class after class.
        supports: the shots of each novel class, int64 [novel classes, shots], classes sorted.
        pool: images of novel classes to learn from without labels, int64 [images].
        test: the held-out images of novel classes, int64 [images].
    """

    base: np.ndarray
    supports: np.ndarray
    pool: np.ndarray
    test: np.ndarray


def class_split(classes: int, novel: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The base and the novel classes of a split: the last ones of a permutation are novel.

    Args:
        classes: how many there are.
        novel: how many of them are novel.
        split: one of SPLITS; its number is the seed.

    Returns:
        Sorted int64 ids of the base and of the novel classes.
    """
    order = np.random.RandomState(int(split.removeprefix(CLASS_SPLIT))).permutation(classes)
    order = order.astype(np.int64)
    return np.sort(order[: classes - novel]), np.sort(order[classes - novel :])


def shuffled_class(label: int, images: int) -> np.ndarray:
    """The order of the images of a class, which depends on the class and on no seed.

    Args:
        label: the class.
        images: how many it has.

    Returns:
        int64 [images]: which image of the class, counted as the data set has them, stands where.
    """
    return np.random.RandomState(label).permutation(images).astype(np.int64)


def cut(label: np.ndarray, novel: np.ndarray) -> np.ndarray:
    """What each image is for in models and critics that learn from base classes.

    A tenth of the images of base classes is for selection, by one shuffle of all of them. Of each
    novel class the last fifth is for tests.

    Args:
        label: the class of each image, sorted, its images in the order of `shuffled_class`, [N].
        novel: the novel classes.

    Returns:
        A Part for each image, uint8 [N].
    """
    part = np.full(len(label), Part.TRAIN, np.uint8)
    base = np.flatnonzero(~np.isin(label, novel))
    shuffled = base[np.random.RandomState(0).permutation(len(base))]
    part[shuffled[len(base) * BASE_SHARE // 100 :]] = Part.SELECTION
    for c in novel:
        rows = np.flatnonzero(label == c)
        part[rows[len(rows) * POOL_SHARE // 100 :]] = Part.TEST
    return part


def few_shot_parts(data: DataSet, shots: int, shot_seed: int, pool: str) -> FewShotParts:
    """Choose the shots of each novel class, and say what else is for what.

    Args:
        data: with a class split.
        shots: k, images of each novel class whose labels are known, at least 1.
        shot_seed: 0 for the published shots; others choose among the same images of the class.
        pool: "published" for one that holds the shots, "disjoint" for one without them.

    Returns:
        Rows of the data set. With a disjoint pool no row is in two parts, and each is in one.

    Raises:
        ValueError: the split is none of classes; shots, pool or a class is unfit.
    """
    if not is_class_split(data.split) or data.part is None:
        raise ValueError(
            f"the split {data.split!r} of {data.name} has no novel classes; those that have are"
            f" {', '.join(SPLITS)}"
        )
    if pool not in POOLS:
        raise ValueError(f"pool = {pool!r} is not one of {', '.join(POOLS)}")
    if shots < 1:
        raise ValueError(f"shots = {shots}: a novel class needs at least 1")
    supports, pools = [], []
    for c in data.test.tolist():
        rows = data.rows_of_part(np.array([c]), Part.TRAIN)
        if len(rows) < shots:
            raise ValueError(
                f"shots = {shots}: the class {data.class_names[c]!r} of {data.name} has"
                f" {len(rows)} images to choose from"
            )
        order = np.arange(len(rows))
        if shot_seed:
            order = rng.generator(shot_seed, "few shots", c).permutation(len(rows))
        supports.append(rows[order[:shots]])
        pools.append(rows if pool == "published" else np.sort(rows[order[shots:]]))
    return FewShotParts(
        data.rows(data.train),
        np.stack(supports).astype(np.int64),
        np.concatenate(pools).astype(np.int64),
        data.rows_of_part(data.test, Part.TEST),
    )
