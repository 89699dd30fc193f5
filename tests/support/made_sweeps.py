"""Sweeps made in a test or written to a file, and what `--check` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oneshot import cli
from oneshot.sweep import Sweep, SweepError
from oneshot.sweep.expansion import expand

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "sweeps").glob("*.py"))
FIXED = "fixed=dict(dataset='quickdraw', split='fixed', image_size=28, epochs=1)"
# The text of a sweep of one point, for more arguments and the closing parenthesis to follow.
ONE = (
    f"sweep = Sweep(question='q', model='vae_stn', variant='tiny', points=grid(beta=[0.0]), {FIXED}"
)


def make(part: Any, **more: Any) -> Sweep:
    """A sweep of these parts without references, other fields as they are given."""
    given = dict(question="?", model="vae_stn", points=part, references=(), path="q.py", name="q")
    return Sweep(**(given | more))


def problems(part: Any, **more: Any) -> list[tuple[str, str]]:
    """The (message, place) of every mistake of a sweep that cannot be expanded."""
    with pytest.raises(SweepError) as caught:
        expand(make(part, **more))
    return caught.value.problems


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
    assert (status, out) == (2, "") and err.startswith("error: "), err
    assert err.count("error: ") == 1 and "Traceback" not in err, err
    return err
