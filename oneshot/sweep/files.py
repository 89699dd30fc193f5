"""Sweep files: found by name, run as Python modules, every mistake in them named with its line."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from oneshot.sweep.definition import NAMES, Sweep, is_name
from oneshot.sweep.parts import SweepError, short_path
from oneshot.sweep.settings import did_you_mean
from oneshot.sweep.values import shown

# The package that a sweep file believes to be in, so that `from . import` works.
PARENT = "oneshot_sweep_files"
PACKAGE = Path(__file__).parents[1]


def load_sweep(path: str | Path) -> Sweep:
    """Run a sweep file and return its `sweep`, with its name and path filled in.

    Raises:
        SweepError: the file is missing, broken or defines no sweep.
    """
    path = find_sweep(path)
    module = _run(path)
    sweep = getattr(module, "sweep", None)
    if not isinstance(sweep, Sweep):
        instead = f"; its `sweep` is {shown(sweep)}" if sweep is not None else ""
        message = f"the file defines no `sweep = Sweep(...)`{instead}"
        raise SweepError([(message, short_path(path))])
    if not sweep.name and not is_name(path.stem):
        message = (
            f"the file name {path.stem!r} cannot name the folder of the results ({NAMES}): rename"
            " the file, or write Sweep(name=...)"
        )
        raise SweepError([(message, short_path(path))])
    return dataclasses.replace(sweep, name=sweep.name or path.stem, path=short_path(path))


def find_sweep(path: str | Path) -> Path:
    """A sweep by file name, or by bare name in `sweeps/` or among those that come with the package.

    Raises:
        SweepError: there is none; the message has near names.
    """
    folder, given = Path("sweeps"), os.path.expanduser(path)
    candidates = [Path(given), folder / f"{given}.py", folder / given]
    candidates += [own / f"{given}.py" for own in folders()[1:]]
    files = [candidate for candidate in candidates if os.path.isfile(candidate)]
    if chosen := next((file for file in files if file.suffix == ".py"), None):
        return chosen
    if files:
        message = f"{short_path(files[0])} is not a Python file; a sweep is a file ending in .py"
        raise SweepError([(message, "")])
    known = list(known_sweeps())
    near = did_you_mean(str(path), known)
    problem = f"there is no sweep {str(path)!r}"
    if os.path.isdir(given):
        problem = f"{str(path)!r} is a folder, not a sweep"
    where = "In sweeps/" if folder.is_dir() else "Those that come with oneshot"
    raise SweepError([(f"{problem}.{near} {where}: {', '.join(known) or 'nothing'}", "")])


def folders() -> list[Path]:
    """Where sweeps are found by name: `sweeps/` here, then what comes with the package.

    That lies in an installed package, or beside it in a checkout.
    """
    beside = PACKAGE.parent
    own = PACKAGE / "shipped_sweeps"
    if not own.is_dir() and (beside / "run_sweep.py").is_file():
        own = beside / "sweeps"
    return [Path("sweeps"), *([own] if own.is_dir() else [])]


def known_sweeps() -> dict[str, Path]:
    """The files of the sweeps that are found by name, in the order of their names.

    Those that come with the package count where there is no folder `sweeps/`.
    """
    folder = next((folder for folder in folders() if folder.is_dir()), Path("sweeps"))
    files = sorted(folder.glob("*.py"))
    return {file.stem: file for file in files if not file.stem.startswith("_")}


def _run(path: Path) -> ModuleType:
    """Run a Python file as a module that may do all that modules do.

    It may import files beside it, define dataclasses, ask for `__file__`. What it prints goes to
    stderr, as stdout may be read as JSON. Raises SweepError for whatever it raises, except Ctrl-C.
    """
    path = path.absolute()
    module = ModuleType(f"{PARENT}.{path.stem}")
    module.__file__, module.__package__ = str(path), PARENT
    try:
        source = path.read_bytes()
    except OSError as error:
        raise SweepError([(f"cannot read {short_path(path)}: {error.strerror}", "")]) from error
    try:
        with _imported_as(module, path.parent), contextlib.redirect_stdout(sys.stderr):
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except SweepError as error:
        problems = [(message, place or short_path(path)) for message, place in error.problems]
        raise SweepError(problems) from error
    except Exception as error:
        message = f"{type(error).__name__}: {_message_of(error)}"
        raise SweepError([(message, _line_of(error, path))]) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit, and what others have made to pass through `except Exception`
        message = _message_of(error)
        if not isinstance(error, SystemExit):
            message = f"{type(error).__name__}: {message}"
        elif error.code is None or isinstance(error.code, int):
            message = f"exit status {error.code or 0}"
        message = f"the sweep file ended the program: {message}"
        raise SweepError([(message, _line_of(error, path))]) from error
    return module


@contextlib.contextmanager
def _imported_as(module: ModuleType, folder: Path) -> Iterator[None]:
    """While this holds, a module counts as imported, and files of its folder can be imported.

    Afterwards all is as before: modules of the folder are forgotten again, so that a file of that
    name in another folder is not taken for them.
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


def _message_of(error: BaseException) -> str:
    """What an exception says, as text that can be written anywhere."""
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception:
        return "(its message cannot be shown)"


def _line_of(error: BaseException, path: Path) -> str:
    """Where in the sweep file an error arose."""
    # of the file itself, or of one that it imports
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{short_path(Path(error.filename or path))}:{error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"{short_path(path)}:{lines[-1]}" if lines else short_path(path)
