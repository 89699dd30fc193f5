"""Sweeps: a question, a model family and axes expand to points with stable ids. Data only: no
torch, no Ray.

    sweep = Sweep(
        question="What does beta do?",
        model="vae_stn",
        points=grid(beta=steps(0, 4, 0.25), z=[10, 35]),
        fixed=dict(epochs=20),
    )

`points.py` expands it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from oneshot.sweep import settings
from oneshot.sweep.settings import SettingError, plain, shown

FIRST_SEED = 44
REFERENCES = ("human", "copy", "noise")
# values of an axis, points of a part, seeds: more is a slip, such as an endless generator
MOST = 1_000_000
SEEDS = "needs a count of at least 1, or different whole numbers from 0 to 2**63 - 1"
NAMES = "letters, digits, _ . - only, at most 100 of them, no dot in front, and not 'store'"
# the package that a sweep file believes to be in, so that `from . import` works
PARENT = "oneshot_sweep_files"


class SweepError(ValueError):
    """A sweep file is wrong. `problems` holds one (message, place) per mistake, place being
    "file:line  first line of code" or "".
    """

    def __init__(self, problems: Sequence[tuple[str, str]]):
        super().__init__("\n".join(message for message, _ in problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Part:
    """A set of assignments made by grid, line or points; `place` is where the sweep file made
    it.
    """

    kind: str
    axes: dict[str, list[Any]]
    rows: list[dict[str, Any]]
    place: str


def steps(first: float, last: float, step: float) -> list[float]:
    """The decimal values first, first + step, ... up to last (included when it is on the grid),
    free of binary rounding noise.
    """
    first, last, step = plain(first), plain(last), plain(step)
    call = f"steps({shown(first)}, {shown(last)}, {shown(step)})"
    if any(
        isinstance(v, bool) or not isinstance(v, (int, float)) or not math.isfinite(v)
        for v in (first, last, step)
    ):
        raise SweepError([(f"{call}: needs three numbers", _place())])
    if step <= 0 or last < first:
        raise SweepError([(f"{call}: needs step > 0 and last >= first", _place())])
    if (last - first) / step >= MOST:
        raise SweepError([(f"{call}: more than {MOST:,} values", _place())])
    n = int((last - first) / step + 1e-9) + 1
    return [round(first + i * step, 12) for i in range(n)]


def grid(**axes: Iterable[Any]) -> Part:
    """Every combination of the axes' values, the last axis changing fastest."""
    lists = _axes("grid", axes, place := _place())
    count = math.prod(map(len, lists.values()))
    if count > MOST:
        raise SweepError([(f"the grid has {count:,} points; at most {MOST:,} can be", place)])
    rows = (
        [dict(zip(lists, combination)) for combination in itertools.product(*lists.values())]
        if lists
        else []
    )
    return Part("grid", lists, rows, place)


def line(base: Mapping[str, Any] | None = None, **axes: Iterable[Any]) -> Part:
    """One axis at a time: each axis runs through its values while the others stay at `base`
    (default: the sweep's fixed settings).

    A value at which two lines cross (the base itself) is one point.
    """
    place = _place()
    if not isinstance(base, (Mapping, type(None))):
        raise SweepError(
            [
                (
                    (
                        f"base = {shown(base)}: needs a mapping of settings, as in"
                        " line(base=dict(beta=1.0), ...)"
                    ),
                    place,
                )
            ]
        )
    lists = _axes("line", axes, place)
    start = {name: plain(value) for name, value in (base or {}).items()}
    rows = [{**start, name: value} for name, values in lists.items() for value in values]
    return Part("line", lists, rows, place)


def points(rows: Iterable[Mapping[str, Any]]) -> Part:
    """Explicit points: one mapping of settings each."""
    place, wanted = (
        _place(),
        "needs a list of mappings, as in points([dict(beta=1.0), dict(beta=2.0)])",
    )
    listed, problem = _listed(rows)
    if problem:
        raise SweepError([(f"points({shown(rows)}): {wanted}", place)])
    for number, row in enumerate(listed, 1):
        if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
            raise SweepError([(f"point {number} is {shown(row)}: {wanted}", place)])
    given = [{name: plain(value) for name, value in row.items()} for row in listed]
    axes: dict[str, list[Any]] = {}
    seen: dict[str, set[Any]] = {}
    for row in given:
        for name, value in row.items():
            key = value if type(value) in settings.PLAIN else repr(value)
            if key not in seen.setdefault(name, set()):
                seen[name].add(key)
                axes.setdefault(name, []).append(value)
    return Part("points", axes, given, place)


