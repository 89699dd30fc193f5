"""Critics of the user's: found, read without running them, and what they mean for ids."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
import small
from own_critic_files import forget, forgotten_critics, sweep_file, write

from oneshot.sweep import SweepError, families
from oneshot.sweep.definition import override
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point

__all__ = ["forgotten_critics"]
pytestmark = pytest.mark.usefixtures("forgotten_critics")


def points(folder: Path, role: str = "simclr", critic: str = '"./edges.py"') -> list[Point]:
    return expand(override(load_sweep(sweep_file(folder, role, critic)), {}))


@pytest.mark.parametrize("role", ["simclr", "protonet"])
def test_a_critic_enters_the_id_of_the_point_alone(role: str, tmp_path: Path) -> None:
    before = expand(load_sweep(small.write_sweep(tmp_path)))
    write(tmp_path)
    after = points(tmp_path, role)
    other = "protonet" if role == "simclr" else "simclr"
    for old, new in zip(before, after, strict=True):
        assert new.point_id != old.point_id
        if role == "protonet":  # else the chooser has the settings of another SimCLR
            assert (new.train_id, new.sample_id) == (old.train_id, old.sample_id)
            assert new.critics["chooser"] == old.critics["chooser"]
            assert new.critics[other] == old.critics[other]
        spec = new.critics[role]
        assert spec.kind == "edges" and spec.id != old.critics[role].id
        assert spec.own_file[0] == str(tmp_path / "edges.py") and new.critic_id(role) == spec.id
    assert points(tmp_path, "simclr")[-1].critics["chooser"].kind == "simclr"


def test_settings_of_the_package_s_critic_still_choose_exemplars(tmp_path: Path) -> None:
    write(tmp_path)
    text = sweep_file(tmp_path).read_text()
    settings = 'epochs=1, batch_size=64, batches_per_epoch=15, strength="light"'
    (tmp_path / "small.py").write_text(
        text.replace('simclr="./edges.py"', f'simclr=dict(own="./edges.py", {settings})')
    )
    mine = expand(load_sweep(tmp_path / "small.py"))
    before = expand(load_sweep(small.write_sweep(tmp_path)))
    assert [p.train_id for p in mine] == [p.train_id for p in before]
    assert mine[-1].critics["chooser"] == before[-1].critics["chooser"]
    assert mine[-1].critics["simclr"].kind == "edges"


def test_a_version_or_else_the_content_says_what_an_edit_means(tmp_path: Path) -> None:
    def ids() -> set[str]:
        return {point.critics["simclr"].id for point in points(tmp_path)}

    write(tmp_path)
    first = ids()
    write(tmp_path, old="ink by row", new="the ink of each row")
    assert ids() == first and len(first) == 1
    write(tmp_path, old="VERSION = 1", new="VERSION = 2")
    assert ids() != first
    write(tmp_path, old="VERSION = 1", new="")
    free = ids()
    write(tmp_path, old="VERSION = 1", new="# more")
    assert ids() not in (first, free)


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    for old, new, told in (
        ("VERSION = 1", "VERSION = 0", "VERSION must be a whole number from 1"),
        ("def make(", "def made(", "it needs a function make(image_size)"),
        ("def make(", "def make((", "line 19: "),
    ):
        write(tmp_path, old=old, new=new)
        with pytest.raises(SweepError) as refused:
            points(tmp_path)
        assert told in str(refused.value) and "edges.py" in str(refused.value)
    write(tmp_path, "protonet")
    for role, critic, told in (
        ("simclr", '"./absent.py"', "critics: simclr = './absent.py': there is no such file"),
        ("simclr", '"./protonet.py"', "has a critic or file 'protonet': rename the file"),
        ("simclr", '"edgy"', "there is no critic 'edgy'. No installed package brings one."),
    ):
        with pytest.raises(SweepError) as refused:
            points(tmp_path, role, critic)
        assert told in str(refused.value)
    path = small.write_sweep(tmp_path)
    path.write_text(path.read_text().replace("critics=dict(", "critics=dict(classifier='./e.py',"))
    with pytest.raises(SweepError, match="simclr and protonet can be yours"):
        load_sweep(path)


def test_critics_of_installed_packages_are_found_and_bad_ones_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "their_critics"
    package.mkdir()
    (package / "__init__.py").write_text("")
    write(package)
    write(package, "bad", old="def make(", new="def made(")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [
        importlib.metadata.EntryPoint(name, f"their_critics.{module}", "oneshot.critics")
        for name, module in (("their_edges", "edges"), ("bad", "bad"))
    ]

    def entry_points(group: str) -> Any:
        return entries if group == "oneshot.critics" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    forget()
    with pytest.warns(UserWarning, match="bad of oneshot.critics is passed over: .*make"):
        made = points(tmp_path, critic='"their_edges"')
    assert made[-1].critics["simclr"].own_file == ("", "")
    assert families.names("critics") == ["base_classifier", "classifier", "protonet", "simclr"]
