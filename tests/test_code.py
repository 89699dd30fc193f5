"""The code's own rules: style, types, layers, and configuration files that their tools accept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import house_rules
import pytest

ROOT = Path(__file__).parent.parent
ROOMS = sorted(p for p in (ROOT / "oneshot").iterdir() if p.is_dir() and p.name != "__pycache__")
AT_THE_ROOT = {
    "README.md",
    "__init__.py",
    "__main__.py",
    "cli.py",
    "paths.py",
    "py.typed",
    "rng.py",
    "types.py",
}


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", "."],
        ["-m", "ruff", "format", "--check", "."],
        ["-m", "mypy"],
        ["-c", "from importlinter.cli import lint_imports_command as c; c()"],
    ],
    ids=["style", "format", "types", "layers"],
)
def test_the_code_keeps_its_rules(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ROOMS, ids=[room.name for room in ROOMS])
def test_a_room_keeps_the_rules_of_lengths_and_docstrings(room: Path) -> None:
    broken = [p for file in sorted(room.rglob("*.py")) for p in house_rules.problems(file, ROOT)]
    assert not broken, "\n".join(broken)


def test_little_lies_outside_the_rooms() -> None:
    files = [file for file in (ROOT / "oneshot").iterdir() if file.is_file()]
    assert {file.name for file in files} <= AT_THE_ROOT
    broken = [p for file in files if file.suffix == ".py" for p in house_rules.problems(file, ROOT)]
    assert not broken, "\n".join(broken)


def test_ray_accepts_the_cluster_file() -> None:
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    validate_config(prepare_config(config))
    with pytest.raises(Exception, match="head_node_typo"):
        validate_config(prepare_config({**config, "head_node_typo": "head"}))
