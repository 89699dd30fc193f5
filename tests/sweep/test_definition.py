"""Sweeps: their fields, what `--set` changes, and results made from another file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_sweeps import ONE, make, refused, written

from oneshot.sweep import (
    Sweep,
    SweepError,
    definition,
    grid,
    points,
)
from oneshot.sweep.expansion import expand

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
    assert all("test_definition.py:" in place for _, place in caught.value.problems)


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
    assert [
        (p.settings["beta"], p.critics["simclr"].settings["epochs"]) for p in expand(changed)[1:]
    ] == [(2.0, 5)]


def test_set_reaches_settings_and_critics_but_not_axes() -> None:
    base = make(grid(beta=[1.0]))
    changed = expand(definition.override(base, {"epochs": 20, "simclr.epochs": 3}, seeds=2))
    assert [p.settings["epochs"] for p in changed] == [20, 20]
    assert (
        changed[0].critics["simclr"].settings["epochs"] == 3
        and changed[0].critics["simclr"].id != expand(base)[0].critics["simclr"].id
    )
    with pytest.raises(SweepError, match="beta is an axis"):
        definition.override(base, {"beta": 2})


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
        ("epochs=-1", "epochs = -1 is outside"),
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
