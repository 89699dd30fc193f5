"""Makes points of resolved settings, and computes their ids.

Sweeps have up to a million points, so that what points share is hashed once. The ids are those that
`digest` would give; `tests/sweep/test_point_maker.py` holds both side by side.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from oneshot.sweep import families, graders, own_critics, own_data, own_metrics
from oneshot.sweep.families import Declaration
from oneshot.sweep.own_metrics import OwnMetric
from oneshot.sweep.point import (
    CriticSpec,
    Point,
    by_settings,
    canonical_json,
    data_fingerprint,
    digest,
    hash_file,
    hash_text,
    kind_of,
)
from oneshot.sweep.settings import (
    COMMON,
    OF_FOLDER,
    STAGES,
    default_of,
)
from oneshot.types import Kind, is_class_split

ALL_CLASSES = "all"  # the split that leaves no class out


class _Shared(NamedTuple):
    """What points of the same images share: the fingerprint of the images, the critics, what both
    mean for an id, as JSON, what drawings are scored by, of `graders.AT_HAND`, what kind they are,
    and a file of the user's that the images are from.
    """

    fingerprint: str
    critics: dict[str, CriticSpec]
    text: str
    at_hand: tuple[str, ...]
    kind: Kind
    data_file: tuple[str, str]


class _Graders(NamedTuple):
    """The versions of the graders of a point by name, what they mean for an id, as JSON behind a
    comma, or "", and those of the user's, as points carry them.
    """

    versions: dict[str, int]
    text: str
    metrics: tuple[tuple[str, str, str], ...]


class PointMaker:
    """Builds points with their ids; the parts of the ids that points share are computed once.

    Args:
        critics: the full settings of each critic.
        critic_seed: the seed of the critic that chooses exemplars.
        metrics: of the user's, which the sweep asks for.
    """

    def __init__(
        self,
        critics: Mapping[str, dict[str, Any]],
        critic_seed: int,
        metrics: Sequence[OwnMetric] = (),
    ):
        self._critics, self._critic_seed, self._metrics = critics, critic_seed, metrics
        self._fingerprint = functools.cache(_fingerprint)
        self._file_hash = functools.cache(hash_file)
        self._critic_specs = functools.cache(self._make_critic_specs)
        self._templates: dict[tuple[str, int, tuple[str, ...]], _Template] = {}
        self._data: dict[tuple[Any, ...], _Shared] = {}
        self._graders: dict[tuple[Any, ...], _Graders] = {}
        self._first = canonical_json(graders.FIRST_TEXT)

    def make(
        self,
        family: Declaration,
        base: dict[str, Any],
        given: dict[str, Any],
        seed: int,
        axes: Sequence[str],
        place: str,
    ) -> Point:
        """One point.

        Args:
            family: of the model.
            base: all its settings; the same object for points that share them.
            given: those of them that are other than in base.
            seed: of the training.
            axes: the settings that are swept.
            place: where the sweep file gives it.

        Returns:
            The point, with all its ids.
        """
        key = (family.name, id(base), tuple(given))
        if (template := self._templates.get(key)) is None:
            # it keeps `base`, so that no other object gets its id
            template = _Template(family, base, given.keys(), self._setting_text)
            self._templates[key] = template
        text, settings = template.texts(given), {**base, **given}
        drawn, critic_seed = bool(settings["drawings_per_class"]), settings["critic_seed"]
        # the path of images is no part of the text of a stage
        shared = (family.name, text["data"], drawn, critic_seed, settings["data_path"])
        if shared not in self._data:
            self._data[shared] = self._data_and_critics(settings, text["data"])
        fingerprint, critics, data, at_hand, kind, data_file = self._data[shared]
        graded = self._graders_of(settings, at_hand, kind)
        # What `digest` would hash: [family, version, [data, fingerprint, exemplars], model, train
        # or shapes, seed], and so on.
        start = f"[{template.family},{data},{text['model']},"
        train_id = hash_text(f"{start}{text['train']},{seed}]")
        tuned = bool(template.tuned)
        tune_id = hash_text(f'["{train_id}",{text["tune"]}]') if tuned else train_id
        sample_id = hash_text(f'["{tune_id}",{text["sample"]}]')
        likelihood = ",1" if "likelihood" in family.fields else ""  # as ids were published first
        pair = ",".join(
            f'"{critics[name].id if name in critics else ""}"' for name in ("simclr", "protonet")
        )
        for name in ("classifier", "base_classifier"):
            if name in critics:
                pair += f',"{critics[name].id}"'
        score = f"{text['score']},{self._first},{pair}{likelihood}{graded.text}"
        point_id = hash_text(f'["{sample_id}",{score}]')
        return Point(
            model=family.name,
            settings=settings,
            seed=seed,
            axes={axis: settings[axis] for axis in axes},
            train_id=train_id,
            sample_id=sample_id,
            point_id=point_id,
            stack_key=hash_text(f"{start}{text['shapes']},{seed}]"),
            critics=critics,
            graders=graded.versions,
            data_fingerprint=fingerprint,
            family_version=family.version,
            place=place,
            files={n: self._file_hash(settings[n]) for n in template.files if settings[n]},
            tune_id=tune_id,
            tune_key=hash_text(f'["{train_id}",{text["tune_shapes"]}]') if tuned else "",
            family_file=template.family_file,
            data_file=data_file,
            metrics=graded.metrics,
        )

    def _setting_text(self, value: Any, file: bool) -> str:
        """A value of a setting as it enters an id; a file counts by its content."""
        if type(value) in (int, float):
            return repr(value)
        return canonical_json(self._file_hash(value) if file and value else value)

    def _graders_of(
        self, settings: Mapping[str, Any], at_hand: tuple[str, ...], kind: Kind
    ) -> _Graders:
        """The graders that apply, with what they mean for an id."""
        key = (at_hand, kind, *[settings.get(name) for name in graders.needed_settings()])
        if (known := self._graders.get(key)) is None:
            own = own_metrics.applying(self._metrics, kind, at_hand)
            versions = graders.versions_of(settings, at_hand)
            versions |= {name: metric.version for name, metric in own.items()}
            changed = graders.changed(versions)
            text = f",{canonical_json(changed)}" if changed else ""
            known = _Graders(versions, text, tuple(m.travels() for m in own.values()))
            self._graders[key] = known
        return known

    def _data_and_critics(self, settings: Mapping[str, Any], stage: str) -> _Shared:
        """What points share that have these images; stage: their data settings, as JSON."""
        dataset = settings["dataset"]
        described = tuple((n, settings[n]) for n in OF_FOLDER) if by_settings(dataset) else ()
        fingerprint = self._fingerprint(dataset, described)
        critics: dict[str, CriticSpec] = {}
        kind, size = kind_of(dataset, settings["colour"]), settings["image_size"]
        by_network = kind in (Kind.BITS, Kind.GREYS) or is_class_split(settings["split"])
        if by_network and settings["drawings_per_class"]:
            data, critic_seed = (settings["split"], size, fingerprint), settings["critic_seed"]
            critics = self._critic_specs(dataset, *data, critic_seed)
        medoids = "chooser" in critics and settings["exemplar"] == "medoid"
        exemplars = critics["chooser"].id if medoids else ""
        text = f"[{stage},{canonical_json(fingerprint)},{canonical_json(exemplars)}]"
        own = own_data.find(dataset)
        data_file = own.travels() if own else ("", "")
        return _Shared(fingerprint, critics, text, _at_hand(settings, critics), kind, data_file)

    def _make_critic_specs(
        self, dataset: str, split: str, size: int, fingerprint: str, seed: int
    ) -> dict[str, CriticSpec]:
        """The critics of one seed, and the one that chooses exemplars, which are the support images
        of ProtoNet: they are the same whoever scores. Where classes are base or novel, the
        classifier that learns the base; of other greys, the classifier of all classes, whichever of
        them a split leaves out.
        """
        if is_class_split(split):
            data = [dataset, split, size, fingerprint]
            return {"base_classifier": self._critic("base_classifier", data, [], seed)}
        if kind_of(dataset) == Kind.GREYS:
            data = [dataset, ALL_CLASSES, size, fingerprint]
            return {"classifier": self._critic("classifier", data, [], seed)}
        data = [dataset, split, size, fingerprint]
        chooser = self._critic("simclr", data, [], self._critic_seed)
        return {
            "chooser": chooser,
            "simclr": self._own_or("simclr", data, [], seed),
            "protonet": self._own_or("protonet", data, [chooser.id], seed),
        }

    def _own_or(self, role: str, data: list[Any], after: list[str], seed: int) -> CriticSpec:
        """The critic of a role: one of the user's where the sweep names it."""
        own = own_critics.find(self._critics[role].get(own_critics.SETTING, ""))
        if own is None:
            return self._critic(role, data, after, seed)
        settings = {own_critics.SETTING: own.name}
        critic_id = digest("own", role, own.name, own.version, data, seed, after)
        return CriticSpec(own.name, settings, seed, critic_id, own_file=own.travels())

    def _critic(self, kind: str, data: list[Any], after: list[str], seed: int) -> CriticSpec:
        """The critic that rests on these data, and on the critics of these ids."""
        given = self._critics[kind]
        settings = {n: v for n, v in given.items() if n != own_critics.SETTING}
        published = settings.get("weights", "")
        file_hash = self._file_hash(published) if published else ""
        version = families.declaration("critics", kind).version
        critic_id = digest(kind, version, data, file_hash or settings, seed, after)
        return CriticSpec(kind, settings, seed, critic_id, file_hash)


