"""Data sets of the user's: a file that a sweep names, or a module of an installed package.

A sweep names one as its data set: `fixed=dict(dataset="./crosses.py")`, or by the name under which
an installed package brings it. What the file declares is read without running it. Its VERSION, or
the content of the file, stands for its images in ids.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from oneshot.sweep import family_files, own_files
from oneshot.sweep.family_files import FamilyFile
from oneshot.sweep.named_files import find_file
from oneshot.sweep.settings import COMMON, SettingError
from oneshot.sweep.values import is_whole
from oneshot.types import Kind

KIND_OF_ENTRY = "data"  # of the entry points, `oneshot.data`
KINDS = (Kind.BITS, Kind.COLOUR)  # others need critics or modes that the package has
SPLIT = "fixed"  # the one split: classes in the order of the hash of their names
TEST_SHARE, VALIDATION_SHARE = 5, 10  # every fifth class is a test class, every tenth validates
NEEDED = {
    "CLASSES": "how many classes there are, as in CLASSES = 100",
    "IMAGES_PER_CLASS": "how many images each class has at least, as in IMAGES_PER_CLASS = 20",
}
_known: dict[str, OwnData] = {}  # those that sweeps of this process name


@dataclass(frozen=True)
class OwnData:
    """A data set by what its file declares.

    Args:
        file: that it is.
        module: of an installed package; "" of a file of the user's.
        constants: what files of data sets of the package declare, by name.
        test: how many classes are for tests.
        validation: how many classes choose epochs.
    """

    file: FamilyFile
    module: str
    constants: Mapping[str, Any] = field(compare=False)  # which follow from the file
    test: int
    validation: int

    @property
    def name(self) -> str:
        """The name of its file, or of its entry point."""
        return self.file.name

    def travels(self) -> tuple[str, str]:
        """Path and content of a file of the user's, as points carry it to workers."""
        return (self.file.path, self.file.content) if self.file.travels else ("", "")


def is_path(dataset: Any) -> bool:
    """Whether a data set is given as a file, and not by its name."""
    return isinstance(dataset, str) and family_files.is_path(dataset)


def use_file(path: str, folder: Path | None) -> str:
    """Make a data set in a file known to this process.

    Args:
        path: of the file.
        folder: of the sweep file; None if there is none.

    Returns:
        Its name.

    Raises:
        SettingError: with all that is wrong.
    """
    return use(_read(family_files.read(find_file(path, folder)))).name


def use(data: OwnData) -> OwnData:
    """Make a data set known to this process, in the place of one of the same name."""
    _known[data.name] = data
    return data


def find(name: Any) -> OwnData | None:
    """The data set of the user's of this name; None if there is none."""
    if not isinstance(name, str) or name in COMMON["dataset"].metadata["choices"]:
        return None
    return _known.get(name) or _installed().get(name)


def of_bytes(name: str, path: str, data: bytes) -> OwnData:
    """A data set of the bytes of its file, as a worker gets them.

    Args:
        name: of the data set.
        path: where the user has the file.
        data: what stands in it.

    Returns:
        The data set.
    """
    return _read(family_files.made(name, path, data))


def module(data: OwnData) -> ModuleType:
    """The imported module of a data set.

    Raises:
        Exception: whatever the file raises.
    """
    if data.module:
        return importlib.import_module(data.module)
    return family_files.imported(data.file)


@functools.cache
def _installed() -> dict[str, OwnData]:
    """The data sets of installed packages; those of no use are named in a warning, passed over."""
    return own_files.installed(KIND_OF_ENTRY, _read)


def _read(file: FamilyFile, module: str = "") -> OwnData:
    """What the file of a data set declares. Raises SettingError with all that is wrong."""
    names = ("VERSION", "KIND", *NEEDED, "TEST_CLASSES", "VALIDATION_CLASSES")
    tree, values = own_files.literals(file, names)
    if problems := [f"{file.shown}: {text}" for text in _problems(file.name, tree, values)]:
        raise SettingError(problems)
    classes, each = values["CLASSES"], values["IMAGES_PER_CLASS"]
    test, validation = _split(values)
    constants = {
        "SPLITS": (SPLIT,),
        "CLASSES": classes,
        "TEST_CLASSES": {SPLIT: test},
        "DRAWINGS_PER_CLASS": each,
        "TRAIN_IMAGES": {SPLIT: (classes - test - validation) * each},
        "FINGERPRINT": f"v{values['VERSION']}" if values["VERSION"] else file.content[:12],
        "CHANNELS": 3 if values["KIND"] == Kind.COLOUR else 1,
        "KIND": Kind(values["KIND"] or Kind.BITS),
    }
    return OwnData(file, module, constants, test, validation)


def _split(values: Mapping[str, Any]) -> tuple[int, int]:
    """How many classes are for tests, and how many choose epochs."""
    test, validation = values["TEST_CLASSES"], values["VALIDATION_CLASSES"]
    return (
        max(values["CLASSES"] // TEST_SHARE, 1) if test is None else test,
        max(values["CLASSES"] // VALIDATION_SHARE, 1) if validation is None else validation,
    )


def _problems(name: str, tree: ast.Module, values: Mapping[str, Any]) -> list[str]:
    """What is wrong in the file of a data set."""
    problems = []
    if name in COMMON["dataset"].metadata["choices"]:
        problems.append(f"there is a data set {name!r} already: rename the file")
    problems += own_files.version_problems(values["VERSION"], "images change")
    if values["KIND"] not in (None, *map(str, KINDS)):
        problems.append(f"KIND must be {' or '.join(map(repr, map(str, KINDS)))}")
    wrong = [n for n in NEEDED if not (is_whole(values[n]) and values[n] >= 1)]
    problems += [f"{n} must be there, a whole number from 1: {NEEDED[n]}" for n in wrong]
    if not wrong:
        given = _split(values)
        if not all(is_whole(n) and n >= 1 for n in given) or sum(given) >= values["CLASSES"]:
            problems.append(
                f"of {values['CLASSES']} classes, {given[0]} for tests and {given[1]} for the"
                " choice of epochs leave none: TEST_CLASSES and VALIDATION_CLASSES say how many"
            )
    if not own_files.has_function(tree, "load"):
        problems.append("it needs a function load(image_size): images, labels, class names")
    return problems
