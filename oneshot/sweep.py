"""Sweeps: a question, a model family and axes expand to points with stable ids. Data only: no torch, no Ray.

    sweep = Sweep(
        question="What does beta do?",
        model="vae_stn",
        points=grid(beta=steps(0, 4, 0.25), z=[10, 35]),
        fixed=dict(epochs=20),
    )

`points.py` expands it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneshot import settings

FIRST_SEED = 44
REFERENCES = ("human", "copy", "noise")


class SweepError(ValueError):
    """A sweep file is wrong. `problems` holds one (message, place) per mistake, place being "file:line  first line of code" or ""."""

    def __init__(self, problems: Sequence[tuple[str, str]]):
        super().__init__("\n".join(message for message, _ in problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Part:
    """A set of assignments made by grid, line or points; `place` is where the sweep file made it."""

    kind: str
    axes: dict[str, list[Any]]
    rows: list[dict[str, Any]]
    place: str


def steps(first: float, last: float, step: float) -> list[float]:
    """The decimal values first, first + step, ... up to last (included when it is on the grid), free of binary rounding noise."""
    if step <= 0 or last < first:
        raise ValueError(f"steps({first}, {last}, {step}): needs step > 0 and last >= first")
    n = int((last - first) / step + 1e-9) + 1
    return [round(first + i * step, 12) for i in range(n)]


def grid(**axes: Iterable[Any]) -> Part:
    """Every combination of the axes' values, the last axis changing fastest."""
    lists = {name: list(values) for name, values in axes.items()}
    rows = [dict(zip(lists, combination)) for combination in itertools.product(*lists.values())] if lists else []
    return Part("grid", lists, rows, _place())


def line(base: Mapping[str, Any] | None = None, **axes: Iterable[Any]) -> Part:
    """One axis at a time: each axis runs through its values while the others stay at `base` (default: the sweep's fixed settings).

    A value at which two lines cross (the base itself) is one point.
    """
    lists = {name: list(values) for name, values in axes.items()}
    rows = [{**(base or {}), name: value} for name, values in lists.items() for value in values]
    return Part("line", lists, rows, _place())


def points(rows: Iterable[Mapping[str, Any]]) -> Part:
    """Explicit points: one mapping of settings each."""
    listed = [dict(row) for row in rows]
    names = dict.fromkeys(name for row in listed for name in row)
    return Part("points", {n: list(dict.fromkeys(r[n] for r in listed if n in r)) for n in names}, listed, _place())


def _place() -> str:
    """The line of the sweep file that called grid, line or points."""
    frame = sys._getframe(2)
    return f"{_short(Path(frame.f_code.co_filename))}:{frame.f_lineno}"


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@dataclass(frozen=True)
class Sweep:
    """One question put to a model family.

    points: what varies (scientific settings): one part or several. fixed: settings that differ from the family's defaults and stay.
    seeds: how many seeds, or which (nuisance: averaged over). references: families scored beside the models on the same data.
    variant: the named set of defaults of the family to start from. critics: settings of the critics, by critic.
    """

    question: str
    model: str
    points: Part | Sequence[Part]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | Sequence[int] = 1
    references: Sequence[str] = REFERENCES
    variant: str = ""
    critics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    critic_seed: int = 0
    name: str = ""
    path: str = ""

    @property
    def parts(self) -> list[Part]:
        return [self.points] if isinstance(self.points, Part) else list(self.points)

    @property
    def axes(self) -> list[str]:
        """The swept settings in the order of the sweep file."""
        return list(dict.fromkeys(name for part in self.parts for name in part.axes))

    def seed_list(self) -> list[int]:
        return list(range(FIRST_SEED, FIRST_SEED + self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)


def load(path: str | Path) -> Sweep:
    """Run a sweep file and return its `sweep`. Raises SweepError if the file is missing, broken or defines none."""
    path = find(path)
    spec = importlib.util.spec_from_file_location(f"sweeps_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SweepError([(f"{type(error).__name__}: {error}", _line_of(error, path))]) from error
    sweep = getattr(module, "sweep", None)
    if not isinstance(sweep, Sweep):
        raise SweepError([("the file defines no `sweep = Sweep(...)`", _short(path))])
    return dataclasses.replace(sweep, name=sweep.name or path.stem, path=_short(path))


def find(path: str | Path) -> Path:
    """A sweep by file name or by bare name in `sweeps/`. Raises SweepError with near names if there is none."""
    folder = Path("sweeps")
    candidates = [Path(path), folder / f"{path}.py", folder / f"{path}"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = [f.stem for f in sorted(folder.glob("*.py"))]
    near = settings.did_you_mean(str(path), known)
    raise SweepError([(f"there is no sweep {str(path)!r}.{near} In sweeps/: {', '.join(known) or 'nothing'}", "")])


def _line_of(error: BaseException, path: Path) -> str:
    """Where in the sweep file an error arose."""
    if isinstance(error, SyntaxError):
        return f"{_short(path)}:{error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path.absolute() or Path(trace.tb_frame.f_code.co_filename) == path:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"{_short(path)}:{lines[-1]}" if lines else _short(path)


def override(sweep: Sweep, assignments: Mapping[str, Any], seeds: int | None = None) -> Sweep:
    """The sweep with `--set` assignments (`name` for a setting, `critic.name` for a critic's) and another number of seeds."""
    fixed, critics = dict(sweep.fixed), {k: dict(v) for k, v in sweep.critics.items()}
    problems = []
    for name, value in assignments.items():
        owner, _, rest = name.partition(".")
        if rest:
            critics.setdefault(owner, {})[rest] = value
        elif name in sweep.axes:
            problems.append((f"{name} is an axis of this sweep: --set would overrule all its values. Use --where to choose among them", ""))
        else:
            fixed[name] = value
    if problems:
        raise SweepError(problems)
    return dataclasses.replace(sweep, fixed=fixed, critics=critics, seeds=sweep.seeds if seeds is None else seeds)
