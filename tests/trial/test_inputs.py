"""What the sweeps of a results folder share: made once, of what is missing only, and made again
where it is damaged.
"""

from __future__ import annotations

import dataclasses
import io
import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import torch

from oneshot import cli
from oneshot import data as datasets
from oneshot.critics import protonet, simclr
from oneshot.critics.encoder import embed_all
from oneshot.data import DataError
from oneshot.store import notes
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point, data_fingerprint
from oneshot.trial import inputs
from oneshot.types import DataSet

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
SIZE, CLASSES, EACH, TEST = 16, 36, 6, 22  # of the made images
PARTS = ("simclr", "protonet", "exemplars", "human")


def made(name: str = "quickdraw", split: str = "fixed", size: int = SIZE) -> DataSet:
    """Bars at a place of their class, with a little jitter, in the place of the real drawings."""
    rng = np.random.default_rng(0)
    images = np.zeros((CLASSES, EACH, size, size), np.uint8)
    for c in range(CLASSES):
        y, x = rng.integers(2, size - 5, 2)
        for i in range(EACH):
            dy, dx = rng.integers(-1, 2, 2)
            images[c, i, y + dy : y + dy + 3, 2:-2] = 1
            images[c, i, 3:-2, x + dx : x + dx + 2] = 1
    names = tuple(f"class {c}" for c in range(CLASSES))
    parts = np.split(np.arange(CLASSES), [CLASSES - TEST - 4, CLASSES - TEST])
    fingerprint = data_fingerprint("quickdraw")
    flat = images.reshape(-1, size, size)
    return DataSet(name, split, fingerprint, flat, np.arange(CLASSES).repeat(EACH), names, *parts)


SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Is it made once?",
    model="copy",
    points=grid({axes}),
    references=(),
    fixed=dict(dataset="quickdraw", split="fixed", image_size={size}),
    critics=dict(
        simclr=dict({simclr}),
        protonet=dict({protonet}),
    ),
)
"""
SIMCLR = "epochs=1, batch_size=16, batches_per_epoch=2"
PROTONET = "epochs=1, episodes_per_epoch=2, train_ways=5, train_queries=2"


def write(path: Path, axes: str = "drawings_per_class=[2]", **changed: Any) -> Path:
    path.write_text(
        SWEEP.format(axes=axes, **dict(size=SIZE, simclr=SIMCLR, protonet=PROTONET) | changed)
    )
    return path


def some_points(folder: Path, axes: str = "drawings_per_class=[2]", **changed: Any) -> list[Point]:
    return expand(load_sweep(write(folder / "q.py", axes, **changed)))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "load", made)
    monkeypatch.chdir(tmp_path)
    inputs._cache.clear()
    yield
    inputs._cache.clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each embedding for exemplars was given."""
    counts: list[int] = []

    def counted(module: Any, images: np.ndarray, device: Any) -> np.ndarray:
        counts.append(len(images))
        return embed_all(module, images, device)

    monkeypatch.setattr(inputs, "embed_all", counted)
    return counts


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which critics were trained."""
    names: list[str] = []
    for family in (simclr, protonet):

        def spied(
            *given: Any,
            name: str = family.__name__.rpartition(".")[2],
            real: Callable[..., Any] = family.train,
        ) -> Any:
            names.append(name)
            return real(*given)

        monkeypatch.setattr(family, "train", spied)
    return names


# --- only what is missing
# -----------------------------------------------------------------------------


def test_medoids_are_computed_once_for_all_exemplars_and_protocols(
    tmp_path: Path, store: Store, embedded: list[int], trained: list[str]
) -> None:
    chosen = some_points(
        tmp_path,
        'exemplar=["first", "random", "medoid"], protocol=["expected", "episodes"]',
        size=SIZE,
    )
    assert len(chosen) == 6
    for point in chosen:
        assert inputs.missing(point, store)
        inputs.prepare(point, store, CPU)
        assert inputs.missing(point, store) == []
    assert embedded == [CLASSES * EACH] and trained == ["simclr", "protonet"]
    medoids = inputs.load(chosen[-1], store, CPU).exemplars
    simclr_of = inputs._read_critic(chosen[0].simclr, SIZE, store, CPU)
    assert np.array_equal(medoids, inputs.choose_exemplars(made(), "medoid", simclr_of, 0, CPU))
    assert inputs.load(chosen[0], store, CPU).exemplars.tolist() == list(
        range(0, CLASSES * EACH, EACH)
    )


@pytest.mark.parametrize("part", PARTS)
def test_only_what_is_missing_is_made(
    part: str, tmp_path: Path, store: Store, embedded: list[int], trained: list[str]
) -> None:
    (point,) = some_points(tmp_path)
    inputs.prepare(point, store, CPU)
    where, before = inputs.keys(point), files(store)
    embedded.clear(), trained.clear()  # type: ignore[func-returns-value]
    store.delete(where[part])
    inputs.prepare(point, store, CPU)
    assert trained == [part] * (part in ("simclr", "protonet")) and embedded == [CLASSES * EACH] * (
        part == "exemplars"
    )
    after = files(store)
    assert after.keys() == before.keys() and {
        key for key in after if after[key] != before[key]
    } <= {where[part]}


def files(store: Store) -> dict[str, bytes]:
    """Everything stored but leases, by key."""
    root = Path(store.base)
    found = (p for p in root.rglob("*") if p.is_file() and not p.name.startswith(("driver", ".")))
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


@pytest.fixture
def published(tmp_path: Path) -> dict[str, str]:
    """Settings of two critics that are imported."""
    torch.manual_seed(1)
    settings = {}
    for name, family in (("simclr", simclr.SimCLR), ("protonet", protonet.ProtoNet)):
        torch.save(family(50).state_dict(), tmp_path / f"{name}.model")
        settings[name] = f'weights="{tmp_path / name}.model"'
    return settings


@pytest.mark.parametrize(
    ("exemplar", "images"), [("first", TEST * EACH), ("medoid", CLASSES * EACH)]
)
def test_imported_critics_embed_the_test_classes_only_unless_models_need_all(
    exemplar: str,
    images: int,
    tmp_path: Path,
    store: Store,
    embedded: list[int],
    published: dict[str, str],
) -> None:
    (point,) = some_points(tmp_path, f'exemplar=["{exemplar}"]', size=50, **published)
    inputs.prepare(point, store, CPU)
    assert embedded == [images]
    quality = notes.stored(store, point.protonet.quality_key)
    simclr_of = inputs._read_critic(point.simclr, 50, store, CPU)
    medoids = inputs.choose_exemplars(made(size=50), "medoid", simclr_of, 0, CPU)
    module = inputs._read_critic(point.protonet, 50, store, CPU)
    same = protonet.quality(module, made(size=50), medoids, 0, CPU)  # type: ignore[arg-type]
    assert quality is not None and quality["test_recognizability"] == same["test_recognizability"]


# --- one maker at a time
# -----------------------------------------------------------------------------


PROCESS = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import test_inputs
    from oneshot import cli, data as datasets
    from oneshot.critics import simclr, protonet

    datasets.load = test_inputs.made
    folder, name = Path({folder!r}), sys.argv[1]
    for family in (simclr, protonet):
        def spied(*given, real=family.train, what=family.__name__.rpartition(".")[2]):
            with open(folder / "trained", "a") as log:
                log.write(f"{{name}} {{what}}\\n")
            while not (folder / f"go-{{name}}").exists():
                time.sleep(0.05)
            return real(*given)
        family.train = spied
    sys.exit(cli.main([f"{{name}}.py", "--local", "--results", "results", *sys.argv[2:]]))
"""


