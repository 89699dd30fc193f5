"""The page as one HTML file: template, style and scripts from the files beside this one.

Nothing is loaded from outside, which the page's own Content-Security-Policy holds: style and script
are allowed by their checksums, data are blocks that no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path

from oneshot.report.page.blocks import inline

FOLDER = Path(__file__).parent
# in the order in which they are read; each file is plain JavaScript
SCRIPTS = (
    "filter",
    "filter_test",
    "dom",
    "load",
    "state",
    "colours",
    "canvas",
    "ground",
    "plane",
    "point",
    "table",
    "panels",
    "chart",
    "sections",
    "exports",
    "main",
)
# of signs that base64 does not have; what stands in their place is never looked through for others
MARKER = re.compile(r"@@([A-Z]+)@@")


def assemble(
    texts: Mapping[str, str], blocks: Mapping[str, bytes], *, fetches: bool = False
) -> str:
    """The page.

    Args:
        texts: What stands in the template: TITLE, FINDING, NAME, as plain text.
        blocks: Compressed blocks by name; `data` is the first to be read.
        fetches: Whether the page may ask its own server for blocks and for a newer page.

    Returns:
        HTML that needs no other file.
    """
    style, script = style_text(), script_text()
    filled = {name: html.escape(_readable(text)) for name, text in texts.items()}
    filled |= {
        "POLICY": policy(style, script, fetches=fetches),
        "STYLE": style,
        "SCRIPT": script,
        "BLOCKS": "\n".join(
            f'<script type="application/gzip" id="block-{name}">{inline(data)}</script>'
            for name, data in blocks.items()
        ),
    }
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    return MARKER.sub(lambda marker: filled[marker[1]], template)


def policy(style: str, script: str, *, fetches: bool) -> str:
    """The Content-Security-Policy of a page: nothing but itself.

    Args:
        style: The text of its style.
        script: The text of its script.
        fetches: Whether it may ask its own server.

    Returns:
        The policy.
    """
    parts = [
        "default-src 'none'",
        f"script-src '{_checksum(script)}'",
        f"style-src '{_checksum(style)}'",
        "img-src data: blob:",
        "connect-src 'self'" if fetches else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def style_text() -> str:
    """The style of the page."""
    return (FOLDER / "page.css").read_text(encoding="utf-8")


def script_text() -> str:
    """All scripts of the page as one, in a scope of its own.

    `window.oneshotReport` is what tests and a console reach.
    """
    parts = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    names = "report, change, followBrush, compileFilter, selectRows, columnOf"
    reached = f"window.oneshotReport = {{ {names} }};"
    return '(() => {\n"use strict";\n' + "\n".join(parts) + f"\n{reached}\n}})();\n"


def _checksum(text: str) -> str:
    """The checksum of a text as a policy names it."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _readable(text: str) -> str:
    """A text without what no HTML can hold."""
    return "".join(c if c.isprintable() else " " for c in text)
