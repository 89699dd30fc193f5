"""Sweeps: a question, a model family and the points to ask it at. Data only: no torch, no Ray.

    sweep = Sweep(
        question="What does beta do?",
        model="vae_stn",
        points=grid(beta=steps(0, 4, 0.25), z=[10, 35]),
        fixed=dict(epochs=20),
    )

`expansion.py` makes its points.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oneshot.sweep import families, own_critics, own_data, own_metrics
from oneshot.sweep.parts import MOST, Part, SweepError, as_list, calling_file, calling_line
from oneshot.sweep.settings import COMMON, SettingError, did_you_mean
from oneshot.sweep.values import is_whole, plain, shown

FIRST_SEED = 44
REFERENCES = ("human", "copy", "noise")
# references of data whose classes are left out: what knows nothing of the removed one
NULLS = ("ring", "chords", "kept")
ORDERS = ("product", "spread")  # in which points run
SEEDS = "needs a count of at least 1, or different whole numbers from 0 to 2**63 - 1"
NAMES = "letters, digits, _ . - only, at most 100 of them, no dot in front, and not 'store'"


@dataclass(frozen=True)
class Sweep:
    """One question put to a model family.

    >>> from oneshot.sweep import grid
    >>> sweep = Sweep("What does beta do?", "vae_stn", grid(beta=[0.5, 1.0, 2.0]), seeds=2)
    >>> sweep.axes, sweep.seed_list()
    (['beta'], [44, 45])

    Args:
        question: in words, for people.
        model: the family, by its name or as the path of its file, as in "./my_vae.py". The path is
            meant from the folder of the sweep file.
        points: what varies (scientific settings): one part or several.
        fixed: settings that differ from the family's defaults and stay; `dataset` may be the path
            of a file, as in "./crosses.py".
        seeds: how many seeds, or which (nuisance: averaged over).
        references: families scored beside the models on the same data.
        variant: the named set of defaults of the family to start from.
        critics: settings of the critics, by critic; or, in the place of simclr or protonet, one of
            the user's by the path of its file, as in dict(simclr="./edges.py"), or by its name.
        critic_seed: the seed of the critic that chooses exemplars, and of those that score where
            neither `fixed` nor an axis has a `critic_seed`.
        name: of the results folder; without it, the name of the sweep file.
        path: of the sweep file.
        model_file: the whole path of the family's file, where `model` was given as one.
        order: in which points run: "product", as they are given, or "spread", so that the first
            ones cover the grid. It changes no id.
        metrics: more metrics, by the paths of their files, as in "./ink.py", or by the names under
            which installed packages bring them.

    Raises:
        SweepError: with every argument that is of no use.
    """

    question: str
    model: str
    points: Part | Iterable[Part]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | Iterable[int] = 1
    references: Iterable[str] = REFERENCES
    variant: str = ""
    critics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    critic_seed: int = 0
    name: str = ""
    path: str = ""
    model_file: str = ""
    order: str = "product"
    metrics: Iterable[str] = ()

    def __post_init__(self) -> None:
        """Turn every field from the forms in which people write it into the one that it has."""
        problems: list[str] = []
        for name, convert in _CONVERTERS.items():
            given = getattr(self, name)
            try:
                object.__setattr__(self, name, convert(given))
            except SettingError as error:
                problems += [f"{name} = {shown(given)}: {problem}" for problem in error.problems]
        if not problems:
            problems += self._use_file() + self._use_data()
            problems += self._use_metrics() + self._use_critics()
        if problems:
            place = self.path if isinstance(self.path, str) and self.path else calling_line()
            raise SweepError([(problem, place) for problem in problems])

    def _use_file(self) -> list[str]:
        """Make the file of the family known, and the model its name; returns why it cannot be."""
        given = self.model if families.is_path(self.model) else self.model_file
        if not given:
            return []
        try:
            file = families.use_file(given, calling_file().parent)
        except SettingError as error:
            return [f"model = {shown(self.model)}: {problem}" for problem in error.problems]
        object.__setattr__(self, "model", file.name)
        object.__setattr__(self, "model_file", file.path)
        return []

    def _use_data(self) -> list[str]:
        """Make a data set in a file known, and the setting its name; returns why it cannot be."""
        given: Any = self.fixed.get("dataset")
        if not own_data.is_path(given):
            return []
        try:
            name = own_data.use_file(given, calling_file().parent)
        except SettingError as error:
            return [f"dataset = {shown(given)}: {problem}" for problem in error.problems]
        object.__setattr__(self, "fixed", {**self.fixed, "dataset": name})
        return []

    def _use_metrics(self) -> list[str]:
        """Make metrics known, and paths whole ones; returns why some cannot be."""
        if not self.metrics:
            return []
        given = tuple(self.metrics)
        found, problems = own_metrics.use_all(given, calling_file().parent)
        object.__setattr__(self, "metrics", tuple(found))
        return [f"metrics = {shown(given)}: {problem}" for problem in problems]

    def _use_critics(self) -> list[str]:
        """Make critics of the user's known, and paths whole ones; returns why some cannot be."""
        problems, critics = [], {name: dict(given) for name, given in self.critics.items()}
        for name, settings in critics.items():
            given = settings.get(own_critics.SETTING)
            if given is None:
                continue
            start = f"critics: {name} = {shown(given)}"
            if name not in own_critics.ROLES:
                problems.append(f"{start}: {' and '.join(own_critics.ROLES)} can be yours")
                continue
            try:
                settings[own_critics.SETTING] = own_critics.use_given(given, calling_file().parent)
            except SettingError as error:
                problems += [f"{start}: {problem}" for problem in error.problems]
        object.__setattr__(self, "critics", critics)
        return problems

    @property
    def has_own_parts(self) -> bool:
        """Whether its family, metrics or critics are files of the user's, or named as such."""
        critics = any(own_critics.SETTING in given for given in self.critics.values())
        return bool(self.model_file or self.metrics or critics)

    @property
    def parts(self) -> list[Part]:
        """The parts of its points, also where there is one alone."""
        return [self.points] if isinstance(self.points, Part) else list(self.points)

    @property
    def axes(self) -> list[str]:
        """The swept settings in the order of the sweep file."""
        return list(dict.fromkeys(name for part in self.parts for name in part.axes))

    def seed_list(self) -> list[int]:
        """The seeds themselves, also where only their number is given."""
        if isinstance(self.seeds, int):
            return list(range(FIRST_SEED, FIRST_SEED + self.seeds))
        return list(self.seeds)


