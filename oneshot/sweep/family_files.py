"""Family files outside the package: those that sweeps name, and those of installed packages.

A sweep names a file by its path, as in `model="./my_vae.py"`. An installed package names modules
under entry points: `oneshot.models`; likewise `own_metrics`, `own_data` and `own_critics`. None is
imported here.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import linecache
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from oneshot.sweep.parts import short_path
from oneshot.sweep.settings import SettingError

# The package that the module of an own file believes to be in.
PARENT = "oneshot_own_families"


@dataclass(frozen=True)
class FamilyFile:
    """A family file of the user's, as it was read.

    Args:
        name: of the family: the name of the file without its ending.
        path: of the file, absolute.
        content: the SHA-256 of its bytes, in hexadecimal.
        text: what stands in it.
        travels: whether it alone is the family, so that it goes to workers; those of installed
            packages must be installed there.
    """

    name: str
    path: str
    content: str
    text: str
    travels: bool = True

    @property
    def number(self) -> int:
        """The content as a number, which stands for a version where the file states none."""
        return int(self.content[:12], 16)

    @property
    def shown(self) -> str:
        """The path as people write it."""
        return short_path(Path(self.path))


def is_path(model: str) -> bool:
    """Whether what a sweep names as its model is a file, and not a family by name."""
    return model.endswith(".py") or "/" in model or "\\" in model


def read(path: str) -> FamilyFile:
    """The family file at a path.

    Raises:
        SettingError: it cannot be read, its name can name no family, or it cannot travel alone.
    """
    place = Path(path).absolute()
    shown = short_path(place)
    if place.suffix != ".py" or not place.stem.isidentifier():
        raise SettingError(
            [f"{shown}: a family file is NAME.py, and NAME has letters, digits and _ alone"]
        )
    try:
        data = place.read_bytes()
        return made(place.stem, str(place), data)
    except OSError as error:
        raise SettingError([f"{shown} cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingError([f"{shown}, line {line}: the text is not UTF-8"]) from error


def made(name: str, path: str, data: bytes, travels: bool = True) -> FamilyFile:
    """A family file of its bytes, wherever they come from.

    Args:
        name: of the family.
        path: where the user has the file.
        data: what stands in it.
        travels: whether it alone is the family.

    Returns:
        The file.
    """
    content = hashlib.sha256(data).hexdigest()
    return FamilyFile(name, path, content, data.decode("utf-8"), travels)


def neighbours(file: FamilyFile, tree: ast.Module) -> list[str]:
    """What a family file imports of its own folder, which workers do not have.

    Args:
        file: of the family.
        tree: of its text.

    Returns:
        A message for each such import.
    """
    folder, problems = Path(file.path).parent, []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
        else:
            names = ["." if node.level else (node.module or "").partition(".")[0]]
        for name in names:
            if name == "." or _lies_in(folder, name):
                what = "a file beside it" if name == "." else f"{name}, which lies beside it"
                problems.append(
                    f"{file.shown}, line {node.lineno}: it imports {what}. Workers get the family"
                    " file alone: put all into it, or install the rest as a package"
                )
    return problems


def _lies_in(folder: Path, name: str) -> bool:
    """Whether a module of this name would be taken from a folder."""
    if name in sys.stdlib_module_names or name == "oneshot":
        return False
    if not (folder / f"{name}.py").is_file() and not (folder / name / "__init__.py").is_file():
        return False
    return name not in importlib.metadata.packages_distributions()


@functools.cache
def installed(kind: str) -> dict[str, tuple[str, str]]:
    """The families of installed packages: name -> module and path of its file.

    An entry point whose module has no file is named in a warning and passed over.

    Args:
        kind: "models", "metrics", "data" or "critics".
    """
    found: dict[str, tuple[str, str]] = {}
    for entry in sorted(importlib.metadata.entry_points(group=f"oneshot.{kind}")):
        path = _file_of(entry.module)
        if path is None or not entry.name.isidentifier():
            reason = "there is no such module" if path is None else "the name is none of a family"
            pass_over(kind, entry.name, entry.module, reason)
        else:
            found[entry.name] = entry.module, path
    return found


def pass_over(kind: str, name: str, module: str, reason: str) -> None:
    """Warn of an entry point that is of no use.

    Args:
        kind: "models", "metrics", "data" or "critics".
        name: of the entry point.
        module: that it names.
        reason: why, in words.
    """
    message = f"the entry point {name} = {module} of oneshot.{kind} is passed over: {reason}"
    warnings.warn(message, stacklevel=3)


def _file_of(module: str) -> str | None:
    """The file of a module, found without importing it or its packages."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = [spec.origin or ""]
    if rest:
        folders = [Path(folder, *rest) for folder in spec.submodule_search_locations or ()]
        places = [f"{folder}.py" for folder in folders]
        places += [str(folder / "__init__.py") for folder in folders]
    return next((place for place in places if place and Path(place).is_file()), None)


@functools.cache
def imported(file: FamilyFile) -> ModuleType:
    """The module of a family file, run once a process.

    Raises:
        Exception: whatever the file raises.
    """
    module = ModuleType(f"{PARENT}.{file.name}_{file.content[:16]}")
    module.__file__ = file.path
    # tracebacks show lines of the text that was run, also where the path means nothing
    lines = file.text.splitlines(keepends=True)
    linecache.cache[file.path] = (len(file.text), None, lines, file.path)
    sys.modules[module.__name__] = module  # dataclasses look there
    try:
        exec(compile(file.text, file.path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def line_of(error: BaseException, path: str) -> int:
    """The last line of a file that an error passed through.

    Args:
        error: that was raised.
        path: of the file.

    Returns:
        The line; 0 where it did not pass through the file.
    """
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 0
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