def _fingerprint(dataset: str, described: tuple[tuple[str, Any], ...]) -> str:
    """The fingerprint of a data set; described: what settings say of it, if they do."""
    return data_fingerprint(dataset, dict(described)) if described else data_fingerprint(dataset)


def _at_hand(settings: Mapping[str, Any], critics: Mapping[str, CriticSpec]) -> tuple[str, ...]:
    """What the drawings of a point are scored by, of `graders.AT_HAND`."""
    if not settings["drawings_per_class"]:
        return ()
    if is_class_split(settings["split"]):
        return ("few_shot",)
    kind = kind_of(settings["dataset"], settings["colour"])
    if kind == Kind.POINTS:
        return ("points",)
    if kind == Kind.GREYS:
        return tuple(critics)
    return ("critics", "people") if "simclr" in critics else ("people",)


class _Template:
    """The canonical JSON of each stage of points of one family that differ in the same settings.

    It is the text that `digest` would make of {setting: value}, put together from fragments: 2 or 3
    of 40 values differ from point to point, and most stages are alike in many points.
    """

    def __init__(
        self,
        family: Declaration,
        base: dict[str, Any],
        varied: Collection[str],
        text: Callable[[Any, bool], str],
    ):
        fields = {**COMMON, **family.fields}
        self.base, self.family = base, f"{canonical_json(family.name)},{family.version}"
        file = family.file
        self.family_file = (file.path, file.content) if file and file.travels else ("", "")
        self._text, self._known = text, dict[tuple[str, ...], str]()
        self.files = {name for name, field in fields.items() if field.metadata["file"]}
        self._omitted = {
            name: text(default_of(field), False)
            for name, field in fields.items()
            if field.metadata["omit_default"]
        }
        self._fixed = {n: text(v, n in self.files) for n, v in base.items() if n not in varied}
        counted = {n: f for n, f in fields.items() if not f.metadata["folder"]}
        self._names = {
            stage: sorted(n for n, field in counted.items() if field.metadata["stage"] == stage)
            for stage in STAGES
        }
        self.tuned = self._names["tune"]
        for key, stage in (("shapes", "train"), ("tune_shapes", "tune")):
            self._names[key] = [n for n in self._names[stage] if fields[n].metadata["shapes"]]
        self._varied = {
            stage: [name for name in names if name in varied]
            for stage, names in self._names.items()
        }

    def texts(self, given: Mapping[str, Any]) -> dict[str, str]:
        """By stage, and "shapes", "tune_shapes" for train and tune settings that no stack mixes."""
        values = {name: self._text(v, name in self.files) for name, v in given.items()}
        texts = {}
        for stage, varied in self._varied.items():
            key = (stage, *[values[name] for name in varied])
            if (text := self._known.get(key)) is None:
                in_stage = {n: values.get(n) or self._fixed[n] for n in self._names[stage]}
                items = (
                    f"{json.dumps(name)}:{value}"
                    for name, value in in_stage.items()
                    if self._omitted.get(name) != value
                )
                text = self._known[key] = f"{{{','.join(items)}}}"
            texts[stage] = text
        return texts
