"""Metrics of the user's: a file that a sweep names, or a module of an installed package.

A sweep asks for them: `Sweep(..., metrics=["./ink.py", "their_metric"])`. Each is a grader of its
own. It reads the drawings of a point and adds columns to its row. Its VERSION, or the content of
its file, enters the ids of the points that it scores. Nothing is imported here before it is used.
"""

from __future__ import annotations

import ast
import functools
import importlib
import keyword
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from oneshot.sweep import family_files, graders, own_files
from oneshot.sweep.declared import RESERVED
from oneshot.sweep.family_files import FamilyFile
from oneshot.sweep.named_files import find_file
from oneshot.sweep.settings import COMMON, SettingError, did_you_mean
from oneshot.types import Kind

KIND = "metrics"  # of the entry points, `oneshot.metrics`
_known: dict[str, OwnMetric] = {}  # those that sweeps of this process ask for, by name


@dataclass(frozen=True)
class OwnMetric:
    """A metric by what its file declares.

    Args:
        file: that it is.
        module: of an installed package; "" of a file of the user's.
        version: its VERSION, or a number of the content of its file.
        columns: what each of its columns holds, by name.
        kinds: of drawings that it scores.
    """

    file: FamilyFile
    module: str
    version: int
    columns: dict[str, str]
    kinds: tuple[Kind, ...]

    @property
    def name(self) -> str:
        """The name of its file, or of its entry point."""
        return self.file.name

    def travels(self) -> tuple[str, str, str]:
        """Name, path and content of a file of the user's, as points carry it to workers."""
        return self.name, self.file.path, self.file.content if self.file.travels else ""


def use_all(given: Sequence[str], folder: Path | None) -> tuple[list[str], list[str]]:
    """Make the metrics of a sweep known to this process.

    Args:
        given: names of installed ones, and paths of files.
        folder: of the sweep file; None if there is none.

    Returns:
        Names and absolute paths, by which they are found again anywhere; and what is wrong.
    """
    found, problems = dict[str, OwnMetric](), list[str]()
    for text in given:
        try:
            metric = _of_file(text, folder) if family_files.is_path(text) else _installed(text)
            taken = {c: other.name for other in found.values() for c in other.columns}
            if metric.name in found:
                raise SettingError([f"two metrics have the name {metric.name!r}: rename a file"])
            if twice := [column for column in metric.columns if column in taken]:
                text = f"{metric.name} and {taken[twice[0]]} have both a column {twice[0]!r}"
                raise SettingError([text])
        except SettingError as error:
            problems += error.problems
            continue
        found[metric.name] = use(metric)
    places = [m.file.path if m.file.travels else m.name for m in found.values()]
    return places, problems


def use(metric: OwnMetric) -> OwnMetric:
    """Make a metric known to this process, in the place of one of the same name."""
    _known[metric.name] = metric
    return metric


def is_known(name: str, content: str = "") -> bool:
    """Whether a grader of this name is a metric of the user's.

    Args:
        name: of the grader.
        content: that its file must have; "" for any.

    Returns:
        True if it is one that is known here.
    """
    return name in _known and content in ("", _known[name].file.content)


def known(names: Iterable[str]) -> list[OwnMetric]:
    """The metrics of these names, or of these paths."""
    stems = (Path(name).stem if family_files.is_path(name) else name for name in names)
    return [_known[stem] for stem in stems]


def columns() -> dict[str, str]:
    """What the columns of all metrics that are known here hold, by name."""
    return {name: text for metric in _known.values() for name, text in metric.columns.items()}


def applying(
    metrics: Iterable[OwnMetric], kind: Kind, at_hand: Collection[str]
) -> dict[str, OwnMetric]:
    """The metrics that score a point, by name.

    Args:
        metrics: of its sweep.
        kind: of its drawings.
        at_hand: what its drawings are scored by; nothing where there are no drawings.

    Returns:
        Those that take drawings of this kind.
    """
    return {m.name: m for m in metrics if at_hand and kind in m.kinds}


