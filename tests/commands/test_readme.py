"""What the README shows is run: its sweep, its commands, its five pandas questions. What it says in
tables and captions is compared.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import small

from oneshot import cli
from oneshot.sweep import families
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep

README = (small.ROOT / "README.md").read_text()
# fences pair up, so each match is one block
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
PYTHON = [text for language, text in BLOCKS if language == "python"]
LINES = [
    line.split("#")[0].strip()
    for language, text in BLOCKS
    if not language
    for line in text.splitlines()
]
ON_CLUSTERS = [
    m.group(1)
    for line in LINES
    if (m := re.search(r"run_sweep\.py(?: --)? (.*(?:cluster\.yaml|BUCKET/results))'?$", line))
]
SWEEPS = [
    line
    for line in LINES
    if line.startswith("python run_sweep.py")
    and "BUCKET" not in line
    and "cluster.yaml" not in line
]
ANALYSES = [line for line in LINES if line.startswith("python analyze.py results/quickstart")]


def test_every_kind_of_block_was_found() -> None:
    assert (len(PYTHON), len(SWEEPS), len(ANALYSES), len(ON_CLUSTERS)) == (6, 7, 3, 7) and {
        "make sweep",
        "make test",
    } <= set(LINES)


def test_the_sweep_shown_is_valid(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(PYTHON[0])
    expanded = expand(load_sweep(tmp_path / "shown.py"))
    assert sum(p.model == "vae_stn" for p in expanded) == 34


@pytest.mark.parametrize("command", SWEEPS)
def test_commands_on_sweeps_are_accepted(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)[2:]
    looks = {"--check", "--status", "--list", "--settings"} & set(words)
    done = small.main(
        *words,
        *([] if looks else ["--check"]),
        *([] if "--settings" in words else ["--results", tmp_path]),
    )
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize("arguments", ON_CLUSTERS)
def test_commands_for_clusters_are_understood(arguments: str) -> None:
    """They are parsed here; on a cluster and on object stores their kind is run by other tests."""
    options = cli.parser().parse_args(shlex.split(arguments))
    assert options.check_cluster == "cluster.yaml" or (
        options.results == "s3://BUCKET/results" and load_sweep(options.sweep)
    )


@pytest.mark.parametrize("command", ANALYSES)
def test_commands_on_results_run(command: str, finished: Path, tmp_path: Path) -> None:
    words = shlex.split(command.replace("results/quickstart", str(finished / "results/small")))[2:]
    drawn = [] if "--no-figures" in words else ["--figures", "figures"]
    done = small.main(*words, *drawn, cwd=tmp_path, script="analyze.py")
    assert done.returncode == 0 and "human_distance" in done.stdout, done.stderr
    assert bool(drawn) == bool(list((tmp_path / "figures").glob("*.png")))
    if "--where" in words:
        assert {"human", "copy", "noise"} <= set(done.stdout.split())


def test_the_five_questions_have_answers(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    space: dict[str, object] = {}
    answers = []
    for block in PYTHON[1:]:
        exec(block.replace("results/quickstart", "results/small"), space)
        answers.append(capsys.readouterr().out)
    assert len(answers) == 5 and all(
        len(a.splitlines()) >= 3 and "Empty" not in a for a in answers
    ), answers


def test_the_table_of_sweeps_has_the_counts() -> None:
    for name, count in re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", README, re.M):
        loaded = load_sweep(small.ROOT / "sweeps" / f"{name}.py")
        assert sum(p.model == loaded.model for p in expand(loaded)) == int(
            count.replace(",", "")
        ), name


# ---- tables and captions

PAGES = sorted(
    path
    for path in small.ROOT.rglob("*.md")
    if not {".venv", "results", "node_modules"} & set(path.relative_to(small.ROOT).parts)
)


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a page, cells in rows: lines that begin with a bar, outside blocks of code, in
    one piece.
    """
    found: list[list[list[str]]] = [[]]
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("|") and not fenced:
            cells = re.sub(r"`[^`]*`", lambda code: code[0].replace("|", "/"), line).replace(
                "\\|", "/"
            )
            found[-1].append([cell.strip() for cell in cells.strip().strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_tables_are_found_as_they_stand() -> None:
    assert tables("| a | b |\n|---|---|\n| `x | y` | 2 |\n\n| c |\n```\n| no |\n```\n") == [
        [["a", "b"], ["---", "---"], ["`x / y`", "2"]],
        [["c"]],
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(small.ROOT)))
def test_tables_have_a_head_and_rows_of_one_length(page: Path) -> None:
    for table in tables(page.read_text()):
        assert len(table) > 2 and all(re.fullmatch(r":?-+:?", cell) for cell in table[1]), table[0]
        assert {len(row) for row in table} == {len(table[0])}, table[0]


def test_the_pages_have_their_tables() -> None:
    assert {"README.md", "CHANGELOG.md", "oneshot/README.md", "benchmarks/RESULTS.md"} <= {
        str(p.relative_to(small.ROOT)) for p in PAGES
    }
    assert (
        len(tables(README)) == 5
        and len(tables((small.ROOT / "benchmarks/RESULTS.md").read_text())) > 8
    )


def test_every_family_stands_in_the_table_of_models_with_variants_that_there_are() -> None:
    table = next(table for table in tables(README) if any(row[0] == "`set_vae`" for row in table))
    named = {name: row[1] for row in table for name in re.findall(r"`(\w+)`", row[0])}
    files = {path.stem for path in (small.ROOT / "oneshot" / "models").glob("*.py")} - {"__init__"}
    assert set(named) == files
    for name, told in named.items():
        for text in re.findall(r"variants ((?:`\w+`(?: \([^)]*\))?(?:, and |, | and )?)+)", told):
            variants = re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", text))
            assert len(variants) > 1 and set(variants) <= set(
                families.declaration("models", name).variants
            ), (name, variants)


def test_the_caption_of_the_first_figure_says_what_was_measured() -> None:
    """The published curve turns back and ours does not: the caption must say so, with the figures
    of RESULTS.
    """
    found = tables((small.ROOT / "benchmarks" / "RESULTS.md").read_text())
    ours = next(table for table in found if table[0][0] == "beta" and "diversity" in table[0])
    column = {name: i for i, name in enumerate(ours[0])}
    recognizability = [float(row[column["recognizability %"]].split()[0]) for row in ours[2:]]
    distances = [float(row[column["distance"]]) for row in ours[2:]]
    published = {row[0]: row[1] for row in found[0]}
    best, last = (
        float(re.search(r"(\d+) %", published[name])[1])
        for name in ("best recognizability", "beta 4")
    )  # type: ignore[index]
    caption = " ".join(
        re.search(
            r"^!\[.*?\]\(benchmarks/figures/vae_stn_beta_trajectory.png\)\n\n\*(.*?)\*$",
            README,
            re.M | re.S,
        )[1].split()
    )  # type: ignore[index]
    assert (
        len(recognizability) == 12
        and recognizability == sorted(recognizability)
        and min(distances) > 2
        and last < best
    )
    assert (
        "Twelve" in caption
        and f"falls again from {best:.0f} % to {last:.0f} % at beta 4" in caption
    )
    assert (
        f"rises to the end, to {recognizability[-1]:.0f} %" in caption
        and "People stay ahead" in caption
    )


def test_every_exit_status_is_told() -> None:
    table = next(table for table in tables(README) if table[0][0] == "exit status")
    told = {number for row in table[2:] for number in re.findall(r"\d+", row[0])}
    assert told == {"0", "1", "2", "129", "130", "141", "143"}
