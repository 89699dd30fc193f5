"""The command `oneshot`: its parts are the scripts, hints are in its words, the shell completes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import small
from own_families import forgotten

from oneshot import cli
from oneshot.command.main import main, parser
from oneshot.command.tree import COMMANDS
from oneshot.console import program
from oneshot.report.arguments import parser as parser_of_analyze
from oneshot.report.page.data import run_command
from oneshot.report.read_tables import empty_table
from oneshot.report.results import Results

__all__ = ["forgotten"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the installed command had been called, in the folder of the project."""
    monkeypatch.setattr(sys, "argv", ["/usr/bin/oneshot"])
    monkeypatch.chdir(ROOT)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        status = main(list(words))
    except SystemExit as end:
        status = int(end.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.mark.parametrize(
    ("words", "script"),
    [
        ("check quickstart --results {}", "quickstart --check --results {}"),
        ("status quickstart --json --results {}", "quickstart --status --json --results {}"),
        ("list", "--list"),
        ("list quickstart --results {}", "quickstart --list --results {}"),
        ("settings vae_stn", "--settings vae_stn"),
        ("run quickstart --check --results {}", "quickstart --check --results {}"),
    ],
)
def test_parts_are_those_of_the_script(
    words: str, script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = call(capsys, *words.format(tmp_path).split())
    assert cli.main(script.format(tmp_path).split()) == status == 0
    of_script = capsys.readouterr().out
    assert out == of_script.replace("python run_sweep.py", "oneshot run") and out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("satus", "there is no command 'satus'\n  help: did you mean status?\n"),
        ("wxyz", "there is no command 'wxyz'\n  help: one of run, check, status"),
        ("", "the following arguments are required: COMMAND\n  help: oneshot --help"),
        ("run", "which sweep?\n  help: oneshot run --list shows them; oneshot run quickstart"),
        ("status quickstart --chekc", "did you mean --check?\n  help: oneshot run --help"),
        ("status quickstart --serve", "oneshot run quickstart --status --watch --serve"),
        ("check family", "which family?\n  help: oneshot check family ./my_vae.py"),
        ("analyze", "are required: RESULTS\n  help: oneshot analyze --help"),
        ("report no_such", "there is no folder no_such"),
        ("new famly x", "argument family: invalid choice: 'famly'"),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_command(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = call(capsys, *words.split())
    assert status == 2 and said in err, err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_names_the_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, *command.split(), "--help")
    assert status == 0 and f"usage: oneshot {command}".strip() in out
    assert "run_sweep.py" not in out and "analyze.py" not in out
    assert command or all(f"    {name} " in out for name in COMMANDS)


def test_the_tree_has_the_flags_of_the_scripts() -> None:
    """What completes a command, and the help of its parts, come from the scripts' parsers."""
    sub = next(a for a in parser()._actions if a.dest == "command").choices
    assert isinstance(sub, dict) and list(sub) == list(COMMANDS)

    def flags(of: object) -> set[str]:
        return {flag for action in of._actions for flag in action.option_strings}  # type: ignore[attr-defined]

    assert flags(sub["run"]) == flags(cli.parser())
    assert flags(sub["analyze"]) == flags(parser_of_analyze())
    assert {"--where", "--json"} <= flags(sub["status"]) < flags(cli.parser())
    assert {"--serve", "--gallery"} <= flags(sub["report"]) < flags(parser_of_analyze())


def test_a_module_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "oneshot" / "__main__.py")])
    assert "help: python -m oneshot run --list" in call(capsys, "run")[2]
    assert "usage: python -m oneshot run SWEEP" in call(capsys, "run", "--help")[1]


def test_texts_name_the_scripts_unless_a_program_is_called(tmp_path: Path) -> None:
    text = "run_sweep.py A, then python analyze.py B"
    results = Results(*[empty_table()] * 3, [], "mine", "?", tmp_path)
    assert program.named(text) == text and program.words("run") == ["python", "run_sweep.py"]
    assert run_command(results) == "python run_sweep.py mine"
    with program.called_as("oneshot"):
        assert program.named(text) == "oneshot run A, then oneshot analyze B"
        assert run_command(results) == "oneshot run mine"
    assert program.name("analyze") == "analyze.py"


@pytest.mark.usefixtures("forgotten")
def test_a_new_family_is_written_and_the_next_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, _ = call(capsys, "new", "family", "my_vae")
    assert status == 0 and Path("my_vae.py").is_file()
    assert "\n  oneshot check family my_vae.py\n  oneshot check my_vae_first.py\n" in out


def completed(line: str, folder: Path) -> list[str]:
    """How a shell completes a line; argcomplete writes to files that a test's process has not."""
    pytest.importorskip("argcomplete", reason="needs argcomplete: pip install -e '.[complete]'")
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "answer"),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    command = [sys.executable, "-m", "oneshot"]
    done = subprocess.run(command, cwd=ROOT, env=small.environment() | asked, capture_output=True)
    assert done.returncode == 0, done.stderr
    return [word.strip() for word in (folder / "answer").read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("oneshot st", ["status"]),
        ("oneshot run quick", ["quickstart"]),
        ("oneshot run quickstart --set time_s", ["time_steps="]),
        ("oneshot check quickstart --set simclr.str", ["simclr.strength="]),
        ("oneshot settings vae_s", ["vae_stn"]),
        ("oneshot report results --gal", ["--gallery"]),
        ("oneshot run no_such --set ", [""]),
    ],
)
def test_a_shell_completes(line: str, words: list[str], tmp_path: Path) -> None:
    assert completed(line, tmp_path) == words


def test_without_argcomplete_a_shell_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    with pytest.raises(SystemExit, match="1"):
        main(shlex.split("run quickstart"))
