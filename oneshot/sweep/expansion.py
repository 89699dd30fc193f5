"""Points: a sweep expanded, every setting checked, with ids that are the same on every machine. No
torch, no Ray.

Ids nest as the stages do (`data`, `model`, `train` | `sample` | `score`): points that share a
`train_id` share one training, points that share a `sample_id` share their drawings.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import itertools
import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.sweep import settings
from oneshot.sweep.definition import Part, Sweep, SweepError
from oneshot.sweep.settings import Common, SettingError

METRIC_VERSIONS_TEXT = " ".join(
    f"{name} {version}" for name, version in settings.METRIC_VERSIONS.items()
)
# Most trainings in a stack. A GPU is bound by kernel launches, which a stack shares; on a CPU the
# gain levels off and rows would be late.
STACK_ON_GPU, STACK_ON_CPU = 64, 8
COMMON = {f.name: f for f in dataclasses.fields(Common)}


@dataclass(frozen=True)
class CriticSpec:
    """A critic to be trained or imported: its family, settings, seed and id."""

    kind: str
    settings: dict[str, Any]
    seed: int
    id: str

    @property
    def weights_key(self) -> str:
        """Where the weights lie in the store."""
        return f"store/critics/{self.id}/weights.pt"

    @property
    def quality_key(self) -> str:
        """Where the critic's own quality lies in the store."""
        return f"store/critics/{self.id}/quality.json"


NO_CRITICS = (CriticSpec("simclr", {}, 0, ""), CriticSpec("protonet", {}, 0, ""))


@dataclass(frozen=True)
class Point:
    """One assignment of every hyperparameter and a seed; ends as exactly one row."""

    model: str
    settings: dict[str, Any]
    seed: int
    axes: dict[str, Any]
    train_id: str
    sample_id: str
    point_id: str
    stack_key: str
    simclr: CriticSpec
    protonet: CriticSpec
    data_fingerprint: str
    family_version: int = 1
    place: str = ""

    @property
    def scored(self) -> bool:
        """Whether critics score drawings of it; in colour, or without drawings, there are
        likelihoods only.
        """
        return bool(self.simclr.id)

    def config(self) -> dict[str, Any]:
        """The settings of the family's own Config, without the common ones."""
        return {n: v for n, v in self.settings.items() if n not in COMMON}

    def common(self) -> Common:
        return Common(**{n: self.settings[n] for n in COMMON})

    def row(self) -> dict[str, Any]:
        """Identity and hyperparameters, as they stand in a result row."""
        return dict(
            point_id=self.point_id,
            model=self.model,
            seed=self.seed,
            **self.settings,
            train_id=self.train_id,
            sample_id=self.sample_id,
            simclr_id=self.simclr.id,
            protonet_id=self.protonet.id,
            data_fingerprint=self.data_fingerprint,
            family_version=self.family_version,
            metric_versions=METRIC_VERSIONS_TEXT,
        )

    def label(self, axes: Sequence[str]) -> str:
        """The point in words, as in `beta=1.75 z=85 seed=44`."""
        values = [f"{a}={self.settings[a]}" for a in axes if a in self.axes]
        return " ".join([*(values if values else [self.model]), f"seed={self.seed}"])


def digest(*parts: Any) -> str:
    """A 16-digit hexadecimal content hash of canonical JSON: equal on every machine and Python
    version.
    """
    return _hash(canonical_json(parts))


