"""Family files outside the package: ids, mistakes, and families of installed packages."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import own_families
import pytest
from own_families import change, forgotten, write

from oneshot.sweep import families
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.parts import SweepError
from oneshot.sweep.point import Point
from oneshot.sweep.settings import SettingError

__all__ = ["forgotten"]
pytestmark = pytest.mark.usefixtures("forgotten")


def points(sweep: Path) -> list[Point]:
    return [p for p in expand(load_sweep(sweep)) if p.family_file[1]]


def told(sweep: Path) -> str:
    with pytest.raises(SweepError) as caught:
        expand(load_sweep(sweep))
    return "\n".join(f"{message} {place}" for message, place in caught.value.problems)


def test_a_sweep_names_the_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, elsewhere = write(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = points(sweep)
    assert [p.model for p in found] == ["my_vae"] * 3
    assert load_sweep(sweep).model == "my_vae"
    assert {p.row()["model"] for p in found} == {"my_vae"}
    assert {p.family_file[0] for p in found} == {str(tmp_path / "my_vae.py")}
    assert len({p.stack_key for p in found}) == 1 and len({p.train_id for p in found}) == 3
    sweep.write_text(sweep.read_text().replace("./my_vae.py", str(tmp_path / "my_vae.py")))
    assert points(sweep) == found


def test_ids_are_those_of_the_content_wherever_the_file_is(tmp_path: Path) -> None:
    ids = [p.train_id for p in points(write(tmp_path / "a"))]
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert [p.train_id for p in points(tmp_path / "b" / "own.py")] == ids
    change(tmp_path / "b", "padding=1)", "padding=1, bias=False)")
    changed = points(tmp_path / "b" / "own.py")
    assert not {p.train_id for p in changed} & set(ids)
    # and the first file is again what its own sweep means
    assert [p.train_id for p in points(tmp_path / "a" / "own.py")] == ids


def test_a_sweep_loaded_before_another_of_the_same_name_keeps_its_file(tmp_path: Path) -> None:
    first = load_sweep(write(tmp_path / "a"))
    ids = [p.train_id for p in expand(first)]
    write(tmp_path / "b")
    change(tmp_path / "b", "z=4", "z=5")
    expand(load_sweep(tmp_path / "b" / "own.py"))
    assert [p.train_id for p in expand(first)] == ids


def test_a_version_alone_enters_the_ids_where_it_is_stated(tmp_path: Path) -> None:
    sweep = write(tmp_path)
    without = points(sweep)[0]
    change(tmp_path, "\n\n\n@dataclass", "\nVERSION = 1\n\n\n@dataclass")
    first = points(sweep)[0]
    change(tmp_path, "a convolutional", "a very convolutional")
    same = points(sweep)[0]
    change(tmp_path, "VERSION = 1\n", "VERSION = 2\n")
    second = points(sweep)[0]
    assert first.train_id == same.train_id and first.family_file != same.family_file
    assert len({without.train_id, first.train_id, second.train_id}) == 3
    assert (first.family_version, second.family_version) == (1, 2)
    assert 0 < without.family_version < 2**63


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("class Config(TrainingSettings):", "class Config(TrainingSettings:", ", line 1"),
        ("low=1, high=256)\n", "low=LEAST, high=256)\n", "'LEAST' is not defined"),
        ("(TrainingSettings):", ":", "class Config(TrainingSettings) has epochs, batch_size,"),
        ('"train", "weight of', '"trains", "weight of', "stage 'trains' is not one of"),
        ("import torch\n", "import torch\nimport helper\n", "it imports helper, which lies beside"),
        ("    z: int", "    count: int", "count cannot be the name of a setting"),
        ("z=4", "zz=4", "variant 'tiny': there is no setting 'zz'"),
        (
            "dataclasses import dataclass\n",
            "dataclasses import dataclass\nVERSION = 0\n",
            "VERSION",
        ),
    ],
)
def test_a_broken_file_is_told_by_its_name_and_line(
    old: str, new: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = write(tmp_path)
    (tmp_path / "helper.py").write_text("")
    text = change(tmp_path, old, new).read_text()
    message = told(sweep)
    assert "my_vae.py" in message and words in message
    if "LEAST" in new:
        line = next(i for i, one in enumerate(text.splitlines(), 1) if "LEAST" in one)
        assert f"my_vae.py, line {line}: " in message


def test_a_file_that_cannot_be_a_family_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = write(tmp_path)
    text = sweep.read_text()
    (tmp_path / "vae_stn.py").write_text((tmp_path / "my_vae.py").read_text())
    (tmp_path / "latin.py").write_bytes(b"# a\n# \xe9\n")
    (tmp_path / "my-vae.py").write_text("")
    for name, words in {
        "absent.py": "there is no such file",
        "vae_stn.py": "there is a family 'vae_stn' already",
        "latin.py": "latin.py, line 2: the text is not UTF-8",
        "my-vae.py": "a family file is NAME.py",
    }.items():
        sweep.write_text(text.replace("./my_vae.py", f"./{name}"))
        message = told(sweep)
        assert words in message and "own.py:4" in message, message


class FakeDistribution:
    """Entry points, and a folder in which their modules are."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **entries: str):
        monkeypatch.syspath_prepend(str(folder))
        made = [
            importlib.metadata.EntryPoint(name, value, "oneshot.models")
            for name, value in entries.items()
        ]
        monkeypatch.setattr(
            importlib.metadata,
            "entry_points",
            lambda group: made if group == "oneshot.models" else [],
        )
        families._installed.cache_clear()
        families.family_files.installed.cache_clear()


def test_families_of_installed_packages_are_found_and_bad_ones_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "their_models"
    sweep = write(package)
    (package / "__init__.py").write_text("raise RuntimeError('nobody imports this')\n")
    (package / "broken.py").write_text("def (:\n")
    FakeDistribution(
        tmp_path,
        monkeypatch,
        broken="their_models.broken",
        gone="their_models.gone",
        their_vae="their_models.my_vae",
        vae_stn="their_models.my_vae",
    )
    with pytest.warns(UserWarning) as warned:
        assert "their_vae" in families.names("models")
    texts = sorted(str(one.message) for one in warned)
    assert len(texts) == 3 and all("is passed over" in text for text in texts)
    assert "broken.py, line 1" in texts[0] and "there is no such module" in texts[1]
    assert "there is a family 'vae_stn' already" in texts[2]
    sweep.write_text(sweep.read_text().replace("./my_vae.py", "their_vae"))
    (point, *_) = [p for p in expand(load_sweep(sweep)) if p.model == "their_vae"]
    assert point.family_file == ("", "") and families.is_installed("their_vae")
    with pytest.raises(SettingError, match="there is a family 'their_vae' already"):
        own_families.write(tmp_path / "own", "their_vae")
    (package / "__init__.py").write_text("")
    assert families.module("models", "their_vae").FAMILY.trained
