"""How the commands are called: scripts of a checkout, or parts of the installed command `oneshot`.

Whatever names a command to people asks here, so that what it says can be typed where it is read.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

SCRIPTS = {"run": "run_sweep.py", "analyze": "analyze.py"}
# the program that has both as its parts, in words; () for the scripts
_program: tuple[str, ...] = ()


@contextlib.contextmanager
def called_as(*words: str) -> Iterator[None]:
    """While this holds, commands are named as parts of this program, as in `python -m oneshot`."""
    global _program
    before, _program = _program, words
    try:
        yield
    finally:
        _program = before


def words(part: str) -> list[str]:
    """A command, "run" or "analyze", as words of a shell."""
    return [*_program, part] if _program else ["python", SCRIPTS[part]]


def name(part: str) -> str:
    """A command, "run" or "analyze", as people name it."""
    return " ".join([*_program, part]) if _program else SCRIPTS[part]


def named(text: str) -> str:
    """A text that names the scripts, with the names by which they are called now."""
    for part, script in SCRIPTS.items():
        text = re.sub(rf"\b(python )?{re.escape(script)}", _name_in(part), text)
    return text


def _name_in(part: str) -> str:
    """What stands for a script in a text: as it is where scripts are called."""
    return name(part) if _program else r"\g<0>"