def canonical_json(value: Any) -> str:
    """The one way in which a value is written where it enters an id."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_fingerprint(dataset: str) -> str:
    """What identifies the images of a data set: their content and the version of their preparation.

    Of a data set in a folder of the user's it is a hash of all its files and of its class split, or
    "absent" where there are none: such ids are good for looking only. The files are read once a
    machine (`data/content.py`).

    Raises:
        DataError: the data are there, and not whole.
    """
    known = settings.constant("data", dataset, "FINGERPRINT")
    if known == "folder":
        known = importlib.import_module("oneshot.data.content").folder_fingerprint(dataset)
    return f"{known}-{settings.constant('data', '__init__', 'VERSION')}"


def channels(dataset: str) -> int:
    """1 for binary images, which critics score; 3 for colour, which only likelihoods do."""
    return int(settings.constant("data", dataset, "CHANNELS", 1))


def expand(sweep: Sweep) -> list[Point]:
    """All points of a sweep, in its order, references first.

    Raises:
        SweepError: with the first ten of all mistakes found; everything is validated here.
    """
    reader = _Reader(sweep)
    rows = reader.rows()
    reader.clashes(rows)
    reader.refuse()
    maker, seeds = _PointMaker(sweep, reader.critics), sweep.seed_list()
    made = [
        maker.make(reader.head, base, given, seed, reader.axes, place)
        for base, given, place in rows
        for seed in seeds
    ]
    if problems := _duplicates(sweep, made):
        raise SweepError(problems[:10])
    shared = [n for n in COMMON if n != "variant"]
    commons = dict.fromkeys(tuple(p.settings[n] for n in shared) for p in made if p.scored)
    references = []
    for common in commons:
        for name in sweep.references:
            if name != sweep.model:
                head = settings.head("models", name)
                base = _defaults(head) | dict(zip(shared, common))
                references.append(maker.make(head, base, {}, seeds[0], (), ""))
    return references + made


def count(sweep: Sweep) -> int:
    """How many points of its own model a sweep has, without making them.

    What settings exclude together is asked of the first and the last row of each part alone, and
    points that are given twice are counted twice: `expand` finds these mistakes.

    Raises:
        SweepError: as `expand` for everything else that is wrong.
    """
    reader = _Reader(sweep)
    number = 0
    for part in sweep.parts:
        rows = reader.rows_of(part) if part.kind == "line" else reader.ends_of(part)
        reader.clashes([rows[0], rows[-1]] if rows else [])
        number += len(rows) if part.kind == "line" else len(part.rows)
    reader.refuse()
    return number * len(sweep.seed_list())


def _defaults(head: settings.Head) -> dict[str, Any]:
    """The defaults of all settings of a family, with floats as floats."""
    defaults: dict[str, Any] = {n: f.default for n, f in {**COMMON, **head.fields}.items()}
    return defaults | {
        n: float(defaults[n])
        for n, f in {**COMMON, **head.fields}.items()
        if str(f.type) == "float"
    }


def _check_sweep(sweep: Sweep) -> list[tuple[str, str]]:
    """Mistakes that make an expansion meaningless: unknown families, empty or clashing axes."""
    problems: list[tuple[str, str]] = []
    for name in (sweep.model, *sweep.references):
        try:
            needed = [
                n for n, f in settings.head("models", name).fields.items() if f.metadata["file"]
            ]
            if needed and name != sweep.model:
                problems.append(
                    (
                        f"{name} cannot be a reference: it needs the setting {needed[0]!r}",
                        sweep.path,
                    )
                )
        except SettingError as error:
            problems += [(problem, sweep.path) for problem in error.problems]
    if problems:
        return problems
    head = settings.head("models", sweep.model)
    if sweep.variant and sweep.variant not in head.variants:
        problems.append(
            (
                (
                    f"{sweep.model} has no variant {sweep.variant!r}. It has:"
                    f" {', '.join(head.variants) or 'none'}"
                ),
                sweep.path,
            )
        )
    if not any(part.rows for part in sweep.parts):
        problems.append(("the sweep has no points", sweep.path))
    for part in sweep.parts:
        problems += [
            (f"axis {name!r} has no values", f"{part.place}  {part.kind}({name}=...)")
            for name, v in part.axes.items()
            if not v
        ]
        problems += [
            (f"{n!r} is both an axis and fixed", f"{part.place}  {part.kind}({n}=...)")
            for n in part.axes
            if n in sweep.fixed
        ]
    return problems


Row = tuple[dict[str, Any], dict[str, Any], str]


class _Reader:
    """The settings of a sweep, checked: each distinct value once, each mistake reported once."""

    def __init__(self, sweep: Sweep):
        """Check the sweep itself, what is fixed and the critics. Raises SweepError where the rest
        could not be read.
        """
        if problems := _check_sweep(sweep):
            raise SweepError(problems)
        self.sweep, self.head, self.axes = (
            sweep,
            settings.head("models", sweep.model),
            tuple(sweep.axes),
        )
        self.fields = {**COMMON, **self.head.fields}
        self.floats = {n for n, f in self.fields.items() if str(f.type) == "float"}
        self.files = {n for n, f in self.fields.items() if f.metadata["file"]}
        self.folder = Path(sweep.path).parent if sweep.path else None
        self.problems: dict[str, str] = {}
        self._sound: set[tuple[str, type, Any]] = set()
        self._paths: dict[str, str] = {}
        self._bases: dict[Any, dict[str, Any]] = {}
        self.fixed = {n: self.value(n, v, f"{sweep.path}  fixed") for n, v in sweep.fixed.items()}
        self.critics = self._critics()

    def refuse(self) -> None:
        """Raise SweepError if there are mistakes."""
        if self.problems:
            raise SweepError(list(self.problems.items())[:10])

    def rows(self) -> list[Row]:
        """(what is shared, what the row sets, place) of every row of every part."""
        return [row for part in self.sweep.parts for row in self.rows_of(part)]

    def rows_of(self, part: Part) -> list[Row]:
        """The rows of a part; of those of lines, which cross, each assignment once."""
        places = {n: f"{part.place}  {part.kind}({n}=...)" for row in part.rows for n in row}
        found, seen = [], set()
        for row in part.rows:
            given = {n: self.value(n, v, places[n]) for n, v in row.items()}
            base = self._base(given.get("variant", self.fixed.get("variant", self.sweep.variant)))
            if part.kind == "line":
                same = json.dumps({**base, **given}, sort_keys=True, default=str)
                if same in seen:
                    continue
                seen.add(same)
            for name in self.files:
                if not given.get(name, base[name]):
                    needed = (
                        f"{self.head.name} needs the setting {name!r}:"
                        f" {self.fields[name].metadata['help']}"
                    )
                    self.problems.setdefault(needed, part.place)
            found.append((base, given, part.place))
        self._splits(found)
        return found

    def ends_of(self, part: Part) -> list[Row]:
        """The first and the last row of a grid, or all rows of explicit points, after a look at
        every value.
        """
        if part.kind != "grid" or len(part.rows) < 3:
            return self.rows_of(part)
        for name, values in part.axes.items():
            for value in values:
                self.value(name, value, f"{part.place}  grid({name}=...)")
        return self.rows_of(dataclasses.replace(part, rows=[part.rows[0], part.rows[-1]]))

    def value(self, name: str, value: Any, place: str) -> Any:
        """A value in the form that points have it: numbers of a float setting as floats, files as
        they are found from here.
        """
        kind = type(value)
        if kind not in settings.PLAIN or (name, kind, value) not in self._sound:
            reason = settings.problem(self.head, name, value, self.fields)
            if reason is None and name in self.files and value:
                try:
                    self._paths[value] = settings.find_file(value, self.folder)
                except SettingError as error:
                    reason = f"{name} = {value!r} of {self.head.name}: {error}"
            if reason:
                self.problems.setdefault(reason, place)
                return value
            self._sound.add((name, kind, value))
        if name in self.floats:
            return float(value)
        return self._paths.get(value, value) if name in self.files else value

    def _base(self, variant: Any) -> dict[str, Any]:
        """What all rows of a variant share, every setting in the order of its declaration."""
        if type(variant) not in settings.PLAIN:
            variant = ""  # already a problem
        if variant not in self._bases:
            values = {
                n: self.value(n, v, self.sweep.path)
                for n, v in self.head.variants.get(variant, {}).items()
            }
            values = {**_defaults(self.head), **values, **self.fixed, "variant": variant}
            self._bases[variant] = {n: values[n] for n in self.fields}
        return self._bases[variant]

    def _splits(self, rows: Sequence[Row]) -> None:
        """Note class splits that a data set does not have."""
        pairs: dict[tuple[Any, Any], None] = {
            (g.get("dataset", b["dataset"]), g.get("split", b["split"])): None for b, g, _ in rows
        }
        for dataset, split in pairs:
            if dataset in COMMON["dataset"].metadata["choices"] and split not in (
                allowed := settings.constant("data", dataset, "SPLITS")
            ):
                self.problems.setdefault(
                    f"split = {split!r} is not a split of {dataset}: {', '.join(allowed)}",
                    self.sweep.path,
                )

    def clashes(self, rows: Sequence[Row]) -> None:
        """Note what the settings of these rows, each of them allowed, exclude together; nothing
        where some are not allowed.
        """
        if self.problems:
            return
        found: dict[str, str] = {}
        for base, given, place in rows:
            for problem in _clashes(self.head, {**base, **given}):
                found.setdefault(problem, place)
        self.problems.update(found)

    def _critics(self) -> dict[str, dict[str, Any]]:
        """The full settings of both critics."""
        full, known, place = {}, ("simclr", "protonet"), f"{self.sweep.path}  critics"
        for name in self.sweep.critics:
            if name not in known:
                told = (
                    f"there is no critic {name!r}.{settings.did_you_mean(name, list(known))} Known:"
                    f" {', '.join(known)}"
                )
                self.problems.setdefault(told, self.sweep.path)
        for name in known:
            try:
                config = settings.head("critics", name).config
                full[name] = dataclasses.asdict(
                    settings.resolve(name, config, dict(self.sweep.critics.get(name, {})))
                )
            except SettingError as error:
                self.problems.update({message: place for message in error.problems})
                continue
            if published := full[name].get("weights"):
                try:
                    full[name]["weights"] = settings.find_file(published, self.folder)
                except SettingError as error:
                    self.problems.setdefault(f"weights = {published!r} of {name}: {error}", place)
        return full


def _clashes(head: settings.Head, values: dict[str, Any]) -> list[str]:
    """What the settings of a point, each of them allowed, exclude together."""
    planes, drawn = channels(values["dataset"]), values["drawings_per_class"]
    if drawn == 1 or (drawn == 0 and values.get("likelihood", "none") == "none"):
        return [
            f"drawings_per_class = {drawn} of {head.name}: "
            + ("diversity needs 2" if drawn else "nothing would be scored")
        ]
    if planes != 1 and not settings.constant("models", head.name, "COLOUR", False):
        return [f"{head.name} models binary images, {values['dataset']} holds colour ones"]
    if not hasattr(head.config, "problems"):
        return []
    config = head.config(**{n: values[n] for n in head.fields})
    found: list[str] = config.problems(
        values["image_size"],
        planes,
        settings.constant("data", values["dataset"], "DRAWINGS_PER_CLASS"),
    )
    return found


def _duplicates(sweep: Sweep, made: list[Point]) -> list[tuple[str, str]]:
    first: dict[str, Point] = {}
    problems = []
    for point in made:
        other = first.setdefault(point.point_id, point)
        if other is not point:
            places = (
                point.place if other.place == point.place else f"{other.place} and {point.place}"
            )
            problems.append((f"one point is given twice: {point.label(sweep.axes)}", places))
    return problems


class _Template:
    """The canonical JSON of each stage of points of one family that differ in the same few
    settings.

    It is the text that `digest` would make of {setting: value}, put together from fragments: 2 or 3
    of 40 values differ from point to point, and most stages are alike in many points.
    """

    def __init__(
        self,
        head: settings.Head,
        base: dict[str, Any],
        varied: Collection[str],
        text: Callable[[Any, bool], str],
    ):
        fields = {**COMMON, **head.fields}
        self.base, self.family = base, f"{canonical_json(head.name)},{head.version}"
        self._text, self._known = text, dict[tuple[str, ...], str]()
        self._files = {n for n, f in fields.items() if f.metadata["file"]}
        self._fixed = {n: text(v, n in self._files) for n, v in base.items() if n not in varied}
        of_stage = {
            stage: sorted(n for n, f in fields.items() if f.metadata["stage"] == stage)
            for stage in settings.STAGES
        }
        self._names = {
            **of_stage,
            "shapes": [n for n in of_stage["train"] if fields[n].metadata["shapes"]],
        }
        self._varied = {g: [n for n in names if n in varied] for g, names in self._names.items()}

    def texts(self, given: dict[str, Any]) -> dict[str, str]:
        """By stage, and "shapes" for the train settings that no stack mixes."""
        values = {n: self._text(v, n in self._files) for n, v in given.items()}
        found = {}
        for group, varied in self._varied.items():
            key = (group, *[values[n] for n in varied])
            if (text := self._known.get(key)) is None:
                text = (
                    "{"
                    + ",".join(
                        f"{json.dumps(n)}:{values[n] if n in values else self._fixed[n]}"
                        for n in self._names[group]
                    )
                    + "}"
                )
                self._known[key] = text
            found[group] = text
        return found


class _PointMaker:
    """Builds points with their ids; the parts of the ids that points share are computed once."""

    def __init__(self, sweep: Sweep, critics: dict[str, dict[str, Any]]):
        self.sweep, self.critics = sweep, critics
        self._specs: dict[tuple[str, str, int], tuple[CriticSpec, CriticSpec]] = {}
        self._fingerprint = functools.cache(data_fingerprint)
        self._content = functools.cache(settings.content)
        self._templates: dict[tuple[str, int, tuple[str, ...]], _Template] = {}
        self._data: dict[tuple[str, str, bool], tuple[str, CriticSpec, CriticSpec, str]] = {}
        self._metrics = canonical_json(settings.METRIC_VERSIONS)

    def critic_specs(self, dataset: str, split: str, size: int) -> tuple[CriticSpec, CriticSpec]:
        """SimCLR, then ProtoNet, whose support images are the medoids of the former."""
        key = (dataset, split, size)
        if key not in self._specs:
            data = [dataset, split, size, self._fingerprint(dataset)]
            simclr = self._critic("simclr", data, [])
            self._specs[key] = (simclr, self._critic("protonet", data, [simclr.id]))
        return self._specs[key]

    def _critic(self, kind: str, data: list[Any], after: list[str]) -> CriticSpec:
        values, seed = self.critics[kind], self.sweep.critic_seed
        published = values.get("weights", "")
        what = self._content(published) if published else values
        return CriticSpec(
            kind,
            values,
            seed,
            digest(kind, settings.head("critics", kind).version, data, what, seed, after),
        )

    def _data_of(self, full: dict[str, Any], stage: str) -> tuple[str, CriticSpec, CriticSpec, str]:
        """The fingerprint of the images, the critics, and what both mean for an id, as JSON."""
        fingerprint = self._fingerprint(full["dataset"])
        if channels(full["dataset"]) == 1 and full["drawings_per_class"]:
            simclr, protonet = self.critic_specs(full["dataset"], full["split"], full["image_size"])
        else:
            simclr, protonet = NO_CRITICS
        exemplars = simclr.id if full["exemplar"] == "medoid" else ""
        return (
            fingerprint,
            simclr,
            protonet,
            f"[{stage},{canonical_json(fingerprint)},{canonical_json(exemplars)}]",
        )

    def _text(self, value: Any, file: bool) -> str:
        """A value of a setting as it enters an id; a file counts by its content."""
        return (
            repr(value)
            if type(value) in (int, float)
            else canonical_json(self._content(value) if file and value else value)
        )

    def make(
        self,
        head: settings.Head,
        base: dict[str, Any],
        given: dict[str, Any],
        seed: int,
        axes: Sequence[str],
        place: str,
    ) -> Point:
        """One point.

        Args:
            head: of its family.
            base: all its settings; the same object for points that share them.
            given: those of them that are other than in base.
            seed: of the training.
            axes: the settings that are swept.
            place: where the sweep file gives it.
        """
        key = (head.name, id(base), tuple(given))
        # which keeps `base`, so that its id is not given to another
        if (template := self._templates.get(key)) is None:
            template = self._templates[key] = _Template(head, base, given.keys(), self._text)
        text, full = template.texts(given), {**base, **given}
        shared = (head.name, text["data"], bool(full["drawings_per_class"]))
        if shared not in self._data:
            self._data[shared] = self._data_of(full, text["data"])
        fingerprint, simclr, protonet, data = self._data[shared]
        # What `digest` would hash: [family, version, [data, fingerprint, exemplars], model, train
        # or shapes, seed], and so on.
        start = f"[{template.family},{data},{text['model']},"
        train_id = _hash(f"{start}{text['train']},{seed}]")
        sample_id = _hash(f'["{train_id}",{text["sample"]}]')
        likelihood = f",{settings.LIKELIHOOD_VERSION}" if "likelihood" in head.fields else ""
        point_id = _hash(
            f'["{sample_id}",{text["score"]},{self._metrics},"{simclr.id}","{protonet.id}"{likelihood}]'
        )
        return Point(
            model=head.name,
            settings=full,
            seed=seed,
            axes={a: full[a] for a in axes},
            train_id=train_id,
            sample_id=sample_id,
            point_id=point_id,
            stack_key=_hash(f"{start}{text['shapes']},{seed}]"),
            simclr=simclr,
            protonet=protonet,
            data_fingerprint=fingerprint,
            family_version=head.version,
            place=place,
        )


def stacks(
    chosen: Sequence[Point], max_stack: int = STACK_ON_GPU, slots: int = 1
) -> list[list[str]]:
    """Trainings in groups that train as one stacked model: train_ids that differ only in
    train-stage settings which keep all tensor shapes.

    max_stack: most trainings in a group. slots: how many trials run side by side; groups stay small
    enough to give each of them work.
    """
    by_shape: dict[str, dict[str, None]] = {}
    for point in chosen:
        by_shape.setdefault(point.stack_key, {})[point.train_id] = None
    total = sum(map(len, by_shape.values()))
    most = max(min(max_stack, math.ceil(total / max(slots, 1))), 1)
    groups = []
    for ids in map(list, by_shape.values()):
        count = math.ceil(len(ids) / most)
        bounds = [i * len(ids) // count for i in range(count + 1)]
        groups += [ids[a:b] for a, b in itertools.pairwise(bounds)]
    return groups
