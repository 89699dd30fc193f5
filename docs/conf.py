"""How Sphinx builds these pages: `make docs`."""

import re
from typing import Any

project = "oneshot"
author = "The oneshot authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "oneshot"
exclude_patterns = ["picture"]
myst_heading_anchors = 3

OUTSIDE = re.compile(r"\]\((\.\./[^)]*\.md)\)")  # pages of the project that are no part of the site


def link_as_files(app: object, name: str, source: list[str]) -> None:
    """Links to pages outside docs/ become links to copies of these files."""
    source[0] = OUTSIDE.sub(r"](path:\1)", source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", link_as_files)
