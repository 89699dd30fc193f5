"""Ids of points: equal on every machine, and those of their definition."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as searched
from hypothesis import strategies as st
from made_sweeps import ROOT, make

from oneshot.sweep import (
    SweepError,
    families,
    graders,
    grid,
    points,
    settings,
)
from oneshot.sweep.expansion import expand
from oneshot.sweep.point import Point, digest, hash_file
from oneshot.sweep.settings import COMMON


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


def test_a_point_without_critics_has_the_id_that_it_had_before_graders_had_versions() -> None:
    """Its graders are as ids were first published with: nothing of later graders enters."""
    fixed = dict(variant="tiny", drawings_per_class=0, likelihood="elbo", **QUICKDRAW)
    point = expand(make(grid(beta=[1.0]), model="set_vae", fixed=fixed))[0]
    fields = families.declaration("models", "set_vae").fields
    of_score = [n for n, f in {**COMMON, **fields}.items() if f.metadata["stage"] == "score"]
    later = ("critic_seed", "panel", "human_file", "dino_weights", "ways")
    score = {n: point.settings[n] for n in of_score if n not in later}
    assert point.graders == {"likelihood": 1} and not point.critics
    assert point.point_id == digest(point.sample_id, score, graders.FIRST_TEXT, "", "", 1)
    assert point.row()["metric_versions"].startswith("standardise 1 diversity 1")


def test_digest_is_golden() -> None:
    """The hash itself must never change: every stored result is found by it."""
    assert digest("a", {"b": 1, "a": [0.25, None]}) == "f9ffabbcc1fb811b"


def test_a_point_is_plain_data() -> None:
    point = expand(make(grid(beta=[1.0])))[0]
    assert isinstance(point, Point) and pickle.loads(pickle.dumps(point)) == point


def ids_by_definition(point: Point) -> tuple[str, str, str, str]:
    """train_id, sample_id, point_id and stack_key of a point, from all its settings by `digest`."""
    family = families.declaration("models", point.model)
    fields = {**COMMON, **family.fields}
    stage: dict[str, dict[str, Any]] = {s: {} for s in (*settings.STAGES, settings.NAME)}
    for name, value in point.settings.items():
        if fields[name].metadata["omit_default"] and value == fields[name].default:
            continue
        if fields[name].metadata["file"]:
            value = hash_file(value)
        stage[fields[name].metadata["stage"]][name] = (
            float(value) if fields[name].type == "float" else value
        )
    data = [
        stage["data"],
        point.data_fingerprint,
        point.critic_id("chooser") if point.settings["exemplar"] == "medoid" else "",
    ]
    train_id = digest(point.model, family.version, data, stage["model"], stage["train"], point.seed)
    sample_id = digest(train_id, stage["sample"])
    likelihood = [1] if "likelihood" in family.fields else []
    changed = graders.changed(point.graders)
    scored = (
        stage["score"],
        graders.FIRST_TEXT,
        point.critic_id("simclr"),
        point.critic_id("protonet"),
        *likelihood,
        *([changed] if changed else []),
    )
    shapes = {n: v for n, v in stage["train"].items() if fields[n].metadata["shapes"]}
    return (
        train_id,
        sample_id,
        digest(sample_id, *scored),
        digest(point.model, family.version, data, stage["model"], shapes, point.seed),
    )


def later(monkeypatch: pytest.MonkeyPatch, omit_default: bool) -> None:
    """VAE-STN has a setting more, as in a later version."""
    family = families.declaration("models", "vae_stn")

    @dataclass(frozen=True)
    class Config(family.config):  # type: ignore[misc, name-defined]
        """With one more."""

        later: float = settings.setting(1, "model", "new", omit_default=omit_default)

    newer = dataclasses.replace(family, config=Config)
    real = families.declaration
    monkeypatch.setattr(
        families, "declaration", lambda kind, name: newer if name == "vae_stn" else real(kind, name)
    )


def test_a_later_setting_leaves_the_ids_of_points_that_do_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = expand(make(grid(beta=[0.5, 1.0])))
    later(monkeypatch, omit_default=True)
    for same in (
        expand(make(grid(beta=[0.5, 1.0]))),
        expand(make(grid(beta=[0.5, 1.0], later=[1]))),
    ):
        assert [p.point_id for p in same] == [p.point_id for p in before]
        assert [p.stack_key for p in same] == [p.stack_key for p in before]
    other = expand(make(grid(beta=[0.5, 1.0], later=[2])))
    assert not {p.train_id for p in other} & {p.train_id for p in before}


def test_a_later_setting_without_that_mark_changes_every_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = expand(make(grid(beta=[0.5])))[0]
    later(monkeypatch, omit_default=False)
    assert expand(make(grid(beta=[0.5])))[0].train_id != before.train_id


QUICKDRAW = dict(dataset="quickdraw", split="fixed", image_size=28)
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
