"""The Markdown pages of the project: their blocks of code, commands, tables and links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
NO_PAGES = {".venv", "results", "node_modules", "build", ".cache"}


class Block(NamedTuple):
    """A fenced block: its language, "" for commands, and its text."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that a block of Python is, by the comment on its first line; "" if none."""
        found = re.match(r"# (\S+\.py)\n", self.text)
        return found[1] if found and self.language == "python" else ""


def documents() -> list[Path]:
    """README.md and the pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def pages() -> list[Path]:
    """Every page of the project."""
    found = sorted(ROOT.rglob("*.md"))
    return [p for p in found if not NO_PAGES & set(p.relative_to(ROOT).parts)]


def title(page: Path) -> str:
    """The path of a page below the project's folder."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    # fences pair up, so each match is one block
    return [Block(*found) for found in re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S)]


def commands(text: str) -> list[str]:
    """The commands of a block, one a line, without comments; lines that go on are joined."""
    lines = (re.sub(r"(^|\s)#\s.*", "", line) for line in text.replace("\\\n", " ").splitlines())
    return [line.strip() for line in lines if line.strip()]


def words(command: str) -> list[str]:
    """A command as a shell splits it."""
    return shlex.split(command)


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a page, cells in rows.

    A table is a piece of lines that begin with a bar, outside blocks of code.
    """
    found: list[list[list[str]]] = [[]]
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("|") and not fenced:
            without = re.sub(r"`[^`]*`", lambda code: code[0].replace("|", "/"), line)
            cells = without.replace("\\|", "/").strip().strip("|").split("|")
            found[-1].append([cell.strip() for cell in cells])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def links(text: str) -> list[str]:
    """The targets of links and images of a page, outside blocks of code."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    heads = re.findall(r"^#+ (.*)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
