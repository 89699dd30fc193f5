"""What is said under the table of the points: whether critics agree, and what luck would do."""

from __future__ import annotations

import textwrap

from oneshot.report.analysis.chance import luck
from oneshot.report.analysis.critics import critic_agreement, pairs_text
from oneshot.report.analysis.nearest import luck_text
from oneshot.report.results import Results

WIDTH = 79


def critics_note(results: Results) -> str:
    """How each two critics rank the settings, a line a pair; empty with one critic."""
    return pairs_text(critic_agreement(results))


def luck_note(results: Results) -> str:
    """Whether the nearest to people is nearer than luck explains; empty where that is unknown."""
    return wrapped_note(luck_text(luck(results)))


def wrapped_note(text: str) -> str:
    """A note in lines that fit a terminal of 80 columns, the later ones indented."""
    return "\n  ".join(textwrap.wrap(text, WIDTH - 2))
