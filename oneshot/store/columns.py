"""The columns of all result tables, and what a value in them may be. No torch, no Ray, no Arrow.

A record is somebody's file: it may come from another version, another machine or an editor.
`check_row` keeps what fits its column, so that one odd value costs that value alone, never a table.
"""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from oneshot.sweep import settings
from oneshot.sweep.expansion import COMMON
from oneshot.types import Status

STATUSES = (Status.DONE, Status.DIVERGED, Status.FAILED)  # that a record may have
METRICS = (
    "diversity",
    "diversity_se",
    "recognizability",
    "recognizability_se",
    "originality",
    "originality_se",
    "human_diversity",
    "human_recognizability",
    "human_originality",
    "human_distance",
    "generalization_area",
    "generalization_coverage",
)
LIKELIHOODS = (
    "nelbo",
    "nll",
    "reconstruction",
    "kl_c",
    "kl_z",
    "mnist_nelbo",
    "classified_kl",
    "classified_elbo",
    "classified_reconstruction",
)
IMPORTANCE = ("importance_sparsity",)
COUNTS = ("drawings", "constant_drawings", "parameters", "epochs_done")
COST = ("train_seconds", "draw_seconds", "score_seconds", "peak_memory_mb")
PROVENANCE = (
    "sweep",
    "train_id",
    "sample_id",
    "simclr_id",
    "protonet_id",
    "data_fingerprint",
    "family_version",
    "metric_versions",
    "git_revision",
    "python",
    "torch",
    "host",
    "device",
    "trained_as",
    "finished_at",
    "error_type",
    "error",
    "log",
)
ARRAYS = (
    "classes",
    "curves",
    "generalization",
    "importance",
    "likelihood",
    "layers",
    "attention",
    "confusion",
)
TEXTS = {"class_name", "dataset", "latent", "scorer"}
WHOLE = {
    "epoch",
    "bin",
    "drawings",
    "set_size",
    "sets",
    "level",
    "set",
    "head",
    "member",
    "digit",
    "predicted",
    "count",
}
INT64 = 2**63


class OddRecord(ValueError):
    """A record that is whole and yet cannot be a row: no such family or status, or the row of
    another point.
    """


class ForeignFamily(OddRecord):
    """A record of a family that this version does not have. It stays where it is and is no part of
    any table.
    """

    def __init__(self, family: str):
        super().__init__(f"there is no family {family!r} here")
        self.family = family


@functools.cache
def kinds(model: str) -> dict[str, str]:
    """The kind of every column of a row of this family: int, float, bool, str or time.

    Raises SettingError if there is no such family.
    """
    found = {n: str(f.type) for n, f in {**COMMON, **settings.head("models", model).fields}.items()}
    found |= dict.fromkeys((*METRICS, *LIKELIHOODS, *IMPORTANCE, *COST), "float")
    found |= dict.fromkeys(("seed", *COUNTS, "family_version"), "int")
    found |= dict.fromkeys(("point_id", "status", "model", *PROVENANCE), "str")
    return found | {"finished_at": "time", "family_version": "int"}


def check_row(row: Any, point_id: str) -> tuple[dict[str, Any], list[str]]:
    """A row as tables take it: every value is of its column's kind, or None.

    Args:
        row: what stands in a record.
        point_id: the point whose record it is, by the name of its file.

    Returns:
        The row, and in words each value that was left out.

    Raises:
        OddRecord: the row is that of another point, or of no status; ForeignFamily: of no family
            here.
    """
    if not isinstance(row, dict):
        raise OddRecord("it holds no row")
    if row.get("point_id") != point_id:
        raise OddRecord(
            f"it is the record of point {str(row.get('point_id'))[:40]}, as copies under another"
            " name are"
        )
    if row.get("status") not in STATUSES:
        raise OddRecord(f"status {row.get('status')!r} is none of {', '.join(STATUSES)}")
    model = row.get("model")
    if not isinstance(model, str) or model not in _families():
        raise ForeignFamily(str(model))
    expected, out, problems = kinds(model), {}, []
    for name, value in row.items():
        kind = expected.get(name)
        if kind is None or value is None or (type(value) is _EXACT.get(kind) and kind != "int"):
            out[name] = value  # nearly all
            continue
        out[name], fits = _as_kind(value, kind)
        if not fits:
            problems.append(f"{name} = {str(value)[:40]!r} is no {_WORDS[kind]}")
    return out, problems


_EXACT = {"float": float, "str": str, "bool": bool}
_WORDS = {
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "str": "text",
    "time": "time",
}


@functools.cache
def _families() -> frozenset[str]:
    return frozenset(settings.names("models"))


def _as_kind(value: Any, kind: str) -> tuple[Any, bool]:
    """The value as this kind; (None, False) where it is none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if (
        kind == "int"
        and number
        and math.isfinite(value)
        and value == int(value)
        and -INT64 <= value < INT64
    ):
        return int(value), True
    if kind == "float" and number:
        try:
            return float(value), True
        except OverflowError:
            return None, False
    if kind == "bool" and isinstance(value, bool):
        return value, True
    if kind == "str" and isinstance(value, str):
        return value, True
    if kind == "time" and isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value)
            (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
        except (ValueError, OverflowError):
            return None, False
        if 1 < moment.year < 9999:
            return value, True
    return None, False


def uneven(columns: Mapping[str, Sequence[Any]]) -> str:
    """What is wrong with the columns of one array of a record if they differ in length, in words;
    "" if they do not.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) <= 1:
        return ""
    return "its columns differ in length: " + ", ".join(
        f"{n} {count:,}" for n, count in lengths.items()
    )
