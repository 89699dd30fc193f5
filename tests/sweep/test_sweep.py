"""Sweeps: expansion, ids, and the refusal of everything that is wrong before any work starts."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as searched
from hypothesis import strategies as st

from oneshot import cli
from oneshot.console import messages
from oneshot.store.tables import column_names
from oneshot.sweep import definition, settings
from oneshot.sweep import expansion as points_module
from oneshot.sweep.definition import Sweep, SweepError, grid, line, points, steps
from oneshot.sweep.expansion import COMMON, Point, count, digest, expand, stacks

ROOT = Path(__file__).parents[2]


def make(part: Any, **more: Any) -> Sweep:
    given = (
        dict(question="?", model="vae_stn", points=part, references=(), path="q.py", name="q")
        | more
    )
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


@pytest.mark.parametrize(
    ("name", "count"), [("vae_stn", 2176), ("vae_stn_lines", 41), ("quickstart", 6)]
)
def test_shipped_sweeps_have_the_published_counts(name: str, count: int) -> None:
    loaded = definition.load(ROOT / "sweeps" / f"{name}.py")
    expanded = expand(loaded)
    assert sum(p.model == "vae_stn" for p in expanded) == count
    assert [p.model for p in expanded[:3]] == ["human", "copy", "noise"]
    assert len({p.point_id for p in expanded}) == count + 3


def test_full_grid_is_128_stacks_of_17() -> None:
    groups = stacks(
        [p for p in expand(definition.load(ROOT / "sweeps" / "vae_stn.py")) if p.model == "vae_stn"]
    )
    assert [len(g) for g in groups] == [17] * 128
    assert sorted(
        len(g) for g in stacks(expand(make(grid(beta=steps(0, 4, 0.25)))), max_stack=8)
    ) == [5, 6, 6]


def test_lines_cross_once() -> None:
    expanded = expand(make(line(base=dict(beta=1.0, z=10), beta=[0.5, 1.0, 2.0], z=[10, 20])))
    assert [(p.settings["beta"], p.settings["z"]) for p in expanded] == [
        (0.5, 10),
        (1.0, 10),
        (2.0, 10),
        (1.0, 20),
    ]


def test_ids_nest_as_the_stages_do() -> None:
    base = expand(make(grid(beta=[1.0])))[0]
    scored, drawn, trained, other = (
        expand(make(grid(beta=[1.0]), fixed=f))[0]
        for f in (
            dict(protocol="episodes"),
            dict(drawings_per_class=10),
            dict(learning_rate=0.01),
            dict(z=61),
        )
    )
    assert (scored.train_id, scored.sample_id) == (
        base.train_id,
        base.sample_id,
    ) and scored.point_id != base.point_id
    assert drawn.train_id == base.train_id and drawn.sample_id != base.sample_id
    assert trained.train_id != base.train_id and trained.stack_key == base.stack_key
    assert other.stack_key != base.stack_key


def test_equal_values_have_equal_ids_whatever_their_type() -> None:
    assert expand(make(grid(beta=[1])))[0].point_id == expand(make(grid(beta=[1.0])))[0].point_id


def test_ids_are_the_same_in_another_process() -> None:
    code = (
        "from oneshot.sweep import *; from oneshot.sweep.expansion import expand;"
        "print(expand(Sweep('?', 'vae_stn', grid(beta=[0.25]), references=()))[0].point_id)"
    )
    for seed in ("0", "1"):
        out = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
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
        (
            grid(beta=[1.0]),
            dict(model="vae_snt"),
            "there is no model 'vae_snt'. Did you mean 'vae_stn'?",
        ),
        (grid(beta=[1.0]), dict(references=("people",)), "there is no model 'people'."),
        (grid(beta=[1.0]), dict(seeds=0), "seeds = 0"),
        (grid(beta=[1.0]), dict(seeds=[1, 1]), "seeds = [1, 1]"),
        (
            grid(beta=[1.0]),
            dict(variant="huge"),
            "vae_stn has no variant 'huge'. It has: tiny, small",
        ),
        (
            grid(beta=[1.0]),
            dict(fixed=dict(dataset="quickdraw")),
            "split = 'weak' is not a split of quickdraw: fixed",
        ),
        (
            grid(beta=[1.0]),
            dict(critics=dict(simclr=dict(epoch=1))),
            "simclr has no setting 'epoch'. Did you mean 'epochs'?",
        ),
        (
            grid(beta=[1.0]),
            dict(critics=dict(simclar={})),
            "there is no critic 'simclar'. Did you mean 'simclr'?",
        ),
        (
            grid(beta=[1.0]),
            dict(critics=dict(simclr=dict(weights="no.model"))),
            "weights = 'no.model' of simclr: there is no such file",
        ),
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
    for text, message, line_number in [
        ("x = (\n", "SyntaxError", 1),
        ("a = 1\nb = c\n", "NameError", 2),
        ("a = 1\n", "defines no", None),
    ]:
        file.write_text(text)
        with pytest.raises(SweepError, match=message) as caught:
            definition.load(file)
        assert line_number is None or caught.value.problems[0][1].endswith(f"mine.py:{line_number}")


def test_a_misspelt_sweep_lists_near_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SweepError, match="Did you mean 'quickstart'"):
        definition.load("quickstrat")


def test_set_reaches_settings_and_critics_but_not_axes() -> None:
    base = make(grid(beta=[1.0]))
    changed = expand(definition.override(base, {"epochs": 20, "simclr.epochs": 3}, seeds=2))
    assert [p.settings["epochs"] for p in changed] == [20, 20]
    assert (
        changed[0].simclr.settings["epochs"] == 3
        and changed[0].simclr.id != expand(base)[0].simclr.id
    )
    with pytest.raises(SweepError, match="beta is an axis"):
        definition.override(base, {"beta": 2})


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
        "import sys; from oneshot import cli; from oneshot.store import plan; from"
        " oneshot.sweep.definition import load; from oneshot.sweep.expansion import"
        " expand;expand(load('sweeps/vae_stn.py'));assert not {'torch', 'ray', 'pandas',"
        " 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_point_is_plain_data() -> None:
    import pickle

    point = expand(make(grid(beta=[1.0])))[0]
    assert isinstance(point, Point) and pickle.loads(pickle.dumps(point)) == point


# --- what a sweep file may hold
# -----------------------------------------------------------------------------

FIXED = "fixed=dict(dataset='quickdraw', split='fixed', image_size=28, epochs=1)"
ONE = (
    f"sweep = Sweep(question='q', model='vae_stn', variant='tiny', points=grid(beta=[0.0]), {FIXED}"
)


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    """A sweep file with the imports of every other one."""
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        f"import numpy as np\nfrom oneshot.sweep import Sweep, grid, line, points, steps\n{text}\n",
        encoding="utf-8",
    )
    return file


def check(capsys: pytest.CaptureFixture[str], file: Path, *more: str) -> tuple[int, str, str]:
    """`run_sweep.py FILE --check`: exit status, stdout, stderr."""
    status = cli.main([str(file), "--check", "--results", str(file.parent / "results"), *more])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def refused(capsys: pytest.CaptureFixture[str], file: Path, *more: str) -> str:
    """The one error of a sweep file that is refused."""
    status, out, err = check(capsys, file, *more)
    assert (
        (status, out) == (2, "")
        and err.startswith("error: ")
        and err.count("error: ") == 1
        and "Traceback" not in err
    ), err
    return err


SEEDS = "needs a count of at least 1, or different whole numbers from 0 to 2**63 - 1"
REFUSED = [
    ("seeds=None", f"seeds = None: {SEEDS}"),
    ("seeds=3.0", f"seeds = 3.0: {SEEDS}"),
    ("seeds=True", f"seeds = True: {SEEDS}"),
    ("seeds=0", f"seeds = 0: {SEEDS}"),
    ("seeds=-1", f"seeds = -1: {SEEDS}"),
    ("seeds=10**12", "seeds = 1000000000000: more than 1,000,000 seeds"),
    ("seeds=[2**63]", f"seeds = [9223372036854775808]: {SEEDS}"),
    ("seeds=np.array([2**63], np.uint64)", SEEDS),
    ("seeds=[-1]", f"seeds = [-1]: {SEEDS}"),
    ("seeds=[]", f"seeds = []: {SEEDS}"),
    ("seeds=[1, 1]", f"seeds = [1, 1]: {SEEDS}"),
    ("seeds=[True]", f"seeds = [True]: {SEEDS}"),
    ("seeds=[1.0]", f"seeds = [1.0]: {SEEDS}"),
    ("seeds='44'", f"seeds = '44': {SEEDS}"),
    ("seeds={44: 1}", f"seeds = {{44: 1}}: {SEEDS}"),
    (
        "critics=dict(simclr=None)",
        "critics = {'simclr': None}: the settings of simclr are None; it needs a mapping",
    ),
    ("critics=None", "critics = None: needs a mapping"),
    ("critics=['simclr']", "critics = ['simclr']: needs a mapping"),
    ("critics=dict(simclr={1: 2})", "the settings of simclr are {1: 2}"),
    ("critic_seed=1.5", "critic_seed = 1.5: needs one whole number"),
    ("critic_seed=True", "critic_seed = True: needs one whole number"),
    ("critic_seed=2**63", "critic_seed = 9223372036854775808: needs one whole number"),
    (
        "references='human'",
        (
            "references = 'human': needs a list of families, as in ('human', 'copy', 'noise'); ()"
            " for none"
        ),
    ),
    ("references=None", "references = None: needs a list of families"),
    ("references=[3]", "references = [3]: needs a list of families"),
    ("references=['copy', 'copy']", "references = ['copy', 'copy']: names a family twice"),
    ("references=['drawings']", "drawings cannot be a reference: it needs the setting 'file'"),
    (
        "name='../outside'",
        "name = '../outside': it names the folder of the results: letters, digits, _ . - only",
    ),
    ("name='store'", "name = 'store': it names the folder"),
    ("name='Store'", "name = 'Store': it names the folder"),
    ("name='.hidden'", "name = '.hidden': it names the folder"),
    ("name='a b'", "name = 'a b': it names the folder"),
    ("name='a\\n'", "it names the folder"),
    ("name=' '", "name = ' ': it names the folder"),
    ("name='a' * 101", "it names the folder"),
    ("name=3", "name = 3: needs a text"),
    ("name=None", "name = None: needs a text"),
]


@pytest.mark.parametrize(("field", "told"), REFUSED, ids=[field for field, _ in REFUSED])
def test_a_field_of_the_wrong_type_is_one_error_with_its_line(
    field: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, written(tmp_path, f"{ONE}, {field})"))
    assert told in err and "mine.py" in err
    assert "drawings" in field or "mine.py:3\n" in err  # what only an expansion finds has no line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("question=1, model='vae_stn', points=grid(beta=[1])", "question = 1: needs a text"),
        ("question='q', model=1, points=grid(beta=[1])", "model = 1: needs a text"),
        (
            "question='q', model='vae_stn', variant=None, points=grid(beta=[1])",
            "variant = None: needs a text",
        ),
        (
            "question='q', model='vae_stn', points=[dict(beta=0.0), dict(beta=1.0)]",
            "write points=points([...])",
        ),
        ("question='q', model='vae_stn', points=dict(beta=0.0)", "write points=points([...])"),
        (
            "question='q', model='vae_stn', points=None",
            "points = None: needs grid(...), line(...) or points([...])",
        ),
        ("question='q', model='vae_stn', points=3", "points = 3: needs grid(...)"),
        ("question='q', model='vae_stn', points='beta'", "points = 'beta': needs grid(...)"),
        ("question='q', model='vae_stn', points=grid", "needs grid(...), line(...)"),
        ("question='q', model='vae_stn', points=[grid(beta=[1]), 3]", "needs grid(...), line(...)"),
        ("question='q', model='vae_stn', points=[]", "the sweep has no points"),
        (
            "question='q', model='vae_stn', points=grid(beta=[1]), fixed=None",
            "fixed = None: needs a mapping",
        ),
        (
            "question='q', model='vae_stn', points=grid(beta=[1]), fixed=[('z', 3)]",
            "fixed = [('z', 3)]: needs a mapping",
        ),
        (
            "question='q', model='vae_stn', points=grid(beta=[1]), fixed={3: 3}",
            "fixed = {3: 3}: needs a mapping",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=10)",
            "z = 10 of grid is not a list of values: it needs one, as in z=[10]",
        ),
        (
            "question='q', model='vae_stn', points=line(z=10)",
            "z = 10 of line is not a list of values: it needs one, as in z=[10]",
        ),
        (
            "question='q', model='vae_stn', points=grid(dataset='omniglot')",
            "dataset = 'omniglot' of grid is not a list of values",
        ),
        (
            "question='q', model='vae_stn', points=grid(dataset='omniglot')",
            "as in dataset=['omniglot']",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=None)",
            "z = None of grid is not a list of values",
        ),
        (
            "question='q', model='vae_stn', points=grid(z={10: 1})",
            "z = {10: 1} of grid is not a list of values",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=np.int64(10))",
            "of grid is not a list of values: it needs one, as in z=[10]",
        ),
        ("question='q', model='vae_stn', points=grid(z={1, 'a'})", "is a set, which has no order"),
        ("question='q', model='vae_stn', points=grid(z=range)", "of grid is not a list of values"),
        ("question='q', model='vae_stn', points=grid(z=[[10]])", "z = [10] is not a whole number"),
        (
            "question='q', model='vae_stn', points=grid(z=np.ones((2, 2)))",
            "z = array([1., 1.]) is not a whole number",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=__import__('itertools').count())",
            "has more than 1,000,000 values",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=range(10**4), beta=range(10**4))",
            "the grid has 100,000,000 points",
        ),
        (
            "question='q', model='vae_stn', points=points(dict(beta=1))",
            "points({'beta': 1}): needs a list of mappings",
        ),
        (
            "question='q', model='vae_stn', points=points(['beta'])",
            "point 1 is 'beta': needs a list of mappings",
        ),
        (
            "question='q', model='vae_stn', points=points([dict(beta=1), {2: 3}])",
            "point 2 is {2: 3}: needs a list of mappings",
        ),
        ("question='q', model='vae_stn', points=points(3)", "points(3): needs a list of mappings"),
        (
            "question='q', model='vae_stn', points=line(base=3, z=[1])",
            "base = 3: needs a mapping of settings",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=steps(0, 'a', 1))",
            "steps(0, 'a', 1): needs three numbers",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=steps(0, float('nan'), 1))",
            "steps(0, nan, 1): needs three numbers",
        ),
        (
            "question='q', model='vae_stn', points=grid(z=steps(0, 1, 1e-9))",
            "steps(0, 1, 1e-09): more than 1,000,000 values",
        ),
        ("question='q', model='vae_stn', points=grid(beta=[10**400])", "is not a finite number"),
        ("question='q', model='vae_stn', points=grid(z=[2**70])", "does not fit into 64 bits"),
    ],
)
def test_what_is_no_list_of_values_is_one_error(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, written(tmp_path, f"sweep = Sweep({text})"))
    assert told in err and "mine.py" in err


def test_several_wrong_fields_and_axes_are_told_together() -> None:
    with pytest.raises(SweepError) as caught:
        Sweep(question=1, model=2, points=3, seeds=None)  # type: ignore[arg-type]
    assert [message.partition(" ")[0] for message, _ in caught.value.problems] == [
        "question",
        "model",
        "points",
        "seeds",
    ]
    with pytest.raises(SweepError) as caught:
        grid(z=10, beta="high", time_steps=[1])  # type: ignore[arg-type]
    assert [message.partition(" ")[0] for message, _ in caught.value.problems] == ["z", "beta"]
    assert all("test_sweep.py:" in place for _, place in caught.value.problems)


class Place(enum.Enum):
    FIRST = "first"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (dict(z=np.arange(4, 12, 4)), [4, 8]),
        (dict(z=range(4, 12, 4)), [4, 8]),
        (dict(z=(n for n in (4, 8))), [4, 8]),
        (dict(z={8, 4}), [4, 8]),
        (dict(z=[np.uint8(4), np.array(8)]), [4, 8]),
        (dict(beta=np.linspace(0, 1, 3, dtype=np.float32)), [0.0, 0.5, 1.0]),
        (
            dict(beta=[np.float16(0.5), np.float32(0.1), np.longdouble(2)]),
            [0.5, 0.10000000149011612, 2.0],
        ),
        (dict(published_loss=[np.bool_(True), False]), [True, False]),
        (dict(exemplar=[np.str_("medoid"), Place.FIRST]), ["medoid", "first"]),
    ],
)
def test_values_of_numpy_and_others_are_those_of_python(
    values: dict[str, Any], expected: list[Any]
) -> None:
    (axis,) = values
    for part in (
        grid(**values),
        line(**{axis: expected}),
        points({axis: value} for value in expected),
    ):
        found = [p.settings[axis] for p in expand(make(part))]
        assert found == expected and [type(v) for v in found] == [type(v) for v in expected]


def test_numbers_of_numpy_are_taken_wherever_values_enter() -> None:
    plain = make(
        points([dict(z=8)]),
        fixed=dict(beta=0.5, epochs=3),
        seeds=[44, 45],
        critic_seed=7,
        references=("copy",),
        critics=dict(simclr=dict(epochs=2)),
    )
    from_numpy = make(
        (part for part in [points([dict(z=np.int64(8))])]),
        fixed=dict(beta=np.float32(0.5), epochs=np.int8(3)),
        seeds=np.arange(44, 46),
        critic_seed=np.uint8(7),
        references=np.array(["copy"]),
        critics=dict(simclr=dict(epochs=np.int64(2))),
    )
    assert expand(from_numpy) == [
        dataclasses.replace(p, place=q.place)
        for p, q in zip(expand(plain), expand(from_numpy), strict=True)
    ]
    json.dumps([p.row() for p in expand(from_numpy)])
    assert (
        make(grid(z=[4]), seeds=np.int64(2)).seed_list()
        == [44, 45]
        == make(grid(z=[4]), seeds=(s for s in (44, 45))).seed_list()
    )
    changed = definition.override(
        plain, {"beta": np.float64(2), "simclr.epochs": np.int64(5)}, seeds=np.int64(1)
    )  # type: ignore[arg-type]
    assert [(p.settings["beta"], p.simclr.settings["epochs"]) for p in expand(changed)[1:]] == [
        (2.0, 5)
    ]


def test_a_sweep_file_may_do_what_python_files_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dataclasses whose annotations are texts, files beside it, its own place, printing, and
    another working folder.
    """
    (tmp_path / "helper_beside.py").write_text("BETAS = [0.0, 1.0]\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\n"
        "import os, sys\n"
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from oneshot.sweep import Sweep, grid\n"
        "from helper_beside import BETAS\n"
        "from .helper_beside import BETAS as again\n"
        "@dataclass\n"
        "class Axis:\n"
        "    beta: float = 1.0\n"
        "assert sys.modules[__name__].__dict__ is globals() and again == BETAS\n"
        "assert Path(__file__).name == 'mine.py' and Path(__file__).is_absolute()\n"
        "print('from the file')\n"
        "os.chdir('/')\n"
        f"{ONE.replace('[0.0]', '[*BETAS, Axis().beta + 1]')})\n"
    )
    here, paths, modules = os.getcwd(), list(sys.path), set(sys.modules)
    status, out, err = check(capsys, file, "--json")
    assert status == 0 and json.loads(out)["trainings"] == 3 and "from the file" in err
    assert (os.getcwd(), sys.path) == (here, paths)
    assert not [
        name for name in set(sys.modules) - modules if "helper_beside" in name or "mine" in name
    ]
    other = tmp_path / "other"
    other.mkdir()
    (other / "helper_beside.py").write_text("BETAS = [5.0]\n")
    (other / "mine.py").write_text(file.read_text())
    assert [p.settings["beta"] for p in expand(definition.load(other / "mine.py"))[3:]] == [
        5.0,
        2.0,
    ]