def _axes(kind: str, axes: Mapping[str, Any], place: str) -> dict[str, list[Any]]:
    """The values of each axis. Raises SweepError with all that are no lists of values."""
    lists, problems = {}, []
    for name, values in axes.items():
        lists[name], problem = _listed(values)
        if problem:
            problems.append(
                (
                    (
                        f"{name} = {shown(values)} of {kind} {problem}, as in"
                        f" {name}=[{_example(values)}]"
                    ),
                    place,
                )
            )
    if problems:
        raise SweepError(problems)
    return lists


def _example(values: Any) -> str:
    values = plain(values)
    return shown(values) if type(values) in settings.PLAIN else "..."


def _listed(values: Any) -> tuple[list[Any], str]:
    """The items of a list, range, array, generator, ... as Python values; or [] and why they cannot
    be had.
    """
    values = plain(values)
    # the order of texts in a set differs from process to process
    if isinstance(values, (set, frozenset)):
        try:
            values = sorted(values)
        except TypeError:
            return [], "is a set, which has no order: it needs a list of values"
    try:
        given = None if isinstance(values, (str, bytes, Mapping)) else iter(values)
    except TypeError:
        given = None
    if given is None:
        return [], "is not a list of values: it needs one"
    items = [plain(value) for value in itertools.islice(given, MOST + 1)]
    return (
        (items, "")
        if len(items) <= MOST
        else ([], f"has more than {MOST:,} values: it needs a list of fewer")
    )


def _place() -> str:
    """The line of the sweep file that called a function of this module."""
    frame = sys._getframe(0)
    # the last is where a dataclass is made
    ours = (frame.f_code.co_filename, dataclasses.__file__, "<string>")
    while frame.f_back is not None and frame.f_code.co_filename in ours:
        frame = frame.f_back
    return f"{_short(Path(frame.f_code.co_filename))}:{frame.f_lineno}"


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError, OSError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


@dataclass(frozen=True)
class Sweep:
    """One question put to a model family.

    points: what varies (scientific settings): one part or several. fixed: settings that differ from
    the family's defaults and stay.
    seeds: how many seeds, or which (nuisance: averaged over). references: families scored beside
    the models on the same data.
    variant: the named set of defaults of the family to start from. critics: settings of the
    critics, by critic.
    """

    question: str
    model: str
    points: Part | Iterable[Part]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | Iterable[int] = 1
    references: Iterable[str] = REFERENCES
    variant: str = ""
    critics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    critic_seed: int = 0
    name: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        """Take every field in the forms people write it; whoever holds a Sweep holds one of the
        right types.

        Raises:
            SweepError: with every field that is of no use.
        """
        problems: list[str] = []
        for name, take in TAKEN.items():
            try:
                object.__setattr__(self, name, take(getattr(self, name)))
            except SettingError as error:
                problems += [
                    f"{name} = {shown(getattr(self, name))}: {problem}"
                    for problem in error.problems
                ]
        if problems:
            place = self.path if isinstance(self.path, str) and self.path else _place()
            raise SweepError([(problem, place) for problem in problems])

    @property
    def parts(self) -> list[Part]:
        return [self.points] if isinstance(self.points, Part) else list(self.points)

    @property
    def axes(self) -> list[str]:
        """The swept settings in the order of the sweep file."""
        return list(dict.fromkeys(name for part in self.parts for name in part.axes))

    def seed_list(self) -> list[int]:
        return (
            list(range(FIRST_SEED, FIRST_SEED + self.seeds))
            if isinstance(self.seeds, int)
            else list(self.seeds)
        )


def _text(value: Any) -> str:
    value = plain(value)
    if not isinstance(value, str):
        raise SettingError(["needs a text"])
    return value


def _parts(value: Any) -> Part | list[Part]:
    if isinstance(value, Part):
        return value
    parts, problem = _listed(value)
    if isinstance(value, Mapping) or (parts and all(isinstance(part, Mapping) for part in parts)):
        problem = (
            "settings alone are no points; write points=points([...]) around mappings, or"
            " points=grid(...)"
        )
    elif problem or not all(isinstance(part, Part) for part in parts):
        problem = "needs grid(...), line(...) or points([...]), or a list of them"
    if problem:
        raise SettingError([problem])
    return parts


def _mapping(value: Any, example: str = "dict(epochs=20)") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise SettingError([f"needs a mapping from names to values, as in {example}"])
    return {name: plain(inner) for name, inner in value.items()}


