"""What the README shows is run: its sweep, its commands, its five pandas questions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import small

from oneshot import cli, sweep
from oneshot.points import expand

README = (small.ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)  # fences pair up, so each match is one block
PYTHON = [text for language, text in BLOCKS if language == "python"]
LINES = [line.split("#")[0].strip() for language, text in BLOCKS if not language for line in text.splitlines()]
ON_CLUSTERS = [m.group(1) for line in LINES if (m := re.search(r"run_sweep\.py(?: --)? (.*(?:cluster\.yaml|BUCKET/results))'?$", line))]
SWEEPS = [line for line in LINES if line.startswith("python run_sweep.py") and "BUCKET" not in line and "cluster.yaml" not in line]
ANALYSES = [line for line in LINES if line.startswith("python analyze.py results/quickstart")]


def test_every_kind_of_block_was_found() -> None:
    assert (len(PYTHON), len(SWEEPS), len(ANALYSES), len(ON_CLUSTERS)) == (6, 7, 3, 7) and {"make sweep", "make test"} <= set(LINES)


def test_the_sweep_shown_is_valid(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(PYTHON[0])
    expanded = expand(sweep.load(tmp_path / "shown.py"))
    assert sum(p.model == "vae_stn" for p in expanded) == 34


@pytest.mark.parametrize("command", SWEEPS)
def test_commands_on_sweeps_are_accepted(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)[2:]
    looks = {"--check", "--status", "--list", "--settings"} & set(words)
    done = small.run(*words, *([] if looks else ["--check"]), *([] if "--settings" in words else ["--results", tmp_path]))
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize("arguments", ON_CLUSTERS)
def test_commands_for_clusters_are_understood(arguments: str) -> None:
    """They are parsed here; on a cluster and on object stores their kind is run by other tests."""
    options = cli.parser().parse_args(shlex.split(arguments))
    assert options.check_cluster == "cluster.yaml" or (options.results == "s3://BUCKET/results" and sweep.load(options.sweep))


@pytest.mark.parametrize("command", ANALYSES)
def test_commands_on_results_run(command: str, finished: Path) -> None:
    words = shlex.split(command.replace("results/quickstart", "results/small"))[2:]
    done = small.run(*words, cwd=finished, script="analyze.py")
    assert done.returncode == 0 and "human_distance" in done.stdout, done.stderr
    assert "--no-figures" in words or list((finished / "results/small/figures").glob("*.png"))


def test_the_five_questions_have_answers(finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(finished)
    space: dict[str, object] = {}
    answers = []
    for block in PYTHON[1:]:
        exec(block.replace("results/quickstart", "results/small"), space)
        answers.append(capsys.readouterr().out)
    assert len(answers) == 5 and all(len(a.splitlines()) >= 3 and "Empty" not in a for a in answers), answers


def test_the_table_of_sweeps_has_the_counts() -> None:
    for name, count in re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", README, re.M):
        loaded = sweep.load(small.ROOT / "sweeps" / f"{name}.py")
        assert sum(p.model == loaded.model for p in expand(loaded)) == int(count.replace(",", "")), name
