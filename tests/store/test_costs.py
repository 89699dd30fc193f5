"""Counted costs: kept in the cache, read again whatever happened to it, and interpolated."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oneshot.console import preview
from oneshot.paths import cache_dir
from oneshot.store import costs, estimate, plan, records
from oneshot.store.costs import Cost, Shape
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep.definition import Sweep
from oneshot.sweep.files import load_sweep
from oneshot.sweep.parts import grid

ROOT = Path(__file__).parents[2]
VALUES = dict(dataset="quickdraw", split="fixed", image_size=28)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))


def shape(family: str = "vae_stn", **changed: Any) -> Shape:
    found = Shape.of(family, {**VALUES, **changed})
    assert found is not None
    return found


def forget() -> None:
    """As a new process begins."""
    costs._known.clear()


def files() -> list[Path]:
    return sorted(cache_dir().glob("costs/*/*"))


def test_what_shapes_tensors_makes_another_shape_and_nothing_else_does() -> None:
    assert shape(beta=1.0, epochs=7, learning_rate=0.1, weights="best") == shape(beta=2.0)
    others = [dict(z=7), dict(time_steps=3), dict(batch_size=3), dict(image_size=50)]
    assert len({shape(**changed) for changed in [{}, *others]}) == 5
    assert shape(weights_file="published.model") == shape()
    assert shape("set_vae", augmented_copies=3) == shape("set_vae", binarisation="threshold")
    assert shape("set_vae", dataset="celeba").channels == 3
    assert shape(z=None) == shape(), "a row that is older than a setting has its default"


def test_families_that_learn_nothing_or_are_gone_have_no_shape() -> None:
    assert Shape.of("copy", VALUES) is None and Shape.of("my_old_family", VALUES) is None
    assert Shape.of("vae_stn", dict(dataset="gone", image_size=28)) is None
    assert Shape.of("vae_stn", dict(dataset="quickdraw")) is None


def test_a_cost_is_read_again_by_another_process() -> None:
    assert costs.load(shape()) is None and costs.estimate(shape()) is None
    costs.save(shape(), Cost(5.0, 7.0, 3))
    forget()
    assert costs.load(shape()) == Cost(5.0, 7.0, 3) and costs.load(shape(z=7)) is None
    assert len(files()) == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"shape": 1, "cost": 2}', '{"shape": {"settings": [1]}, "cost": {}}'],
)
def test_a_damaged_file_is_no_error_and_is_replaced(text: str) -> None:
    costs.save(shape(), Cost(5.0, 7.0, 3))
    files()[0].write_text(text)
    forget()
    assert costs.load(shape()) is None and costs.estimate(shape(z=7)) is None
    costs.save(shape(), Cost(6.0, 7.0, 3))
    forget()
    assert costs.load(shape()) == Cost(6.0, 7.0, 3) and len(files()) == 1


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "file" / "cache"))
    costs.save(shape(), Cost(5.0, 7.0, 3))
    assert costs.load(shape()) == Cost(5.0, 7.0, 3), "this process keeps it"
    monkeypatch.setenv("ONESHOT_CACHE", "~nobody_of_this_name/cache")
    costs.save(shape(), Cost(6.0, 7.0, 3))
    assert costs.load(shape()) == Cost(6.0, 7.0, 3)


def test_many_writers_leave_whole_files() -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: costs.save(shape(z=1 + i % 4), Cost(5.0, 7.0, 3)), range(80)))
    forget()
    assert len(files()) == 4 and all(costs.load(shape(z=z)) for z in (1, 2, 3, 4))


def test_between_counted_shapes_costs_follow_a_power_law() -> None:
    def law(z: int, steps: int) -> Cost:
        return Cost(10.0 * (1 + z) ** 2 * (1 + steps), 3.0 * (1 + steps), 100 * (1 + z))

    for z, steps in ((9, 9), (99, 9), (9, 99)):
        costs.save(shape(z=z, time_steps=steps), law(z, steps))
    forget()
    found, exact = costs.estimate(shape(z=49, time_steps=29)), law(49, 29)
    assert found is not None
    assert found.products == pytest.approx(exact.products)
    assert found.kept == pytest.approx(exact.kept) and found.parameters == exact.parameters
    assert costs.estimate(shape(precision="float32")) is None, "another kind"


def test_a_few_shapes_tell_about_all_of_a_grid() -> None:
    grids = [shape(z=z, time_steps=t) for z in (10, 20, 40, 80) for t in (5, 10, 20)]
    told = costs.telling([*grids, *grids, shape(precision="float32")])
    assert told[:2] == [shape(z=10, time_steps=5), shape(precision="float32")]
    assert set(told[2:]) == {shape(z=40, time_steps=5), shape(z=10, time_steps=20)}
    assert costs.telling([]) == [] and costs.telling(grids[:1]) == grids[:1]
    lines = [shape(z=10, time_steps=5), shape(z=20, time_steps=10)]
    assert costs.telling(lines) == lines


def found_of(made: plan.Plan) -> tuple[float | None, str]:
    return estimate.estimate(made, estimate.work_left(made))


def test_a_plan_says_of_its_estimate_what_is_counted(tmp_path: Path) -> None:
    sweep = Sweep(
        name="small",
        question="?",
        model="vae_stn",
        variant="tiny",
        points=grid(z=[2, 4, 8, 16], beta=[0.0, 1.0]),
        fixed=VALUES,
    )
    made = plan.make(sweep, Store(tmp_path))
    assert found_of(made) == (None, "the work of vae_stn is not counted yet")
    missing = estimate.uncounted(made)
    assert [dict(s.settings)["z"] for s in missing] == [2, 8]
    trained = [p for p in made.points if p.model == "vae_stn"]
    assert estimate.trial_work(trained) == len(trained) * estimate.REFERENCE_WORK
    for s in missing:
        costs.save(s, Cost(1e6, 7.0, 3))
    seconds, basis = found_of(made)
    images = 19_360 * 2 * 1e6  # epochs and multiply-adds of an image
    assert seconds == pytest.approx(8 * (images + estimate.REFERENCE_WORK) / estimate.CPU_RATE)
    assert basis.endswith("; 2 of 4 model shapes counted, the others interpolated")
    assert estimate.uncounted(made) == []
    assert estimate.trial_work(trained) == pytest.approx(8 * (images + estimate.REFERENCE_WORK))


def test_hours_are_those_of_rows_of_the_same_device(tmp_path: Path) -> None:
    part = grid(beta=[float(i) for i in range(12)])
    sweep = Sweep(
        name="small", question="?", model="vae_stn", variant="tiny", points=part, fixed=VALUES,
        references=(),
    )  # fmt: skip
    store = Store(tmp_path)
    costs.save(shape(variant="tiny", **plan.make(sweep, store).points[0].config()), Cost(1e6, 7, 3))
    new = plan.make(sweep, store)
    assert estimate.by_device(new, estimate.work_left(new)) == []
    seconds = {"Xeon": 100.0, "H200": 2.0}
    for point, device in zip(plan.make(sweep, store).points, ("H200", "Xeon", "Xeon")):
        numbers = dict(train_seconds=seconds[device], draw_seconds=0.5, score_seconds=1.5)
        row = {**point.row(), "status": "done", "sweep": "small", "device": device, **numbers}
        records.commit(store, "small", Record(row, {}, {}))
    made = plan.make(sweep, store, cpus=2)
    on_devices = estimate.by_device(made, estimate.work_left(made))
    found = {on.device: (on.rows, on.seconds) for on in on_devices}
    assert list(found) == ["Xeon", "H200"]
    assert found["Xeon"] == (2, pytest.approx(9 * 102.0))
    assert found["H200"] == (1, pytest.approx(9 * 4.0))
    assert found_of(made) == (pytest.approx(9 * 100.0 / 2), "from 2 rows on Xeon")
    shown = " ".join(preview.dry_run(made, "run", price=200.0).split())
    assert "on one Xeon, with scoring (2 rows): 51.00 at 200 an hour" in shown
    assert "about 36 s on one H200, with scoring (1 rows): 2.00 at 200 an hour" in shown
    told = json.loads(preview.dry_run(made, "run", as_json=True))["devices"]
    assert told[1] == dict(device="H200", rows=1, hours=pytest.approx(0.01), cost=None)
    nothing = plan.make(sweep, Store(tmp_path / "new"))
    assert "no price: no row says" in preview.dry_run(nothing, "run", price=2.0)


def test_work_grows_with_epochs_images_and_copies() -> None:
    for family in ("vae_stn", "set_vae", "figr"):
        costs.save(shape(family), Cost(1e6, 7.0, 3))
    costs.save(shape("set_vae", set_size=3), Cost(1e6, 7.0, 3))

    def work(family: str, **changed: Any) -> float:
        found = estimate.row_work({"model": family, **VALUES, **changed})
        assert found is not None
        return found - estimate.REFERENCE_WORK

    assert work("vae_stn", epochs=2) == pytest.approx(2 * 19_360 * 1e6)
    assert work("set_vae", epochs=1, augmented_copies=2) == pytest.approx(3 * 19_360 * 1e6)
    published = work("set_vae", epochs=1, augmented_copies=-1, set_size=3)
    assert published == pytest.approx(3 * 19_360 * 1e6), "each image of a set, mirrored and turned"
    # 100 steps of one set of four images; no more sets than there are
    assert work("figr", epochs=2, epoch_steps=100) == pytest.approx(2 * 400 * 1e6)
    assert work("figr", epochs=2, epoch_steps=10**6) == pytest.approx(2 * 19_360 * 1e6)
    assert estimate.row_work({"model": "vae_stn", **VALUES, "split": "gone"}) is None


def test_a_check_imports_torch_only_to_count(tmp_path: Path) -> None:
    sweep = load_sweep("sweeps/quickstart.py")
    ask = (
        "import sys; from oneshot import cli; status = cli.main(['quickstart', '--check',"
        f" '--results', {str(tmp_path)!r}]); heavy = {{'torch', 'ray'}} & set(sys.modules);"
        " sys.exit(status or 10 * len(heavy))"
    )

    def status() -> int:
        done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True)
        assert "estimate" in done.stdout, done.stderr
        return done.returncode

    for one in estimate.shapes(plan.make(sweep, Store(tmp_path)).points):
        costs.save(one, Cost(1e6, 7.0, 3))
    assert status() == 0
    for file in files():
        file.unlink()
    assert status() == 10 and len(files()) == 1, "torch has counted, once"
    assert status() == 0
