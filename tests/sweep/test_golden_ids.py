"""What users keep across versions: ids of all points of the shipped sweeps, columns of the points
table, flags of the commands.

A change here loses results or breaks scripts. If it is meant, write the file anew with

    python tests/sweep/test_golden_ids.py

and say in CHANGELOG.md what changed. Sweeps whose images lie in a folder of the user's are left
out: their ids follow those images.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from oneshot import cli
from oneshot.report import command
from oneshot.store.parquet import point_fields
from oneshot.sweep import families
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("golden_ids.json")
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("*.py"))


def flags(parser: argparse.ArgumentParser) -> list[str]:
    return sorted(flag for action in parser._actions for flag in action.option_strings)


def columns(model: str) -> list[str]:
    return [f"{field.name}: {field.type}" for field in point_fields([model], [])]


def of_user(points: list[Point]) -> bool:
    """Whether images of these points lie in a folder of the user's."""
    datasets = {point.settings["dataset"] for point in points}
    return any(families.constant("data", name, "FINGERPRINT") == "folder" for name in datasets)


def ids(name: str) -> dict[str, Any] | None:
    """The number of points of a sweep, and a checksum over each kind of id; None where they follow
    a user's folder.
    """
    points = expand(load_sweep(ROOT / "sweeps" / f"{name}.py"))
    if of_user(points):
        return None
    found: dict[str, Any] = {"points": len(points)}
    for kind in ("point_id", "sample_id", "train_id"):
        text = "\n".join(sorted(getattr(point, kind) for point in points))
        found[kind] = hashlib.sha256(text.encode()).hexdigest()
    return found


def current() -> dict[str, Any]:
    return {
        "ids": {name: found for name in SWEEPS if (found := ids(name))},
        "columns": {model: columns(model) for model in families.names("models")},
        "flags": {"run_sweep.py": flags(cli.parser()), "analyze.py": flags(command.parser())},
    }


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("name", SWEEPS)
def test_no_id_of_a_shipped_sweep_changes(name: str, golden: dict[str, Any]) -> None:
    assert ids(name) == golden["ids"].get(name)


def test_every_shipped_sweep_has_golden_ids_but_those_of_a_user_s_images(
    golden: dict[str, Any],
) -> None:
    of_users = [
        *("fewshot_classifier", "fewshot_gan", "fewshot_modes", "fewshot_small"),
        *("infogan", "infogan_small", "set_vae_faces", "vae_removed", "vae_removed_small"),
    ]
    assert sorted(set(SWEEPS) - set(golden["ids"])) == of_users
    assert set(golden["ids"]) <= set(SWEEPS)


def test_no_column_of_the_points_table_changes(golden: dict[str, Any]) -> None:
    assert {model: columns(model) for model in families.names("models")} == golden["columns"]


@pytest.mark.parametrize("script", ["run_sweep.py", "analyze.py"])
def test_flags_are_added_knowingly(script: str, golden: dict[str, Any]) -> None:
    parser = cli.parser() if script == "run_sweep.py" else command.parser()
    assert flags(parser) == golden["flags"][script], (
        "if meant: python tests/sweep/test_golden_ids.py"
    )


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
    print(f"{GOLDEN} written", file=sys.stderr)
