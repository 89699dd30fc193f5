"""Sweep files: found, run, and refused with the place of the mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_sweeps import ONE, ROOT, check, refused, written

from oneshot import cli
from oneshot.sweep import (
    SweepError,
)
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep


def test_a_broken_sweep_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for text, message, line_number in [
        ("x = (\n", "SyntaxError", 1),
        ("a = 1\nb = c\n", "NameError", 2),
        ("a = 1\n", "defines no", None),
    ]:
        file.write_text(text)
        with pytest.raises(SweepError, match=message) as caught:
            load_sweep(file)
        assert line_number is None or caught.value.problems[0][1].endswith(f"mine.py:{line_number}")


def test_a_misspelt_sweep_lists_near_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SweepError, match="Did you mean 'quickstart'"):
        load_sweep("quickstrat")


def test_a_sweep_file_may_do_what_python_files_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dataclasses whose annotations are texts, files beside it, its own place, printing, and
    another working folder.
    """
    (tmp_path / "helper_beside.py").write_text("BETAS = [0.0, 1.0]\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\n"
        "import os, sys\n"
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from oneshot.sweep import Sweep, grid\n"
        "from helper_beside import BETAS\n"
        "from .helper_beside import BETAS as again\n"
        "@dataclass\n"
        "class Axis:\n"
        "    beta: float = 1.0\n"
        "assert sys.modules[__name__].__dict__ is globals() and again == BETAS\n"
        "assert Path(__file__).name == 'mine.py' and Path(__file__).is_absolute()\n"
        "print('from the file')\n"
        "os.chdir('/')\n"
        f"{ONE.replace('[0.0]', '[*BETAS, Axis().beta + 1]')})\n"
    )
    here, paths, modules = os.getcwd(), list(sys.path), set(sys.modules)
    status, out, err = check(capsys, file, "--json")
    assert status == 0 and json.loads(out)["trainings"] == 3 and "from the file" in err
    assert (os.getcwd(), sys.path) == (here, paths)
    assert not [
        name for name in set(sys.modules) - modules if "helper_beside" in name or "mine" in name
    ]
    other = tmp_path / "other"
    other.mkdir()
    (other / "helper_beside.py").write_text("BETAS = [5.0]\n")
    (other / "mine.py").write_text(file.read_text())
    assert [p.settings["beta"] for p in expand(load_sweep(other / "mine.py"))[3:]] == [
        5.0,
        2.0,
    ]


def test_a_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    """Also within the second and at the same length, where compiled files of Python's own cache are
    mistaken.
    """
    for beta in "123":
        file = written(tmp_path, ONE.replace("0.0", beta) + ")")
        assert expand(load_sweep(file))[-1].settings["beta"] == float(beta)
    assert not list(tmp_path.glob("__pycache__"))


@pytest.mark.parametrize(
    ("text", "told", "line_number"),
    [
        (
            "import sys\nsys.exit('please set X')",
            "the sweep file ended the program: please set X",
            4,
        ),
        ("raise SystemExit(3)", "the sweep file ended the program: exit status 3", 3),
        ("exit()", "the sweep file ended the program: exit status 0", 3),
        (
            "class Stop(BaseException): pass\nraise Stop('enough')",
            "the sweep file ended the program: Stop: enough",
            4,
        ),
        ("raise GeneratorExit", "the sweep file ended the program: GeneratorExit: ", 3),
        (
            "class Odd(Exception):\n  def __str__(self): return 1 / 0\nraise Odd",
            "Odd: (its message cannot be shown)",
            5,
        ),
        ("raise ValueError('\\ud800')", "ValueError: ", 3),
        ("def f(): f()\nf()", "RecursionError: ", 3),
        ("sweep = 3", "the file defines no `sweep = Sweep(...)`; its `sweep` is 3", None),
        ("import beside_and_broken", "SyntaxError: ", None),
        ("x = '\\0'\nx +", "SyntaxError: ", 4),
    ],
)
def test_a_file_that_ends_the_program_or_raises_is_refused(
    text: str,
    told: str,
    line_number: int | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "beside_and_broken.py").write_text("x = (\n")
    err = refused(capsys, written(tmp_path, text))
    assert f"error: {told}" in err
    assert line_number is None or f"mine.py:{line_number}\n" in err
    assert "SyntaxError" not in told or line_number or "beside_and_broken.py:1\n" in err


def test_ctrl_c_in_a_sweep_file_is_a_user_s(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_sweep(written(tmp_path, "raise KeyboardInterrupt"))


def test_the_list_names_a_broken_file_and_shows_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {
        "exits": "import sys\nsys.exit('please set X')",
        "good": f"print('hello')\n{ONE})",
        "none": f"{ONE}, seeds=None)",
    }.items():
        written(tmp_path / "sweeps", text, f"{name}.py")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["good"]["points"] == 1 and set(listed) == {"exits.py", "good", "none.py"}
    assert (
        listed["exits.py"]["question"] == "invalid: the sweep file ended the program: please set X"
    )
    assert listed["none.py"]["question"].startswith("invalid: seeds = None")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("README.md", "README.md is not a Python file"),
        ("sweeps", "'sweeps' is a folder, not a sweep"),
    ],
)
def test_what_is_no_sweep_file_is_called_so(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main([name, "--check"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {told}")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-of-that-name/x"])
def test_a_name_that_no_file_can_have_is_no_sweep(name: str) -> None:
    with pytest.raises(SweepError, match="there is no sweep"):
        load_sweep(name)


def test_a_file_name_that_cannot_name_results_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stem in ("my sweep", "store", "a,b", "x" * 101):
        assert "cannot name the folder of the results" in refused(
            capsys, written(tmp_path, f"{ONE})", f"{stem}.py")
        )
    assert load_sweep(written(tmp_path, f"{ONE}, name='mine')", "my sweep.py")).name == "mine"
    assert load_sweep(written(tmp_path, f"{ONE})", "größe-1.b.py")).name == "größe-1.b"


def test_reading_a_sweep_imports_nothing_heavy() -> None:
    code = (
        "import sys; from oneshot import cli; from oneshot.store import plan; from"
        " oneshot.sweep.files import load_sweep; from oneshot.sweep.expansion import"
        " expand;expand(load_sweep('sweeps/vae_stn.py'));assert not {'torch', 'ray', 'pandas',"
        " 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