def is_name(text: str) -> bool:
    """Whether this can name a sweep, and so the folder of its results beside `store`."""
    return re.fullmatch(r"(?!\.)[\w.-]{1,100}", text) is not None and text.casefold() != "store"


def override(sweep: Sweep, assignments: Mapping[str, Any], seeds: int | None = None) -> Sweep:
    """The sweep with settings and the number of seeds from the command line.

    Args:
        sweep: as its file gives it.
        assignments: of `--set`: values by `name` for a setting, by `critic.name` for a critic's.
        seeds: of `--seeds`; None to keep those of the sweep.

    Returns:
        The changed sweep.

    Raises:
        SweepError: with every assignment that cannot be, each blamed on its `--set`.
    """
    fixed, critics = dict(sweep.fixed), {k: dict(v) for k, v in sweep.critics.items()}
    problems = []
    for name, given in assignments.items():
        value, place = plain(given), f"--set {name}={given}"
        owner, is_critic, inner = name.partition(".")
        if not is_critic and name in sweep.axes:
            problem = (
                f"{name} is an axis of this sweep: --set would overrule all its values. Use"
                " --where to choose among them"
            )
            problems.append((problem, ""))
            continue
        if is_critic:
            critics.setdefault(owner, {})[inner] = value
            reason = _critic_problem(owner, inner, value)
        else:
            fixed[name] = value
            reason = _model_problem(sweep.model, name, value)
        if reason:
            problems.append((reason, place))
    if problems:
        raise SweepError(problems)
    try:
        chosen = sweep.seeds if seeds is None else _seeds(seeds)
    except SettingError as error:
        place = f"--seeds {seeds}"
        raise SweepError(
            [(f"seeds = {seeds}: {text}", place) for text in error.problems]
        ) from error
    return dataclasses.replace(sweep, fixed=fixed, critics=critics, seeds=chosen)


def other_origin(sweep: Sweep, manifest: Mapping[str, Any]) -> str:
    """What to warn of where the results of this name were made from another sweep file.

    Args:
        sweep: that is to be run.
        manifest: what `sweep.json` of the folder of the results says.

    Returns:
        The warning, or "" where the files are the same, or ask the same.
    """
    path, model, axes = (manifest.get(key) for key in ("path", "model", "axes"))
    if path is None or path == sweep.path or (model, axes) == (sweep.model, sweep.axes):
        return ""
    theirs = f"{model} over {', '.join(map(str, axes or [])) or 'no axis'}"
    ours = f"{sweep.model} over {', '.join(sweep.axes) or 'no axis'}"
    return (
        f"the results {sweep.name!r} were made from {path} ({theirs}), not from"
        f" {sweep.path} ({ours}); Sweep(name=...) keeps them apart"
    )