def _critics(value: Any) -> dict[str, dict[str, Any]]:
    example = "dict(simclr=dict(epochs=20))"
    critics = _mapping(value, example)
    problems = [
        f"the settings of {name} are {shown(inner)}; it needs a mapping of mappings, as in"
        f" {example}"
        for name, inner in critics.items()
        if not isinstance(inner, Mapping) or not all(isinstance(setting, str) for setting in inner)
    ]
    if problems:
        raise SettingError(problems)
    return {name: _mapping(inner) for name, inner in critics.items()}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seeds(value: Any) -> int | list[int]:
    value = plain(value)
    if _whole(value):
        if not 1 <= value <= MOST:
            raise SettingError([SEEDS if value < 1 else f"more than {MOST:,} seeds"])
        return int(value)
    seeds, problem = _listed(value)
    if (
        problem
        or not seeds
        or len({repr(seed) for seed in seeds}) < len(seeds)
        or any(not _whole(s) or not 0 <= s < 2**63 for s in seeds)
    ):
        raise SettingError([SEEDS])
    return seeds


def _references(value: Any) -> tuple[str, ...]:
    names, problem = _listed(value)
    if problem or not all(isinstance(name, str) for name in names):
        raise SettingError([f"needs a list of families, as in {REFERENCES}; () for none"])
    if len(set(names)) < len(names):
        raise SettingError(["names a family twice"])
    return tuple(names)


def _critic_seed(value: Any) -> int:
    value = plain(value)
    if not _whole(value) or not 0 <= value < 2**63:
        raise SettingError(["needs one whole number from 0 to 2**63 - 1"])
    return int(value)


def _name(value: Any) -> str:
    value = _text(value)
    if value and not is_name(value):
        raise SettingError([f"it names the folder of the results: {NAMES}"])
    return value


def is_name(text: str) -> bool:
    """Whether this can name a sweep, and so the folder of its results beside those of others and
    the `store` that they share.
    """
    return re.fullmatch(r"(?!\.)[\w.-]{1,100}", text) is not None and text.casefold() != "store"


TAKEN: dict[str, Callable[[Any], Any]] = {
    "question": _text,
    "model": _text,
    "points": _parts,
    "fixed": _mapping,
    "seeds": _seeds,
    "references": _references,
    "variant": _text,
    "critics": _critics,
    "critic_seed": _critic_seed,
    "name": _name,
    "path": _text,
}


def load(path: str | Path) -> Sweep:
    """Run a sweep file and return its `sweep`. Raises SweepError if the file is missing, broken or
    defines none.
    """
    path = find(path)
    module = _run(path)
    found = getattr(module, "sweep", None)
    if not isinstance(found, Sweep):
        told = f"; its `sweep` is {shown(found)}" if found is not None else ""
        raise SweepError([(f"the file defines no `sweep = Sweep(...)`{told}", _short(path))])
    if not found.name and not is_name(path.stem):
        told = f"the file name {path.stem!r} cannot name the folder of the results ({NAMES})"
        raise SweepError([(f"{told}: rename the file, or write Sweep(name=...)", _short(path))])
    return dataclasses.replace(found, name=found.name or path.stem, path=_short(path))