def test_a_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    """Also within the second and at the same length, where compiled files of Python's own cache are
    mistaken.
    """
    for beta in "123":
        file = written(tmp_path, ONE.replace("0.0", beta) + ")")
        assert expand(definition.load(file))[-1].settings["beta"] == float(beta)
    assert not list(tmp_path.glob("__pycache__"))


@pytest.mark.parametrize(
    ("text", "told", "line_number"),
    [
        (
            "import sys\nsys.exit('please set X')",
            "the sweep file ended the program: please set X",
            4,
        ),
        ("raise SystemExit(3)", "the sweep file ended the program: exit status 3", 3),
        ("exit()", "the sweep file ended the program: exit status 0", 3),
        (
            "class Stop(BaseException): pass\nraise Stop('enough')",
            "the sweep file ended the program: Stop: enough",
            4,
        ),
        ("raise GeneratorExit", "the sweep file ended the program: GeneratorExit: ", 3),
        (
            "class Odd(Exception):\n  def __str__(self): return 1 / 0\nraise Odd",
            "Odd: (its message cannot be shown)",
            5,
        ),
        ("raise ValueError('\\ud800')", "ValueError: ", 3),
        ("def f(): f()\nf()", "RecursionError: ", 3),
        ("sweep = 3", "the file defines no `sweep = Sweep(...)`; its `sweep` is 3", None),
        ("import beside_and_broken", "SyntaxError: ", None),
        ("x = '\\0'\nx +", "SyntaxError: ", 4),
    ],
)
def test_a_file_that_ends_the_program_or_raises_is_refused(
    text: str,
    told: str,
    line_number: int | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "beside_and_broken.py").write_text("x = (\n")
    err = refused(capsys, written(tmp_path, text))
    assert f"error: {told}" in err
    assert line_number is None or f"mine.py:{line_number}\n" in err
    assert "SyntaxError" not in told or line_number or "beside_and_broken.py:1\n" in err


