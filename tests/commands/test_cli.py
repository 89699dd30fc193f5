"""The command line: help that teaches, mistakes that are named, exit statuses."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import small

from oneshot import cli
from oneshot.sweep import families

ROOT = Path(__file__).parents[2]


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.chdir(ROOT)
    try:
        status = cli.main(list(arguments))
    except SystemExit as end:
        status = int(end.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_help_fits_and_its_examples_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("ONESHOT_RESULTS", str(tmp_path))
    status, out, _ = call(monkeypatch, capsys, "--help")
    assert status == 0 and len(out.splitlines()) <= 60 and max(map(len, out.splitlines())) <= 80
    examples = re.findall(r"^  python run_sweep.py (.*)$", out, re.M)
    assert len(examples) == 5
    for example in examples:
        status, out, err = call(
            monkeypatch,
            capsys,
            *shlex.split(example),
            *([] if "--status" in example else ["--check"]),
        )
        assert status == 0, (example, err)


@pytest.mark.parametrize(
    ("arguments", "message", "help"),
    [
        (
            ["quickstrat", "--check"],
            "there is no sweep 'quickstrat'. Did you mean 'quickstart'?",
            "",
        ),
        ([], "which sweep?", "run_sweep.py --list"),
        (["quickstart", "--chekc"], "unrecognized arguments: --chekc", "did you mean --check?"),
        (["quickstart", "--limit", "0"], "0 is not a whole number of at least 1", "--help"),
        (["quickstart", "--check", "--set", "epochs"], "is not NAME=VALUE", "--set epochs=20"),
        (
            ["quickstart", "--check", "--set", "epochs=1,2"],
            "gives several values",
            "grid(epochs=[...])",
        ),
        (["quickstart", "--check", "--set", "epoch=1"], "Did you mean 'epochs'?", ""),
        (["quickstart", "--check", "--set", "beta=1"], "beta is an axis of this sweep", ""),
        (["quickstart", "--check", "--set", "simclr.epoch=1"], "simclr has no setting 'epoch'", ""),
        (["quickstart", "--check", "--where", "bata < 1"], "bata", ""),
        (["quickstart", "--check", "--where", "__import__('os')"], "__import__", ""),
        (["quickstart", "--ret"], "unrecognized arguments: --ret", ""),
        (["quickstart", "--watch"], "--watch goes with --status", "quickstart --status --watch"),
        (["quickstart", "--status", "--watch", "0"], "0 is outside 0.1 .. 86400 seconds", "--help"),
        (
            ["--status", "--watch", "quickstart"],
            "'quickstart' is not a number of seconds; SWEEP stands before --watch",
            "--help",
        ),
        (
            ["quickstrat", "--status", "--watch"],
            "there is no sweep 'quickstrat'. Did you mean 'quickstart'?",
            "",
        ),
        (
            ["quickstart", "--check", "--refine", "4"],
            "there is nothing to refine yet: 0 places of the grid have a row, 4 are needed",
            "run some points first, as with --limit 16",
        ),
        (
            ["quickstart", "--check", "--refine", "4", "--limit", "3"],
            "--refine and --limit do not go together",
            "say themselves how many points are run",
        ),
        (["quickstart", "--suggest", "skopt"], "'skopt' is no sampler; known: optuna", "--help"),
        (["quickstart", "--suggest", "optuna:0"], "0 is not a whole number of at least 1", ""),
        (["quickstart", "--max-hours", "0"], "0 is not more than 0", ""),
        (["--settings", "vae_snt"], "Did you mean 'vae_stn'?", ""),
    ],
)
def test_mistakes_are_refused_in_words(
    arguments: list[str],
    message: str,
    help: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ONESHOT_RESULTS", str(tmp_path))
    status, _, err = call(monkeypatch, capsys, *arguments)
    assert status == 2 and message in err and help in err and "Traceback" not in err
    assert err.startswith("error: ")


def test_check_shows_the_stacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def check(*more: str) -> str:
        return " ".join(
            call(monkeypatch, capsys, "vae_stn", "--check", "--results", str(tmp_path), *more)[
                1
            ].split()
        )

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert (
        "trainings 2,176, trained as stacks: 128 of 17 on a GPU; 256 of 6 and 128 of 5 on 2 cores"
        in check()
    )
    assert (
        "2,176, trained as stacks: 128 of 9 and 128 of 8 on a GPU; 128 of 9 and 128 of 8 on 2 cores"
        in check("--max-stack", "9")
    )
    assert "trainings 2,176, each on its own" in check("--max-stack", "1")


def test_a_newer_results_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "quickstart").mkdir()
    pq.write_table(
        pa.table({"a": [1]}).replace_schema_metadata({b"oneshot": b'{"format": 7}'}),
        tmp_path / "quickstart/points.parquet",
    )
    status, _, err = call(monkeypatch, capsys, "quickstart", "--check", "--results", str(tmp_path))
    assert status == 2 and "table format 7" in err and "Nothing was changed" in err


@pytest.mark.slow
def test_absent_images_are_named_with_every_folder_looked_in(tmp_path: Path) -> None:
    """Omniglot nowhere, and a network that answers nothing."""
    closed = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "all_proxy"), "http://127.0.0.1:9")
    environment = {
        **small.environment(),
        **closed,
        "ONESHOT_CACHE": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }
    environment.pop("ONESHOT_DATA", None)
    command = [
        sys.executable,
        str(ROOT / "run_sweep.py"),
        str(ROOT / "sweeps/vae_stn.py"),
        "--local",
        "--results",
        str(tmp_path / "r"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (
        done.returncode == 2
        and "error: Omniglot is not here and cannot be downloaded" in done.stderr
    ), done.stderr
    assert all(
        place in done.stderr
        for place in ("images_background.zip", "$ONESHOT_DATA", "./data/omniglot", "cache")
    )
    assert "Traceback" not in done.stderr and not list((tmp_path / "r/vae_stn").glob("records/*"))


@pytest.mark.parametrize("family", [*families.names("models"), *families.names("critics")])
def test_every_family_lists_its_settings(
    family: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = call(monkeypatch, capsys, "--settings", family)
    kind = "models" if family in families.names("models") else "critics"
    assert status == 0 and all(name in out for name in families.declaration(kind, family).fields)


def test_the_list_of_sweeps_names_each_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = call(monkeypatch, capsys, "--list")
    assert status == 0 and ["vae_stn", "2,176"] in [line.split()[:2] for line in out.splitlines()]
    assert {line.split()[0] for line in out.splitlines()} == {
        p.stem for p in (ROOT / "sweeps").glob("*.py")
    }
