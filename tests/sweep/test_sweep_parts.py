"""Parts: grid, line, points, steps, and the values that they take."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_sweeps import make, refused, written

from oneshot.sweep import (
    grid,
    line,
    points,
    steps,
)
from oneshot.sweep.expansion import expand


def test_steps_are_decimal() -> None:
    assert steps(0, 1, 0.1)[3] == 0.3
    assert steps(10, 400, 25) == list(range(10, 400, 25))
    assert len(steps(0, 4, 0.25)) == 17
    with pytest.raises(ValueError, match="step > 0"):
        steps(0, 1, 0)


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
