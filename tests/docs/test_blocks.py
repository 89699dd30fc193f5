"""Every block of README.md and docs/ is run: Python as it stands, commands as far as they can be.

All pages share one folder that looks like a project with results: `results/quickstart` there is a
small sweep. Commands that train are run with smaller settings, or only checked.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pages
import pytest
import small

from oneshot import __main__ as oneshot_main
from oneshot import cli
from oneshot.command.main import PARTS

DOCUMENTS = [page for page in pages.documents() if pages.blocks(page.read_text())]
LOOKS = {"--check", "--status", "--list", "--settings", "--check-cluster"}
# What adds a file to the package is run in a process that imports a copy of it.
OWN_PACKAGE = {"docs/own_data.md"}
SLOW = OWN_PACKAGE | {"docs/own_model.md", "docs/python.md", "docs/sweeps.md", "README.md"}
# Sweeps that pages show and that are run to their end, with what makes them small.
CRITICS = [
    *("simclr.epochs=1", "simclr.batch_size=64", "simclr.strength=light"),
    *("protonet.epochs=1", "protonet.train_ways=20", "protonet.train_queries=2"),
    *("simclr.batches_per_epoch=3", "protonet.episodes_per_epoch=3", "image_size=16"),
]
TRAINED = [*CRITICS, "epochs=1"]
FEW = [*TRAINED, "drawings_per_class=4", "time_steps=2", "hidden=8"]
RUN = {
    "mine_first": [*TRAINED, "drawings_per_class=10"],
    "my_drawings": CRITICS,
    "my_images_first": FEW,
    "shapes_first": FEW,
}
# First words of commands that cannot be run here, and why.
ELSEWHERE = {
    "aws": "needs a bucket",
    "gcloud": "needs a bucket",
    "kubectl": "needs a cluster",
    "helm": "needs a cluster",
    "(umask": "writes into the home folder",
    "export": "a shell's",
    ".": "a shell's",
    "mkdir": "a shell's",
    "tail": "a shell's",
    ".venv/bin/python": "installs",
    "eval": "a shell's",
}


@pytest.fixture(scope="module")
def project(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the project's, with results of a small sweep under the name quickstart."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(finished / "results" / "store", folder / "results" / "store")
    shutil.copytree(finished / "results" / "small", folder / "results" / "quickstart")
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("oneshot", "sweeps", "benchmarks"):
        shutil.copytree(small.ROOT / name, folder / name, ignore=unwanted)
    for name in ("run_sweep.py", "analyze.py", "cluster.yaml", "Makefile"):
        shutil.copy(small.ROOT / name, folder)
    common = folder / "oneshot" / "sweep" / "settings.py"
    text, changed = re.subn(r'choices=\(\s*"omniglot",', r'\g<0> "shapes",', common.read_text())
    assert changed == 1  # as own_data.md says
    common.write_text(text)
    return folder


CASES = [
    pytest.param(
        page,
        id=pages.title(page),
        marks=[pytest.mark.slow] if pages.title(page) in SLOW else [],
    )
    for page in DOCUMENTS
]


@pytest.mark.parametrize("page", CASES)
def test_the_blocks_of_a_page_work(page: Path, project: Path) -> None:
    space: dict[str, Any] = {}
    for block in pages.blocks(page.read_text()):
        if block.file:
            path = project / block.file
            assert path.parent.is_dir(), block.file
            path.write_text(block.text)
        elif block.language == "python":
            printed = run_python(block.text, space, project)
            if "print(" in block.text:
                assert printed.strip() and "Empty" not in printed, block.text
        elif block.language == "" and page.name != "architecture.md":
            for command in pages.commands(block.text):
                run(command, project, pages.title(page) in OWN_PACKAGE)


def test_every_kind_of_block_is_there() -> None:
    found = [b for page in DOCUMENTS for b in pages.blocks(page.read_text())]
    assert len([b for b in found if b.language == "python"]) >= 15
    shown = [c for b in found if not b.language for c in pages.commands(b.text)]
    run = [c for c in shown if c.startswith("python run_sweep.py")]
    drawn = [c for c in shown if c.startswith("python analyze.py")]
    assert len(run) >= 30 and len(drawn) >= 8 and {"make sweep", "make test"} <= set(shown)
    assert set(RUN) <= {Path(b.file).stem for b in found}
    flags = {w for c in run for w in c.split() if w.startswith("--")}
    known = {s for a in cli.parser()._actions for s in a.option_strings if s.startswith("--")}
    assert known - flags <= {"--help", "--dry-run", "--json"}, "flags that no page shows"


def run_python(text: str, space: dict[str, Any], folder: Path) -> str:
    """Run a block of Python in the project's folder; returns what it prints."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(text, "block", "exec"), space)
    return printed.getvalue()