def _critic_problem(critic: str, name: str, value: Any) -> str | None:
    """Why a setting of a critic cannot be this; None if it can."""
    known = families.names("critics")
    if critic not in known:
        near = did_you_mean(critic, known)
        return f"there is no critic {critic!r}.{near} Known: {', '.join(known)}"
    try:
        family = families.declaration("critics", critic)
    except SettingError:
        return None  # `expand` tells
    return family.problem(name, value, family.fields)


def _model_problem(model: str, name: str, value: Any) -> str | None:
    """Why a setting of a model cannot be this; None if it can, or if the model is not known."""
    try:
        family = families.declaration("models", model)
    except SettingError:
        return None  # `expand` tells
    return family.problem(name, value, {**COMMON, **family.fields})


def _text(value: Any) -> str:
    value = plain(value)
    if not isinstance(value, str):
        raise SettingError(["needs a text"])
    return value


def _parts(value: Any) -> Part | list[Part]:
    if isinstance(value, Part):
        return value
    parts, problem = as_list(value)
    if isinstance(value, Mapping) or (parts and all(isinstance(part, Mapping) for part in parts)):
        problem = (
            "settings alone are no points; write points=points([...]) around mappings, or"
            " points=grid(...)"
        )
    elif problem or not all(isinstance(part, Part) for part in parts):
        problem = "needs grid(...), line(...) or points([...]), or a list of them"
    if problem:
        raise SettingError([problem])
    return parts


def _mapping(value: Any, example: str = "dict(epochs=20)") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise SettingError([f"needs a mapping from names to values, as in {example}"])
    return {name: plain(inner) for name, inner in value.items()}


def _critics(value: Any) -> dict[str, dict[str, Any]]:
    example = "dict(simclr=dict(epochs=20))"
    critics = {
        name: {own_critics.SETTING: inner} if isinstance(inner, str) else inner
        for name, inner in _mapping(value, example).items()
    }
    problems = [
        f"the settings of {name} are {shown(inner)}; it needs a mapping of mappings, as in"
        f" {example}"
        for name, inner in critics.items()
        if not isinstance(inner, Mapping) or not all(isinstance(setting, str) for setting in inner)
    ]
    if problems:
        raise SettingError(problems)
    return {name: _mapping(inner) for name, inner in critics.items()}


def _seeds(value: Any) -> int | list[int]:
    value = plain(value)
    if is_whole(value):
        if not 1 <= value <= MOST:
            raise SettingError([SEEDS if value < 1 else f"more than {MOST:,} seeds"])
        return int(value)
    seeds, problem = as_list(value)
    different = len({repr(seed) for seed in seeds}) == len(seeds)
    if problem or not seeds or not different or not all(map(_is_seed, seeds)):
        raise SettingError([SEEDS])
    return seeds


def _is_seed(value: Any) -> bool:
    return is_whole(value) and 0 <= value < 2**63


def _references(value: Any) -> tuple[str, ...]:
    names, problem = as_list(value)
    if problem or not all(isinstance(name, str) for name in names):
        raise SettingError([f"needs a list of families, as in {REFERENCES}; () for none"])
    if len(set(names)) < len(names):
        raise SettingError(["names a family twice"])
    return tuple(names)


def _metrics(value: Any) -> tuple[str, ...]:
    names, problem = as_list(value)
    if problem or not all(isinstance(name, str) for name in names):
        raise SettingError(["needs a list of files or names, as in ['./ink.py']; () for none"])
    return tuple(dict.fromkeys(names))


def _critic_seed(value: Any) -> int:
    value = plain(value)
    if not _is_seed(value):
        raise SettingError(["needs one whole number from 0 to 2**63 - 1"])
    return int(value)


def _name(value: Any) -> str:
    value = _text(value)
    if value and not is_name(value):
        raise SettingError([f"it names the folder of the results: {NAMES}"])
    return value


def _order(value: Any) -> str:
    value = _text(value)
    if value not in ORDERS:
        known = ", ".join(map(repr, ORDERS))
        raise SettingError(
            [f"there is no such order.{did_you_mean(value, list(ORDERS))} Known: {known}"]
        )
    return value


# How each field of a Sweep is made of what was written; each raises SettingError.
_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "question": _text,
    "model": _text,
    "points": _parts,
    "fixed": _mapping,
    "seeds": _seeds,
    "references": _references,
    "variant": _text,
    "critics": _critics,
    "critic_seed": _critic_seed,
    "name": _name,
    "path": _text,
    "model_file": _text,
    "order": _order,
    "metrics": _metrics,
}
