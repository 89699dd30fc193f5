"""The settings of a sweep, resolved and checked: values in the form that points have them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from oneshot.sweep import families, own_critics, own_data
from oneshot.sweep.definition import REFERENCES, Sweep
from oneshot.sweep.families import Declaration
from oneshot.sweep.named_files import find_file
from oneshot.sweep.parts import Part, SweepError
from oneshot.sweep.point import by_settings, channels, declared, kind_of
from oneshot.sweep.settings import (
    COMMON,
    OF_FOLDER,
    SettingError,
    default_of,
    did_you_mean,
    needs_file,
    resolve,
    type_name,
)
from oneshot.sweep.values import PLAIN
from oneshot.types import CLASS_SPLIT, Kind, is_class_split

CRITICS = ("simclr", "protonet", "classifier", "base_classifier")
ITEMS = {
    Kind.BITS: "binary images",
    Kind.GREYS: "grey images",
    Kind.COLOUR: "colour images",
    Kind.POINTS: "points of the plane",
}


class Row(NamedTuple):
    """One assignment of a sweep: what it shares with others, what it sets itself, and where."""

    base: dict[str, Any]
    given: dict[str, Any]
    place: str


def defaults(family: Declaration) -> dict[str, Any]:
    """The defaults of all settings of a family, common ones included, with floats as floats."""
    return {name: default_of(field) for name, field in {**COMMON, **family.fields}.items()}


class Resolver:
    """Resolves a sweep: each distinct value is checked once, each mistake noted once.

    `problems` maps the message of each mistake to where it was made. `critics` holds the full
    settings of each critic.

    Args:
        sweep: whose fixed settings and critics are resolved at once, its parts on demand.

    Raises:
        SweepError: the family is unknown, or an axis is empty or fixed too, so that the rest could
            not be read.
    """

    def __init__(self, sweep: Sweep):
        if sweep.model_file and not families.is_current(sweep.model, sweep.model_file):
            families.use_file(sweep.model_file)  # another sweep named one of the same name since
        if problems := _sweep_problems(sweep):
            raise SweepError(problems)
        self.family, self.axes = families.declaration("models", sweep.model), tuple(sweep.axes)
        self.problems: dict[str, str] = {}
        self._sweep = sweep
        self._fields = {**COMMON, **self.family.fields}
        self._floats = {n for n, field in self._fields.items() if type_name(field) == "float"}
        self._folders = {n for n, field in self._fields.items() if field.metadata["folder"]}
        self._files = {n for n, field in self._fields.items() if field.metadata["file"]}
        self._folder = Path(sweep.path).parent if sweep.path else None
        self._allowed: set[tuple[str, type, Any]] = set()  # setting, type and value
        self._paths: dict[str, str] = {}
        self._bases: dict[Any, dict[str, Any]] = {}
        self._fixed = {n: self.value(n, v, f"{sweep.path}  fixed") for n, v in sweep.fixed.items()}
        self.critics = self._resolve_critics()

    def rows_of(self, part: Part) -> list[Row]:
        """The rows of a part; of those of lines, which cross, each assignment once."""
        places = {name: _place_of(part, name) for row in part.rows for name in row}
        rows, seen = [], set()
        for assignment in part.rows:
            given = {name: self.value(name, v, places[name]) for name, v in assignment.items()}
            variant = self._fixed.get("variant", self._sweep.variant)
            row = Row(self._base(given.get("variant", variant)), given, part.place)
            if part.kind == "line":
                key = json.dumps({**row.base, **row.given}, sort_keys=True, default=str)
                if key in seen:
                    continue
                seen.add(key)
            self._check_needed_files(row)
            rows.append(row)
        self._check_splits(rows)
        return rows

    def end_rows_of(self, part: Part) -> list[Row]:
        """The first and the last row of a grid, all rows of points, every value checked."""
        if part.kind != "grid" or len(part.rows) < 3:
            return self.rows_of(part)
        for name, values in part.axes.items():
            for value in values:
                self.value(name, value, _place_of(part, name))
        return self.rows_of(dataclasses.replace(part, rows=[part.rows[0], part.rows[-1]]))

    def check_together(self, rows: Sequence[Row]) -> None:
        """Note what the settings of each row exclude together, if each alone is allowed."""
        if self.problems:
            return
        for row in rows:
            for problem in _excluded_together(self.family, {**row.base, **row.given}):
                self.problems.setdefault(problem, row.place)

    def value(self, name: str, value: Any, place: str) -> Any:
        """A value in the form that points have it; noted as a problem if it is not allowed.

        Args:
            name: of the setting.
            value: what was given, of any type.
            place: where it was given.

        Returns:
            Numbers of a float setting as floats, files as paths that hold from the working
            directory; the value itself where it is not allowed.
        """
        kind = type(value)
        if kind not in PLAIN or (name, kind, value) not in self._allowed:
            reason = self.family.problem(name, value, self._fields)
            if reason is None and value and name in self._files | self._folders:
                try:
                    may_be_folder = name in self._folders
                    self._paths[value] = find_file(value, self._folder, may_be_folder)
                except SettingError as error:
                    reason = f"{name} = {value!r} of {self.family.name}: {error}"
            if reason:
                self.problems.setdefault(reason, place)
                return value
            self._allowed.add((name, kind, value))
        if name in self._floats:
            return float(value)
        is_path = name in self._files or name in self._folders
        return self._paths.get(value, value) if is_path else value

    def _base(self, variant: Any) -> dict[str, Any]:
        """What all rows of a variant share, every setting in the order of its declaration."""
        if type(variant) not in PLAIN:
            variant = ""  # already a problem
        if variant not in self._bases:
            of_variant = {
                name: self.value(name, value, self._sweep.path)
                for name, value in self.family.variants.get(variant, {}).items()
            }
            chosen = {"critic_seed": self._sweep.critic_seed, "variant": variant}
            values = defaults(self.family) | chosen | of_variant | self._fixed
            values["variant"] = variant
            self._bases[variant] = {name: values[name] for name in self._fields}
        return self._bases[variant]

    def _check_needed_files(self, row: Row) -> None:
        """Note settings that name a file, and are empty."""
        for name in self._files:
            if needs_file(self._fields[name]) and not row.given.get(name, row.base[name]):
                meaning = self._fields[name].metadata["help"]
                problem = f"{self.family.name} needs the setting {name!r}: {meaning}"
                self.problems.setdefault(problem, row.place)

    def _check_splits(self, rows: Sequence[Row]) -> None:
        """Note class splits that a data set does not have, and references of other data."""
        pairs: dict[tuple[Any, Any, Any], None] = {}
        for row in rows:
            dataset = row.given.get("dataset", row.base["dataset"])
            split = row.given.get("split", row.base["split"])
            colour = row.given.get("colour", row.base["colour"]) is True
            if type(dataset) in PLAIN and type(split) in PLAIN:  # else already a problem
                pairs[dataset, split, colour] = None
        for dataset, split, colour in pairs:
            is_ours = dataset in COMMON["dataset"].metadata["choices"]
            if not is_ours and own_data.find(dataset) is None:
                continue  # already a problem
            allowed = families.constant("data", dataset, "SPLITS")
            if split not in allowed:
                problem = f"split = {split!r} is not a split of {dataset}: {', '.join(allowed)}"
                self.problems.setdefault(problem, self._sweep.path)
            if self._sweep.references == REFERENCES:
                continue  # nobody asked for these: they are left out where they do not fit
            for name in self._sweep.references:
                problem = ""
                if (kind := kind_of(dataset, colour)) not in families.kinds(name):
                    problem = f"{name} cannot be a reference on {dataset}, which is {ITEMS[kind]}"
                elif families.on_class_splits(name) != is_class_split(split):
                    problem = f"{name} cannot be a reference: {_unfit_split(name, dataset, split)}"
                if problem:
                    self.problems.setdefault(problem, self._sweep.path)

    def _resolve_critics(self) -> dict[str, dict[str, Any]]:
        """The full settings of each critic."""
        given, place = self._sweep.critics, f"{self._sweep.path}  critics"
        for name in given:
            if name not in CRITICS:
                near, known = did_you_mean(name, list(CRITICS)), ", ".join(CRITICS)
                problem = f"there is no critic {name!r}.{near} Known: {known}"
                self.problems.setdefault(problem, self._sweep.path)
        full: dict[str, dict[str, Any]] = {}
        for name in CRITICS:
            try:
                config = families.declaration("critics", name).config
                chosen = dict(given.get(name, {}))
                own = {n: chosen.pop(n) for n in [own_critics.SETTING] if n in chosen}
                full[name] = dataclasses.asdict(resolve(name, config, chosen)) | own
            except SettingError as error:
                self.problems.update({message: place for message in error.problems})
                continue
            if published := full[name].get("weights"):
                try:
                    full[name]["weights"] = find_file(published, self._folder)
                except SettingError as error:
                    self.problems.setdefault(f"weights = {published!r} of {name}: {error}", place)
        seeded = "critic_seed" in self.axes or "critic_seed" in self._fixed
        if seeded and any(settings.get("weights") for settings in full.values()):
            problem = "critic_seed changes nothing in critics that are read from `weights`"
            self.problems.setdefault(problem, place)
        return full


def _place_of(part: Part, name: str) -> str:
    """Where the sweep file gives an axis of a part."""
    return f"{part.place}  {part.kind}({name}=...)"


def _sweep_problems(sweep: Sweep) -> list[tuple[str, str]]:
    """Mistakes that make an expansion meaningless: unknown families, empty or clashing axes."""
    problems: list[tuple[str, str]] = []
    for name in (sweep.model, *sweep.references):
        try:
            fields = families.declaration("models", name).fields
        except SettingError as error:
            problems += [(problem, sweep.path) for problem in error.problems]
            continue
        needed = next((n for n, field in fields.items() if needs_file(field)), None)
        if needed and name != sweep.model:
            problem = f"{name} cannot be a reference: it needs the setting {needed!r}"
            problems.append((problem, sweep.path))
    if problems:
        return problems
    variants = families.declaration("models", sweep.model).variants
    if sweep.variant and sweep.variant not in variants:
        known = ", ".join(variants) or "none"
        problem = f"{sweep.model} has no variant {sweep.variant!r}. It has: {known}"
        problems.append((problem, sweep.path))
    if not any(part.rows for part in sweep.parts):
        problems.append(("the sweep has no points", sweep.path))
    for part in sweep.parts:
        for name, values in part.axes.items():
            if not values:
                problems.append((f"axis {name!r} has no values", _place_of(part, name)))
        for name in part.axes:
            if name in sweep.fixed:
                problems.append((f"{name!r} is both an axis and fixed", _place_of(part, name)))
    return problems


def _excluded_together(family: Declaration, values: Mapping[str, Any]) -> list[str]:
    """What the settings of a point, each of them allowed, exclude together."""
    dataset, drawn = values["dataset"], values["drawings_per_class"]
    if drawn == 1:
        return [f"drawings_per_class = 1 of {family.name}: diversity needs 2"]
    if drawn == 0 and values.get("likelihood", "none") == "none":
        return [f"drawings_per_class = 0 of {family.name}: nothing would be scored"]
    if values.get("epochs") == 0 and not values.get("weights_file"):
        return [f"epochs = 0 of {family.name} trains nothing: give a weights_file to draw from"]
    if problem := _misplaced(values):
        return [problem]
    kind, planes = kind_of(dataset, values["colour"]), channels(dataset, values["colour"])
    if kind not in families.kinds(family.name):
        modelled = " and ".join(ITEMS[k] for k in families.kinds(family.name))
        return [f"{family.name} models {modelled}, {dataset} holds {ITEMS[kind]}"]
    if families.on_class_splits(family.name) != is_class_split(values["split"]):
        return [_unfit_split(family.name, dataset, values["split"])]
    if "classes" in family.fields:
        classes = families.constant("data", dataset, "CLASSES")
        if values["classes"] != classes:
            return [f"classes = {values['classes']} of {family.name}: {dataset} has {classes}"]
    if problem := _unfit_file(values, kind):
        return [problem]
    ways = values["ways"]
    classes = families.constant("data", dataset, "TEST_CLASSES", {}).get(values["split"], ways)
    if kind == Kind.BITS and drawn and classes < ways:
        return [
            f"{dataset} has {classes} test classes in its split {values['split']!r}:"
            f" recognizability needs {ways}; drawings_per_class = 0 scores likelihoods alone"
        ]
    if values.get("generated_per_class", 0) > drawn:
        return [
            f"generated_per_class = {values['generated_per_class']} of {family.name}: of each class"
            f" there are drawings_per_class = {drawn} drawings"
        ]
    if not hasattr(family.config, "problems"):
        return []
    config = family.config(**{name: values[name] for name in family.fields})
    of_class = declared(values, "DRAWINGS_PER_CLASS")
    problems: list[str] = config.problems(values["image_size"], planes, of_class)
    return problems


def _misplaced(values: Mapping[str, Any]) -> str:
    """Why settings of images of the user's cannot stand, or lack; "" if they can."""
    dataset = values["dataset"]
    if by_settings(dataset):
        return "" if values["data_path"] else f"dataset = {dataset!r} needs data_path: its images"
    given = [n for n in OF_FOLDER if values[n] != default_of(COMMON[n])]
    if given:
        return f"{given[0]} is of dataset = 'folder'; here dataset = {dataset!r}"
    return ""


