"""Points and critics, and the content hashes that name them: the same on every machine.

Ids nest as the stages do (`data`, `model`, `train` | `tune` | `sample` | `score`): points that
share a `train_id` share one training, those that share a `tune_id` share what tuning made of it,
points that share a `sample_id` share their drawings.
`point_maker.py` makes them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneshot.sweep import families, graders
from oneshot.sweep.settings import COMMON, Common
from oneshot.types import Kind


@dataclass(frozen=True)
class CriticSpec:
    """A critic to be trained or imported: its family, settings, seed, id, and the SHA-256 of the
    content of its published weights, if it is imported; of one in a file of the user's, the path
    and the SHA-256 of the content.
    """

    kind: str
    settings: dict[str, Any]
    seed: int
    id: str
    file_hash: str = ""
    own_file: tuple[str, str] = ("", "")

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
    """One assignment of every hyperparameter and a seed; ends as exactly one row.

    Args:
        model: the family.
        settings: all settings, common ones included, in the order of their declaration.
        seed: of the training.
        axes: the settings that the sweep varies, with their values here.
        train_id: hash of what the trained weights depend on.
        tune_id: hash of what the tuned weights depend on; `train_id` where nothing is tuned.
        sample_id: hash of what the drawings depend on.
        point_id: hash of what the row depends on.
        stack_key: equal for trainings whose tensors have the same shapes.
        tune_key: equal for tunings of one training that can be one stack.
        critics: by name: of bits, "simclr" measures diversity, "protonet" recognizability, and
            "chooser" is the SimCLR in whose space exemplars are medoids; of greys, "classifier"
            says which class a drawing is of; where classes are base or novel, "base_classifier"
            knows the base; {} where no network scores drawings.
        graders: the versions of the graders that score it, by name.
        data_fingerprint: what identifies the images.
        family_version: of the model's code.
        place: where the sweep file gives the point.
        files: the SHA-256 of the content of each file that a setting names, by setting.
        family_file: of a family in a file of the user's, the path and the SHA-256 of its content.
        data_file: of a data set in a file of the user's, the path and the SHA-256 of its content.
        metrics: of metrics of the user's that score it, name, path and the SHA-256 of the content;
            "" for the content of those of installed packages.
    """

    model: str
    settings: dict[str, Any]
    seed: int
    axes: dict[str, Any]
    train_id: str
    sample_id: str
    point_id: str
    stack_key: str
    critics: dict[str, CriticSpec]
    graders: dict[str, int]
    data_fingerprint: str
    family_version: int = 1
    place: str = ""
    files: dict[str, str] = field(default_factory=dict)
    tune_id: str = ""
    tune_key: str = ""
    family_file: tuple[str, str] = ("", "")
    data_file: tuple[str, str] = ("", "")
    metrics: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        """Of a point that says nothing of tuning, nothing is tuned."""
        if not self.tune_id:
            object.__setattr__(self, "tune_id", self.train_id)

    @property
    def scored(self) -> bool:
        """Whether the plane's critics score its drawings, which they do of bits alone."""
        return "simclr" in self.critics

    def critic_id(self, name: str) -> str:
        """The id of one of its critics; "" where it has none of this name."""
        return self.critics[name].id if name in self.critics else ""

    def config(self) -> dict[str, Any]:
        """The settings of the family's own Config, without the common ones."""
        return {name: value for name, value in self.settings.items() if name not in COMMON}

    def common(self) -> Common:
        """The settings that every family has."""
        return Common(**{name: self.settings[name] for name in COMMON})

    def row(self) -> dict[str, Any]:
        """Identity and hyperparameters, as they stand in a result row."""
        tuned = {} if self.tune_id == self.train_id else {"tune_id": self.tune_id}
        return dict(
            point_id=self.point_id,
            model=self.model,
            seed=self.seed,
            **self.settings,
            train_id=self.train_id,
            **tuned,
            sample_id=self.sample_id,
            simclr_id=self.critic_id("simclr"),
            protonet_id=self.critic_id("protonet"),
            classifier_id=self.critic_id("classifier") or self.critic_id("base_classifier"),
            data_fingerprint=self.data_fingerprint,
            family_version=self.family_version,
            metric_versions=graders.in_words(self.graders),
        )

    def label(self, axes: Sequence[str]) -> str:
        """The point in words, as in `beta=1.75 z=85 seed=44`."""
        values = [f"{axis}={self.settings[axis]}" for axis in axes if axis in self.axes]
        return " ".join([*(values or [self.model]), f"seed={self.seed}"])


def digest(*parts: Any) -> str:
    """A 16-digit hexadecimal content hash of canonical JSON, equal on every machine."""
    return hash_text(canonical_json(parts))


def canonical_json(value: Any) -> str:
    """The one way in which a value is written where it enters an id."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def hash_text(text: str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_file(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_fingerprint(dataset: str, of_folder: Mapping[str, Any] | None = None) -> str:
    """What identifies the images of a data set: their content and how they were prepared.

    Of a data set in a folder of the user's it is a hash of all its files and of its class split, or
    "absent" where there are none: such ids are good for looking only. The files are read once a
    machine (`data/content.py`).

    Args:
        dataset: its name.
        of_folder: settings of a point, for a data set that they describe.

    Returns:
        The hash of its content, and the version of how it is prepared.

    Raises:
        DataError: the data are there, and not whole.
    """
    if of_folder and by_settings(dataset):
        module = importlib.import_module(f"oneshot.data.{dataset}")
        of_these: str = module.fingerprint(of_folder)
        return of_these
    content = families.constant("data", dataset, "FINGERPRINT")
    if content == "folder":
        content = importlib.import_module("oneshot.data.content").folder_fingerprint(dataset)
    return f"{content}-{families.constant('data', '__init__', 'VERSION')}"


def by_settings(dataset: str) -> bool:
    """Whether settings of a point say where the images of a data set are."""
    return bool(families.constant("data", dataset, "BY_SETTINGS", False))


def declared(values: Mapping[str, Any], variable: str) -> Any:
    """What the data set of a point declares; of images that its settings name, what is counted.

    Args:
        values: the settings of the point.
        variable: the name in the file of the data set, as `TRAIN_IMAGES`.

    Returns:
        The value.

    Raises:
        KeyError: the data set does not declare it.
        DataError: the images that settings name are absent or malformed.
    """
    dataset = values["dataset"]
    if by_settings(dataset):
        return importlib.import_module(f"oneshot.data.{dataset}").counts(values)[variable]
    return families.constant("data", dataset, variable)


def channels(dataset: str, colour: bool = False) -> int:
    """The channels of the images of a data set: 3 in colour, else 1.

    Args:
        dataset: its name.
        colour: the setting of the point, for images of the user's.

    Returns:
        1 or 3.
    """
    return 3 if colour else int(families.constant("data", dataset, "CHANNELS", 1))


def kind_of(dataset: str, colour: bool = False) -> Kind:
    """What the items of a data set are, read without importing its file.

    Args:
        dataset: its name.
        colour: the setting of the point, for images of the user's.

    Returns:
        The kind.
    """
    default = Kind.COLOUR if channels(dataset, colour) == 3 else Kind.BITS
    return Kind(families.constant("data", dataset, "KIND", default))
