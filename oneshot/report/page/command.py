"""What `--report`, `--gallery` and `--serve` do: write the page and its gallery, and serve it."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from pathlib import Path

from oneshot.console.terminal import tell_error
from oneshot.report.errors import AnalysisError
from oneshot.report.page.gallery import write_gallery
from oneshot.report.page.serve import served
from oneshot.report.page.write import Written, write_page
from oneshot.report.results import Results

LONGEST_NAME = 100  # of the folder of joined results


def report_folder(parts: Sequence[Results]) -> Path:
    """Where the page of results lies.

    Args:
        parts: The results of each sweep.

    Returns:
        The folder of the sweep; of several, a folder beside the first, named after all.
    """
    if len(parts) == 1:
        return parts[0].folder
    names = list(dict.fromkeys(part.name for part in parts))
    name = "+".join(names)
    if len(name) > LONGEST_NAME:
        name = f"{names[0]}+{len(names) - 1}_more"
    return parts[0].folder.parent / name


def run(args: argparse.Namespace, results: Results, parts: Sequence[Results]) -> int:
    """Write what was asked for, say where it is, and serve it until Ctrl-C.

    Args:
        args: The arguments of analyze.py.
        results: The results, joined and selected, with all references.
        parts: The results of each sweep.

    Returns:
        The exit status.

    Raises:
        AnalysisError: A file cannot be written.
    """
    folder = report_folder(parts)
    try:
        if args.gallery:
            drawn = write_gallery(results, parts, folder / "gallery.parquet")
            tell_error(f"{folder}/gallery.parquet  drawings of {drawn:,} points as PNG")
        if not args.report:
            return 0
        written = write_page(results, parts, folder / "report.html", where=args.where)
    except OSError as error:
        raise AnalysisError(f"cannot write into {folder}: {error.strerror or error}") from None
    for line in about(written):
        tell_error(line)
    if args.serve:
        serve_until_interrupted(written.file)
    return 0


def about(written: Written) -> list[str]:
    """What is said of a page that was written, a line each."""
    lines = [f"{written.file}  {written.size / 1e6:.1f} MB"]
    if written.beside:
        lines[0] += f"; all drawings are in {written.beside}: --serve shows them"
    return [*lines, *(f"  {note}" for note in written.notes)]


def serve_until_interrupted(page: Path) -> None:
    """Serve a page and say where, until Ctrl-C."""
    with served(page) as server:
        tell_error(f"{server.url}  (Ctrl-C ends it)")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            tell_error("No longer served.")
