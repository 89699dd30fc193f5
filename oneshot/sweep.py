"""Sweeps: a question, a model family and axes expand to points with stable ids. Data only: no torch, no Ray.

    sweep = Sweep(
        question="What does beta do?",
        model="vae_stn",
        points=grid(beta=steps(0, 4, 0.25), z=[10, 35]),
        fixed=dict(epochs=20),
    )

Ids nest as the stages do (`data`, `model`, `train` | `sample` | `score`): points that share a `train_id` share one training, points
that share a `sample_id` share their drawings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import itertools
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneshot import settings
from oneshot.settings import Common, SettingError

FIRST_SEED = 44
REFERENCES = ("human", "copy", "noise")
METRIC_VERSIONS_TEXT = " ".join(f"{name} {version}" for name, version in settings.METRIC_VERSIONS.items())
COMMON = {f.name: f for f in dataclasses.fields(Common)}


class SweepError(ValueError):
    """A sweep file is wrong. `problems` holds one (message, place) per mistake, place being "file:line  first line of code" or ""."""

    def __init__(self, problems: Sequence[tuple[str, str]]):
        super().__init__("\n".join(message for message, _ in problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Part:
    """A set of assignments made by grid, line or points; `place` is where the sweep file made it."""

    kind: str
    axes: dict[str, list[Any]]
    rows: list[dict[str, Any]]
    place: str


def steps(first: float, last: float, step: float) -> list[float]:
    """The decimal values first, first + step, ... up to last (included when it is on the grid), free of binary rounding noise."""
    if step <= 0 or last < first:
        raise ValueError(f"steps({first}, {last}, {step}): needs step > 0 and last >= first")
    n = int((last - first) / step + 1e-9) + 1
    return [round(first + i * step, 12) for i in range(n)]


def grid(**axes: Iterable[Any]) -> Part:
    """Every combination of the axes' values, the last axis changing fastest."""
    lists = {name: list(values) for name, values in axes.items()}
    rows = [dict(zip(lists, combination)) for combination in itertools.product(*lists.values())] if lists else []
    return Part("grid", lists, rows, _place())


def line(base: Mapping[str, Any] | None = None, **axes: Iterable[Any]) -> Part:
    """One axis at a time: each axis runs through its values while the others stay at `base` (default: the sweep's fixed settings).

    A value at which two lines cross (the base itself) is one point.
    """
    lists = {name: list(values) for name, values in axes.items()}
    rows = [{**(base or {}), name: value} for name, values in lists.items() for value in values]
    return Part("line", lists, rows, _place())


def points(rows: Iterable[Mapping[str, Any]]) -> Part:
    """Explicit points: one mapping of settings each."""
    listed = [dict(row) for row in rows]
    names = dict.fromkeys(name for row in listed for name in row)
    return Part("points", {n: list(dict.fromkeys(r[n] for r in listed if n in r)) for n in names}, listed, _place())