def test_ctrl_c_in_a_sweep_file_is_a_user_s(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        definition.load(written(tmp_path, "raise KeyboardInterrupt"))


def test_the_list_names_a_broken_file_and_shows_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {
        "exits": "import sys\nsys.exit('please set X')",
        "good": f"print('hello')\n{ONE})",
        "none": f"{ONE}, seeds=None)",
    }.items():
        written(tmp_path / "sweeps", text, f"{name}.py")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["good"]["points"] == 1 and set(listed) == {"exits.py", "good", "none.py"}
    assert (
        listed["exits.py"]["question"] == "invalid: the sweep file ended the program: please set X"
    )
    assert listed["none.py"]["question"].startswith("invalid: seeds = None")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("README.md", "README.md is not a Python file"),
        ("sweeps", "'sweeps' is a folder, not a sweep"),
    ],
)
def test_what_is_no_sweep_file_is_called_so(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main([name, "--check"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {told}")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-of-that-name/x"])
def test_a_name_that_no_file_can_have_is_no_sweep(name: str) -> None:
    with pytest.raises(SweepError, match="there is no sweep"):
        definition.load(name)


def test_a_file_name_that_cannot_name_results_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stem in ("my sweep", "store", "a,b", "x" * 101):
        assert "cannot name the folder of the results" in refused(
            capsys, written(tmp_path, f"{ONE})", f"{stem}.py")
        )
    assert definition.load(written(tmp_path, f"{ONE}, name='mine')", "my sweep.py")).name == "mine"
    assert definition.load(written(tmp_path, f"{ONE})", "größe-1.b.py")).name == "größe-1.b"


def test_results_made_from_another_file_that_asks_something_else_are_told() -> None:
    mine = make(grid(beta=[1.0]), path="a/q.py")
    theirs = dict(path="b/q.py", model="vae_stn", axes=["z"])
    assert (
        "made from b/q.py (vae_stn over z), not from a/q.py (vae_stn over beta)"
        in definition.other_origin(mine, theirs)
    )
    assert definition.other_origin(mine, {**theirs, "model": "dagan", "axes": None})
    assert not definition.other_origin(mine, {**theirs, "axes": ["beta"]})  # moved
    assert not definition.other_origin(mine, {**theirs, "path": "a/q.py"})  # changed
    assert not definition.other_origin(mine, {})


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("epoch=3", "vae_stn has no setting 'epoch'. Did you mean 'epochs'?"),
        ("epochs=many", "epochs = 'many' is not a whole number"),
        ("epochs=0", "epochs = 0 is outside"),
        ("variant=huge", "variant = 'huge': vae_stn has tiny, small"),
        ("simclr.epoch=1", "simclr has no setting 'epoch'"),
        ("simclr.epochs=0", "epochs = 0 is outside"),
        ("simclar.epochs=1", "there is no critic 'simclar'. Did you mean 'simclr'?"),
    ],
)
def test_a_wrong_set_is_blamed_on_it(
    assignment: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, written(tmp_path, f"{ONE})"), "--set", assignment)
    assert told in err and f"--> --set {assignment}\n" in err and "mine.py" not in err