def _unfit_split(family: str, dataset: str, split: str) -> str:
    """Why a family cannot be on a split: one of them is of base and novel classes alone."""
    if is_class_split(split):
        able = [n for n in families.names("models") if families.on_class_splits(n)]
        return (
            f"split = {split!r} of {dataset} has base and novel classes, which {family} does not"
            f" tell apart; {' and '.join(able)} do"
        )
    return (
        f"{family} needs base and novel classes, a split {CLASS_SPLIT}0, {CLASS_SPLIT}1, ... ;"
        f" split = {split!r} of {dataset} has none"
    )


def _unfit_file(values: Mapping[str, Any], kind: Kind) -> str:
    """Why files that score drawings cannot score those of a point, or lack; "" if they can."""
    dataset = values["dataset"]
    for name in ("dino_weights", "human_file"):
        if values.get(name) and is_class_split(values.get("split", "")):
            return (
                f"{name} is for drawings that are compared with people's; those of the split"
                f" {values['split']} are compared with images of its novel classes"
            )
    if values["dino_weights"] and not values["drawings_per_class"]:
        return "dino_weights compares drawings with people's; drawings_per_class = 0 draws none"
    if values["dino_weights"] and kind not in (Kind.BITS, Kind.COLOUR):
        return (
            "dino_weights compares drawings with people's of the test classes, which bits and"
            f" colour have; {dataset} holds {ITEMS[kind]}"
        )
    if kind == Kind.COLOUR:
        for name in ("human_file", "file"):
            if values.get(name):
                return f"{name} holds {ITEMS[Kind.BITS]}; {dataset} holds {ITEMS[kind]}"
        scored = values["dino_weights"] or is_class_split(values.get("split", ""))
        if not scored and "likelihood" not in values:
            return f"without dino_weights nothing would be scored: {dataset} holds {ITEMS[kind]}"
    return ""
