"""Points: a sweep expanded, every setting checked, with ids that are the same on every machine. No torch, no Ray.

Ids nest as the stages do (`data`, `model`, `train` | `sample` | `score`): points that share a `train_id` share one training, points that
share a `sample_id` share their drawings.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot import settings
from oneshot.settings import Common, SettingError
from oneshot.sweep import Sweep, SweepError

METRIC_VERSIONS_TEXT = " ".join(f"{name} {version}" for name, version in settings.METRIC_VERSIONS.items())
# Most trainings in a stack. A GPU is bound by kernel launches, which a stack shares; on a CPU the gain levels off and rows would be late.
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
        """Whether critics score drawings of it; in colour, or without drawings, there are likelihoods only."""
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
    """A 16-digit hexadecimal content hash of canonical JSON: equal on every machine and Python version."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
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
    """All points of a sweep, in its order, references first. Everything is validated here; raises SweepError with every mistake found."""
    problems = _check_sweep(sweep)
    if problems:
        raise SweepError(problems)
    rows, problems = _assignments(sweep)
    critics, more = _critic_settings(sweep)
    if problems or more:
        raise SweepError((problems + more)[:10])
    maker = _PointMaker(sweep, critics)
    made = [maker.make(sweep.model, values, seed, axes, place) for values, axes, place in rows for seed in sweep.seed_list()]
    problems = _duplicates(sweep, made)
    if problems:
        raise SweepError(problems[:10])
    scored = [dataclasses.replace(p.common(), variant="") for p in made if p.scored]
    commons = {json.dumps(dataclasses.asdict(common), sort_keys=True): common for common in scored}
    references = [
        maker.make(name, dataclasses.asdict(common), sweep.seed_list()[0], {}, "")
        for common in commons.values()
        for name in sweep.references
        if name != sweep.model
    ]
    return references + made


def _check_sweep(sweep: Sweep) -> list[tuple[str, str]]:
    """Mistakes that make an expansion meaningless: unknown families, empty or clashing axes, bad seeds."""
    problems: list[tuple[str, str]] = []
    for name in (sweep.model, *sweep.references):
        try:
            settings.head("models", name)
        except SettingError as error:
            problems.append((str(error), sweep.path))
    if problems:
        return problems
    head = settings.head("models", sweep.model)
    if sweep.variant and sweep.variant not in head.variants:
        problems.append((f"{sweep.model} has no variant {sweep.variant!r}. It has: {', '.join(head.variants) or 'none'}", sweep.path))
    if not sweep.parts or not any(part.rows for part in sweep.parts):
        problems.append(("the sweep has no points", sweep.path))
    for part in sweep.parts:
        problems += [(f"axis {name!r} has no values", f"{part.place}  {part.kind}({name}=...)") for name, v in part.axes.items() if not v]
        problems += [(f"{n!r} is both an axis and fixed", f"{part.place}  {part.kind}({n}=...)") for n in part.axes if n in sweep.fixed]
    seeds = sweep.seed_list()
    if not seeds or len(set(seeds)) < len(seeds) or any(not isinstance(s, int) or s < 0 for s in seeds):
        problems.append((f"seeds = {sweep.seeds!r}: needs a count of at least 1, or different whole numbers", sweep.path))
    return problems


def _assignments(sweep: Sweep) -> tuple[list[tuple[dict[str, Any], dict[str, Any], str]], list[tuple[str, str]]]:
    """(all settings, swept settings, place) of every row of every part, and the mistakes in their values, each reported once."""
    head = settings.head("models", sweep.model)
    fields = {**COMMON, **head.fields}
    defaults = {n: f.default for n, f in fields.items()}
    problems: dict[str, str] = {}

    def check(name: str, value: Any, place: str) -> None:
        if name not in fields:
            problems.setdefault(settings.unknown_setting(sweep.model, name, fields), place)
        elif name == "variant" and value not in ("", *head.variants):
            known = ", ".join(head.variants) or "none"
            problems.setdefault(f"variant = {value!r}: {sweep.model} has {known}", place)
        elif reason := settings.check_value(fields[name], value):
            problems.setdefault(f"{reason} of {sweep.model} ({fields[name].type})", place)

    for name, value in sweep.fixed.items():
        check(name, value, f"{sweep.path}  fixed")
    rows = []
    for part in sweep.parts:
        seen: set[str] = set()
        for row in part.rows:
            for name, value in row.items():
                check(name, value, f"{part.place}  {part.kind}({name}=...)")
            chosen = row.get("variant", sweep.fixed.get("variant", sweep.variant))
            values = {**defaults, **head.variants.get(chosen, {}), **sweep.fixed, **row, "variant": chosen}
            same = json.dumps(values, sort_keys=True, default=str)
            if part.kind == "line" and same in seen:
                continue
            seen.add(same)
            for name in (n for n, f in fields.items() if f.metadata["file"] and not values[n]):
                problems.setdefault(f"{sweep.model} needs the setting {name!r}: {fields[name].metadata['help']}", part.place)
            rows.append((values, {n: values[n] for n in sweep.axes if n in values}, part.place))
    for dataset, split in dict.fromkeys((v.get("dataset"), v.get("split")) for v, _, _ in rows):
        if dataset in COMMON["dataset"].metadata["choices"] and split not in (allowed := settings.constant("data", dataset, "SPLITS")):
            problems.setdefault(f"split = {split!r} is not a split of {dataset}: {', '.join(allowed)}", sweep.path)
    if not problems:
        for values, _, place in rows:
            for problem in _clashes(head, values):
                problems.setdefault(problem, place)
    return rows, list(problems.items())


