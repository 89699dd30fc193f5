"""The README: short, and its picture says what was measured. `tests/docs` runs its blocks."""

from __future__ import annotations

import csv
import re

import pages
import small

README = (small.ROOT / "README.md").read_text()
PICTURE = small.ROOT / "docs" / "picture.png"


def test_it_is_short() -> None:
    assert len(README.split()) <= 1100


def test_it_has_what_a_first_page_has() -> None:
    languages = [block.language for block in pages.blocks(README)]
    assert languages.count("python") == 3 and languages.count("") >= 4
    sweep = next(b for b in pages.blocks(README) if b.file == "sweeps/mine.py")
    assert len(sweep.text.splitlines()) <= 10
    tables = pages.tables(README)
    assert [table[0][0] for table in tables] == ["where", "tool", "page"]
    assert "> **Status.**" in README and "CITATION.cff" in pages.links(README)
    assert "**For you**" in README and "**Not for you**" in README


def test_the_caption_of_the_picture_says_what_was_measured() -> None:
    with (PICTURE.with_suffix(".csv")).open() as file:
        rows = {row["who"]: row for row in csv.DictReader(file)}
    place = {
        who: (f"{float(row['diversity']):.2f}", f"{float(row['recognizability']):.1f} %")
        for who, row in rows.items()
    }
    shown = re.search(r"^!\[.*?\]\(docs/picture.png\)\n\n\*(.*?)\*$", README, re.M | re.S)
    assert shown
    caption = " ".join(shown[1].split())
    models = {who: row for who, row in rows.items() if who not in ("people", "copies", "noise")}
    nearest = min(models, key=lambda who: float(models[who]["human_distance"]))
    assert nearest == "VAE-STN, beta 1"
    people, model = place["people"], place[nearest]
    assert f"diversity {people[0]} and recognizability {people[1]}" in caption
    assert f"nearest model, VAE-STN with beta 1, at {model[0]} and {model[1]}" in caption
    assert len(models) == 3 and "three models" in caption
    assert place["copies"] == ("0.00", "100.0 %")
    assert {row["exemplar"] for row in rows.values()} == {"door.2"} and "a door" in caption


def test_the_picture_is_small() -> None:
    assert 10_000 < PICTURE.stat().st_size <= 300_000


def test_it_claims_no_figure_of_a_gpu_that_was_not_measured() -> None:
    results = (small.ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert ("Written, not measured: GPUs" in README) == ("**GPU: not measured.**" in results)


def test_an_own_model_is_as_short_as_it_says() -> None:
    page = (small.ROOT / "docs" / "own_model.md").read_text()
    model = next(b for b in pages.blocks(page) if b.file == "mine.py")
    assert "under 70 lines" in README and len(model.text.splitlines()) < 70