def module(name: str) -> ModuleType:
    """The imported module of a metric.

    Raises:
        Exception: whatever the file raises.
    """
    metric = _known[name]
    if metric.module:
        return importlib.import_module(metric.module)
    return family_files.imported(metric.file)


def of_bytes(name: str, path: str, data: bytes) -> OwnMetric:
    """A metric of the bytes of its file, as a worker gets them.

    Args:
        name: of the metric.
        path: where the user has the file.
        data: what stands in it.

    Returns:
        The metric.
    """
    return _read(family_files.made(name, path, data))


def installed(name: str) -> OwnMetric:
    """A metric of an installed package.

    Raises:
        SettingError: there is none of this name.
    """
    return _installed(name)


def _of_file(given: str, folder: Path | None) -> OwnMetric:
    """The metric in a file of the user's."""
    return _read(family_files.read(find_file(given, folder)))


def _installed(name: str) -> OwnMetric:
    """The metric of an installed package."""
    every = _all_installed()
    if name not in every:
        near = did_you_mean(name, list(every))
        known = f" Known: {', '.join(every)}." if every else " No installed package brings one."
        raise SettingError(
            [f"there is no metric {name!r}.{near}{known} A file is written ./{name}.py"]
        )
    return every[name]


@functools.cache
def _all_installed() -> dict[str, OwnMetric]:
    """The metrics of installed packages; those of no use are named in a warning, passed over."""
    return own_files.installed(KIND, _read)


def _read(file: FamilyFile, module: str = "") -> OwnMetric:
    """What the file of a metric declares. Raises SettingError with all that is wrong."""
    tree, values = own_files.literals(file, ("VERSION", "COLUMNS", "KINDS"))
    version = file.number if values["VERSION"] is None else values["VERSION"]
    problems = [
        f"{file.shown}: {text}"
        for text in (
            *_name_problems(file.name),
            *own_files.version_problems(version, "a change moves numbers"),
            *_column_problems(values["COLUMNS"]),
            *_kind_problems(values["KINDS"]),
            *_function_problems(tree),
        )
    ]
    if problems:
        raise SettingError(problems)
    kinds = tuple(map(Kind, values["KINDS"] or tuple(Kind)))
    return OwnMetric(file, module, version, dict(values["COLUMNS"]), kinds)


def _name_problems(name: str) -> list[str]:
    """What is wrong with the name of a metric."""
    taken = name in {grader.name for grader in graders.all_graders()}
    return [f"there is a grader {name!r} in the package: rename the file"] if taken else []


def _column_problems(given: Any) -> list[str]:
    """What is wrong with COLUMNS."""
    texts = isinstance(given, dict) and all(isinstance(x, str) for it in given.items() for x in it)
    if not texts or not given:
        return ['COLUMNS must say what each column holds, as in {"ink": "share of ink, 0 to 1"}']
    return [
        f"the column {name!r} cannot be: {reason}" for name in given if (reason := _unfit(name))
    ]


def _unfit(name: str) -> str:
    """Why a column cannot have this name; "" if it can."""
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        return "a name has letters, digits and _ alone, and begins with a letter"
    if name in RESERVED:
        return "the word is reserved where tables are asked"
    if name in COMMON:
        return "all families have a setting of this name"
    return ""


def _kind_problems(given: Any) -> list[str]:
    """What is wrong with KINDS."""
    every = tuple(str(kind) for kind in Kind)
    if given is None or (isinstance(given, (list, tuple)) and given and {*given} <= {*every}):
        return []
    return [f"KINDS must be some of {', '.join(every)}, as in KINDS = ('bits',)"]


def _function_problems(tree: ast.Module) -> list[str]:
    """Whether the file has its function."""
    has = own_files.has_function(tree, "score")
    return [] if has else ["it needs a function score(drawings) that returns a number a column"]
