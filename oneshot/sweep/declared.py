"""The definitions of a family file that are read without the rest of it, and what is wrong in them.

These are `Config`, `VARIANTS` and `VERSION`.
"""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oneshot.sweep import requirements
from oneshot.sweep.settings import (
    COMMON,
    Field,
    TrainingSettings,
    check_value,
    did_you_mean,
    setting,
    type_name,
)

TYPES = ("int", "float", "bool", "str")
# Names that a column of the result tables must not have: reserved words of DuckDB, attributes of a
# pandas frame.
RESERVED = {
    *("desc", "end", "group", "limit", "offset", "order"),
    *("T", "count", "index", "rank", "sample", "size", "values"),
}


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


def assigned(tree: ast.Module, variable: str) -> ast.expr | None:
    """The expression that a module first assigns to a name.

    Args:
        tree: of the module.
        variable: the name.

    Returns:
        The expression; None if it assigns none.
    """
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


def execute(tree: ast.Module, path: str) -> dict[str, Any]:
    """The names that a file's definitions of Config, VARIANTS and VERSION make, run alone.

    Args:
        tree: of the file.
        path: of the file, for tracebacks.

    Returns:
        What they define, by name.

    Raises:
        Exception: whatever they raise.
    """
    wanted = [n for n in tree.body if _defined_name(n) in {"Config", "VARIANTS", "VERSION"}]
    future = ast.ImportFrom(module="__future__", names=[ast.alias(name="annotations")], level=0)
    module = ast.fix_missing_locations(ast.Module(body=[future, *wanted], type_ignores=[]))
    space: dict[str, Any] = {
        "__name__": __name__,
        "dataclass": dataclass,
        "setting": setting,
        "TrainingSettings": TrainingSettings,
        "dataclasses": dataclasses,
        "math": math,
    }
    exec(compile(module, path, "exec"), space)  # the file's own definitions, without its imports
    return space


def problems_of(tree: ast.Module, defined: Mapping[str, Any]) -> list[str]:
    """What a family file lacks or has in a form that nothing around it understands.

    Args:
        tree: of the file.
        defined: what `execute` made of it.

    Returns:
        A message for each mistake.
    """
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
    needs = requirements.needed_settings(tree, assigned(tree, "FAMILY"))
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