# --- files that settings name
# -----------------------------------------------------------------------------


def test_a_file_is_looked_for_beside_the_sweep_then_here_then_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, here, home = tmp_path / "sweeps", tmp_path / "here", tmp_path / "home"
    for folder in (beside, here, home):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    file = written(
        beside,
        "sweep = Sweep(question='q', model='drawings', points=grid(file=['made.npz']),"
        " references=())",
    )

    def point(given: str = "made.npz") -> Point:
        file.write_text(file.read_text().replace("made.npz", given))
        (found,) = expand(definition.load(file))
        file.write_text(file.read_text().replace(given, "made.npz"))
        return found

    (here / "made.npz").write_text("here")
    only_here = point()
    assert only_here.settings["file"] == "made.npz"  # as it was given
    (beside / "made.npz").write_text("beside")
    by_it = point()
    assert (
        by_it.settings["file"] == str(beside / "made.npz") and by_it.point_id != only_here.point_id
    )
    (beside / "made.npz").write_text("here")
    assert point().point_id == only_here.point_id  # the content counts, not the place
    (home / "made.npz").write_text("here")
    assert (
        point("~/made.npz").settings["file"] == str(home / "made.npz")
        and point("~/made.npz").point_id == only_here.point_id
    )
    monkeypatch.chdir(tmp_path)
    assert point().settings["file"] == "sweeps/made.npz"


