"""`python -m oneshot check family FILE`: hold a family file to the rules, and say what is wrong."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from oneshot.contracts import TrainedFamily
from oneshot.sweep import families
from oneshot.sweep.settings import Field, check_value, default_of
from oneshot.trial.family_contract import SIZE, Tried, findings
from oneshot.trial.own_family import FamilyError, imported, make
from oneshot.types import Kind

CHECKED = (Kind.BITS, Kind.GREYS, Kind.POINTS)  # kinds of data that batches are made up for


def report(family: str) -> tuple[str, int]:
    """Check a family with each variant whose name begins with `tiny`, or with its defaults.

    Args:
        family: a name, or the path of a file.

    Returns:
        What was found, in words, and how many rules are broken.

    Raises:
        SettingError: what the file declares is wrong.
    """
    name = families.use_file(family).name if families.is_path(family) else family
    declared = families.declaration("models", name)
    shown = declared.file.shown if declared.file else name
    try:
        module = imported(name)
    except FamilyError as error:
        return str(error), 1
    if not module.FAMILY.trained:
        return f"{shown} is a reference, which learns nothing: its settings are right", 0
    kind = next((kind for kind in families.kinds(name) if kind in CHECKED), None)
    if kind is None:
        return f"{shown} models colour alone, which is not checked: its settings are right", 0
    tiny = {n: v for n, v in declared.variants.items() if n.startswith("tiny")} or {"": {}}
    found: dict[str, None] = {}
    for values in tiny.values():
        found |= dict.fromkeys(findings(tried(name, values, kind)))
    if found:
        lines = "\n".join(f"  - {message}" for message in found)
        return f"{shown} breaks {len(found)} rule{'s' * (len(found) > 1)}:\n{lines}", len(found)
    variants = ", ".join(tiny) if "" not in tiny else "its defaults"
    return (
        f"{shown} keeps the rules ({variants}): losses per example, drawings, no hidden state,"
        f" stacks, image sizes {SIZE} to 50"
    ), 0


def tried(name: str, values: Mapping[str, Any], kind: Kind) -> Tried:
    """A family with some settings, to be held to the rules.

    Args:
        name: of the family.
        values: settings that differ from the defaults.
        kind: of the data that it is tried with.

    Returns:
        The family.
    """
    declared, module = families.declaration("models", name), imported(name)
    settings = {n: default_of(field) for n, field in declared.fields.items()} | dict(values)

    def made(seed: int, image_size: int, **changed: Any) -> TrainedFamily:
        torch.manual_seed(seed)
        given = settings | changed
        family: TrainedFamily = make(module, given, image_size, torch.device("cpu"))
        return family

    varied = {
        n: functools.partial(made, **{n: other})
        for n, field in declared.fields.items()
        if field.metadata["stage"] == "train" and not field.metadata["shapes"]
        if (other := _other_value(field, settings[n])) is not None
    }
    return Tried(made, kind, str(declared.path), varied)


def _other_value(field: Field, value: Any) -> Any:
    """Another value that a setting may have; None if none is found."""
    tries = [*(field.metadata["choices"] or ()), field.metadata["low"], field.metadata["high"]]
    if isinstance(value, bool):
        tries.append(not value)
    elif isinstance(value, (int, float)):
        tries = [value * 2, value + 1, value / 2, *tries]
    allowed = (other for other in tries if other is not None and other != value)
    return next((other for other in allowed if check_value(field, other) is None), None)