class Run:
    """run_sweep.py on a sweep of this name, which trains no critic before it is let go."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        write(folder / f"{name}.py", "drawings_per_class=[2, 3]")
        code = textwrap.dedent(
            PROCESS.format(tests=str(ROOT / "tests" / "support"), folder=str(folder))
        )
        self.err = (folder / f"{name}.err").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, name],
            cwd=folder,
            env={**small.environment(), "ONESHOT_CACHE": str(folder / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=self.err,
        )

    def let_go(self) -> None:
        (self.folder / f"go-{self.name}").touch()

    def said(self) -> str:
        return (self.folder / f"{self.name}.err").read_text()

    def trained(self) -> list[str]:
        log = self.folder / "trained"
        return (
            [
                line.split()[1]
                for line in log.read_text().splitlines()
                if line.startswith(f"{self.name} ")
            ]
            if log.exists()
            else []
        )

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)

    def ended(self) -> int:
        return self.process.wait(timeout=180)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Run, Run]]:
    """A sweep that trains SimCLR, held up in it, and one that came later and waits for it."""
    first = Run(tmp_path, "first")
    second = None
    try:
        first.until(lambda: first.trained() == ["simclr"])
        second = Run(tmp_path, "second")
        waits = f"waiting for SimCLR, which process {first.process.pid} on "
        second.until(lambda: waits in second.said())
        yield first, second
    finally:
        for run in filter(None, (first, second)):
            run.process.kill()
            run.process.wait()
            run.err.close()


def rows_of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / name / "points.parquet")


HUMAN = [
    "human_diversity",
    "human_recognizability",
    "human_originality",
    "simclr_id",
    "protonet_id",
]


@pytest.mark.slow
def test_of_two_sweeps_at_once_one_makes_the_critics_and_both_use_them(
    two: tuple[Run, Run], tmp_path: Path
) -> None:
    first, second = two
    second.let_go()
    first.let_go()
    assert first.ended() == 0 and second.ended() == 0, first.said() + second.said()
    assert Counter(first.trained() + second.trained()) == {"simclr": 1, "protonet": 1}
    mine, theirs = (rows_of(tmp_path, run.name) for run in two)
    assert len(mine) == len(theirs) == 2 and set(mine.status) | set(theirs.status) == {"done"}
    assert len(pd.concat([mine[HUMAN], theirs[HUMAN]]).drop_duplicates()) == 1
    for run in two:
        assert len(pd.read_parquet(tmp_path / "results" / run.name / "critics.parquet")) == 2
    assert not list((tmp_path / "results").rglob("*.damaged-*"))


@pytest.mark.slow
def test_where_the_maker_is_killed_the_next_one_takes_over(
    two: tuple[Run, Run], tmp_path: Path
) -> None:
    first, second = two
    second.let_go()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    assert second.ended() == 0, second.said()
    assert first.trained() == ["simclr"] and second.trained() == ["simclr", "protonet"]
    rows = rows_of(tmp_path, "second")
    assert set(rows.status) == {"done"} and len(rows) == 2


def test_what_another_one_has_stored_is_used_and_not_replaced(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A maker that was taken for dead, and ends after the one that took its work over."""
    (point,) = some_points(tmp_path)
    other = simclr.SimCLR(SIZE)
    real = simclr.train

    def late(*given: Any) -> Any:
        buffer = io.BytesIO()
        torch.save(other.state_dict(), buffer)
        store.seal(point.simclr.weights_key, buffer.getvalue())
        return real(*given)

    monkeypatch.setattr(simclr, "train", late)
    inputs.prepare(point, store, CPU)
    used = inputs.load(point, store, CPU).critics
    assert used is not None
    for name, value in used.simclr.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    quality = notes.stored(store, point.simclr.quality_key)
    assert (
        quality is not None
        and quality["test_loss"] == simclr.quality(other.eval(), made(), None, 0, CPU)["test_loss"]
    )


