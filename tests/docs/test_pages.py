"""The pages of the project: links, tables, lengths, pages made from the code, and the site."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest
import small

from oneshot import contracts

PAGES = pages.pages()
DOCS = small.ROOT / "docs"


def test_the_pages_are_there() -> None:
    assert {"README.md", "CHANGELOG.md", "oneshot/README.md", "benchmarks/RESULTS.md"} <= {
        pages.title(p) for p in PAGES
    }
    results = (small.ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert len(pages.documents()) > 20 and len(pages.tables(results)) > 8


def test_tables_are_found_as_they_stand() -> None:
    text = "| a | b |\n|---|---|\n| `x | y` | 2 |\n\n| c |\n```\n| no |\n```\n"
    assert pages.tables(text) == [[["a", "b"], ["---", "---"], ["`x / y`", "2"]], [["c"]]]


def test_commands_are_found_as_they_stand() -> None:
    text = "a --b 'c # d'  # e\n\n# f\ng \\\n  h\n"
    assert pages.commands("a  # b\n# c\n\nd \\\n  e\n") == ["a", "d    e"]
    assert pages.words(pages.commands(text)[-1]) == ["g", "h"]


@pytest.mark.parametrize("page", PAGES, ids=pages.title)
def test_tables_have_a_head_and_rows_of_one_length(page: Path) -> None:
    for table in pages.tables(page.read_text()):
        assert len(table) > 2 and all(re.fullmatch(r":?-+:?", cell) for cell in table[1]), table[0]
        assert {len(row) for row in table} == {len(table[0])}, table[0]


@pytest.mark.parametrize("page", PAGES, ids=pages.title)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in pages.links(text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in pages.anchors(target.read_text()), link


def test_every_page_of_docs_is_in_the_readme_and_the_site() -> None:
    readme, index = (small.ROOT / "README.md").read_text(), (DOCS / "index.md").read_text()
    names = {p.stem for p in DOCS.glob("*.md")} - {"index"}
    assert names and names <= set(re.findall(r"docs/(\w+)\.md", readme))
    assert {*names, "settings/index"} == set(re.findall(r"^[\w/]+$", index, re.M)) - {"figure"}


def generator() -> object:
    """The program that writes pages, as a module."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_made_from_the_code_are_up_to_date() -> None:
    made = generator()
    assert made.stale(made.pages()) == [], "python docs/generate.py writes them"  # type: ignore[attr-defined]


def test_a_page_of_settings_has_every_setting() -> None:
    made = generator().settings_pages()  # type: ignore[attr-defined]
    page = made["settings/vae_stn.md"]
    assert "| `beta` | train | float | 0 .. 100 | `1.0` | weight of the KL term |" in page
    assert "`small`" in page and "tiny" not in page
    assert {"settings/index.md", "settings/common.md", "settings/simclr.md"} <= set(made)


