"""What the files of families (and of data sets) declare, read without importing them.

They import torch, and `--help` and `--check` must answer at once. Of a family, only the definitions
of `Config`, `VARIANTS` and `VERSION` are executed, which therefore may use nothing but the standard
library and `setting`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.sweep import requirements
from oneshot.sweep.settings import (
    COMMON,
    Field,
    SettingError,
    check_value,
    did_you_mean,
    setting,
    type_name,
    unknown_setting,
)
from oneshot.sweep.values import shown
from oneshot.types import Kind

PACKAGE = Path(__file__).parents[1]
TYPES = ("int", "float", "bool", "str")
# Names that a column of the result tables must not have: reserved words of DuckDB, attributes of a
# pandas frame.
RESERVED = {
    *("desc", "end", "group", "limit", "offset", "order"),
    *("T", "count", "index", "rank", "sample", "size", "values"),
}
_REQUIRED = object()


@dataclass(frozen=True)
class Declaration:
    """What a family file says of itself: Config, VERSION, VARIANTS, and its first line of text."""

    name: str
    config: type
    version: int
    variants: dict[str, dict[str, Any]]
    summary: str
    path: Path

    @functools.cached_property
    def fields(self) -> dict[str, Field]:
        """The settings of Config, by name."""
        return {field.name: field for field in dataclasses.fields(self.config)}

    def problem(self, name: str, value: Any, fields: Mapping[str, Field]) -> str | None:
        """Why the family cannot have this setting, or not with this value.

        Args:
            name: of the setting.
            value: what it shall be, of any type.
            fields: all settings that the family may be given.

        Returns:
            The reason in words, or None if it can.
        """
        if name not in fields:
            return unknown_setting(self.name, name, fields)
        if name == "variant" and value not in ("", *self.variants):
            return f"variant = {shown(value)}: {self.name} has {', '.join(self.variants) or 'none'}"
        reason = check_value(fields[name], value)
        return f"{reason} of {self.name} ({type_name(fields[name])})" if reason else None


def names(kind: str) -> list[str]:
    """The families of a kind ("models", "critics"): its files that define a `Config`."""
    return list(_names(f"{PACKAGE}/{kind}"))


def declaration(kind: str, name: str) -> Declaration:
    """What a family file says of itself.

    Args:
        kind: "models" or "critics".
        name: of the family, that is of its file.

    Returns:
        The same object at every call.

    Raises:
        SettingError: there is no such family (with near names), or its file does not say what it
            must (with all that is missing or wrong at once).
    """
    return _declaration(f"{PACKAGE}/{kind}", name)


def constant(kind: str, name: str, variable: str, default: Any = _REQUIRED) -> Any:
    """The literal value of a module-level name of a file, read without importing the file.

    Args:
        kind: the folder in the package: "models", "critics" or "data".
        name: of the file in it, without its ending.
        variable: the name that the file assigns a literal to.
        default: what to return where the file does not; without it, this is an error.

    Returns:
        The value.

    Raises:
        KeyError: the file does not assign the name, and no default is given.
    """
    value = _literal(f"{PACKAGE}/{kind}/{name}.py", variable)
    if value is not _REQUIRED:
        return value
    if default is not _REQUIRED:
        return default
    raise KeyError(f"{kind}/{name}.py defines no {variable}")


def kinds(name: str) -> tuple[Kind, ...]:
    """The kinds of data that a family models: what its file says as KINDS, else bits."""
    return tuple(map(Kind, constant("models", name, "KINDS", (Kind.BITS,))))


def on_class_splits(name: str) -> bool:
    """Whether a family is of splits into base and novel classes, by its file's CLASS_SPLITS."""
    return bool(constant("models", name, "CLASS_SPLITS", False))


