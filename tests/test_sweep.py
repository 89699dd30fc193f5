"""Sweeps: expansion, ids, and the refusal of everything that is wrong before any work starts."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oneshot import settings, sweep
from oneshot.points import COMMON, Point, digest, expand, stacks
from oneshot.rows import column_names
from oneshot.sweep import Sweep, SweepError, grid, line, points, steps

ROOT = Path(__file__).parent.parent


def make(part: Any, **more: Any) -> Sweep:
    given = dict(question="?", model="vae_stn", points=part, references=(), path="q.py", name="q") | more
    return Sweep(**given)


def problems(part: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(SweepError) as caught:
        expand(make(part, **more))
    return caught.value.problems


def test_steps_are_decimal() -> None:
    assert steps(0, 1, 0.1)[3] == 0.3
    assert steps(10, 400, 25) == list(range(10, 400, 25))
    assert len(steps(0, 4, 0.25)) == 17
    with pytest.raises(ValueError, match="step > 0"):
        steps(0, 1, 0)


@pytest.mark.parametrize(("name", "count"), [("vae_stn", 2176), ("vae_stn_lines", 41), ("quickstart", 6)])
def test_shipped_sweeps_have_the_published_counts(name: str, count: int) -> None:
    loaded = sweep.load(ROOT / "sweeps" / f"{name}.py")
    expanded = expand(loaded)
    assert sum(p.model == "vae_stn" for p in expanded) == count
    assert [p.model for p in expanded[:3]] == ["human", "copy", "noise"]
    assert len({p.point_id for p in expanded}) == count + 3


def test_full_grid_is_128_stacks_of_17() -> None:
    groups = stacks([p for p in expand(sweep.load(ROOT / "sweeps" / "vae_stn.py")) if p.model == "vae_stn"])
    assert [len(g) for g in groups] == [17] * 128
    assert sorted(len(g) for g in stacks(expand(make(grid(beta=steps(0, 4, 0.25)))), max_stack=8)) == [5, 6, 6]


def test_lines_cross_once() -> None:
    expanded = expand(make(line(base=dict(beta=1.0, z=10), beta=[0.5, 1.0, 2.0], z=[10, 20])))
    assert [(p.settings["beta"], p.settings["z"]) for p in expanded] == [(0.5, 10), (1.0, 10), (2.0, 10), (1.0, 20)]


def test_ids_nest_as_the_stages_do() -> None:
    base = expand(make(grid(beta=[1.0])))[0]
    scored, drawn, trained, other = (
        expand(make(grid(beta=[1.0]), fixed=f))[0]
        for f in (dict(protocol="episodes"), dict(drawings_per_class=10), dict(learning_rate=0.01), dict(z=61))
    )
    assert (scored.train_id, scored.sample_id) == (base.train_id, base.sample_id) and scored.point_id != base.point_id
    assert drawn.train_id == base.train_id and drawn.sample_id != base.sample_id
    assert trained.train_id != base.train_id and trained.stack_key == base.stack_key
    assert other.stack_key != base.stack_key


def test_equal_values_have_equal_ids_whatever_their_type() -> None:
    assert expand(make(grid(beta=[1])))[0].point_id == expand(make(grid(beta=[1.0])))[0].point_id


def test_ids_are_the_same_in_another_process() -> None:
    code = (
        "from oneshot.sweep import *; from oneshot.points import expand;"
        "print(expand(Sweep('?', 'vae_stn', grid(beta=[0.25]), references=()))[0].point_id)"
    )
    for seed in ("0", "1"):
        out = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
        )
        assert out.stdout.strip() == expand(make(grid(beta=[0.25])))[0].point_id, out.stderr


def test_digest_is_golden() -> None:
    """The hash itself must never change: every stored result is found by it."""
    assert digest("a", {"b": 1, "a": [0.25, None]}) == "f9ffabbcc1fb811b"


def test_seeds_multiply_points_and_references_stay_one_each() -> None:
    expanded = expand(make(grid(beta=[0.0, 1.0]), seeds=3, references=("human", "noise")))
    assert [p.seed for p in expanded if p.model == "vae_stn"] == [44, 45, 46] * 2
    assert sorted(p.model for p in expanded if p.model != "vae_stn") == ["human", "noise"]
    assert {p.seed for p in expand(make(grid(beta=[0.0]), seeds=[7, 9]))} == {7, 9}


def test_a_swept_data_setting_has_references_for_each_value() -> None:
    expanded = expand(make(grid(exemplar=["medoid", "first"]), references=("human",)))
    assert [p.settings["exemplar"] for p in expanded if p.model == "human"] == ["medoid", "first"]


@pytest.mark.parametrize(
    ("part", "more", "expected"),
    [
        (grid(bata=[1.0]), {}, "vae_stn has no setting 'bata'. Did you mean 'beta'?"),
        (grid(time_steps=[0]), {}, "time_steps = 0 is outside 1 .. 200 of vae_stn (int)"),
        (grid(time_steps=[2.5]), {}, "time_steps = 2.5 is not a whole number"),
        (grid(beta=[float("nan")]), {}, "beta = nan is not a finite number"),
        (grid(beta=["high"]), {}, "beta = 'high' is not a finite number"),
        (grid(beta=[True]), {}, "beta = True is not a finite number"),
        (grid(exemplar=["best"]), {}, "exemplar = 'best' is not one of medoid, first, random"),
        (grid(beta=[]), {}, "the sweep has no points"),
        ([grid(beta=[1.0]), grid(z=[])], {}, "axis 'z' has no values"),
        (grid(beta=[1.0, 1.0]), {}, "one point is given twice: beta=1.0 seed=44"),
        ([grid(beta=[1.0]), points([dict(beta=1.0)])], {}, "one point is given twice"),
        (grid(beta=[1.0]), dict(fixed=dict(beta=2.0)), "'beta' is both an axis and fixed"),
        (grid(beta=[1.0]), dict(fixed=dict(epoch=2)), "Did you mean 'epochs'?"),
        (grid(beta=[1.0]), dict(model="vae_snt"), "there is no model 'vae_snt'. Did you mean 'vae_stn'?"),
        (grid(beta=[1.0]), dict(references=("people",)), "there is no model 'people'."),
        (grid(beta=[1.0]), dict(seeds=0), "seeds = 0"),
        (grid(beta=[1.0]), dict(seeds=[1, 1]), "seeds = [1, 1]"),
        (grid(beta=[1.0]), dict(variant="huge"), "vae_stn has no variant 'huge'. It has: tiny, small"),
        (grid(beta=[1.0]), dict(fixed=dict(dataset="quickdraw")), "split = 'weak' is not a split of quickdraw: fixed"),
        (grid(beta=[1.0]), dict(critics=dict(simclr=dict(epoch=1))), "simclr has no setting 'epoch'. Did you mean 'epochs'?"),
        (grid(beta=[1.0]), dict(critics=dict(simclar={})), "there is no critic 'simclar'. Did you mean 'simclr'?"),
        (grid(beta=[1.0]), dict(critics=dict(simclr=dict(weights="no.model"))), "weights = 'no.model' of simclr: there is no such file"),
        (points([dict()]), dict(model="drawings"), "drawings needs the setting 'file'"),
        (points([dict(file="no.npz")]), dict(model="drawings"), "there is no such file"),
    ],
)
def test_what_is_wrong_is_named(part: Any, more: dict[str, Any], expected: str) -> None:
    found = problems(part, **more)
    assert any(expected in message for message, _ in found), found


def test_mistakes_are_reported_together_with_their_place() -> None:
    found = problems([grid(bata=[1.0], time_steps=[0, 500]), grid(z=[-1])])
    assert len(found) == 4
    assert all("test_sweep.py:" in place for _, place in found)


def test_a_broken_sweep_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for text, message, line_number in [("x = (\n", "SyntaxError", 1), ("a = 1\nb = c\n", "NameError", 2), ("a = 1\n", "defines no", None)]:
        file.write_text(text)
        with pytest.raises(SweepError, match=message) as caught:
            sweep.load(file)
        assert line_number is None or caught.value.problems[0][1].endswith(f"mine.py:{line_number}")


def test_a_misspelt_sweep_lists_near_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SweepError, match="Did you mean 'quickstart'"):
        sweep.load("quickstrat")


def test_set_reaches_settings_and_critics_but_not_axes() -> None:
    base = make(grid(beta=[1.0]))
    changed = expand(sweep.override(base, {"epochs": 20, "simclr.epochs": 3}, seeds=2))
    assert [p.settings["epochs"] for p in changed] == [20, 20]
    assert changed[0].simclr.settings["epochs"] == 3 and changed[0].simclr.id != expand(base)[0].simclr.id
    with pytest.raises(SweepError, match="beta is an axis"):
        sweep.override(base, {"beta": 2})


@pytest.mark.parametrize("family", settings.names("models"))
def test_no_setting_has_the_name_of_a_column_or_a_reserved_word(family: str) -> None:
    names = {*COMMON, *settings.head("models", family).fields}
    assert not names & (column_names() | settings.RESERVED)
    assert len(names) == len(COMMON) + len(settings.head("models", family).fields)


@pytest.mark.parametrize("family", settings.names("models"))
def test_the_head_read_without_import_is_the_family_s_own(family: str) -> None:
    module = __import__(f"oneshot.models.{family}", fromlist=["Config"])
    head = settings.head("models", family)
    assert dataclasses.asdict(head.config()) == dataclasses.asdict(module.Config())
    assert (head.version, head.variants) == (module.VERSION, module.VARIANTS)


def test_reading_a_sweep_imports_nothing_heavy() -> None:
    code = (
        "import sys; from oneshot import plan, cli; from oneshot.sweep import load; from oneshot.points import expand;"
        "expand(load('sweeps/vae_stn.py'));"
        "assert not {'torch', 'ray', 'pandas', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_point_is_plain_data() -> None:
    import pickle

    point = expand(make(grid(beta=[1.0])))[0]
    assert isinstance(point, Point) and pickle.loads(pickle.dumps(point)) == point