@pytest.mark.parametrize("kept", ["sound", "changed", "deleted", "superfluous"])
def test_stale_pages_are_found(kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = generator()
    monkeypatch.setattr(made, "HERE", tmp_path)
    (tmp_path / "settings").mkdir()
    page, extra = tmp_path / "settings" / "a.md", tmp_path / "settings" / "b.md"
    page.write_text("text" if kept != "changed" else "other")
    if kept == "deleted":
        page.unlink()
    if kept == "superfluous":
        extra.write_text("old")
    expected = {"sound": [], "superfluous": ["settings/b.md"]}.get(kept, ["settings/a.md"])
    assert made.stale({"settings/a.md": "text"}) == expected  # type: ignore[attr-defined]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason=f"needs {name}: pip install -e '.[docs]'")
    flags = ["-q", "-W", "--keep-going", "-d", tmp_path / "doctrees"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *flags, DOCS, tmp_path / "site"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Settings are read without" in (tmp_path / "site" / "architecture.html").read_text()


@pytest.mark.parametrize("sweep", sorted((DOCS / "picture").glob("*.py")), ids=lambda p: p.stem)
def test_sweeps_of_the_picture_are_sound(sweep: Path, tmp_path: Path) -> None:
    done = small.main(sweep, "--check", "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sweep.stem in (DOCS / "picture.py").read_text()


# ---- what pages say of the code


def table_with(page: str, first: str) -> list[list[str]]:
    """The table of a page under docs/ in which a row begins with this."""
    found = pages.tables((DOCS / page).read_text())
    return next(table for table in found if any(row[0] == first for row in table))


def test_the_table_of_sweeps_has_every_sweep_and_its_count() -> None:
    told = {row[0].strip("`"): row[1] for row in table_with("sweeps.md", "`quickstart`")[2:]}
    assert set(told) == {p.stem for p in (small.ROOT / "sweeps").glob("*.py")}
    listed = small.main("--list").stdout.splitlines()
    counts = {words[0]: words[1] for line in listed if len(words := line.split()) > 1}
    assert {name: counts.get(name) for name in told} == told


def test_every_exit_status_is_told() -> None:
    table = next(t for t in pages.tables((DOCS / "sweeps.md").read_text()) if "exit" in t[0][0])
    told = {number for row in table[2:] for number in re.findall(r"\d+", row[0])}
    assert told == {"0", "1", "2", "3", "129", "130", "141", "143"}


def test_every_family_stands_in_the_table_of_models_with_variants_that_there_are() -> None:
    rows = {n: row[1] for row in table_with("models.md", "`set_vae`") for n in backed(row[0])}
    folder = small.ROOT / "oneshot" / "models"
    assert set(rows) == {p.stem for p in folder.glob("*.py")} - {"__init__"}
    for name, told in rows.items():
        for text in re.findall(r"variants ((?:`\w+`(?: \([^)]*\))?(?:, and |, | and )?)+)", told):
            variants = backed(re.sub(r"\([^)]*\)", "", text))
            page = (DOCS / "settings" / f"{name}.md").read_text()
            assert len(variants) > 1 and all(f"\n| `{v}` |" in page for v in variants), name


def backed(text: str) -> list[str]:
    """The words between backticks."""
    return re.findall(r"`(\w+)`", text)


def test_every_figure_and_base_class_is_told() -> None:
    from oneshot.report.figures import all_figures

    told = {name for row in table_with("figures.md", "`plane`") for name in backed(row[0])}
    groups = [group for name, group in vars(all_figures).items() if name.endswith("FIGURES")]
    assert len(groups) > 2 and told == {name for group in groups for name in group}
    bases = {name for row in table_with("own_model.md", "`SetFamily`") for name in backed(row[0])}
    assert bases == {name for name in vars(contracts) if name.endswith("Family")}


def test_every_metric_is_told() -> None:
    told = {n for row in table_with("metrics.md", "`diversity`") for n in backed(row[0])}
    columns = re.findall(r"^\| `(\w+)` \|", (DOCS / "columns.md").read_text(), re.M)
    points = columns[: columns.index("drawings")]
    measured = {n for n in points[4:] if not n.endswith("_se") and not n.startswith("human_")}
    assert measured and measured <= told <= set(points)


def test_files_and_folders_that_architecture_names_are_there() -> None:
    text = re.sub(r"^```.*?^```$", "", (DOCS / "architecture.md").read_text(), flags=re.M | re.S)
    named = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?|[a-z_]+\.py)`", text)
    package = small.ROOT / "oneshot"
    places = [small.ROOT, package, package / "sweep", package / "report"]
    absent = [n for n in named if not any((place / n).exists() for place in places)]
    expected = {"points.py", "records/"}
    assert len(named) > 40 and set(absent) <= expected, absent


def test_the_captions_of_the_curve_say_what_was_measured() -> None:
    """The published curve turns back and ours does not: the captions say so."""
    results = (small.ROOT / "benchmarks" / "RESULTS.md").read_text()
    ours = next(table for table in pages.tables(results) if "times people" in table[0][1])
    rows = {row[0]: [float(cell.split()[0]) for cell in row[1:]] for row in ours[2:]}
    across, up, distance = zip(*(row for who, row in rows.items() if who.startswith("beta")))
    assert len(up) == 8 and list(up) == sorted(up) and up[0] < 10
    assert list(across[1:]) == sorted(across[1:], reverse=True)
    assert rows["human"][1] > max(up) and min(distance) > 2
    best, last = (
        int(re.search(rf"{name}[^%]* and\s(\d+) %", results)[1])  # type: ignore[index]
        for name in ("best 1.42", "highest beta 1.41")
    )
    assert last < best
    for text in (results, (DOCS / "figures.md").read_text()):
        shown = re.search(r"curve_beside_published.png\)\n\n\*(.*?)\*$", text, re.M | re.S)
        assert shown
        caption = " ".join(shown[1].split())
        assert f"from {up[1]:.0f} to {up[-1]:.0f} %" in caption
        assert f"from {across[1]:.2f} to {across[-1]:.2f} times people's" in caption
        assert "falls again at the highest beta; ours rises to the end" in caption
        assert "recognizability is near chance" in caption and "People stay ahead" in caption


@pytest.mark.parametrize("page", PAGES, ids=pages.title)
def test_files_of_tests_that_pages_name_are_there(page: Path) -> None:
    for name in re.findall(r"tests/[\w/]+\.py", page.read_text()):
        assert (small.ROOT / name).is_file(), name
