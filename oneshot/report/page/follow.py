"""A page that is kept current while a sweep runs: written anew when its table has changed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from oneshot.report.errors import AnalysisError
from oneshot.report.page.serve import served
from oneshot.report.page.write import Written, write_page
from oneshot.report.results import load

__all__ = ["PageWriter", "page_kept", "served"]

SECONDS = 5.0  # between two looks at the table
SHARE = 20  # writing takes at most one such part of the time


class PageWriter:
    """Writes the page of a sweep whenever its table is another.

    Args:
        folder: RESULTS/<sweep>; it need not be there yet.
        say: What is told of a page that could not be written, once a reason.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.folder, self.file = folder, folder / "report.html"
        self.say = say
        self._seen: tuple[int, int] | None = None
        self._told = ""

    def update(self, *, running: bool, always: bool = False) -> Written | None:
        """Write the page if the table has changed since.

        Args:
            running: Whether more rows are to come.
            always: Write it even if the table is the same.

        Returns:
            What was written; None if nothing was, as there is no table yet or it cannot be read.
        """
        try:
            about = (self.folder / "points.parquet").stat()
        except OSError:
            return None
        stamp = (about.st_mtime_ns, about.st_size)
        if stamp == self._seen and not always:
            return None
        try:
            results = load(self.folder)
            written = write_page(results, [results], self.file, running=running)
        except (AnalysisError, OSError, ValueError, KeyError) as error:
            # a page must not end a run; the next table may be whole
            text = f"page not written: {error}".splitlines()[0]
            if text != self._told:
                self._told = text
                self.say(text)
            return None
        self._seen = stamp
        return written


@contextlib.contextmanager
def page_kept(folder: Path, say: Callable[[str], None]) -> Iterator[PageWriter]:
    """Keep the page of a sweep current in a thread as long as the context lasts, and at its end.

    Args:
        folder: RESULTS/<sweep>; it need not be there yet.
        say: What is told at the end of pages that could not be written, as a run that is under way
            draws its progress.

    Yields:
        The writer of the page.
    """
    problems: list[str] = []
    writer, end = PageWriter(folder, problems.append), threading.Event()

    def loop() -> None:
        pause = SECONDS
        while not end.wait(pause):
            start = time.monotonic()
            writer.update(running=True)
            pause = max(SECONDS, SHARE * (time.monotonic() - start))

    thread = threading.Thread(target=loop, name="report", daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        end.set()
        thread.join()
        writer.update(running=False, always=True)
        for problem in problems:
            say(problem)
