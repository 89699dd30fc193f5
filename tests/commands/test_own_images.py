"""Images of the user's in a run: what is told before it, what travels, and a sweep to its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from made_folders import write_class, write_folder

from oneshot import data
from oneshot.data import folder
from oneshot.paths import DataError
from oneshot.report.results import load as load_results
from oneshot.store.store import Store
from oneshot.sweep import Sweep, grid
from oneshot.sweep.expansion import expand
from oneshot.sweep.parts import SweepError
from oneshot.sweep.point import Point
from oneshot.trial import images

OF_IMAGES = 'dataset="folder", data_path="mine", split="fixed"'


def points(path: Path, protonet: dict[str, Any] | None = None, **given: Any) -> list[Point]:
    fixed = dict(dataset="folder", data_path=str(path), split="fixed", image_size=28, **given)
    return expand(
        Sweep(
            question="Does it work?",
            model="vae_stn",
            variant="tiny",
            points=grid(beta=[0.0, 1.0]),
            fixed=fixed,
            critics=dict(protonet=protonet or {}),
            references=(),
        )
    )


def test_the_store_has_prepared_images_for_machines_without_the_folder(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path / "mine", 10, 4)
    made, store = points(root), Store(tmp_path / "results")
    images.store_images(made, store)
    assert len(store.keys("store/images")) == 1, "both points have the same images"
    here = data.load("folder", "fixed", 28, made[0].settings)
    root.rename(tmp_path / "away")
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "other machine"))
    there = images.load_images(made[0], store)
    assert np.array_equal(there.images, here.images) and there.fingerprint == here.fingerprint
    assert there.class_names == here.class_names and np.array_equal(there.test, here.test)
    greys = images.load_greys(made[0], store)
    assert greys is not None and greys.max() == 255
    with pytest.raises(DataError, match="run the sweep again on the machine that has the folder"):
        images.load_images(made[0], Store(tmp_path / "no results"))


def test_images_that_changed_after_the_sweep_was_read_are_refused(
    own_cache: Path, tmp_path: Path
) -> None:
    root = write_folder(tmp_path / "mine", 10, 4)
    made = points(root)
    write_class(root / "one more", 9, 4)
    with pytest.raises(DataError, match="is not what the run began with"):
        images.store_images(made, Store(tmp_path / "results"))


def test_ids_follow_the_images_and_not_their_place(own_cache: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 10, 4)
    first = [p.point_id for p in points(root)]
    critics = points(root)[0].critics
    root.rename(tmp_path / "elsewhere")
    again = points(tmp_path / "elsewhere")
    assert [p.point_id for p in again] == first and again[0].critics == critics
    for given in (dict(threshold=0.4), dict(ink_tone="dark"), dict(test_share=0.3)):
        other = points(tmp_path / "elsewhere", **given)[0]
        assert other.point_id not in first
        assert other.critics["simclr"].id != critics["simclr"].id


def test_what_lacks_is_told_before_anything_is_trained(own_cache: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 50, 3)

    def said(protonet: dict[str, Any] | None = None, **given: Any) -> str:
        found = data.missing_of(points(root, protonet, **given))
        return "\n".join(map(str, found))

    text = said()
    assert "10 test classes, recognizability needs 20" in text and "ways = 10" in text
    assert "35 train classes have fewer than 6 images" in text and "train_queries = 5" in text
    assert not said(dict(train_queries=2), ways=10)
    assert not said(dict(train_queries=2), test_share=0.4)
    assert "0 test classes" in said(dict(train_queries=2), test_share=0.0, ways=2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(dataset="quickdraw", threshold=0.3), "threshold is of dataset = 'folder'"),
        (dict(dataset="quickdraw", ink_tone="dark"), "ink_tone is of dataset = 'folder'"),
        (dict(dataset="folder"), "needs data_path"),
        (dict(dataset="folder", data_path="nowhere"), "there is no such file: "),
    ],
)
def test_settings_of_a_folder_stand_with_it_alone(
    own_cache: Path, given: dict[str, Any], words: str
) -> None:
    fixed = dict(split="fixed", image_size=28, **given)
    sweep = Sweep(question="?", model="vae_stn", points=grid(beta=[0.0]), fixed=fixed)
    with pytest.raises(SweepError, match=words):
        expand(sweep)


def test_colour_is_not_scored_by_the_critics_of_bits(own_cache: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 10, 4)
    fixed = dict(dataset="folder", data_path=str(root), split="fixed", image_size=28, colour=True)
    sweep = Sweep(question="?", model="vae_stn", points=grid(beta=[0.0]), fixed=fixed)
    with pytest.raises(SweepError, match="folder holds colour images"):
        expand(sweep)


@pytest.mark.slow
def test_a_small_sweep_on_a_folder_ends_in_rows(own_cache: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", 50, 8, dark=False)
    sweep = tmp_path / "mine_first.py"
    text = small.SWEEP.format(epochs=1, batch=64).replace("train_ways=20", "train_ways=10")
    given = 'dataset="folder", data_path="images.npz", split="fixed"'
    assert given in text
    sweep.write_text(text.replace(given, f"{OF_IMAGES}, ways=10"))
    results = tmp_path / "results"
    looked = small.main(sweep, "--check", "--results", results)
    assert looked.returncode == 0 and "ink is bright" in looked.stderr, looked.stderr
    done = small.main(sweep, "--local", "--results", results)
    assert done.returncode == 0, done.stderr
    table = load_results(results / "mine_first").models
    assert len(table) == 3 and set(table["status"]) == {"done"} and set(table["ways"]) == {10}
    assert table["recognizability"].between(0, 100).all()
    again = small.main(sweep, "--local", "--results", results)
    assert "Nothing to run" in again.stderr + again.stdout
    assert folder.counts(points(tmp_path / "mine")[0].settings)["TEST_CLASSES"] == {"fixed": 10}
