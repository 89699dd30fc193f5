"""What the files of families (and of data sets) declare, read without importing them.

They import torch, and `--help` and `--check` must answer at once. Of a family, only the definitions
of `Config`, `VARIANTS` and `VERSION` are executed, which therefore may use nothing but `setting`,
`TrainingSettings`, `dataclass` and `math`.

A family is a file of the package, one of an installed package, or a file of the user's. The latter
is made known to the process by `use_file`, and has its name from then on.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from oneshot.sweep import declared, family_files, own_data
from oneshot.sweep.family_files import FamilyFile
from oneshot.sweep.named_files import find_file
from oneshot.sweep.settings import (
    Field,
    SettingError,
    check_value,
    did_you_mean,
    type_name,
    unknown_setting,
)
from oneshot.sweep.values import shown
from oneshot.types import Kind

PACKAGE = Path(__file__).parents[1]
_REQUIRED = object()
_own: dict[str, FamilyFile] = {}  # by the name of the family
_kept: list[Any] = []  # caches of what is read of families

T = TypeVar("T")


@dataclass(frozen=True)
class Declaration:
    """What a family file says of itself: Config, VERSION, VARIANTS, and its first line of text.

    A file of the user's that states no VERSION has a number of its content instead.
    """

    name: str
    config: type
    version: int
    variants: dict[str, dict[str, Any]]
    summary: str
    path: Path
    file: FamilyFile | None = None

    @property
    def code(self) -> int:
        """What changes whenever the code of the family may have changed."""
        return self.file.number if self.file else self.version

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
        if name == "dataset" and own_data.find(value) is not None:
            return None
        if name == "variant" and value not in ("", *self.variants):
            return f"variant = {shown(value)}: {self.name} has {', '.join(self.variants) or 'none'}"
        reason = check_value(fields[name], value)
        return f"{reason} of {self.name} ({type_name(fields[name])})" if reason else None


def kept(function: Callable[..., T]) -> functools._lru_cache_wrapper[T]:
    """As functools.cache, of what is read of families: forgotten when a file takes another's name.

    Args:
        function: whose results are kept.
    """
    cached = functools.cache(function)
    _kept.append(cached)
    return cached


def names(kind: str) -> list[str]:
    """The families of a kind ("models", "critics"): ours, and models of installed packages."""
    return [*_names(f"{PACKAGE}/{kind}"), *_installed(kind)]


def is_known(model: str) -> bool:
    """Whether there is a model family of this name, files of the user's included."""
    return model in _own or model in _names(f"{PACKAGE}/models") or model in _installed("models")


def is_path(model: str) -> bool:
    """Whether a model is given as a file, and not by the name of a family."""
    return family_files.is_path(model)


def is_current(model: str, path: str) -> bool:
    """Whether the family of this name is the file at this path.

    Args:
        model: name of the family.
        path: of its file.

    Returns:
        False if it is another file, or none.
    """
    return model in _own and _own[model].path == path


def use_file(path: str, folder: Path | None = None) -> FamilyFile:
    """Make a family file known to this process by the name of its family.

    Args:
        path: of the file; what is not absolute is looked for in `folder`, then in the working
            directory.
        folder: of the sweep file; None if there is none.

    Returns:
        The file as it is now.

    Raises:
        SettingError: there is no such file, or its name is that of another family.
    """
    return use(family_files.read(find_file(path, folder)))


def use(file: FamilyFile) -> FamilyFile:
    """Make a family known to this process that was read before, as on a worker.

    Raises:
        SettingError: its name is that of another family.
    """
    if file.name in _names(f"{PACKAGE}/models") or file.name in _installed("models"):
        problem = f"{file.shown}: there is a family {file.name!r} already: rename the file"
        raise SettingError([problem])
    before = _own.get(file.name)
    _own[file.name] = file
    if before is not None and before != file:
        for cached in _kept:
            cached.cache_clear()
    return file


def module(kind: str, name: str) -> ModuleType:
    """The imported module of a family, wherever its file is.

    Args:
        kind: "models" or "critics".
        name: of the family.

    Returns:
        The same module at every call.
    """
    if kind == "models" and name in _own:
        return family_files.imported(_own[name])
    if name not in _names(f"{PACKAGE}/{kind}") and name in _installed(kind):
        return importlib.import_module(_installed(kind)[name][0])
    return importlib.import_module(f"oneshot.{kind}.{name}")


