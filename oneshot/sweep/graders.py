"""Which graders score a point, and their versions: what of scoring enters an id.

A grader is a file of `oneshot/scoring/graders`. It says its VERSION, raised whenever a change moves
its numbers, and what it NEEDS: things at hand that drawings are scored by, of AT_HAND, or the name
of a setting that the family has and that is neither False nor 0. Both are read without importing
the file.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.sweep import families

FOLDER = "scoring/graders"
# What drawings are scored by: the critics of the plane (of bits), the classifier (of greys), the
# modes of data that are points, people's images of the test classes (of bits and colour), and the
# classifier of base classes with images of novel ones.
AT_HAND = ("critics", "classifier", "points", "people", "few_shot")
# What stands for the graders in the ids that were published first. It never changes: a grader with
# another version enters an id besides, so that points which it does not score keep theirs.
FIRST_TEXT = {
    "standardise": 1,
    "diversity": 1,
    "recognizability": 1,
    "originality": 1,
    "generalization": 1,
}
FIRST_VERSIONS = {"plane": 1, "likelihood": 1, "importance": 1}


@dataclass(frozen=True)
class GraderSpec:
    """A grader by its declarations.

    Args:
        name: of its file.
        version: of its numbers.
        needs: what a point must have, all of it.
    """

    name: str
    version: int
    needs: tuple[str, ...]

    @property
    def from_drawings(self) -> bool:
        """Whether drawings are all that it scores, and no weights are needed."""
        return any(need in AT_HAND for need in self.needs)

    def applies(self, settings: Mapping[str, Any], at_hand: Collection[str]) -> bool:
        """Whether it scores a point.

        Args:
            settings: of the point.
            at_hand: what its drawings are scored by, of AT_HAND; nothing where there are none.

        Returns:
            True if the point has all that the grader needs.
        """
        return all(
            need in at_hand if need in AT_HAND else settings.get(need) for need in self.needs
        )


@functools.cache
def all_graders() -> tuple[GraderSpec, ...]:
    """All graders, sorted by name."""
    names = sorted(path.stem for path in Path(families.PACKAGE, FOLDER).glob("[!_]*.py"))
    return tuple(
        GraderSpec(
            name,
            families.constant(FOLDER, name, "VERSION"),
            families.constant(FOLDER, name, "NEEDS"),
        )
        for name in names
    )


@functools.cache
def needed_settings() -> tuple[str, ...]:
    """The settings that decide which graders apply, sorted."""
    needs = {need for grader in all_graders() for need in grader.needs}
    return tuple(sorted(needs - {*AT_HAND}))


def versions_of(settings: Mapping[str, Any], at_hand: Collection[str]) -> dict[str, int]:
    """The versions of the graders that score a point, by name.

    Args:
        settings: of the point.
        at_hand: what its drawings are scored by, of AT_HAND.

    Returns:
        In the order of names.
    """
    return {g.name: g.version for g in all_graders() if g.applies(settings, at_hand)}


def need_weights(versions: Mapping[str, int]) -> bool:
    """Whether one of these graders needs the weights of the point, and not its drawings alone."""
    return any(g.name in versions and not g.from_drawings for g in all_graders())


def any_from_drawings(versions: Mapping[str, int], own: bool = True) -> bool:
    """Whether one of these graders scores drawings.

    Args:
        versions: of the graders, by name.
        own: whether metrics of the user's count, which all do.

    Returns:
        True if one does.
    """
    ours = {grader.name: grader.from_drawings for grader in all_graders()}
    return any(ours.get(name, own) for name in versions)


def changed(versions: Mapping[str, int]) -> dict[str, int]:
    """Those of the versions that are not what ids were first published with."""
    return {name: v for name, v in versions.items() if FIRST_VERSIONS.get(name) != v}


def in_words(versions: Mapping[str, int]) -> str:
    """The versions as a row has them, as in `panel 1 plane 2`."""
    shown = versions if changed(versions) else FIRST_TEXT
    return " ".join(f"{name} {version}" for name, version in shown.items())
