"""Settings: typed, bounded hyperparameters, each with the stage where it enters a point.

A family (a model or a critic) declares its settings once, as the fields of a frozen dataclass called `Config` in its own file.
They are read here *without importing that file*, because it imports torch, and `--help` and `--check` must answer at once:
`head` executes only the definitions of `Config`, `VARIANTS` and `VERSION`, which therefore may use nothing but the
standard library and `setting`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = ("data", "model", "train", "sample", "score")
NAME = "name"  # not a stage: a setting that only says where values come from, and enters no id
PACKAGE = Path(__file__).parent

# Raised whenever a change moves the numbers of a metric, so that rows scored by different code never share an id.
METRIC_VERSIONS = {"standardise": 1, "diversity": 1, "recognizability": 1, "originality": 1, "generalization": 1}
LIKELIHOOD_VERSION = 1  # the same of the likelihoods of sets, for the families that have them

# Names that a column of the result tables must not have: reserved words of DuckDB, attributes of a pandas frame.
RESERVED = {"desc", "end", "group", "limit", "offset", "order", "T", "count", "index", "rank", "sample", "size", "values"}


class SettingError(ValueError):
    """A user's setting is unknown, of the wrong type or out of range. `problems` holds one message per mistake."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


def setting(
    default: Any,
    stage: str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
    unit: str = "",
    shapes: bool = False,
    file: bool = False,
) -> Any:
    """Declare one field of a `Config`.

    stage: where the value enters (one of STAGES). low, high: inclusive bounds. choices: the only values allowed.
    shapes: a train-stage setting that changes tensor shapes, so that points that differ in it cannot train as one stack.
    file: the value is a path; the content of the file, not its name, enters the id of a point.
    """
    if stage not in (*STAGES, NAME):
        raise ValueError(f"stage {stage!r} is not one of {STAGES}")
    metadata = dict(stage=stage, help=help, low=low, high=high, choices=choices, unit=unit, shapes=shapes, file=file)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Common:
    """Settings that every model family has: which images, which exemplars, how much is drawn and how it is scored."""

    variant: str = setting("", NAME, "named set of the family's defaults that a point starts from")
    dataset: str = setting("omniglot", "data", "data set", choices=("omniglot", "quickdraw", "celeba", "cifar10"))
    split: str = setting(
        "weak",
        "data",
        "class split: weak, strong or random (omniglot), identities (celeba), fixed (others)",
        choices=("weak", "strong", "random", "fixed", "identities"),
    )
    image_size: int = setting(50, "data", "height and width of the images", low=16, high=105, unit="pixels")
    exemplar: str = setting("medoid", "data", "which image of a class is its exemplar", choices=("medoid", "first", "random"))
    drawings_per_class: int = setting(
        20,
        "sample",
        "drawings for the exemplar of each test class, at least 2; 0 for none, where likelihoods are all that is asked",
        low=0,
        high=1000,
    )
    diversity_drawings: int = setting(
        20, "score", "most drawings of a class that diversity and originality rest on, as the former grows with it", low=2, high=1000
    )
    protocol: str = setting(
        "expected",
        "score",
        "recognizability: its closed-form expectation, or the published 3,750 episodes",
        choices=("expected", "episodes"),
    )


@dataclass(frozen=True)
class Head:
    """What a family file says of itself without being imported."""

    name: str
    config: type
    version: int
    variants: dict[str, dict[str, Any]]
    summary: str
    path: Path

    @property
    def fields(self) -> dict[str, dataclasses.Field[Any]]:
        return {f.name: f for f in dataclasses.fields(self.config)}


def names(kind: str) -> list[str]:
    """The families of a kind ("models", "critics"): the files of that folder that define a `Config`."""
    files = sorted((PACKAGE / kind).glob("*.py"))
    return [f.stem for f in files if not f.stem.startswith("_") and "\nclass Config" in f.read_text(encoding="utf-8")]