def run(command: str, project: Path, own_package: bool) -> None:
    """Run a command, or hold it against what it calls where it cannot be run here."""
    words = pages.words(command)
    if words[0] == "nohup":
        words = words[1 : words.index(">")]
    if words[:2] == ["python", "run_sweep.py"]:
        run_sweep(words[2:], project, own_package)
    elif words[:2] == ["python", "analyze.py"]:
        analyze(words[2:], project)
    elif words[:3] == ["python", "-m", "oneshot"]:
        options = oneshot_main.parser().parse_args(words[3:])
        if options.command in ("new", "check"):  # else the data may not be here
            with contextlib.chdir(project):
                assert oneshot_main.main(words[3:]) == 0, command
    elif words[0] == "oneshot":
        oneshot(words[1:], project)
    elif words[:3] == ["python", "-m", "pip"]:
        assert words[3] in ("install", "wheel"), command
    elif words[:2] == ["docker", "build"]:
        stage = words[words.index("--target") + 1]
        assert f" AS {stage}\n" in (small.ROOT / "Dockerfile").read_text(), command
    elif words[:2] == ["docker", "push"]:
        assert len(words) == 3, command  # needs a registry
    elif words[:2] == ["docker", "run"]:
        image = next(word for word in words if word.startswith("oneshot"))
        oneshot(words[words.index(image) + 1 :], project)
    elif words[0] == "python":
        source = (small.ROOT / words[1]).read_text()
        assert all(f'"{word}"' in source for word in words[2:] if word.startswith("--")), command
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (project / "Makefile").read_text(), re.M), command
    elif words[0] == "ray":
        ray(words[1:], project)
    elif words[0] == "cp":
        shutil.copy(project / words[1], project / words[2])
    elif words[0] == "sbatch":
        assert (project / words[1]).is_file()
        cli.parser().parse_args(words[2:])
    else:
        assert words[0] in ELSEWHERE, f"{command}: who runs it?"


def oneshot(words: list[str], project: Path) -> None:
    """Run the command `oneshot`: its parts as the scripts that they are."""
    if words[0] not in PARTS or words[:2] == ["check", "family"]:
        with contextlib.chdir(project):
            assert oneshot_main.main(words) == 0, words
        return
    script, flag = PARTS[words[0]]
    given = [flag, *words[1:]] if flag == "--settings" else [*words[1:], *filter(None, [flag])]
    if script == "run":
        run_sweep(given, project, False)
    else:
        analyze(given, project)


def run_sweep(words: list[str], project: Path, own_package: bool) -> None:
    """Run run_sweep.py; what would train long is only checked, and clouds are only parsed."""
    options = cli.parser().parse_args(words)
    if "BUCKET" in str(options.results):
        sweep = options.sweep
        assert (small.ROOT / "sweeps" / f"{sweep}.py").is_file() or not sweep
        return
    if options.watch or options.address:  # the words are right: that is what can be said here
        return
    name = Path(options.sweep or "").stem
    for_real = name in RUN and not LOOKS & set(words)
    if for_real:
        words = [*words, "--local", *(w for s in RUN[name] for w in ("--set", s))]
    elif not LOOKS & set(words):
        words = [*words, "--check"]
    if own_package:
        process = subprocess.run(
            [sys.executable, "run_sweep.py", *words],
            cwd=project,
            env=small.environment() | {"PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
            timeout=280,
        )
        done = small.Done(process.returncode, process.stdout, process.stderr)
    else:
        done = small.main(*words, cwd=project)
    if options.check_cluster:
        assert done.returncode == 2 and "YOUR-" in done.stdout, done
    else:
        assert done.returncode == 0 and done.stdout, (words, done.stdout, done.stderr)
    if for_real:
        assert (project / "results" / name / "points.parquet").is_file()


def analyze(words: list[str], project: Path) -> None:
    """Run analyze.py on results that are here; what others are shown is only parsed."""
    folders = [word for word in words if word.startswith("results/")]
    here = folders == ["results/quickstart"]
    figures = here and "--figures" in words  # once: drawing takes seconds
    words = words if figures or "--no-figures" in words else [*words, "--no-figures"]
    done = small.main(*words, cwd=project, script="analyze.py")
    if not here:
        assert "analyze.py --help" not in done.stderr, (words, done.stderr)
        return
    assert done.returncode == 0 and (done.stdout or "no row" in done.stderr), done
    if figures:
        drawn = project / words[words.index("--figures") + 1]
        assert {"plane.png", "sheet.png", "plane.csv"} <= {p.name for p in drawn.iterdir()}
    if "--where" in words and "beta" in words[words.index("--where") + 1]:
        assert {"human", "copy", "noise"} <= set(done.stdout.split())


def ray(words: list[str], project: Path) -> None:
    """Hold a command of Ray against Ray's own parser, and what it runs against ours."""
    from ray.scripts.scripts import cli as commands

    last = words.index("--") if "--" in words else len(words)
    names, command = [], commands
    while hasattr(command, "commands"):
        names.append(words[len(names)])
        assert names[-1] in command.commands, words
        command = command.commands[names[-1]]
    with contextlib.chdir(project):
        context = command.make_context(names[-1], words[len(names) :])
    assert last == len(words) or context.params
    if inner := re.search(r"run_sweep\.py (?:-- )?(.*)$", " ".join(words)):
        options = cli.parser().parse_args(pages.words(inner[1]))
        assert options.results == "s3://BUCKET/results" and options.address == "auto"
