"""Settings: typed, bounded hyperparameters, each with the stage where it enters a point.

A family (a model or a critic) declares its settings once, as the fields of a frozen dataclass
called `Config` in its own file; `Common` holds those that every model family has. `families.py`
reads them without importing the file.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oneshot.sweep.values import is_unicode, is_whole, shown

STAGES = ("data", "model", "train", "tune", "sample", "score")
NAME = "name"  # not a stage: a setting that only says where values come from, and enters no id
# what data_path holds enters ids by the fingerprint of the images, and so does how they are read
OF_FOLDER = ("data_path", "ink_tone", "threshold", "colour", "split_file", "test_share")
# columns of tables in which a row needs them
SELDOM = (*OF_FOLDER, "ways")

Field = dataclasses.Field[Any]


class SettingError(ValueError):
    """A user's setting is unknown, of the wrong type or out of range.

    Args:
        problems: one message per mistake.
    """

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


def setting(
    default: Any,
    stage: str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
    unit: str = "",
    shapes: bool = False,
    file: bool = False,
    folder: bool = False,
    omit_default: bool = False,
) -> Any:
    """Declare one field of a `Config`.

    Args:
        default: its value where a sweep says nothing.
        stage: where the value enters a point: one of STAGES, or NAME.
        help: its meaning, in words.
        low: the lowest value allowed; None for no bound.
        high: the highest value allowed; None for no bound.
        choices: the only values allowed; None for all of the type.
        unit: of the value, in words.
        shapes: a train-stage or tune-stage setting that all models of a stack share, as it changes
            tensor shapes or batches, so that points that differ in it cannot train as one stack.
        file: the value is a path; the content of the file, not its name, enters the id of a point.
        folder: the value is a path of a folder or file. It enters no id: what is there does.
        omit_default: at its default the value enters no id. For a setting that a family gets after
            its ids were published: points that do without it keep theirs. A file with it may be
            left out.

    Returns:
        A dataclass field with all of this as its metadata.

    Raises:
        ValueError: there is no such stage.
    """
    if stage not in (*STAGES, NAME):
        raise ValueError(f"stage {stage!r} is not one of {STAGES}")
    metadata = dict(
        stage=stage,
        help=help,
        low=low,
        high=high,
        choices=choices,
        unit=unit,
        shapes=shapes,
        file=file,
        folder=folder,
        omit_default=omit_default,
    )
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Common:
    """Settings that every model family has: images, exemplars, drawings and how they are scored."""

    variant: str = setting("", NAME, "named set of the family's defaults that a point starts from")
    dataset: str = setting(
        "omniglot",
        "data",
        "data set",
        choices=(
            "omniglot",
            "quickdraw",
            "quickdraw_clusters",
            "celeba",
            "cifar10",
            "gaussians",
            "gaussians_uneven",
            "gaussians_grid",
            "swiss_roll",
            "mnist",
            "fashion_mnist",
            "emnist",
            "omniglot_rgb",
            "cifar100",
            "folder",
        ),
    )
    split: str = setting(
        "weak",
        "data",
        "class split: weak, strong or random (omniglot), identities (celeba), all or without_0 ..."
        " (points and digits), classes_0 ... classes_4 (few shots), fixed (others)",
        choices=(
            *("weak", "strong", "random", "fixed", "identities", "all"),
            *(f"without_{i}" for i in range(25)),
            *(f"classes_{i}" for i in range(5)),
        ),
    )
    image_size: int = setting(
        50, "data", "height and width of the images", low=16, high=105, unit="pixels"
    )
    exemplar: str = setting(
        "medoid",
        "data",
        "which image of a class is its exemplar",
        choices=("medoid", "first", "random"),
    )
    drawings_per_class: int = setting(
        20,
        "sample",
        "drawings for the exemplar of each test class, at least 2; 0 for none, where likelihoods"
        " are all that is asked",
        low=0,
        high=1000,
    )
    diversity_drawings: int = setting(
        20,
        "score",
        "most drawings of a class that diversity and originality rest on, as the former grows"
        " with it",
        low=2,
        high=1000,
    )
    protocol: str = setting(
        "expected",
        "score",
        "recognizability: its closed-form expectation, or the published 3,750 episodes",
        choices=("expected", "episodes"),
    )
    ways: int = setting(
        20,
        "score",
        "recognizability: among how many classes a drawing is recognised; other numbers than 20 are"
        " not comparable with it",
        low=2,
        high=1000,
        omit_default=True,
    )
    critic_seed: int = setting(
        0,
        "score",
        "seed of the critics that score; as an axis, stored drawings are scored by several pairs",
        low=0,
        high=2**63 - 1,
        omit_default=True,
    )
    data_path: str = setting(
        "",
        "data",
        "of dataset = folder: a folder with a folder of images for each class, or an npz",
        folder=True,
        omit_default=True,
    )
    ink_tone: str = setting(
        "auto",
        "data",
        "of dataset = folder: whether ink is darker or brighter than paper; auto: as the borders"
        " of the images tell",
        choices=("auto", "dark", "bright"),
        omit_default=True,
    )
    threshold: float = setting(
        0.5,
        "data",
        "of dataset = folder: a pixel is ink above this share of the most ink of its image",
        low=0.01,
        high=0.99,
        omit_default=True,
    )
    colour: bool = setting(
        False,
        "data",
        "of dataset = folder: keep colours, which the critics of drawings do not score",
        omit_default=True,
    )
    split_file: str = setting(
        "",
        "data",
        "of dataset = folder: CSV with the columns class and part (train, validation or test);"
        " empty: a split by the hash of the names",
        file=True,
        omit_default=True,
    )
    test_share: float = setting(
        0.2,
        "data",
        "of dataset = folder: the share of classes for tests, half as many for validation",
        low=0.0,
        high=0.6,
        omit_default=True,
    )
    panel: bool = setting(
        True,
        "score",
        "score drawings by fid, kid, precision, recall, density, coverage, vendi and nearest_train",
        omit_default=True,
    )
    human_file: str = setting(
        "",
        "score",
        "npz or Parquet file with drawings of people that take the place of the data set's as the"
        " reference",
        file=True,
        omit_default=True,
    )
    dino_weights: str = setting(
        "",
        "score",
        "file with the weights of a DINOv2, in whose features drawings are compared with people's"
        " too",
        file=True,
        omit_default=True,
    )


@dataclass(frozen=True)
class TrainingSettings:
    """What every family that learns has among its settings: a Config may derive from it."""

    epochs: int = setting(
        20, "train", "passes over the training images", low=1, high=100000, shapes=True
    )
    batch_size: int = setting(128, "train", "images a step", low=1, high=8192, shapes=True)
    plateau: int = setting(
        0, "train", "epochs without progress before the step size halves; 0: never", low=0
    )
    schedule_classes: str = setting(
        "validation",
        "train",
        "classes whose loss drives schedule and best epoch; test: the published protocol",
        choices=("validation", "test"),
        shapes=True,
    )
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )


COMMON: dict[str, Field] = {field.name: field for field in dataclasses.fields(Common)}


def type_name(field: Field) -> str:
    """The type of a setting as its declaration writes it: int, float, bool or str."""
    return str(field.type)


def default_of(field: Field) -> Any:
    """The default of a setting in the form that points have: of a float setting, a float."""
    default: Any = field.default
    return float(default) if type_name(field) == "float" else default


def needs_file(field: Field) -> bool:
    """Whether a setting must name a file."""
    return bool(field.metadata["file"]) and not field.metadata["omit_default"]


def check_value(field: Field, value: Any) -> str | None:
    """Why a value is not allowed for a setting.

    Args:
        field: of the setting.
        value: what it shall be, of any type.

    Returns:
        The reason in words, or None if the value is allowed.
    """
    meta, kind, given = field.metadata, type_name(field), f"{field.name} = {shown(value)}"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int" and not is_whole(value):
        return f"{given} is not a whole number"
    if kind == "int" and not -(2**63) <= value < 2**63:
        return f"{given} does not fit into 64 bits"
    if kind == "float" and not (number and abs(value) <= sys.float_info.max):  # False of nan
        return f"{given} is not a finite number"
    if kind == "bool" and not isinstance(value, bool):
        return f"{given} is not True or False"
    if kind == "str" and not isinstance(value, str):
        return f"{given} is not a text"
    if kind == "str" and not value.isascii() and not is_unicode(value):
        return f"{given} cannot be written as UTF-8"
    if meta["choices"] is not None and value not in meta["choices"]:
        return f"{given} is not one of {', '.join(map(str, meta['choices']))}"
    low, high = meta["low"], meta["high"]
    if number and ((low is not None and value < low) or (high is not None and value > high)):
        return f"{given} is outside {range_text(field)}"
    return None


def range_text(field: Field) -> str:
    """The allowed values in words, as in `0 .. 10`."""
    meta = field.metadata
    if meta["choices"] is not None:
        return ", ".join(map(str, meta["choices"]))
    low, high = (("" if v is None else f"{v:g}") for v in (meta["low"], meta["high"]))
    return f"{low} .. {high}" if low or high else "any"


def unknown_setting(owner: str, name: str, allowed: Mapping[str, Field]) -> str:
    """The message for a misspelt setting: the near name, and all that are allowed, by stage.

    Args:
        owner: the family or critic that has no such setting.
        name: what was given.
        allowed: the settings that it has, by name.

    Returns:
        Several lines, indented from the second on.
    """
    by_stage = {
        stage: [name for name, field in allowed.items() if field.metadata["stage"] == stage]
        for stage in STAGES
    }
    return "\n  ".join(
        [
            f"{owner} has no setting {name!r}.{did_you_mean(name, list(allowed))}",
            *(f"{stage}: {', '.join(names)}" for stage, names in by_stage.items() if names),
        ]
    )


def did_you_mean(name: str, known: list[str]) -> str:
    """The known name nearest to a misspelt one, as the end of a message.

    Args:
        name: what was given.
        known: the names there are.

    Returns:
        ` Did you mean 'beta'?`, or "" where none is near.
    """
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def resolve(owner: str, config: type, values: Mapping[str, Any]) -> Any:
    """Make a Config of some values, every one of them checked.

    Args:
        owner: the family or critic, for messages.
        config: its class `Config`.
        values: by setting; the others keep their defaults.

    Returns:
        `config(**values)`.

    Raises:
        SettingError: with all mistakes at once.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    problems = [unknown_setting(owner, name, fields) for name in values if name not in fields]
    for name, value in values.items():
        if name in fields and (reason := check_value(fields[name], value)):
            problems.append(f"{reason} of {owner} ({type_name(fields[name])})")
    if problems:
        raise SettingError(problems)
    return config(**values)
