"""Files of the user's: what metrics, data sets and critics in files have in common."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from oneshot.sweep import declared, family_files
from oneshot.sweep.family_files import FamilyFile
from oneshot.sweep.settings import SettingError
from oneshot.sweep.values import is_whole

T = TypeVar("T")


def literals(file: FamilyFile, names: Sequence[str]) -> tuple[ast.Module, dict[str, Any]]:
    """What a file assigns to names, read without running it.

    Args:
        file: of the user's.
        names: whose values are literals.

    Returns:
        The tree of the file, and the value of each name, None where it assigns none.

    Raises:
        SettingError: the file cannot be parsed, a value is no literal, or it imports a neighbour.
    """
    try:
        tree = ast.parse(file.text, file.path)
    except SyntaxError as error:
        raise SettingError([f"{file.shown}, line {error.lineno}: {error.msg}"]) from error
    problems = family_files.neighbours(file, tree) if file.travels else []
    values: dict[str, Any] = {}
    for name in names:
        node = declared.assigned(tree, name)
        try:
            values[name] = None if node is None else ast.literal_eval(node)
        except ValueError:
            line = node.lineno if node is not None else 0
            text = f"{name} is read without running the file, so it must be written out"
            problems.append(f"{file.shown}, line {line}: {text}")
    if problems:
        raise SettingError(problems)
    return tree, values


def installed(kind: str, read: Callable[[FamilyFile, str], T]) -> dict[str, T]:
    """What installed packages bring; what is of no use is named in a warning and passed over.

    Args:
        kind: of the entry points, as in "metrics" of `oneshot.metrics`.
        read: makes something of a file and the name of its module, or raises SettingError.

    Returns:
        By name.
    """
    found = {}
    for name, (module, path) in family_files.installed(kind).items():
        try:
            file = family_files.made(name, path, Path(path).read_bytes(), travels=False)
            found[name] = read(file, module)
        except (SettingError, OSError, UnicodeDecodeError) as error:
            reason = error.problems[0] if isinstance(error, SettingError) else str(error)
            family_files.pass_over(kind, name, module, reason)
    return found


def has_function(tree: ast.Module, name: str) -> bool:
    """Whether a file defines a function.

    Args:
        tree: of the file.
        name: of the function.

    Returns:
        True if it does, at its top level.
    """
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def version_problems(version: Any, why: str) -> list[str]:
    """What is wrong with a VERSION; nothing where there is none.

    Args:
        version: what the file assigns, None for nothing.
        why: it is raised, in words.

    Returns:
        A message, or none.
    """
    if version is None or (is_whole(version) and version >= 1):
        return []
    return [f"VERSION must be a whole number from 1, raised whenever {why}"]
