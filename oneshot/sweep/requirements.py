"""What a family's Config must declare: the settings that training, drawing and scoring read.

Which these are follows from the class of `oneshot/contracts` that the family derives from.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from oneshot.sweep.settings import NAME, Field, type_name


@dataclass(frozen=True)
class Needed:
    """A setting that the code around a family reads from its Config, and what it must be.

    Args:
        kind: its type, as it is written.
        stage: where it enters.
        what: its meaning, in words.
        choices: the only values that are understood; empty: all of its type.
        alike: whether all members of a stack share the value of the first, so that points that
            differ in it must not be stacked: it needs `shapes=True` if its stage is train or tune.
        property: whether a property of Config serves as well.
    """

    kind: str
    stage: str
    what: str
    choices: tuple[str, ...] = ()
    alike: bool = False
    property: bool = False

    def words(self) -> str:
        """What the setting must be, in one line."""
        choices = f", choices={self.choices}" if self.choices else ""
        shapes = ", shapes=True" if self.alike and self.stage in STACKED else ""
        return f'{self.kind} = setting(..., "{self.stage}"{choices}{shapes}): {self.what}'

    def fits(self, field: Field) -> bool:
        """Whether a declared setting has this type, these choices, and enters early enough."""
        choices = field.metadata["choices"]
        understood = not self.choices or (choices and set(choices) <= set(self.choices))
        early = RANKS[field.metadata["stage"]] <= RANKS[self.stage]
        return bool(type_name(field) == self.kind and understood and early)


# By the class of oneshot/contracts that a family derives from.
NEEDED: dict[str, dict[str, Needed]] = {
    "TrainedFamily": {
        "epochs": Needed("int", "train", "passes over the training images", alike=True),
        "batch_size": Needed("int", "train", "images or sets a step", alike=True),
        "plateau": Needed(
            "int", "train", "epochs without progress before the step size halves; 0: never"
        ),
        "schedule_classes": Needed(
            "str",
            "train",
            "classes whose loss drives schedule and best epoch",
            ("validation", "test"),
            alike=True,
            property=True,
        ),
        "weights": Needed("str", "sample", "draw from the last or the best epoch", ("end", "best")),
    },
    "SetFamily": {
        "set_size": Needed("int", "train", "images of a training set", alike=True, property=True),
        "augmented_copies": Needed(
            "int", "train", "altered copies of each set in an epoch", alike=True, property=True
        ),
        "binarisation": Needed(
            "str", "data", "how grey images become bits", ("stochastic", "threshold")
        ),
        "likelihood": Needed("str", "score", "of test sets", ("none", "elbo", "nll")),
        "nll_samples": Needed("int", "score", "importance samples a set"),
        "nll_sets": Needed("int", "score", "test sets that are importance-sampled; 0: all"),
        "nll_size": Needed("int", "score", "size of those sets; 0: every size"),
        "test_sets": Needed("int", "score", "most test sets of each size; 0: all"),
        "transfer": Needed("str", "score", "likelihood of digits", ("none", "mnist", "digits")),
        "classify": Needed("bool", "score", "few-shot classification of digits"),
    },
    "ShotFamily": {
        "shots": Needed("int", "sample", "images of a class that weights adapt to"),
        "shot_seed": Needed("int", "sample", "of the choice of these images"),
    },
    "TunedFamily": {
        "shots": Needed("int", "tune", "images of a novel class that are tuned on", alike=True),
        "shot_seed": Needed("int", "tune", "of the choice of these images", alike=True),
        "pool": Needed(
            "str", "tune", "which images are unlabelled", ("published", "disjoint"), alike=True
        ),
        "semi": Needed("bool", "tune", "whether unlabelled images are seen", alike=True),
        "tune_steps": Needed("int", "tune", "optimizer steps of tuning", alike=True),
        "tune_batch": Needed("int", "tune", "images a step of tuning", alike=True),
    },
    "ExplainedFamily": {
        "importance_seeds": Needed(
            "int", "score", "noise draws a map is averaged over; 0: no maps"
        ),
    },
}
# The groups of NEEDED that apply to a class.
DERIVED = {
    "TrainedFamily": ("TrainedFamily",),
    "ExplainedFamily": ("TrainedFamily", "ExplainedFamily"),
    "ShotFamily": ("TrainedFamily", "ShotFamily"),
    "TunedFamily": ("TrainedFamily", "TunedFamily"),
    "LikelihoodFamily": ("TrainedFamily",),
    "SheetFamily": ("TrainedFamily",),
    "SetFamily": ("TrainedFamily", "SetFamily"),
}
HAS_DEFAULTS = tuple(NEEDED["TrainedFamily"])  # in TrainingSettings
BASE_HINT = (
    f"class Config(TrainingSettings) has {', '.join(HAS_DEFAULTS)}, with defaults;"
    " TrainingSettings is in oneshot.sweep.settings"
)
# A setting may enter earlier than it is needed, never later: it would be missing in an id that
# depends on it.
RANKS = {"data": 0, "model": 0, "train": 0, "tune": 1, "sample": 2, "score": 3, NAME: 4}
STACKED = ("train", "tune")  # the stages of which many points compute as one stack
# Settings that a family may have, and which a stack takes from its first member.
OPTIONAL_ALIKE = (
    *("precision", "set_size", "augmented_copies"),
    *("shots", "shot_seed", "images_per_class", "epoch_steps"),
)


def needed_settings(tree: ast.Module, family: ast.expr | None) -> dict[str, Needed]:
    """The settings that the code around a family reads; none if the family learns nothing.

    Args:
        tree: of the family's file.
        family: what the file assigns to FAMILY: the name of a class; None if nothing.

    Returns:
        By the name of the setting.
    """
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    waiting, bases = [family.id] if isinstance(family, ast.Name) else [], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in bases and name in classes:
            above = (ast.unparse(base).rpartition(".")[2] for base in classes[name].bases)
            waiting += [base.partition("[")[0] for base in above]  # Base of Base[Config]
        bases.add(name)
    groups = {group for name in bases for group in DERIVED.get(name, ())}
    return {
        n: need for g, settings in NEEDED.items() if g in groups for n, need in settings.items()
    }


def unmet(needs: Mapping[str, Needed], config: type, fields: Mapping[str, Field]) -> list[str]:
    """What a Config lacks of the needed settings, and which of them are not what they must be.

    Args:
        needs: the needed settings, by name.
        config: the class `Config` of the family.
        fields: its settings whose declaration is sound, by name.

    Returns:
        One message per mistake; all missing settings are in the first.
    """
    missing, problems = [], []
    for name, need in needs.items():
        if need.property and isinstance(getattr(config, name, None), property):
            continue
        if name not in fields:
            missing.append(f"{name}: {need.words()}")
        elif not need.fits(fields[name]):
            problems.append(f"{name} must be {need.words()}")
    alike = {name for name, need in needs.items() if need.alike}
    alike |= set(OPTIONAL_ALIKE) if needs else set()
    for name, field in fields.items():
        if name in alike and field.metadata["stage"] in STACKED and not field.metadata["shapes"]:
            problems.append(
                f"{name} needs shapes=True: all members of a stack take it from the first"
            )
    if missing:
        if any(line.partition(":")[0] in HAS_DEFAULTS for line in missing):
            missing.append(BASE_HINT)
        lacks = "Config lacks settings that training, drawing or scoring read. It needs"
        problems.insert(0, "\n  ".join([lacks, *missing]))
    return problems