def _clashes(head: settings.Head, values: dict[str, Any]) -> list[str]:
    """What the settings of a point, each of them allowed, exclude together."""
    planes, drawn = channels(values["dataset"]), values["drawings_per_class"]
    if drawn == 1 or (drawn == 0 and values.get("likelihood", "none") == "none"):
        return [f"drawings_per_class = {drawn} of {head.name}: " + ("diversity needs 2" if drawn else "nothing would be scored")]
    if planes != 1 and not settings.constant("models", head.name, "COLOUR", False):
        return [f"{head.name} models binary images, {values['dataset']} holds colour ones"]
    config = head.config(**{n: values[n] for n in head.fields})
    if not hasattr(config, "problems"):
        return []
    found: list[str] = config.problems(values["image_size"], planes, settings.constant("data", values["dataset"], "DRAWINGS_PER_CLASS"))
    return found


def _critic_settings(sweep: Sweep) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """The full settings of both critics, and the mistakes in them."""
    problems, full = [], {}
    known = ("simclr", "protonet")
    for name in sweep.critics:
        if name not in known:
            problems.append(
                (f"there is no critic {name!r}.{settings.did_you_mean(name, list(known))} Known: {', '.join(known)}", sweep.path)
            )
    for name in known:
        head = settings.head("critics", name)
        try:
            full[name] = dataclasses.asdict(settings.resolve(name, head.config, dict(sweep.critics.get(name, {}))))
        except SettingError as error:
            problems += [(message, f"{sweep.path}  critics") for message in error.problems]
        published = full.get(name, {}).get("weights")
        if published and not Path(published).is_file():
            problems.append((f"weights = {published!r} of {name}: there is no such file", f"{sweep.path}  critics"))
    return full, problems


def _duplicates(sweep: Sweep, made: list[Point]) -> list[tuple[str, str]]:
    first: dict[str, Point] = {}
    problems = []
    for point in made:
        other = first.setdefault(point.point_id, point)
        if other is not point:
            places = point.place if other.place == point.place else f"{other.place} and {point.place}"
            problems.append((f"one point is given twice: {point.label(sweep.axes)}", places))
    return problems


class _PointMaker:
    """Builds points with their ids; the parts of the ids that points share are computed once."""

    def __init__(self, sweep: Sweep, critics: dict[str, dict[str, Any]]):
        self.sweep, self.critics = sweep, critics
        self._specs: dict[tuple[str, str, int], tuple[CriticSpec, CriticSpec]] = {}
        self._fingerprint = functools.cache(data_fingerprint)

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
        what = hashlib.sha256(Path(published).read_bytes()).hexdigest() if published and Path(published).is_file() else values
        return CriticSpec(kind, values, seed, digest(kind, settings.head("critics", kind).version, data, what, seed, after))

    def make(self, model: str, values: dict[str, Any], seed: int, axes: dict[str, Any], place: str) -> Point:
        head = settings.head("models", model)
        fields = {**COMMON, **head.fields}
        full = {n: values.get(n, f.default) for n, f in fields.items()}
        full = {n: float(v) if str(fields[n].type) == "float" else v for n, v in full.items()}
        stage: dict[str, dict[str, Any]] = {s: {} for s in (*settings.STAGES, settings.NAME)}
        for n, v in full.items():
            stage[fields[n].metadata["stage"]][n] = settings.canonical(fields[n], v)
        fingerprint = self._fingerprint(full["dataset"])
        if channels(full["dataset"]) == 1 and full["drawings_per_class"]:
            simclr, protonet = self.critic_specs(full["dataset"], full["split"], full["image_size"])
        else:
            simclr, protonet = NO_CRITICS
        exemplars = simclr.id if full["exemplar"] == "medoid" else ""
        data = [stage["data"], fingerprint, exemplars]
        train_id = digest(model, head.version, data, stage["model"], stage["train"], seed)
        sample_id = digest(train_id, stage["sample"])
        likelihood = [settings.LIKELIHOOD_VERSION] if "likelihood" in head.fields else []
        point_id = digest(sample_id, stage["score"], settings.METRIC_VERSIONS, simclr.id, protonet.id, *likelihood)
        shapes = {n: v for n, v in stage["train"].items() if fields[n].metadata["shapes"]}
        stack_key = digest(model, head.version, data, stage["model"], shapes, seed)
        return Point(
            model=model,
            settings=full,
            seed=seed,
            axes={a: full[a] for a in axes},
            train_id=train_id,
            sample_id=sample_id,
            point_id=point_id,
            stack_key=stack_key,
            simclr=simclr,
            protonet=protonet,
            data_fingerprint=fingerprint,
            family_version=head.version,
            place=place,
        )


def stacks(chosen: Sequence[Point], max_stack: int = STACK_ON_GPU, slots: int = 1) -> list[list[str]]:
    """Trainings in groups that train as one stacked model: train_ids that differ only in train-stage settings which keep all tensor shapes.

    max_stack: most trainings in a group. slots: how many trials run side by side; groups stay small enough to give each of them work.
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
