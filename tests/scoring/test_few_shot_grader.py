"""The grader of few-shot drawings: real images, copies of shots, too few drawings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_few_shot import CLASSES, IMAGES, NOVEL, clusters
from tiny_families import build

from oneshot.critics.base_classifier import Config, ResNet, train
from oneshot.data.few_shot import few_shot_parts
from oneshot.metrics.neighbours import nearest
from oneshot.scoring import augmentation
from oneshot.scoring.base_classifier import BaseClassifier
from oneshot.scoring.graders import few_shot as grader
from oneshot.scoring.work import Work
from oneshot.store.store import Store
from oneshot.store.tables import FEW_SHOT, PANEL
from oneshot.types import Drawings, Part

CPU = torch.device("cpu")
OF_GAIN = {"classified_supports", "classified_augmented", "classified_gain", "generated_images"}
OF_PANEL = {"fid", "kid", "sample_precision", "sample_recall", "density", "coverage", "vendi"}


@pytest.fixture(scope="module")
def network() -> ResNet:
    config = Config(epochs=6, batch_size=32, width=4, learning_rate=2e-3)
    return train(config, clusters(), None, 0, CPU, lambda *_: None)[0]


@pytest.fixture
def judge(network: ResNet) -> BaseClassifier:
    return BaseClassifier(network, clusters(), CPU)


def drawings(rows: np.ndarray) -> Drawings:
    """Images of the data in place of drawings, in the form of a family that is asked by a class."""
    data = clusters()
    rows = rows[np.argsort(data.label[rows], kind="stable")]
    first = data.as_drawings(np.arange(0, len(data.label), IMAGES))
    return Drawings(data.as_drawings(rows), data.label[rows], first, data.class_names)


def graded(drawn: Drawings, judge: BaseClassifier, folder: Path, **changed: Any) -> dict[str, Any]:
    settings = dict(
        shots=5,
        shot_seed=0,
        pool="disjoint",
        generated_per_class=0,
        unfreeze="head",
        mixup=0.0,
        head_steps=10,
    )
    point: Any = SimpleNamespace(settings={**settings, **changed}, seed=44)
    work = Work(
        point=point,
        data=judge.data,
        exemplars=np.arange(0, CLASSES * IMAGES, IMAGES),
        drawings=drawn,
        critics=None,
        human=None,
        people=None,
        family=None,
        load_weights=lambda: None,
        greys=lambda: None,
        store=Store(folder),
        device=CPU,
        base_classifier=judge,
    )
    columns, tables = grader.grade(work)
    assert set(columns) <= {*FEW_SHOT, *PANEL} and not tables
    return columns


def parts(shots: int = 5) -> Any:
    return few_shot_parts(clusters(), shots, 0, "disjoint")


def test_images_for_tests_beside_themselves(judge: BaseClassifier, tmp_path: Path) -> None:
    row = graded(drawings(parts().test), judge, tmp_path)
    assert set(row) == OF_PANEL | OF_GAIN | {"nearest_shot"}
    assert row["fid"] < 1e-8 and row["sample_precision"] == row["sample_recall"] == 1
    assert row["coverage"] == 1 and row["nearest_shot"] == pytest.approx(1)
    assert row["classified_gain"] == 0 and row["generated_images"] == 0


def test_copies_of_shots_lie_at_them(judge: BaseClassifier, tmp_path: Path) -> None:
    copies = drawings(parts().supports.repeat(8, axis=1).reshape(-1))
    row = graded(copies, judge, tmp_path)
    assert row["nearest_shot"] == 0 and row["sample_recall"] == 0
    assert graded(copies, judge, tmp_path, shot_seed=1)["nearest_shot"] > 0


def test_distance_to_shots_is_to_those_of_the_own_class(
    judge: BaseClassifier, tmp_path: Path
) -> None:
    pool = parts(3).pool
    row = graded(drawings(pool), judge, tmp_path, shots=3)
    data, chosen = clusters(), parts(3)
    away = {"drawn": [], "test": []}  # type: dict[str, list[float]]
    for i, c in enumerate(NOVEL):
        shots = judge.predict(data.images[chosen.supports[i]]).features
        for name, rows in (("drawn", pool), ("test", chosen.test)):
            own = judge.predict(data.images[rows[data.label[rows] == c]]).features
            away[name] += nearest(own, shots).tolist()
    wanted = np.mean(away["drawn"]) / np.mean(away["test"])
    assert row["nearest_shot"] == pytest.approx(wanted, rel=1e-4)


def test_what_needs_more_drawings_is_missing(judge: BaseClassifier, tmp_path: Path) -> None:
    test = parts().test
    few = graded(drawings(test[::4]), judge, tmp_path)  # nine of 32 dimensions
    assert OF_PANEL - set(few) == {"fid"} and "fid_base" not in few
    one = graded(drawings(test[:1]), judge, tmp_path, generated_per_class=5)
    assert {"vendi", "nearest_shot"} | OF_GAIN == set(one) and one["generated_images"] == 1
    none = graded(drawings(test[:0]), judge, tmp_path, generated_per_class=5)
    assert set(none) == OF_GAIN and none["classified_gain"] == 0


def test_base_classes_are_compared_with_base_images(judge: BaseClassifier, tmp_path: Path) -> None:
    data = clusters()
    assert set(data.label[judge.base_rows]) == set(data.train) and len(judge.base_rows) == 64
    selection = data.rows_of_part(data.train, Part.SELECTION)
    assert set(selection) <= set(judge.base_rows), "30 are too few for 32 dimensions"
    row = graded(drawings(judge.base_rows), judge, tmp_path)
    assert row["fid_base"] < 1e-8 and "fid" not in row and "nearest_shot" not in row
    shown = data.rows_of_part(data.train, Part.TRAIN)
    bright = drawings(shown)
    near, far = (
        graded(Drawings(i, bright.label, bright.exemplars, bright.class_names), judge, tmp_path)
        for i in (bright.images, bright.images // 2)
    )
    assert 0 < near["fid_base"] < far["fid_base"] / 3


def test_the_first_drawings_of_a_class_teach(
    judge: BaseClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "LEARNING_RATE", 2e-3)
    drawn = drawings(parts().pool)
    task = dict(generated_per_class=7, head_steps=300)
    whole = graded(drawn, judge, tmp_path, **task)
    assert whole["generated_images"] == 21
    place = np.arange(len(drawn.label)) - np.searchsorted(drawn.label, drawn.label)
    for changed, same in ((place >= 7, True), (place < 7, False)):
        images = drawn.images.copy()
        images[changed] = 255 - images[changed]
        other = graded(
            Drawings(images, drawn.label, drawn.exemplars, drawn.class_names),
            judge,
            tmp_path,
            **task,
        )
        assert (other["classified_augmented"] == whole["classified_augmented"]) == same
        assert other["classified_supports"] == whole["classified_supports"]


def test_real_images_in_place_of_drawings_are_a_gain(
    judge: BaseClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "LEARNING_RATE", 2e-3)
    data = clusters()
    real = build("real", shots=1).draw(data, np.arange(0, CLASSES * IMAGES, IMAGES), 40, 44)
    row = graded(real, judge, tmp_path, shots=1, generated_per_class=40, head_steps=800)
    assert row["classified_gain"] > 15 and row["generated_images"] == 120
    assert {*OF_PANEL, "fid_base"} <= set(row)


def test_drawings_of_no_class_of_the_data_are_refused(
    judge: BaseClassifier, tmp_path: Path
) -> None:
    drawn = drawings(parts().test)
    nameless = Drawings(drawn.images, drawn.label * 0, drawn.exemplars[:1], ("",))
    with pytest.raises(ValueError, match="is no class of made"):
        graded(nameless, judge, tmp_path)


def test_each_real_image_is_seen_once(network: ResNet, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, seen = BaseClassifier(network, clusters(), CPU), []
    embed = network.embed
    monkeypatch.setattr(network, "embed", lambda x: [seen.append(len(x)), embed(x)][1])
    rows = np.array([5, 9, 5, 100])
    one = judge.features(rows)
    assert sum(seen) == 3 and np.array_equal(one[0], one[2])
    assert np.array_equal(judge.features(rows[::-1]), one[::-1]) and sum(seen) == 3
    judge.features(np.array([9, 10]))
    assert sum(seen) == 4 and judge.features(rows[:0]).shape == (0, 32)
    assert np.array_equal(judge.test_rows, parts().test)