def is_installed(model: str) -> bool:
    """Whether a model family is one of an installed package."""
    return model not in _own and model in _installed("models")


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


def _path_of(kind: str, name: str) -> str:
    """The path of a file, for reading it; of one of the user's that which it was read from."""
    path = f"{PACKAGE}/{kind}/{name}.py"
    if kind == "models" and name in _own:
        return _own[name].path
    if kind == "models" and name not in _names(f"{PACKAGE}/{kind}") and name in _installed(kind):
        return _installed(kind)[name][1]
    return path


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
    if kind == "data" and (own := own_data.find(name)) is not None:
        value = own.constants.get(variable, _REQUIRED)
    else:
        value = _literal(_path_of(kind, name), variable)
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
@kept
def _source(path: str) -> str:
    for file in _own.values():
        if file.path == path:
            return file.text
    return Path(path).read_text(encoding="utf-8")


@kept
def _tree(path: str) -> ast.Module:
    return ast.parse(_source(path), path)


@functools.cache
def _names(folder: str) -> tuple[str, ...]:
    files = sorted(path for path in Path(folder).glob("*.py") if not path.stem.startswith("_"))
    return tuple(path.stem for path in files if "\nclass Config" in _source(str(path)))


@kept
def _literal(path: str, variable: str) -> Any:
    value = declared.assigned(_tree(path), variable)
    return _REQUIRED if value is None else ast.literal_eval(value)


@functools.cache
def _installed(kind: str) -> dict[str, tuple[str, str]]:
    """The models of installed packages, without those that are of no use."""
    if kind != "models":
        return {}  # critics of installed packages have another form: `own_critics`
    found = {}
    for name, (module, path) in family_files.installed(kind).items():
        reason = ""
        if name in _names(f"{PACKAGE}/{kind}"):
            reason = f"there is a family {name!r} already"
        else:
            try:
                _read_installed(name, path)
            except SettingError as error:
                reason = error.problems[0]
        if reason:
            family_files.pass_over(kind, name, module, reason)
        else:
            found[name] = module, path
    return found


@kept
def _declaration(folder: str, name: str) -> Declaration:
    kind = Path(folder).name
    if kind == "models" and name in _own:
        file = _own[name]
        return _read(name, file.path, file.shown, file)
    if name in _names(folder):
        return _read(name, f"{folder}/{name}.py", f"{kind}/{name}.py", None)
    if name in _installed(kind):
        return _read_installed(name, _installed(kind)[name][1])
    known = [*_names(folder), *_installed(kind)]
    near = did_you_mean(name, known)
    there_is = f"there is no {kind.rstrip('s')} {name!r}.{near} Known: {', '.join(known)}"
    raise SettingError([there_is])


def _read_installed(name: str, path: str) -> Declaration:
    """What the file of a family of an installed package declares."""
    file = family_files.made(name, path, Path(path).read_bytes(), travels=False)
    return _read(name, path, path, file)


def _read(name: str, path: str, short: str, file: FamilyFile | None) -> Declaration:
    """What the file of a family declares.

    Args:
        name: of the family.
        path: of its file.
        short: the path, for messages.
        file: the file, where it is not one of the package.

    Returns:
        The declaration.

    Raises:
        SettingError: with all that is missing or wrong.
    """
    try:
        tree = _tree(path)
    except SyntaxError as error:
        raise SettingError([f"{short}, line {error.lineno}: {error.msg}"]) from error
    except (OSError, ValueError) as error:
        raise SettingError([f"{short} cannot be read: {error}"]) from error
    if file is not None and file.travels and (problems := family_files.neighbours(file, tree)):
        raise SettingError(problems)
    try:
        defined = declared.execute(tree, path)
    except Exception as error:
        line = family_files.line_of(error, path)
        place = f"{short}, line {line}" if line else short
        reason = (
            f"{place}: Config, VARIANTS and VERSION are read without the rest of the file, and may"
            f" use nothing of it. {type(error).__name__}: {error}"
        )
        raise SettingError([reason]) from error
    if file is not None:
        defined.setdefault("VERSION", file.number)
    if problems := declared.problems_of(tree, defined):
        raise SettingError([f"{short}: {problem}" for problem in problems])
    summary = (ast.get_docstring(tree) or "").split("\n")[0]
    variants, version = defined.get("VARIANTS", {}), defined["VERSION"]
    return Declaration(name, defined["Config"], version, variants, summary, Path(path), file)