@pytest.mark.parametrize("setting", ["file", "weights"])
def test_a_file_that_cannot_be_read_says_which_and_why(
    setting: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "closed").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "a_file").write_text("x")
    opened = Path.open

    def guarded(path: Path, *more: Any, **named: Any) -> Any:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *more, **named)

    monkeypatch.setattr(Path, "open", guarded)
    text = (
        "model='drawings', points=grid(file=[{0!r}])"
        if setting == "file"
        else "model='vae_stn', points=grid(z=[4]), critics=dict(simclr=dict(weights={0!r}))"
    )
    for name, told in {
        "gone": f"there is no such file: neither {tmp_path / 'gone'} nor {Path('gone').absolute()}",
        "a_file/below": "there is no such file",
        "~nobody-of-that-name/x": "there is no such file",
        "a\0b": "there is no such file",
        "folder": f"{tmp_path / 'folder'} is a folder, not a file",
        "closed": f"{tmp_path / 'closed'} cannot be read: Permission denied",
        "pipe": f"{tmp_path / 'pipe'} is not an ordinary file",
        "link": f"{tmp_path / 'link'} cannot be read: No such file or directory",
    }.items():
        err = refused(
            capsys,
            written(tmp_path, f"sweep = Sweep(question='q', references=(), {text.format(name)})"),
        )
        assert told in err and f"{setting} = {name!r}" in err


