"""Settings of a sweep, resolved and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from made_sweeps import problems, refused, written

from oneshot.sweep import (
    grid,
    points,
    resolver,
)
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.types import Kind


@pytest.mark.parametrize(
    ("part", "more", "expected"),
    [
        (grid(bata=[1.0]), {}, "vae_stn has no setting 'bata'. Did you mean 'beta'?"),
        (grid(time_steps=[0]), {}, "time_steps = 0 is outside 1 .. 200 of vae_stn (int)"),
        (grid(time_steps=[2.5]), {}, "time_steps = 2.5 is not a whole number"),
        (grid(beta=[float("nan")]), {}, "beta = nan is not a finite number"),
        (grid(beta=["high"]), {}, "beta = 'high' is not a finite number"),
        (grid(beta=[True]), {}, "beta = True is not a finite number"),
        (grid(dataset=[["omniglot"]]), {}, "dataset = ['omniglot'] is not a text"),
        (grid(split=[{}]), {}, "split = {} is not a text"),
        (grid(variant=[["tiny"]]), {}, "variant = ['tiny']: vae_stn has tiny, small"),
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
    assert all("test_resolver.py:" in place for _, place in found)


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
        (found,) = expand(load_sweep(file))
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


@pytest.mark.parametrize("kind", [Kind.GREYS, Kind.POINTS])
def test_dinov2_compares_nothing_but_bits_and_colour(kind: Kind) -> None:
    values: dict[str, Any] = dict(dataset="mnist", dino_weights="a.pth", drawings_per_class=2)
    problem = resolver._unfit_file(values, kind)
    assert problem.startswith("dino_weights compares drawings with people's of the test classes")
    assert problem.endswith(f"mnist holds {resolver.ITEMS[kind]}")
    assert not resolver._unfit_file({**values, "dino_weights": ""}, kind)
    assert not resolver._unfit_file(values, Kind.BITS)
    assert not resolver._unfit_file(values, Kind.COLOUR)