@functools.cache
def head(kind: str, name: str) -> Head:
    """Read the settings of one family. Raises SettingError with near names if there is no such family."""
    if name not in names(kind):
        raise SettingError([f"there is no {kind.rstrip('s')} {name!r}.{did_you_mean(name, names(kind))} Known: {', '.join(names(kind))}"])
    path = PACKAGE / kind / f"{name}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wanted = [node for node in tree.body if _defines(node) in {"Config", "VARIANTS", "VERSION"}]
    space: dict[str, Any] = {"__name__": __name__, "dataclass": dataclass, "setting": setting, "math": math}
    future = ast.ImportFrom(module="__future__", names=[ast.alias(name="annotations")], level=0)
    module = ast.fix_missing_locations(ast.Module(body=[future, *wanted], type_ignores=[]))
    exec(compile(module, str(path), "exec"), space)  # our own source file, the part that needs no torch
    summary = (ast.get_docstring(tree) or "").split("\n")[0]
    return Head(name, space["Config"], space["VERSION"], space.get("VARIANTS", {}), summary, path)


_REQUIRED = object()


@functools.cache
def constant(kind: str, name: str, variable: str, default: Any = _REQUIRED) -> Any:
    """The literal value of a module-level name in oneshot/<kind>/<name>.py, read without importing the file, or the default."""
    tree = ast.parse((PACKAGE / kind / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if _defines(node) == variable and isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            return ast.literal_eval(node.value)
    if default is not _REQUIRED:
        return default
    raise KeyError(f"{kind}/{name}.py defines no {variable}")


def _defines(node: ast.stmt) -> str | None:
    if isinstance(node, ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return node.target.id if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else None


def check_value(field: dataclasses.Field[Any], value: Any) -> str | None:
    """None if `value` is allowed for this field, else the reason in words."""
    meta, kind = field.metadata, str(field.type)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int" and not (isinstance(value, int) and not isinstance(value, bool)):
        return f"{field.name} = {value!r} is not a whole number"
    if kind == "float" and not (number and math.isfinite(value)):
        return f"{field.name} = {value!r} is not a finite number"
    if kind == "bool" and not isinstance(value, bool):
        return f"{field.name} = {value!r} is not True or False"
    if kind == "str" and not isinstance(value, str):
        return f"{field.name} = {value!r} is not a text"
    if meta["choices"] is not None and value not in meta["choices"]:
        return f"{field.name} = {value!r} is not one of {', '.join(map(str, meta['choices']))}"
    low, high = meta["low"], meta["high"]
    if number and ((low is not None and value < low) or (high is not None and value > high)):
        return f"{field.name} = {value!r} is outside {range_text(field)}"
    if meta["file"] and not Path(value).is_file():
        return f"{field.name} = {value!r}: there is no such file"
    return None


def range_text(field: dataclasses.Field[Any]) -> str:
    """The allowed values in words, as in `0 .. 10`."""
    meta = field.metadata
    if meta["choices"] is not None:
        return ", ".join(map(str, meta["choices"]))
    low, high = (("" if v is None else f"{v:g}") for v in (meta["low"], meta["high"]))
    return f"{low} .. {high}" if low or high else "any"


def canonical(field: dataclasses.Field[Any], value: Any) -> Any:
    """The form of a value that enters an id: 1 and 1.0 of a float setting are one value; a file counts by its content."""
    if field.metadata["file"]:
        return hashlib.sha256(Path(value).read_bytes()).hexdigest()
    return float(value) if str(field.type) == "float" else value


def unknown_setting(owner: str, name: str, allowed: dict[str, dataclasses.Field[Any]]) -> str:
    """The message for a misspelt setting: the near name, and all that are allowed, by stage."""
    by_stage = [
        f"{stage}: {', '.join(n for n, f in allowed.items() if f.metadata['stage'] == stage)}"
        for stage in STAGES
        if any(f.metadata["stage"] == stage for f in allowed.values())
    ]
    return f"{owner} has no setting {name!r}.{did_you_mean(name, list(allowed))}\n  " + "\n  ".join(by_stage)


def did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def resolve(owner: str, config: type, values: dict[str, Any]) -> Any:
    """Make `config(**values)`, after checking every value. Raises SettingError with all mistakes at once."""
    fields = {f.name: f for f in dataclasses.fields(config)}
    problems = [unknown_setting(owner, n, fields) for n in values if n not in fields]
    reasons = (check_value(fields[n], v) for n, v in values.items() if n in fields)
    problems += [f"{reason} of {owner} ({fields[n].type})" for n, reason in zip([n for n in values if n in fields], reasons) if reason]
    if problems:
        raise SettingError(problems)
    return config(**values)