# --- ids and counts
# -----------------------------------------------------------------------------


def ids_by_definition(point: Point) -> tuple[str, str, str, str]:
    """train_id, sample_id, point_id and stack_key of a point, from all its settings by the one
    function that defines them.
    """
    head = settings.head("models", point.model)
    fields = {**COMMON, **head.fields}
    stage: dict[str, dict[str, Any]] = {s: {} for s in (*settings.STAGES, settings.NAME)}
    for name, value in point.settings.items():
        stage[fields[name].metadata["stage"]][name] = settings.canonical(fields[name], value)
    data = [
        stage["data"],
        point.data_fingerprint,
        point.simclr.id if point.settings["exemplar"] == "medoid" else "",
    ]
    train_id = digest(point.model, head.version, data, stage["model"], stage["train"], point.seed)
    sample_id = digest(train_id, stage["sample"])
    likelihood = [settings.LIKELIHOOD_VERSION] if "likelihood" in head.fields else []
    scored = (
        stage["score"],
        settings.METRIC_VERSIONS,
        point.simclr.id,
        point.protonet.id,
        *likelihood,
    )
    shapes = {n: v for n, v in stage["train"].items() if fields[n].metadata["shapes"]}
    return (
        train_id,
        sample_id,
        digest(sample_id, *scored),
        digest(point.model, head.version, data, stage["model"], shapes, point.seed),
    )


