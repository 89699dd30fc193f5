"""The wheel alone, in an environment and a folder of its own: the command `oneshot` does it all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import small
from made_folders import write_folder

pytestmark = pytest.mark.slow
Command = Callable[..., subprocess.CompletedProcess[str]]
PARTS = ("oneshot", "sweeps", "pyproject.toml", "setup.py", "README.md", "LICENSE")
CRITICS = """critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=3, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=3, train_ways=10, train_queries=2),
    ),
    variant="tiny","""
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('{}'))"


def call(*words: object, **given: Any) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, **given)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it; what it depends on is that of this environment."""
    pytest.importorskip("setuptools", "77", reason="needs setuptools: pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PARTS:
        if (small.ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(small.ROOT / name, source / name, ignore=unwanted)
        else:
            shutil.copy(small.ROOT / name, source)
    built = call(sys.executable, "-c", BUILD.format(folder), cwd=source)
    assert built.returncode == 0, built.stderr
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    wheel = next(folder.glob("oneshot_sweeps-*-py3-none-any.whl"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    done = call(*pip, "install", "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    packages = next((folder / "env").glob("lib/python*/site-packages"))
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    return folder / "env"


@pytest.fixture(scope="module")
def outside(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Command]:
    """A folder outside any checkout, and the command in it."""
    folder = tmp_path_factory.mktemp("outside")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("ONESHOT_", "PYTHON"))}
    variables |= {"ONESHOT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}

    def oneshot(*words: object) -> subprocess.CompletedProcess[str]:
        return call(environment / "bin" / "oneshot", *words, cwd=folder, env=variables)

    oneshot.variables = variables  # type: ignore[attr-defined]
    return folder, oneshot


def test_it_is_the_wheel_that_answers(outside: tuple[Path, Command], environment: Path) -> None:
    _, oneshot = outside
    code = "import oneshot, sys; print(oneshot.__file__, sorted({'torch','ray'} & {*sys.modules}))"
    variables = oneshot.variables  # type: ignore[attr-defined]
    where = call(environment / "bin" / "python", "-c", code, cwd="/", env=variables).stdout
    assert str(environment) in where and where.strip().endswith("[]")
    assert oneshot("--version").stdout.startswith("oneshot 0.")
    listed = oneshot("list")
    assert listed.returncode == 0 and "quickstart" in listed.stdout
    looked = oneshot("run", "quickstrat")
    assert looked.returncode == 2 and "Did you mean 'quickstart'?" in looked.stderr
    checked = oneshot("check", "quickstart", "--json")
    assert checked.returncode == 0 and '"points": 9' in checked.stdout, checked.stderr


def test_an_own_family_on_own_images_from_nothing_to_a_page(
    outside: tuple[Path, Command], environment: Path
) -> None:
    folder, oneshot = outside
    written = oneshot("new", "family", "my_vae")
    assert written.returncode == 0 and "oneshot check family my_vae.py" in written.stdout
    rules = oneshot("check", "family", "./my_vae.py")
    assert rules.returncode == 0 and "keeps the rules" in rules.stdout, rules.stderr
    write_folder(folder / "mine", 50, 8)
    sweep = folder / "my_vae_first.py"
    images = 'dataset="folder", data_path="mine", split="fixed", ways=10, drawings_per_class=4'
    text = sweep.read_text().replace('dataset="quickdraw", split="fixed"', f"{images}, epochs=60")
    sweep.write_text(text.replace("    fixed=", f"    {CRITICS}\n    fixed="))
    assert images in sweep.read_text()
    words = ["run", "my_vae_first.py", "--local", "--max-stack", "1", "--checkpoint-seconds", "0"]
    run = subprocess.Popen(
        [str(environment / "bin" / "oneshot"), *words],
        cwd=folder,
        env=oneshot.variables,  # type: ignore[attr-defined]
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    trainings = folder / "results" / "store" / "trainings"
    small.wait_for(lambda: any(trainings.glob("*/checkpoint.pt")), 250, run)
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=100)
    assert run.returncode == 130 and "Continue: oneshot run my_vae_first.py --local" in told, told
    code = "import oneshot; t = oneshot.run('my_vae_first.py', local=True, max_stack=1)"
    variables = oneshot.variables  # type: ignore[attr-defined]
    done = call(environment / "bin" / "python", "-c", code, cwd=folder, env=variables)
    assert done.returncode == 0 and "my_vae_first: " in done.stderr, done.stderr
    again = oneshot(*words)
    assert again.returncode == 0 and "Look at them: oneshot analyze" in again.stderr, again.stderr
    results = folder / "results" / "my_vae_first"
    table = pd.read_parquet(results / "points.parquet")
    assert len(table) == 6 and set(table["status"]) == {"done"}
    shown = oneshot("status", "my_vae_first.py", "--json")
    assert shown.returncode == 0 and '"done": 6' in shown.stdout, shown.stdout
    printed = oneshot("analyze", "results/my_vae_first", "--no-figures")
    assert printed.returncode == 0 and "my_vae" in printed.stdout, printed.stderr
    page = oneshot("report", "results/my_vae_first")
    assert page.returncode == 0 and (results / "report.html").is_file(), page.stderr