# What is read of the package's own files stays in memory. Keys are texts, as making a Path takes
# longer than to look one up.
@functools.cache
def _source(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


@functools.cache
def _tree(path: str) -> ast.Module:
    return ast.parse(_source(path), path)


@functools.cache
def _names(folder: str) -> tuple[str, ...]:
    files = sorted(path for path in Path(folder).glob("*.py") if not path.stem.startswith("_"))
    return tuple(path.stem for path in files if "\nclass Config" in _source(str(path)))


@functools.cache
def _literal(path: str, variable: str) -> Any:
    value = _assigned(_tree(path), variable)
    return _REQUIRED if value is None else ast.literal_eval(value)


def _defined_name(node: ast.stmt) -> str | None:
    """The name that a statement of a module defines as a class or a variable."""
    if isinstance(node, ast.ClassDef):
        return node.name
    target: ast.expr | None = None
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    return target.id if isinstance(target, ast.Name) else None


def _assigned(tree: ast.Module, variable: str) -> ast.expr | None:
    """The expression that a module first assigns to a name; None if it assigns none."""
    return next(
        (
            node.value
            for node in tree.body
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            and node.value is not None
            and _defined_name(node) == variable
        ),
        None,
    )


@functools.cache
def _declaration(folder: str, name: str) -> Declaration:
    kind, known = Path(folder).name, _names(folder)
    if name not in known:
        near = did_you_mean(name, list(known))
        there_is = f"there is no {kind.rstrip('s')} {name!r}.{near} Known: {', '.join(known)}"
        raise SettingError([there_is])
    path, short = f"{folder}/{name}.py", f"{kind}/{name}.py"
    try:
        tree = _tree(path)
    except SyntaxError as error:
        raise SettingError([f"{short}, line {error.lineno}: {error.msg}"]) from error
    try:
        defined = _execute_definitions(tree, path)
    except Exception as error:
        reason = (
            f"{short}: Config, VARIANTS and VERSION are read without the rest of the file, and may"
            f" use nothing of it. {type(error).__name__}: {error}"
        )
        raise SettingError([reason]) from error
    if problems := _problems(tree, defined):
        raise SettingError([f"{short}: {problem}" for problem in problems])
    summary = (ast.get_docstring(tree) or "").split("\n")[0]
    variants = defined.get("VARIANTS", {})
    return Declaration(name, defined["Config"], defined["VERSION"], variants, summary, Path(path))


def _execute_definitions(tree: ast.Module, path: str) -> dict[str, Any]:
    """The names that a file's definitions of Config, VARIANTS and VERSION make, run alone."""
    wanted = [n for n in tree.body if _defined_name(n) in {"Config", "VARIANTS", "VERSION"}]
    future = ast.ImportFrom(module="__future__", names=[ast.alias(name="annotations")], level=0)
    module = ast.fix_missing_locations(ast.Module(body=[future, *wanted], type_ignores=[]))
    space: dict[str, Any] = {
        "__name__": __name__,
        "dataclass": dataclass,
        "setting": setting,
        "math": math,
    }
    exec(compile(module, path, "exec"), space)  # the package's own file, without its imports
    return space


def _problems(tree: ast.Module, defined: Mapping[str, Any]) -> list[str]:
    """What a family file lacks or has in a form that nothing around it understands."""
    problems = []
    version, config = defined.get("VERSION"), defined.get("Config")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        problems.append(
            "VERSION must be a whole number from 1, raised whenever a change moves numbers"
        )
    if not isinstance(config, type) or not dataclasses.is_dataclass(config):
        return [*problems, "Config must be a class with @dataclass(frozen=True)"]
    fields = {field.name: field for field in dataclasses.fields(config)}
    wrong = {name: reason for name, field in fields.items() if (reason := _problem_of(field))}
    sound = {name: field for name, field in fields.items() if name not in wrong}
    problems += wrong.values()
    for variant, values in defined.get("VARIANTS", {}).items():
        for name, value in values.items():
            if name not in fields:
                near = did_you_mean(name, list(fields))
                problems.append(f"variant {variant!r}: there is no setting {name!r}.{near}")
            elif name in sound and (reason := check_value(sound[name], value)):
                problems.append(f"variant {variant!r}: {reason}")
    needs = requirements.needed_settings(tree, _assigned(tree, "FAMILY"))
    return problems + requirements.unmet(needs, config, sound)


def _problem_of(field: Field) -> str | None:
    """What is wrong with the declaration of one setting."""
    name, meta = field.name, field.metadata
    if "stage" not in meta:
        return f"{name} must be declared by setting(default, stage, help)"
    if type_name(field) not in TYPES:
        return f"{name} has the type {field.type}; settings are {', '.join(TYPES)}"
    if name in RESERVED or name in COMMON:
        return (
            f"{name} cannot be the name of a setting: tables have such a column, or all families"
            " such a setting"
        )
    if not meta["file"] and (reason := check_value(field, field.default)):
        return f"the default {reason}"
    return None