VALUES = {
    "beta": st.one_of(st.floats(0, 100), st.sampled_from([0.0, -0.0, 1, 1.0, 1e-7, 1e-22])),
    "z": st.integers(1, 1000),
    "published_loss": st.booleans(),
    "exemplar": st.sampled_from(["medoid", "first", "random"]),
    "drawings_per_class": st.integers(2, 9),
    "protocol": st.sampled_from(["expected", "episodes"]),
    "epochs": st.integers(1, 9),
    "split": st.sampled_from(["weak", "strong", "random"]),
    "variant": st.sampled_from(["", "tiny", "small"]),
}
ROWS = st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=6)


@searched(max_examples=60, deadline=None)
@given(
    ROWS,
    st.fixed_dictionaries({}, optional={"glimpse": st.integers(2, 50), "clip": st.floats(0, 9)}),
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3, unique=True),
)
def test_ids_put_together_are_those_of_the_definition(
    rows: list[dict[str, Any]], fixed: dict[str, Any], seeds: list[int]
) -> None:
    for row in rows:
        for point in expand(
            make(points([row]), fixed=fixed, seeds=seeds, references=("human", "noise"))
        ):
            assert (
                point.train_id,
                point.sample_id,
                point.point_id,
                point.stack_key,
            ) == ids_by_definition(point)
    # the same when one maker sees them all
    made = make([points([row]) for row in rows], fixed=fixed)
    try:
        together = expand(made)
    except SweepError as error:
        assert "given twice" in str(error)
    else:
        assert [(p.train_id, p.sample_id, p.point_id, p.stack_key) for p in together] == [
            ids_by_definition(p) for p in together
        ]


