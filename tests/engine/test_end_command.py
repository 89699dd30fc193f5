"""The command that a run ends with: what it is told, and that its failure changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import made_runs
import pytest
import small

from oneshot.console.arguments import command_line, parser
from oneshot.console.manifest import manifest
from oneshot.engine import end_command


def test_the_command_is_told_how_the_run_ended(tmp_path: Path) -> None:
    plan = made_runs.planned(tmp_path)
    made_runs.run(plan)
    end_command.run(f"env | grep ^ONESHOT_ > {tmp_path}/told", plan, 3)
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    assert told["ONESHOT_SWEEP"] == "made" and told["ONESHOT_EXIT_STATUS"] == "3"
    assert told["ONESHOT_RESULTS"] == str(tmp_path / "results")
    assert told["ONESHOT_SWEEP_RESULTS"] == str(tmp_path / "results" / "made")
    counts = {"POINTS": "3", "DONE": "3", "DIVERGED": "0", "FAILED": "0", "MISSING": "0"}
    assert {name: told[f"ONESHOT_{name}"] for name in counts} == counts


@pytest.mark.parametrize(
    ("command", "why"), [("exit 4", "exit status 4"), ("no-such-program", "exit status 127")]
)
def test_a_command_that_fails_is_one_warning(
    command: str, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    end_command.run(command, made_runs.planned(tmp_path), 0)
    end_command.run("", made_runs.planned(tmp_path), 0)
    warned = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert warned == [f"warning: the command of --on-end failed ({why}): {command}"]


def test_it_runs_once_and_the_exit_status_stays(finished: Path, tmp_path: Path) -> None:
    for part in ("small.py", "images.npz", "results"):
        copy = shutil.copytree if (finished / part).is_dir() else shutil.copy
        copy(finished / part, tmp_path / part)
    words = [tmp_path / "small.py", "--local", "--results", tmp_path / "results"]
    done = small.main(*words, "--on-end", f"echo $ONESHOT_DONE >> {tmp_path}/told; exit 5")
    assert done.returncode == 0 and "failed (exit status 5)" in done.stderr
    assert (tmp_path / "told").read_text() == "6\n"
    refused = small.main(*words, "--where", "beta > 9", "--on-end", f"touch {tmp_path}/refused")
    looked = small.main(*words, "--check", "--on-end", f"touch {tmp_path}/refused")
    assert (refused.returncode, looked.returncode) == (2, 0)
    assert not (tmp_path / "refused").exists(), "nothing was run"


def test_the_command_is_printed_to_be_pasted_and_kept_in_no_file(tmp_path: Path) -> None:
    words = ["quickstart", "--on-end", "curl https://hook/secret", "--log", "wandb"]
    options = parser().parse_args(words)
    assert command_line(options).endswith("--log wandb --on-end 'curl https://hook/secret'")
    plan = made_runs.planned(tmp_path)
    note = json.dumps(manifest(plan, options, ""))
    assert "secret" not in note and '"log": ["wandb"]' in note
