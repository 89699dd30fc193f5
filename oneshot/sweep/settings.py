"""Settings: typed, bounded hyperparameters, each with the stage where it enters a point.

A family (a model or a critic) declares its settings once, as the fields of a frozen dataclass
called `Config` in its own file. They are read here *without importing that file*, because it
imports torch, and `--help` and `--check` must answer at once: `head` executes only the definitions
of `Config`, `VARIANTS` and `VERSION`, which therefore may use nothing but the standard library and
`setting`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import enum
import functools
import hashlib
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = ("data", "model", "train", "sample", "score")
NAME = "name"  # not a stage: a setting that only says where values come from, and enters no id
PACKAGE = Path(__file__).parents[1]

# Raised whenever a change moves the numbers of a metric, so that rows scored by different code
# never share an id.
METRIC_VERSIONS = {
    "standardise": 1,
    "diversity": 1,
    "recognizability": 1,
    "originality": 1,
    "generalization": 1,
}
LIKELIHOOD_VERSION = 1  # the same of the likelihoods of sets, for the families that have them

# Names that a column of the result tables must not have: reserved words of DuckDB, attributes of a
# pandas frame.
RESERVED = {
    "desc",
    "end",
    "group",
    "limit",
    "offset",
    "order",
    "T",
    "count",
    "index",
    "rank",
    "sample",
    "size",
    "values",
}


class SettingError(ValueError):
    """A user's setting is unknown, of the wrong type or out of range. `problems` holds one message
    per mistake.
    """

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

    stage: where the value enters (one of STAGES). low, high: inclusive bounds. choices: the only
    values allowed.
    shapes: a train-stage setting that changes tensor shapes, so that points that differ in it
    cannot train as one stack.
    file: the value is a path; the content of the file, not its name, enters the id of a point.
    """
    if stage not in (*STAGES, NAME):
        raise ValueError(f"stage {stage!r} is not one of {STAGES}")
    metadata = dict(
        stage=stage,
        help=help,
        low=low,
        high=high,
        choices=choices,
        unit=unit,
        shapes=shapes,
        file=file,
    )
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Common:
    """Settings that every model family has: which images, which exemplars, how much is drawn and
    how it is scored.
    """

    variant: str = setting("", NAME, "named set of the family's defaults that a point starts from")
    dataset: str = setting(
        "omniglot", "data", "data set", choices=("omniglot", "quickdraw", "celeba", "cifar10")
    )
    split: str = setting(
        "weak",
        "data",
        "class split: weak, strong or random (omniglot), identities (celeba), fixed (others)",
        choices=("weak", "strong", "random", "fixed", "identities"),
    )
    image_size: int = setting(
        50, "data", "height and width of the images", low=16, high=105, unit="pixels"
    )
    exemplar: str = setting(
        "medoid",
        "data",
        "which image of a class is its exemplar",
        choices=("medoid", "first", "random"),
    )
    drawings_per_class: int = setting(
        20,
        "sample",
        "drawings for the exemplar of each test class, at least 2; 0 for none, where likelihoods"
        " are all that is asked",
        low=0,
        high=1000,
    )
    diversity_drawings: int = setting(
        20,
        "score",
        "most drawings of a class that diversity and originality rest on, as the former grows"
        " with it",
        low=2,
        high=1000,
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

    @functools.cached_property
    def fields(self) -> dict[str, dataclasses.Field[Any]]:
        return {f.name: f for f in dataclasses.fields(self.config)}


@dataclass(frozen=True)
class Needed:
    """A setting that the code around a family reads from its Config, and what it must be.

    Args:
        kind: its type, as it is written.
        stage: where it enters.
        what: its meaning, in words.
        choices: the only values that are understood; empty: all of its type.
        alike: whether all members of a stack share the value of the first, so that points that
            differ in it must not be stacked: it needs `shapes=True` if its stage is train.
        property: whether a property of Config serves as well.
    """

    kind: str
    stage: str
    what: str
    choices: tuple[str, ...] = ()
    alike: bool = False
    property: bool = False

    def words(self) -> str:
        """What the setting must be, in one line."""
        choices = f", choices={self.choices}" if self.choices else ""
        shapes = ", shapes=True" if self.alike and self.stage == "train" else ""
        return f'{self.kind} = setting(..., "{self.stage}"{choices}{shapes}): {self.what}'


# By the class of oneshot/contracts.py that a family derives from.
NEEDED: dict[str, dict[str, Needed]] = {
    "TrainedFamily": {
        "epochs": Needed("int", "train", "passes over the training images", alike=True),
        "batch_size": Needed("int", "train", "images or sets a step", alike=True),
        "plateau": Needed(
            "int", "train", "epochs without progress before the step size halves; 0: never"
        ),
        "schedule_classes": Needed(
            "str",
            "train",
            "classes whose loss drives schedule and best epoch",
            ("validation", "test"),
            alike=True,
        ),
        "weights": Needed("str", "sample", "draw from the last or the best epoch", ("end", "best")),
    },
    "SetFamily": {
        "set_size": Needed("int", "train", "images of a training set", alike=True, property=True),
        "augmented_copies": Needed(
            "int", "train", "altered copies of each set in an epoch", alike=True, property=True
        ),
        "binarisation": Needed(
            "str", "data", "how grey images become bits", ("stochastic", "threshold")
        ),
        "likelihood": Needed("str", "score", "of test sets", ("none", "elbo", "nll")),
        "nll_samples": Needed("int", "score", "importance samples a set"),
        "nll_sets": Needed("int", "score", "test sets that are importance-sampled; 0: all"),
        "nll_size": Needed("int", "score", "size of those sets; 0: every size"),
        "test_sets": Needed("int", "score", "most test sets of each size; 0: all"),
        "transfer": Needed("str", "score", "likelihood of digits", ("none", "mnist", "digits")),
        "classify": Needed("bool", "score", "few-shot classification of digits"),
    },
    "ExplainedFamily": {
        "importance_seeds": Needed(
            "int", "score", "noise draws a map is averaged over; 0: no maps"
        ),
    },
}
DERIVED = {
    "TrainedFamily": ("TrainedFamily",),
    "ExplainedFamily": ("TrainedFamily", "ExplainedFamily"),
    "LikelihoodFamily": ("TrainedFamily",),
    "SetFamily": ("TrainedFamily", "SetFamily"),
}
# A setting may enter earlier than it is needed, never later: it would be missing in an id that
# depends on it.
RANKS = {"data": 0, "model": 0, "train": 0, "sample": 1, "score": 2, NAME: 3}
# Settings that a family may have, and which a stack takes from its first member.
OPTIONAL_ALIKE = ("precision", "set_size", "augmented_copies")
TYPES = ("int", "float", "bool", "str")


# What is read of the package's own files stays; keys are texts, as making a Path takes longer than
# to look one up.
@functools.cache
def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


@functools.cache
def _tree(path: str) -> ast.Module:
    return ast.parse(_text(path), path)


def names(kind: str) -> list[str]:
    """The families of a kind ("models", "critics"): the files of that folder that define a
    `Config`.
    """
    return list(_names(f"{PACKAGE}/{kind}"))


@functools.cache
def _names(folder: str) -> tuple[str, ...]:
    files = sorted(path for path in Path(folder).glob("*.py") if not path.stem.startswith("_"))
    return tuple(path.stem for path in files if "\nclass Config" in _text(str(path)))


def head(kind: str, name: str) -> Head:
    """Read the settings of one family.

    Args:
        kind: "models" or "critics".
        name: of the family, that is of its file.

    Raises:
        SettingError: there is no such family (with near names), or its file does not say what it
            must (with all that is missing or wrong at once).
    """
    return _head(f"{PACKAGE}/{kind}", name)


@functools.cache
def _head(folder: str, name: str) -> Head:
    kind, known = Path(folder).name, _names(folder)
    if name not in known:
        raise SettingError(
            [
                f"there is no {kind.rstrip('s')} {name!r}.{did_you_mean(name, list(known))} Known:"
                f" {', '.join(known)}"
            ]
        )
    path, short = f"{folder}/{name}.py", f"{kind}/{name}.py"
    try:
        tree = _tree(path)
    except SyntaxError as error:
        raise SettingError([f"{short}, line {error.lineno}: {error.msg}"]) from error
    wanted = [node for node in tree.body if _defines(node) in {"Config", "VARIANTS", "VERSION"}]
    space: dict[str, Any] = {
        "__name__": __name__,
        "dataclass": dataclass,
        "setting": setting,
        "math": math,
    }
    future = ast.ImportFrom(module="__future__", names=[ast.alias(name="annotations")], level=0)
    module = ast.fix_missing_locations(ast.Module(body=[future, *wanted], type_ignores=[]))
    try:
        # our own source file, the part that needs no torch
        exec(compile(module, path, "exec"), space)
    except Exception as error:
        told = (
            f"{short}: Config, VARIANTS and VERSION are read without the rest of the file, and may"
            " use nothing of it"
        )
        raise SettingError([f"{told}. {type(error).__name__}: {error}"]) from error
    problems = _incomplete(tree, space)
    if problems:
        raise SettingError([f"{short}: {problem}" for problem in problems])
    summary = (ast.get_docstring(tree) or "").split("\n")[0]
    return Head(
        name, space["Config"], space["VERSION"], space.get("VARIANTS", {}), summary, Path(path)
    )


def _incomplete(tree: ast.Module, space: Mapping[str, Any]) -> list[str]:
    """What a family file lacks or has in a form that nothing around it understands."""
    problems = []
    version, config = space.get("VERSION"), space.get("Config")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        problems.append(
            "VERSION must be a whole number from 1, raised whenever a change moves numbers"
        )
    if not isinstance(config, type) or not dataclasses.is_dataclass(config):
        return [*problems, "Config must be a class with @dataclass(frozen=True)"]
    fields = {f.name: f for f in dataclasses.fields(config)}
    sound = {}
    common = {f.name for f in dataclasses.fields(Common)}
    for name, field in fields.items():
        if "stage" not in field.metadata:
            problems.append(f"{name} must be declared by setting(default, stage, help)")
        elif str(field.type) not in TYPES:
            problems.append(f"{name} has the type {field.type}; settings are {', '.join(TYPES)}")
        elif name in RESERVED or name in common:
            problems.append(
                f"{name} cannot be the name of a setting: tables have such a column, or all"
                " families such a setting"
            )
        elif not field.metadata["file"] and (reason := check_value(field, field.default)):
            problems.append(f"the default {reason}")
        else:
            sound[name] = field
    for variant, values in space.get("VARIANTS", {}).items():
        for name, value in values.items():
            if name not in fields:
                problems.append(
                    f"variant {variant!r}: there is no setting"
                    f" {name!r}.{did_you_mean(name, list(fields))}"
                )
            elif name in sound and (reason := check_value(sound[name], value)):
                problems.append(f"variant {variant!r}: {reason}")
    return problems + _unmet(_needs(tree), config, sound)


def _needs(tree: ast.Module) -> dict[str, Needed]:
    """The settings that the code around the family of this file reads; none if it learns
    nothing.
    """
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    family = next((node for node in tree.body if _defines(node) == "FAMILY"), None)
    value = family.value if isinstance(family, (ast.Assign, ast.AnnAssign)) else None
    waiting, seen = [value.id] if isinstance(value, ast.Name) else [], set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in classes:
            bases = (ast.unparse(base).rpartition(".")[2] for base in classes[name].bases)
            waiting += [base.partition("[")[0] for base in bases]
        seen.add(name)
    groups = dict.fromkeys(group for name in seen for group in DERIVED.get(name, ()))
    return {
        name: need for group in NEEDED if group in groups for name, need in NEEDED[group].items()
    }


def _unmet(
    needs: Mapping[str, Needed], config: type, fields: Mapping[str, dataclasses.Field[Any]]
) -> list[str]:
    """The needed settings that Config lacks, in one text, and those that are not what they must
    be.
    """
    missing, problems = [], []
    for name, need in needs.items():
        if need.property and isinstance(getattr(config, name, None), property):
            continue
        if name not in fields:
            missing.append(f"{name}: {need.words()}")
            continue
        meta, kind = fields[name].metadata, str(fields[name].type)
        odd = need.choices and not (meta["choices"] and set(meta["choices"]) <= set(need.choices))
        if kind != need.kind or odd or RANKS[meta["stage"]] > RANKS[need.stage]:
            problems.append(f"{name} must be {need.words()}")
    alike = (
        {*(name for name, need in needs.items() if need.alike), *OPTIONAL_ALIKE} if needs else set()
    )
    for name, field in fields.items():
        if name in alike and field.metadata["stage"] == "train" and not field.metadata["shapes"]:
            problems.append(
                f"{name} needs shapes=True: all members of a stack take it from the first"
            )
    if missing:
        told = "Config lacks settings that training, drawing or scoring read. It needs"
        problems.insert(0, "\n  ".join([told, *missing]))
    return problems


_REQUIRED = object()


def constant(kind: str, name: str, variable: str, default: Any = _REQUIRED) -> Any:
    """The literal value of a module-level name in oneshot/<kind>/<name>.py, read without importing
    the file, or the default.
    """
    found = _literal(f"{PACKAGE}/{kind}/{name}.py", variable)
    if found is not _REQUIRED:
        return found
    if default is not _REQUIRED:
        return default
    raise KeyError(f"{kind}/{name}.py defines no {variable}")


@functools.cache
def _literal(path: str, variable: str) -> Any:
    for node in _tree(path).body:
        if (
            _defines(node) == variable
            and isinstance(node, (ast.Assign, ast.AnnAssign))
            and node.value is not None
        ):
            return ast.literal_eval(node.value)
    return _REQUIRED


def _defines(node: ast.stmt) -> str | None:
    if isinstance(node, ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return (
        node.target.id
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        else None
    )


PLAIN = (int, float, bool, str, type(None))


def plain(value: Any) -> Any:
    """The Python value of what stands for one: a numpy scalar, a member of an Enum, a path.

    Exact: `np.float32(0.1)` is 0.10000000149011612. Whatever is not such a value is returned as it
    is.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        found = value.item()
        # item() of a long double is itself
        return float(found) if hasattr(found, "dtype") else found
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    return os.fsdecode(value) if isinstance(value, os.PathLike) else value


def shown(value: Any) -> str:
    """A value as Python writes it, in one line of at most 80 characters, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_value(field: dataclasses.Field[Any], value: Any) -> str | None:
    """None if `value` is allowed for this field, else the reason in words."""
    meta, kind, told = field.metadata, str(field.type), f"{field.name} = {shown(value)}"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int" and not (isinstance(value, int) and not isinstance(value, bool)):
        return f"{told} is not a whole number"
    if kind == "int" and not -(2**63) <= value < 2**63:
        return f"{told} does not fit into 64 bits"
    if kind == "float" and not (number and abs(value) <= sys.float_info.max):  # False of nan
        return f"{told} is not a finite number"
    if kind == "bool" and not isinstance(value, bool):
        return f"{told} is not True or False"
    if kind == "str" and not isinstance(value, str):
        return f"{told} is not a text"
    if kind == "str" and not value.isascii() and not _is_unicode(value):
        return f"{told} cannot be written as UTF-8"
    if meta["choices"] is not None and value not in meta["choices"]:
        return f"{told} is not one of {', '.join(map(str, meta['choices']))}"
    low, high = meta["low"], meta["high"]
    if number and ((low is not None and value < low) or (high is not None and value > high)):
        return f"{told} is outside {range_text(field)}"
    return None


def problem(
    head: Head, name: str, value: Any, fields: Mapping[str, dataclasses.Field[Any]]
) -> str | None:
    """Why a family cannot have this setting, or not with this value; None if it can.

    Args:
        head: of the family.
        name: of the setting.
        value: what it shall be.
        fields: all settings that the family may be given.
    """
    if name not in fields:
        return unknown_setting(head.name, name, dict(fields))
    if name == "variant" and value not in ("", *head.variants):
        return f"variant = {shown(value)}: {head.name} has {', '.join(head.variants) or 'none'}"
    reason = check_value(fields[name], value)
    return f"{reason} of {head.name} ({fields[name].type})" if reason else None


def find_file(value: str, folder: Path | None) -> str:
    """The file that a setting names, as a path that holds from the working directory.

    Args:
        value: what was given; `~` is the home folder. What is not absolute is looked for in
            `folder`, then in the working directory.
        folder: of the sweep file; None if there is none.

    Returns:
        The path as it was given, where it holds as it stands.

    Raises:
        SettingError: there is no such file, or it cannot be read.
    """
    path = value if os.path.lexists(value) else os.path.expanduser(value)
    places = [] if folder is None or os.path.isabs(path) else [folder]
    tried = list(dict.fromkeys(os.path.abspath(place / path) for place in [*places, Path()]))
    found = next((place for place in tried if os.path.lexists(place)), None)
    if found is None:
        raise SettingError(
            [
                (
                    f"there is no such file: neither {' nor '.join(tried)}"
                    if tried[1:]
                    else f"there is no such file: {tried[0]}"
                )
            ]
        )
    try:
        if os.path.isdir(found):
            raise SettingError([f"{found} is a folder, not a file"])
        if os.path.exists(found) and not os.path.isfile(found):  # a pipe would wait for its writer
            raise SettingError([f"{found} is not an ordinary file"])
        Path(found).open("rb").close()
    except OSError as error:
        raise SettingError([f"{found} cannot be read: {error.strerror}"]) from error
    if found == os.path.abspath(value):
        return value
    below = os.path.relpath(found)
    return found if below.startswith("..") else below


def content(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def range_text(field: dataclasses.Field[Any]) -> str:
    """The allowed values in words, as in `0 .. 10`."""
    meta = field.metadata
    if meta["choices"] is not None:
        return ", ".join(map(str, meta["choices"]))
    low, high = (("" if v is None else f"{v:g}") for v in (meta["low"], meta["high"]))
    return f"{low} .. {high}" if low or high else "any"


def canonical(field: dataclasses.Field[Any], value: Any) -> Any:
    """The form of a value that enters an id: 1 and 1.0 of a float setting are one value; a file
    counts by its content.
    """
    if field.metadata["file"]:
        return content(value)
    return float(value) if str(field.type) == "float" else value


def unknown_setting(owner: str, name: str, allowed: dict[str, dataclasses.Field[Any]]) -> str:
    """The message for a misspelt setting: the near name, and all that are allowed, by stage."""
    by_stage = [
        f"{stage}: {', '.join(n for n, f in allowed.items() if f.metadata['stage'] == stage)}"
        for stage in STAGES
        if any(f.metadata["stage"] == stage for f in allowed.values())
    ]
    return f"{owner} has no setting {name!r}.{did_you_mean(name, list(allowed))}\n  " + "\n  ".join(
        by_stage
    )


def did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def resolve(owner: str, config: type, values: dict[str, Any]) -> Any:
    """Make `config(**values)`, after checking every value. Raises SettingError with all mistakes at
    once.
    """
    fields = {f.name: f for f in dataclasses.fields(config)}
    problems = [unknown_setting(owner, n, fields) for n in values if n not in fields]
    reasons = (check_value(fields[n], v) for n, v in values.items() if n in fields)
    problems += [
        f"{reason} of {owner} ({fields[n].type})"
        for n, reason in zip([n for n in values if n in fields], reasons)
        if reason
    ]
    if problems:
        raise SettingError(problems)
    return config(**values)
