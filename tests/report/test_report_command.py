"""The command analyze.py: tables, files, figures, and what a user's mistakes answer."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pandas as pd
import pytest
from figure_checks import analyze
from synthetic_results import grid, write_results

from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, plane
from oneshot.report.figures.style import Plot
from oneshot.report.results import Results

ROOT = Path(__file__).parents[2]


def test_help_is_short_and_needs_no_heavy_import() -> None:
    """In a process of its own, as are the table and the figures below, each once."""
    code = "import sys\nfrom oneshot.report.command import main\n"
    code += "try: main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(any(m in sys.modules for m in ('pandas', 'numpy', 'matplotlib', 'torch')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    text = done.stdout.splitlines()
    assert (
        done.returncode == 0
        and len(text) <= 60
        and max(map(len, text)) <= 80
        and "examples:" in text
    )
    assert "people, copies and noise stay" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_the_script_prints_the_table_and_draws(small: Results, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "analyze.py"),
        str(small.folder),
        "--where",
        "seed == 44 and beta < 1",
        "--figures",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, "--csv", str(tmp_path / "t.csv")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1 + 4 + 3 == 1 + len(
        pd.read_csv(tmp_path / "t.csv")
    ), done.stderr
    assert f"{tmp_path}/plane.png  " in done.stderr and (
        tmp_path / "plane.png"
    ).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_command_prints_the_table_and_writes_files(small: Results, tmp_path: Path) -> None:
    files = [
        "--csv",
        tmp_path / "t.csv",
        "--parquet",
        tmp_path / "t.parquet",
        "--figures",
        tmp_path / "f",
    ]
    done = analyze(small.folder, "--where", "beta <= 1", *files)
    assert done.returncode == 0, done.stderr
    lines_ = done.stdout.splitlines()
    assert len(lines_) == 1 + 12 + 3 and "human_distance" in lines_[0] and "point_id" in lines_[0]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 12 + 3 and list(
        pd.read_parquet(tmp_path / "t.parquet")
    ) == list(small.points)
    # they have no beta, and stay
    assert set(pd.read_csv(tmp_path / "t.csv")["model"]) == {"vae_stn", "human", "copy", "noise"}
    for name in all_figures.FIGURES:
        assert f"{name}.png  " in done.stderr  # and the finding
        assert (tmp_path / "f" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert ElementTree.parse(tmp_path / "f" / f"{name}.svg").getroot().tag.endswith("svg")
        assert len(pd.read_csv(tmp_path / "f" / f"{name}.csv")) > 0


def test_command_says_which_figures_cannot_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        all_figures,
        "FIGURES",
        {name: all_figures.FIGURES[name] for name in ("plane", "heatmap", "sheet")},
    )
    done = analyze(write_results(tmp_path, grid(beta=[1.0])))
    assert done.returncode == 0 and "no heatmap: no two axes were crossed" in done.stderr
    assert f"no sheet: no drawings are kept in {tmp_path}/store/drawings" in done.stderr
    assert (tmp_path / "vae_stn" / "figures" / "plane.svg").is_file()


def test_a_figure_that_breaks_costs_neither_the_others_nor_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(results: Results) -> Plot:
        raise ZeroDivisionError("by zero\nat some place")

    monkeypatch.setattr(all_figures, "FIGURES", {"effects": breaks, "plane": plane.draw})
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0]))
    done = analyze(folder)
    assert (
        done.returncode == 1
        and "no effects: an error while it was drawn (ZeroDivisionError: by zero" in done.stderr
    )
    assert (
        "plane.png  Nearest" in done.stderr
        and "Traceback" not in done.stderr
        and "ONESHOT_TRACEBACK=1" in done.stderr
    )
    with pytest.raises(ZeroDivisionError):
        analyze(folder, ONESHOT_TRACEBACK="1")


def test_a_filter_that_nothing_fulfils_prints_no_rows_and_draws_nothing(
    small: Results, tmp_path: Path
) -> None:
    done = analyze(small.folder, "--where", "beta > 100", "--figures", tmp_path / "f")
    assert (
        done.returncode == 0
        and len(done.stdout.splitlines()) == 1
        and done.stderr == "no row fulfils beta > 100\n"
    )
    assert not (tmp_path / "f").exists()


def test_command_prints_json_and_means_over_seeds(small: Results) -> None:
    done = analyze(
        small.folder,
        "--no-figures",
        "--json",
        "--over-seeds",
        "--where",
        "model == 'vae_stn'",
        "--top",
        2,
    )
    rows = json.loads(done.stdout)
    assert (
        [row["seeds"] for row in rows] == [2, 2]
        and rows[0]["human_distance"] <= rows[1]["human_distance"]
        and done.stderr == ""
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{}", "--whre", "x"], "did you mean --where?"),
        (["{}", "--col", "x"], "there is no flag --col"),  # no abbreviations
        (["{}", "--top", "-1"], "argument --top"),
        (["{}", "--where", "bata < 1"], "Did you mean beta?"),
        (["{}", "--where", "open('x')"], "functions cannot be called"),
        (["{}", "--sort", "divresity"], "Did you mean diversity"),
        (["{}", "--color-by", "bata"], "Did you mean beta"),
        # below a file nothing can be, whoever asks
        (["{}", "--no-figures", "--csv", f"{__file__}/t.csv"], "test_report_command.py"),
        (["{}x"], "there is no folder"),
        ([], "RESULTS"),
    ],
)
def test_mistakes_are_answered_without_traceback(
    small: Results, arguments: list[str], expected: str
) -> None:
    done = analyze(*(a.format(small.folder) for a in arguments))
    assert (
        done.returncode == 2
        and done.stderr.startswith("error: ")
        and expected in done.stderr
        and "Traceback" not in done.stderr
    )


def test_traceback_can_be_asked_for(small: Results) -> None:
    with pytest.raises(AnalysisError):
        analyze(small.folder, "--sort", "nothing", ONESHOT_TRACEBACK="1")