def _run(path: Path) -> ModuleType:
    """Run a Python file as a module that may do all that modules do: import files beside it, define
    dataclasses, ask for `__file__`.

    What it prints goes to stderr, as stdout may be read as JSON. Raises SweepError for whatever it
    raises, except Ctrl-C.
    """
    path = path.absolute()
    module = ModuleType(f"{PARENT}.{path.stem}")
    module.__file__, module.__package__ = str(path), PARENT
    try:
        source = path.read_bytes()
    except OSError as error:
        raise SweepError([(f"cannot read {_short(path)}: {error.strerror}", "")]) from error
    try:
        with _as_module(module, path.parent), contextlib.redirect_stdout(sys.stderr):
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except SweepError as error:
        raise SweepError(
            [(message, place or _short(path)) for message, place in error.problems]
        ) from error
    except Exception as error:
        raise SweepError(
            [(f"{type(error).__name__}: {_said(error)}", _line_of(error, path))]
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit, and what others have made to pass through `except Exception`
        said = _said(error)
        if not isinstance(error, SystemExit):
            said = f"{type(error).__name__}: {said}"
        elif error.code is None or isinstance(error.code, int):
            said = f"exit status {error.code or 0}"
        raise SweepError(
            [(f"the sweep file ended the program: {said}", _line_of(error, path))]
        ) from error
    return module


def _said(error: BaseException) -> str:
    """What an exception says, as text that can be written anywhere."""
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception:
        return "(its message cannot be shown)"


@contextlib.contextmanager
def _as_module(module: ModuleType, folder: Path) -> Iterator[None]:
    """While this holds, a module is one of the program's, and Python files of a folder can be
    imported; afterwards all is as before.

    Modules of the folder are forgotten again, so that a file of that name in another folder is not
    taken for them.
    """
    before, paths = set(sys.modules), list(sys.path)
    try:
        here: str | None = os.getcwd()
    except OSError:
        here = None
    parent = ModuleType(PARENT)
    parent.__path__ = [str(folder)]
    sys.modules[PARENT], sys.modules[module.__name__] = parent, module
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = paths
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if name.partition(".")[0] == PARENT or (file and os.path.dirname(file) == str(folder)):
                del sys.modules[name]
        if here is not None:
            with contextlib.suppress(OSError):
                os.chdir(here)


def find(path: str | Path) -> Path:
    """A sweep by file name or by bare name in `sweeps/`. Raises SweepError with near names if there
    is none.
    """
    folder, given = Path("sweeps"), os.path.expanduser(path)
    candidates = [Path(given), folder / f"{given}.py", folder / given]
    files = [candidate for candidate in candidates if os.path.isfile(candidate)]
    if chosen := next((file for file in files if file.suffix == ".py"), None):
        return chosen
    if files:
        raise SweepError(
            [(f"{_short(files[0])} is not a Python file; a sweep is a file ending in .py", "")]
        )
    known = [f.stem for f in sorted(folder.glob("*.py"))]
    near = settings.did_you_mean(str(path), known)
    what = (
        f"{str(path)!r} is a folder, not a sweep"
        if os.path.isdir(given)
        else f"there is no sweep {str(path)!r}"
    )
    raise SweepError([(f"{what}.{near} In sweeps/: {', '.join(known) or 'nothing'}", "")])


def _line_of(error: BaseException, path: Path) -> str:
    """Where in the sweep file an error arose."""
    # of the file itself, or of one that it imports
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{_short(Path(error.filename or path))}:{error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"{_short(path)}:{lines[-1]}" if lines else _short(path)


def override(sweep: Sweep, assignments: Mapping[str, Any], seeds: int | None = None) -> Sweep:
    """The sweep with `--set` assignments (`name` for a setting, `critic.name` for a critic's) and
    another number of seeds.

    Raises:
        SweepError: with every assignment that cannot be, each blamed on its `--set`.
    """
    fixed, critics = dict(sweep.fixed), {k: dict(v) for k, v in sweep.critics.items()}
    problems = []
    for name, given in assignments.items():
        owner, dot, rest = name.partition(".")
        value, place = plain(given), f"--set {name}={given}"
        if dot:
            critics.setdefault(owner, {})[rest] = value
        elif name in sweep.axes:
            problems.append(
                (
                    (
                        f"{name} is an axis of this sweep: --set would overrule all its values. Use"
                        " --where to choose among them"
                    ),
                    "",
                )
            )
        else:
            fixed[name] = value
        if (dot or name not in sweep.axes) and (
            problem := _refused(sweep, owner if dot else "", rest or name, value)
        ):
            problems.append((problem, place))
    if problems:
        raise SweepError(problems)
    try:
        chosen = sweep.seeds if seeds is None else _seeds(seeds)
    except SettingError as error:
        raise SweepError(
            [(f"seeds = {seeds}: {problem}", f"--seeds {seeds}") for problem in error.problems]
        ) from error
    return dataclasses.replace(sweep, fixed=fixed, critics=critics, seeds=chosen)


def _refused(sweep: Sweep, critic: str, name: str, value: Any) -> str | None:
    """Why a setting of the model, or of a critic, cannot be this; None if it can, or if the model
    itself is not known.
    """
    if critic and critic not in (known := settings.names("critics")):
        return (
            f"there is no critic {critic!r}.{settings.did_you_mean(critic, known)} Known:"
            f" {', '.join(known)}"
        )
    try:
        head = settings.head("critics", critic) if critic else settings.head("models", sweep.model)
    except SettingError:
        return None
    common = {} if critic else {f.name: f for f in dataclasses.fields(settings.Common)}
    return settings.problem(head, name, value, {**common, **head.fields})


def other_origin(sweep: Sweep, manifest: Mapping[str, Any]) -> str:
    """What to warn of where the results folder of this name was made from another sweep file that
    asks something else; "" if nothing.

    Args:
        sweep: that is to be run.
        manifest: what `sweep.json` of the folder says.
    """
    path, model, axes = (manifest.get(key) for key in ("path", "model", "axes"))
    if path is None or path == sweep.path or (model, axes) == (sweep.model, sweep.axes):
        return ""
    theirs, ours = (
        f"{a} over {', '.join(map(str, b or [])) or 'no axis'}"
        for a, b in ((model, axes), (sweep.model, sweep.axes))
    )
    return (
        f"the results {sweep.name!r} were made from {path} ({theirs}), not from"
        f" {sweep.path} ({ours}); Sweep(name=...) keeps them apart"
    )