def test_weights_without_their_quality_are_judged_and_not_trained_again(
    tmp_path: Path, store: Store, trained: list[str]
) -> None:
    (point,) = some_points(tmp_path)
    inputs.prepare(point, store, CPU)
    before = {
        spec.id: notes.stored(store, spec.quality_key) for spec in (point.simclr, point.protonet)
    }
    for spec in (point.simclr, point.protonet):
        store.delete(spec.quality_key)
    assert inputs.missing(point, store) == ["simclr", "protonet"]
    trained.clear()
    inputs.prepare(point, store, CPU)
    for spec in (point.simclr, point.protonet):
        old, new = before[spec.id], notes.stored(store, spec.quality_key)
        assert (
            old is not None
            and new is not None
            and all(old[n] == v for n, v in new.items() if n != "curve")
        )
    assert not trained and inputs.missing(point, store) == []


def test_a_quality_is_not_written_before_its_weights(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (point,) = some_points(tmp_path)
    created: list[str] = []
    real = Store.create

    def create(self: Store, key: str, data: bytes) -> bool:
        created.append(key)
        return real(self, key, data)

    monkeypatch.setattr(Store, "create", create)
    inputs.prepare(point, store, CPU)
    keys = [key for key in created if "/driver" not in key]
    assert keys.index(point.simclr.weights_key) < keys.index(point.simclr.quality_key)
    assert keys.index(point.protonet.weights_key) < keys.index(point.protonet.quality_key)
    assert len(keys) == len(set(keys)) == 6


# --- damage
# -----------------------------------------------------------------------------


def flipped(content: bytes, rng: random.Random) -> bytes:
    """The content with one bit flipped, or cut short."""
    at = rng.randrange(len(content))
    if rng.random() < 0.1:
        return content[:at]
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_any_flipped_bit_is_noticed(tmp_path: Path, store: Store) -> None:
    (point,) = some_points(tmp_path)
    inputs.prepare(point, store, CPU)
    rng = random.Random(0)
    keys = [*inputs.keys(point).values(), point.simclr.quality_key, point.protonet.quality_key]
    for key in keys:
        path = Path(store.path(key))
        whole = path.read_bytes()
        for _ in range(40 if key.endswith(".pt") else 400):
            path.write_bytes(flipped(whole, rng))
            if inputs._whole(key, store):  # a space or a line's end that says nothing
                assert key.endswith(".json") and notes.decode(path.read_bytes()) == notes.decode(
                    whole
                ), key
        path.write_bytes(whole)
    assert inputs.missing(point, store) == []


@pytest.mark.parametrize("part", [*PARTS, "quality"])
def test_what_is_damaged_is_set_aside_and_made_again(
    part: str, tmp_path: Path, store: Store, trained: list[str]
) -> None:
    (point,) = some_points(tmp_path)
    inputs.prepare(point, store, CPU)
    before = inputs.load(point, store, CPU)
    key = point.simclr.quality_key if part == "quality" else inputs.keys(point)[part]
    path = Path(store.path(key))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    trained.clear()
    with pytest.warns(UserWarning, match=f"{path} is damaged"):
        assert inputs.missing(point, store) == ["simclr" if part == "quality" else part]
        inputs.prepare(point, store, CPU)
    assert inputs.missing(point, store) == [] and len(list(path.parent.glob("*.damaged-*"))) == 1
    assert trained == [part] * (part in ("simclr", "protonet"))
    inputs._cache.clear()
    after = inputs.load(point, store, CPU)
    assert np.array_equal(after.exemplars, before.exemplars) and after.human == before.human


def test_people_are_scored_again_when_other_weights_took_the_place_of_damaged_ones(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine rounds differently, and trains another network."""
    (point,) = some_points(tmp_path)
    inputs.prepare(point, store, CPU)
    before = inputs.load(point, store, CPU).human
    path = Path(store.path(point.simclr.weights_key))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    real = simclr.train
    monkeypatch.setattr(
        simclr,
        "train",
        lambda config, data, exemplars, seed, *rest: real(config, data, exemplars, seed + 1, *rest),
    )
    with pytest.warns(UserWarning, match="made with other critics"):
        inputs.prepare(point, store, CPU)
    assert inputs.missing(point, store) == []
    inputs._cache.clear()
    after = inputs.load(point, store, CPU).human
    assert before is not None and after is not None and before.diversity != after.diversity


def test_people_of_an_earlier_version_are_read(tmp_path: Path, store: Store) -> None:
    (point,) = some_points(tmp_path)
    inputs.prepare(point, store, CPU)
    key = inputs.keys(point)["human"]
    plain = notes.decode(store.read(key))
    store.write(key, json.dumps(plain).encode())
    assert inputs.missing(point, store) == []
    store.write(key, json.dumps(plain).encode()[:-3])
    with pytest.warns(UserWarning, match="is damaged"):
        assert inputs.missing(point, store) == ["human"]


# --- what the command says of absent images
# -----------------------------------------------------------------------------


FACES = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Are they here?",
    model="set_vae",
    variant="tiny",
    points=grid(epochs=[2, 3]),
    references=(),
    fixed=dict(dataset="{dataset}", split="{split}", image_size=28, drawings_per_class=0{more}),
)
"""


def check(tmp_path: Path, dataset: str, split: str, *flags: str, more: str = "") -> int:
    (tmp_path / "faces.py").write_text(FACES.format(dataset=dataset, split=split, more=more))
    return cli.main([str(tmp_path / "faces.py"), "--results", str(tmp_path / "results"), *flags])


@pytest.mark.parametrize("flags", [["--check"], ["--check", "--json"], ["--local"], []])
def test_absent_data_of_the_users_are_an_error_before_anything_is_done(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, "celeba", "identities", *flags, more=', pixels="logistic_mixture"') == 2
    shown = capsys.readouterr()
    assert (
        shown.err.startswith("error: CelebA is not here")
        and "\n  help: put identity_CelebA.txt" in shown.err
    )
    assert "./data/celeba" in shown.err and not shown.out and not (tmp_path / "results").exists()


@pytest.mark.parametrize("flag", ["--status", "--list"])
def test_a_look_says_that_absent_data_have_no_ids(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, "celeba", "identities", flag, more=', pixels="logistic_mixture"') == 0
    assert (
        "note: celeba is not here, so that no result on it can be found" in capsys.readouterr().err
    )


def test_a_check_names_digits_that_are_missing_and_what_will_be_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, "omniglot", "random", "--check", more=', binarisation="stochastic"') == 0
    assert "note: Omniglot is not here; it will be downloaded" in capsys.readouterr().err
    assert check(tmp_path, "quickdraw", "fixed", "--check", more=', transfer="mnist"') == 2
    assert capsys.readouterr().err.startswith("error: MNIST is not here")


# --- images that are others than those that ids were made of
# -----------------------------------------------------------------------------


def test_images_that_changed_since_the_run_began_are_refused(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (point,) = some_points(tmp_path)
    monkeypatch.setattr(
        datasets, "load", lambda *given: dataclasses.replace(made(*given), fingerprint="other-1")
    )
    with pytest.raises(DataError, match=r"\(other-1\) is not what the run began with(.|\n)*help: "):
        inputs.prepare(point, store, CPU)
    assert not files(store)
