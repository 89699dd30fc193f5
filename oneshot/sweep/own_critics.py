"""Critics of the user's: a file that a sweep names, or a module of an installed package.

A sweep puts one in the place of a critic of the plane: `critics=dict(simclr="./edges.py")` measures
diversity and originality in its features, `critics=dict(protonet=...)` recognizability. Its
VERSION, or the content of its file, enters the id of the critic, and so those of the points that it
scores. Exemplars are still chosen by the package's SimCLR, so that no training changes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from oneshot.sweep import family_files, own_files
from oneshot.sweep.family_files import FamilyFile
from oneshot.sweep.named_files import find_file
from oneshot.sweep.settings import SettingError, did_you_mean

KIND = "critics"  # of the entry points, `oneshot.critics`
ROLES = ("simclr", "protonet")  # of the plane, which one may take
SETTING = "own"  # under which the settings of a critic name the one of the user's
TAKEN = (*ROLES, "classifier", "base_classifier", "encoder", "importing", "predictions", "own")
_known: dict[str, OwnCritic] = {}  # those that sweeps of this process ask for, by name


@dataclass(frozen=True)
class OwnCritic:
    """A critic by what its file declares.

    Args:
        file: that it is.
        module: of an installed package; "" of a file of the user's.
        version: its VERSION, or a number of the content of its file.
        learns: whether the file trains it.
    """

    file: FamilyFile
    module: str
    version: int
    learns: bool

    @property
    def name(self) -> str:
        """The name of its file, or of its entry point."""
        return self.file.name

    def travels(self) -> tuple[str, str]:
        """Path and content of a file of the user's, as points carry it to workers."""
        return (self.file.path, self.file.content) if self.file.travels else ("", "")


def use_given(given: str, folder: Path | None) -> str:
    """Make a critic known to this process.

    Args:
        given: the name of an installed one, or the path of a file.
        folder: of the sweep file; None if there is none.

    Returns:
        Its name, or its absolute path, by which it is found again.

    Raises:
        SettingError: with all that is wrong.
    """
    if not family_files.is_path(given):
        return use(installed(given)).name
    return use(_read(family_files.read(find_file(given, folder)))).file.path


def use(critic: OwnCritic) -> OwnCritic:
    """Make a critic known to this process, in the place of one of the same name."""
    _known[critic.name] = critic
    return critic


def find(given: str) -> OwnCritic | None:
    """The critic of the user's of this name or path, as it is known here; None if there is none."""
    return _known.get(Path(given).stem if family_files.is_path(given) else given)


def installed(name: str) -> OwnCritic:
    """A critic of an installed package.

    Raises:
        SettingError: there is none of this name.
    """
    every = _installed()
    if name not in every:
        near = did_you_mean(name, list(every))
        known = f" Known: {', '.join(every)}." if every else " No installed package brings one."
        text = f"there is no critic {name!r}.{near}{known} A file is written ./{name}.py"
        raise SettingError([text])
    return every[name]


def of_bytes(name: str, path: str, data: bytes) -> OwnCritic:
    """A critic of the bytes of its file, as a worker gets them.

    Args:
        name: of the critic.
        path: where the user has the file.
        data: what stands in it.

    Returns:
        The critic.
    """
    return _read(family_files.made(name, path, data))


def module(critic: OwnCritic) -> ModuleType:
    """The imported module of a critic.

    Raises:
        Exception: whatever the file raises.
    """
    if critic.module:
        import importlib

        return importlib.import_module(critic.module)
    return family_files.imported(critic.file)


@functools.cache
def _installed() -> dict[str, OwnCritic]:
    """The critics of installed packages; those of no use are named in a warning, passed over."""
    return own_files.installed(KIND, _read)


def _read(file: FamilyFile, module: str = "") -> OwnCritic:
    """What the file of a critic declares. Raises SettingError with all that is wrong."""
    tree, values = own_files.literals(file, ("VERSION",))
    problems = own_files.version_problems(values["VERSION"], "a change moves numbers")
    if file.name in TAKEN:
        problems.append(f"the package has a critic or file {file.name!r}: rename the file")
    if not own_files.has_function(tree, "make"):
        problems.append("it needs a function make(image_size) that returns a torch module")
    if problems:
        raise SettingError([f"{file.shown}: {text}" for text in problems])
    version = file.number if values["VERSION"] is None else values["VERSION"]
    return OwnCritic(file, module, version, own_files.has_function(tree, "train"))