def test_texts_and_files_enter_ids_as_they_did(tmp_path: Path) -> None:
    odd = make(
        grid(encoder_layout=["32-4,16-4,8-2,4-2,2-2,1-2", 'ä"\\\n']),
        model="set_vae",
        fixed=dict(image_size=28),
    )
    for point in expand(odd):
        assert (
            point.train_id,
            point.sample_id,
            point.point_id,
            point.stack_key,
        ) == ids_by_definition(point)
    (tmp_path / "one.npz").write_text("one")
    (point,) = expand(make(grid(file=[tmp_path / "one.npz"]), model="drawings"))
    assert (
        point.settings["file"] == str(tmp_path / "one.npz")
        and point.train_id == ids_by_definition(point)[0]
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "sweeps").glob("*.py")))
def test_points_are_counted_without_being_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = definition.load(ROOT / "sweeps" / f"{name}.py")
    expected = sum(p.model == loaded.model for p in expand(loaded))
    monkeypatch.setattr(points_module, "_PointMaker", None)
    assert count(loaded) == expected > 0


def test_counts_are_exact_where_lines_cross_parts_follow_each_other_and_seeds_multiply() -> None:
    crossing = line(base=dict(beta=1, z=10), beta=[0.5, 1.0, 2.0], z=[10, 20])
    for parts in (
        crossing,
        [crossing, grid(beta=[7.0, 8.0], z=[1, 2, 3])],
        [points([dict(z=3), dict(beta=2.0)]), crossing],
        line(z=[60, 61]),
    ):
        for seeds in (1, 3, [7, 9]):
            made = make(parts, seeds=seeds, references=("human",))
            assert count(made) == sum(p.model == "vae_stn" for p in expand(made))


@pytest.mark.parametrize(
    ("part", "more"),
    [
        (grid(beta=[0.0, 0.5, -1.0, 1.0], z=[1, 2, 3]), {}),
        (grid(bata=[1.0]), {}),
        (grid(z=[1, 2]), dict(fixed=dict(epochs=0))),
        (grid(z=[1, 2]), dict(critics=dict(simclr=dict(epoch=1)))),
        (grid(dataset=["quickdraw"]), {}),
        (grid(z=[1, 2]), dict(fixed=dict(dataset="cifar10", split="fixed", image_size=32))),
        (points([dict(z=1), dict(z=0), dict(z=2)]), {}),
    ],
)
def test_what_cannot_be_expanded_is_not_counted_either(part: Any, more: dict[str, Any]) -> None:
    with pytest.raises(SweepError) as counted:
        count(make(part, **more))
    assert counted.value.problems == problems(part, **more)


def test_the_list_expands_nothing_and_an_expansion_looks_at_each_value_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    asked: list[tuple[str, Any]] = []
    checked = settings.check_value
    monkeypatch.setattr(
        settings,
        "check_value",
        lambda field, value: asked.append((field.name, value)) or checked(field, value),
    )  # type: ignore[func-returns-value]
    assert len(expand(definition.load("ns_full"))) == 3993
    own = [pair for pair in asked if pair[0] in ("set_size", "z", "beta")]
    # of 3,990 x 3; twice where a float and a whole number are equal
    assert len(own) <= 2 * (19 + 21 + 10)
    monkeypatch.setattr(points_module, "_PointMaker", None)
    assert "ns_full" in messages.sweeps_table(as_json=False)


def test_a_family_file_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for cached in (settings._head, settings._tree, settings._literal):
        cached.cache_clear()
    parsed: list[str] = []
    parse = settings.ast.parse
    monkeypatch.setattr(
        settings.ast,
        "parse",
        lambda text, path="", *more, **named: (
            parsed.append(path) or parse(text, path, *more, **named)
        ),
    )  # type: ignore[func-returns-value]
    expand(definition.load(ROOT / "sweeps" / "ns.py"))
    assert parsed and len(parsed) == len(set(parsed))
