"""A server of one page and its blocks, on this machine alone."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

HOST = "127.0.0.1"
TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json; charset=utf-8"}

# until the first page is there
WAITING = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
    "<title>oneshot</title><p>No point has a result yet. This page looks again every 5 seconds."
)


class PageServer(ThreadingHTTPServer):
    """Serves a page, its blocks and the records beside it, and nothing else.

    Args:
        page: The page; it may be written anew, or for the first time, while it is served.
        port: The port; 0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, page: Path, port: int = 0):
        super().__init__((HOST, port), _Handler)
        self.page = page

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_address[1]}/{self.page.name}"

    def file_of(self, path: str) -> Path | None:
        """The file that a path of a request names; None if it names none of those served."""
        name = unquote(urlsplit(path).path).lstrip("/")
        if name in ("", self.page.name):
            return self.page
        blocks = rf"{re.escape(self.page.stem)}_blocks/(drawings|details)-\d+-[0-9a-f]+\.gz"
        if re.fullmatch(rf"{blocks}|records/[0-9A-Za-z]+\.json", name):
            return self.page.parent / name
        return None


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with what a file is like."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what is asked for is the page's own affair."""

    def _answer(self, *, with_body: bool) -> None:
        # another name for this machine may be a stranger's, whose pages would read these
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        file = self.server.file_of(self.path)
        if file == self.server.page and not file.exists():
            self._answer_waiting(with_body=with_body)
            return
        try:
            if file is None:
                raise FileNotFoundError(self.path)
            with file.open("rb") as source:
                about = file.stat()
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", TYPES.get(file.suffix, "application/octet-stream"))
                self.send_header("Content-Length", str(about.st_size))
                self.send_header("ETag", f'"{about.st_mtime_ns}-{about.st_size}"')
                self.send_header("X-Content-Type-Options", "nosniff")
                # the names of blocks say what they hold
                named = file.suffix == ".gz"
                self.send_header("Cache-Control", "max-age=86400" if named else "no-store")
                self.end_headers()
                if with_body:
                    shutil.copyfileobj(source, self.wfile)
        except OSError as error:
            if isinstance(error, ConnectionError):
                self.close_connection = True
            else:
                self._refuse(HTTPStatus.NOT_FOUND)

    def _answer_waiting(self, *, with_body: bool) -> None:
        """Answer with a page that looks again, while no row has come in."""
        body = WAITING.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TYPES[".html"])
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer with an error that shows nothing of the request."""
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()


@contextlib.contextmanager
def served(page: Path, port: int = 0) -> Iterator[PageServer]:
    """Serve a page in a thread as long as the context lasts.

    Args:
        page: The page.
        port: The port; 0 takes a free one.

    Yields:
        The server.
    """
    server = PageServer(page, port)
    thread = threading.Thread(target=server.serve_forever, name="page", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