def _place() -> str:
    """The line of the sweep file that called grid, line or points."""
    frame = sys._getframe(2)
    return f"{_short(Path(frame.f_code.co_filename))}:{frame.f_lineno}"


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@dataclass(frozen=True)
class Sweep:
    """One question put to a model family.

    points: what varies (scientific settings): one part or several. fixed: settings that differ from the family's defaults and stay.
    seeds: how many seeds, or which (nuisance: averaged over). references: families scored beside the models on the same data.
    variant: the named set of defaults of the family to start from. critics: settings of the critics, by critic.
    """

    question: str
    model: str
    points: Part | Sequence[Part]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | Sequence[int] = 1
    references: Sequence[str] = REFERENCES
    variant: str = ""
    critics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    critic_seed: int = 0
    name: str = ""
    path: str = ""

    @property
    def parts(self) -> list[Part]:
        return [self.points] if isinstance(self.points, Part) else list(self.points)

    @property
    def axes(self) -> list[str]:
        """The swept settings in the order of the sweep file."""
        return list(dict.fromkeys(name for part in self.parts for name in part.axes))

    def seed_list(self) -> list[int]:
        return list(range(FIRST_SEED, FIRST_SEED + self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)


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
    """What identifies the images of a data set: their content and the version of their preparation. Reads no image."""
    return f"{settings.constant('data', dataset, 'FINGERPRINT')}-{settings.constant('data', '__init__', 'VERSION')}"


def load(path: str | Path) -> Sweep:
    """Run a sweep file and return its `sweep`. Raises SweepError if the file is missing, broken or defines none."""
    path = find(path)
    spec = importlib.util.spec_from_file_location(f"sweeps_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SweepError([(f"{type(error).__name__}: {error}", _line_of(error, path))]) from error
    sweep = getattr(module, "sweep", None)
    if not isinstance(sweep, Sweep):
        raise SweepError([("the file defines no `sweep = Sweep(...)`", _short(path))])
    return dataclasses.replace(sweep, name=sweep.name or path.stem, path=_short(path))


def find(path: str | Path) -> Path:
    """A sweep by file name or by bare name in `sweeps/`. Raises SweepError with near names if there is none."""
    folder = Path("sweeps")
    candidates = [Path(path), folder / f"{path}.py", folder / f"{path}"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = [f.stem for f in sorted(folder.glob("*.py"))]
    near = settings.did_you_mean(str(path), known)
    raise SweepError([(f"there is no sweep {str(path)!r}.{near} In sweeps/: {', '.join(known) or 'nothing'}", "")])


def _line_of(error: BaseException, path: Path) -> str:
    """Where in the sweep file an error arose."""
    if isinstance(error, SyntaxError):
        return f"{_short(path)}:{error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path.absolute() or Path(trace.tb_frame.f_code.co_filename) == path:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"{_short(path)}:{lines[-1]}" if lines else _short(path)


def override(sweep: Sweep, assignments: Mapping[str, Any], seeds: int | None = None) -> Sweep:
    """The sweep with `--set` assignments (`name` for a setting, `critic.name` for a critic's) and another number of seeds."""
    fixed, critics = dict(sweep.fixed), {k: dict(v) for k, v in sweep.critics.items()}
    problems = []
    for name, value in assignments.items():
        owner, _, rest = name.partition(".")
        if rest:
            critics.setdefault(owner, {})[rest] = value
        elif name in sweep.axes:
            problems.append((f"{name} is an axis of this sweep: --set would overrule all its values. Use --where to choose among them", ""))
        else:
            fixed[name] = value
    if problems:
        raise SweepError(problems)
    return dataclasses.replace(sweep, fixed=fixed, critics=critics, seeds=sweep.seeds if seeds is None else seeds)


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
    commons = {json.dumps(dataclasses.asdict(p.common()), sort_keys=True): p.common() for p in made}
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
    defaults = {n: f.default for n, f in fields.items()} | head.variants.get(sweep.variant, {})
    problems: dict[str, str] = {}

    def check(name: str, value: Any, place: str) -> None:
        if name not in fields:
            problems.setdefault(settings.unknown_setting(sweep.model, name, fields), place)
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
            values = {**defaults, **sweep.fixed, **row}
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
    return rows, list(problems.items())


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

    def critic_specs(self, dataset: str, split: str, size: int) -> tuple[CriticSpec, CriticSpec]:
        """SimCLR, then ProtoNet, whose support images are the medoids of the former."""
        key = (dataset, split, size)
        if key not in self._specs:
            data = [dataset, split, size, data_fingerprint(dataset)]
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
        stage: dict[str, dict[str, Any]] = {s: {} for s in settings.STAGES}
        for n, v in full.items():
            stage[fields[n].metadata["stage"]][n] = settings.canonical(fields[n], v)
        simclr, protonet = self.critic_specs(full["dataset"], full["split"], full["image_size"])
        fingerprint = data_fingerprint(full["dataset"])
        exemplars = simclr.id if full["exemplar"] == "medoid" else ""
        data = [stage["data"], fingerprint, exemplars]
        train_id = digest(model, head.version, data, stage["model"], stage["train"], seed)
        sample_id = digest(train_id, stage["sample"])
        point_id = digest(sample_id, stage["score"], settings.METRIC_VERSIONS, simclr.id, protonet.id)
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


def stacks(chosen: Sequence[Point], max_stack: int = 64) -> list[list[str]]:
    """Trainings grouped into stacks: train_ids that differ only in train-stage settings which keep all tensor shapes."""
    groups: dict[str, dict[str, None]] = {}
    for point in chosen:
        groups.setdefault(point.stack_key, {})[point.train_id] = None
    lists = [list(ids) for ids in groups.values()]
    return [ids[i : i + max_stack] for ids in lists for i in range(0, len(ids), max_stack)]
