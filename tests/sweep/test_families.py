"""What files of families declare, read without importing them."""

from __future__ import annotations

import dataclasses

import pytest
from made_sweeps import ROOT

from oneshot.store.tables import column_names
from oneshot.sweep import declared, families
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.settings import COMMON


@pytest.mark.parametrize("family", families.names("models"))
def test_no_setting_has_the_name_of_a_column_or_a_reserved_word(family: str) -> None:
    names = {*COMMON, *families.declaration("models", family).fields}
    assert not names & (column_names() | declared.RESERVED)
    assert len(names) == len(COMMON) + len(families.declaration("models", family).fields)


@pytest.mark.parametrize("family", families.names("models"))
def test_the_head_read_without_import_is_the_family_s_own(family: str) -> None:
    module = __import__(f"oneshot.models.{family}", fromlist=["Config"])
    head = families.declaration("models", family)
    assert dataclasses.asdict(head.config()) == dataclasses.asdict(module.Config())
    assert (head.version, head.variants) == (module.VERSION, module.VARIANTS)


def test_a_family_file_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for cached in (families._declaration, families._tree, families._literal):
        cached.cache_clear()
    parsed: list[str] = []
    parse = families.ast.parse
    monkeypatch.setattr(
        families.ast,
        "parse",
        lambda text, path="", *more, **named: (
            parsed.append(path) or parse(text, path, *more, **named)
        ),
    )  # type: ignore[func-returns-value]
    expand(load_sweep(ROOT / "sweeps" / "ns.py"))
    assert parsed and len(parsed) == len(set(parsed))
