"""An S3 server for tests: moto behind a front that counts requests and makes them fail as asked.

It runs in a process of its own. Of Google's protocol, which is the same but for some headers, it
knows what a store needs: generations as conditions, and copies.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

ERRORS = {
    "500": (
        "500 Internal Server Error",
        "InternalError",
        "We encountered an internal error. Please try again.",
    ),
    "503": ("503 Service Unavailable", "SlowDown", "Please reduce your request rate."),
    "403": ("403 Forbidden", "AccessDenied", "Access Denied"),
    "409": ("409 Conflict", "ConditionalRequestConflict", "A conflicting operation is under way"),
    "501": ("501 Not Implemented", "NotImplemented", "A header implies what is not implemented"),
}
CONDITIONS = {"HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "HTTP_X_GOOG_IF_GENERATION_MATCH"}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAUNUSUAL0KEY0ID07",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t/Unusual+Key=77",
    "AWS_DEFAULT_REGION": "eu-west-3",
}


class Server:
    """The client's side.

    A fault is a dict: `what` (an error by its number, slow, drop, half, late) and, to say when,
    `method`, `match` (a part of the path with its query), `share` of the requests, `times` at most,
    `conditional` (whether the request is a conditional write); `seconds` of a slow answer, the
    `text` of an error.
    """

    def __init__(self, bucket: str = "bucket"):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.port, self.bucket = int(self.process.stdout.readline()), bucket
        self.uri = f"s3://{bucket}/results?endpoint_override=127.0.0.1:{self.port}&scheme=http"
        self.google = self.uri.replace("s3://", "gs://anonymous@")
        self._ask(f"/{bucket}", "PUT")

    def _ask(self, path: str, method: str = "GET", body: bytes = b"") -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body or None, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    @contextlib.contextmanager
    def faults(self, *faults: dict[str, Any]) -> Iterator[None]:
        """These faults while the context lasts."""
        self._ask("/_front", "PUT", json.dumps(faults).encode())
        try:
            yield
        finally:
            self._ask("/_front", "PUT", b"[]")

    def log(self) -> list[str]:
        """Every request since the last call, as `METHOD answer bytes /path?query`.

        The answer of one that was dropped is `-`.
        """
        return list(json.loads(self._ask("/_front")))

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until no request is under way any more, and forget those that were.

        Slow answers may be, that nobody waits for.
        """
        end = time.monotonic() + seconds
        while int(self._ask("/_running")):
            assert time.monotonic() < end, "requests do not end"
            time.sleep(0.01)
        self.log()

    def count(self) -> Counter[str]:
        """Requests by method since the last call."""
        return Counter(line.split()[0] for line in self.log())

    def objects(self, folder: str = "") -> dict[str, bytes]:
        """All that is in the bucket, under this folder."""
        found = json.loads(self._ask(f"/_objects/{self.bucket}/{folder}"))
        return {key: bytes.fromhex(data) for key, data in found.items()}

    def uploads(self) -> int:
        """Multipart uploads that are under way."""
        return int(self._ask(f"/_uploads/{self.bucket}"))

    def fill(self, folder: str, count: int) -> None:
        """Put small objects into a folder at once.

        Args:
            folder: their key but for their names.
            count: how many.
        """
        self._ask(f"/_fill/{self.bucket}/{count}/{folder}")

    def stop(self) -> None:
        """End the process of the server."""
        self.process.terminate()
        self.process.wait(10)


class Front:
    """The server's side: what is asked for under /_ is answered here, the rest by moto."""

    def __init__(self, moto: Callable[..., Iterable[bytes]]):
        self.moto, self.lock, self.random = moto, threading.Lock(), random.Random(1)
        self.writing = threading.Lock()  # moto looks and then writes
        self.generations: Counter[str] = Counter()
        self.faults: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.running = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ["RAW_URI"], environ["REQUEST_METHOD"]
        if path.startswith("/_"):
            start("200 OK", [])
            return [self._private(path, method, environ)]
        conditional = bool(CONDITIONS & environ.keys())
        fault = self._fault(method, path, conditional)
        with self._counted():
            if fault.get("what") == "slow":
                time.sleep(fault["seconds"])
                fault = {}
            environ |= {"oneshot.text": fault["text"]} if "text" in fault else {}
            return self._answer(fault.get("what", ""), environ, start, (method, path))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """One more request is under way."""
        with self.lock:
            self.running += 1
        try:
            yield
        finally:
            with self.lock:
                self.running -= 1

    def _answer(
        self, what: str, environ: dict[str, Any], start: Callable[..., Any], note: tuple[str, str]
    ) -> Iterable[bytes]:
        length, uploaded = (
            int(environ.get("CONTENT_LENGTH") or 0),
            environ["REQUEST_METHOD"]
            in (
                "PUT",
                "POST",
            ),
        )
        if what == "drop" or (what == "half" and uploaded):
            environ["wsgi.input"].read(length // 2)
            return self._cut(environ, note)
        if what in ERRORS:
            status, code, text = ERRORS[what]
            text = environ.get("oneshot.text", text)
            environ["wsgi.input"].read(length)
            start(status, [("Content-Type", "application/xml")])
            self._note(f"{status[:3]} 0", *note)
            error = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
            return [f"<?xml version='1.0'?>{error}".encode()]
        kept: list[Any] = []
        with self.writing if environ["REQUEST_METHOD"] == "PUT" else contextlib.nullcontext():
            parts = b"".join(self._moto(environ, lambda *given: kept.append(given)))
        if what == "late":
            return self._cut(environ, note)
        self._note(f"{kept[0][0][:3]} {len(parts)}", *note)
        start(*kept[0])
        return self._half(parts, environ) if what == "half" else [parts]

    def _moto(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """The answer of moto, with the generations of Google's protocol."""
        path, written = environ["PATH_INFO"], environ["REQUEST_METHOD"] in ("PUT", "POST")
        if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS"):  # what moto wants to see
            scope = "Credential=anybody/20260101/us-east-1/s3/aws4_request"
            environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 {scope}"
        if copied := environ.pop("HTTP_X_GOOG_COPY_SOURCE", None):
            environ["HTTP_X_AMZ_COPY_SOURCE"] = copied
        expected = environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH")
        if expected == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        elif expected is not None and expected != str(self.generations[path]):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("412 Precondition Failed", [])
            return []

        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            self.generations[path] += written and status.startswith("200")
            return start(status, [*headers, ("x-goog-generation", str(self.generations[path]))])

        return self.moto(environ, started)

    def _cut(self, environ: dict[str, Any], note: tuple[str, str]) -> Iterable[bytes]:
        self._note("- 0", *note)
        environ["werkzeug.socket"].shutdown(2)
        raise ConnectionAbortedError

    @staticmethod
    def _half(parts: bytes, environ: dict[str, Any]) -> Iterator[bytes]:
        yield parts[: len(parts) // 2]
        environ["werkzeug.socket"].shutdown(2)

    def _note(self, answer: str, method: str, path: str) -> None:
        with self.lock:
            self.requests.append(f"{method} {answer} {path}")

    def _fault(self, method: str, path: str, conditional: bool) -> dict[str, Any]:
        with self.lock:
            for fault in self.faults:
                fits = fault.get("method", method) == method and fault.get("match", "") in path
                fits = fits and fault.get("conditional", conditional) == conditional
                fits = fits and fault.get("times", 1) > 0
                if fits and self.random.random() < fault.get("share", 1):
                    if "times" in fault:
                        fault["times"] -= 1
                    return fault
        return {}

    def _private(self, path: str, method: str, environ: dict[str, Any]) -> bytes:
        from moto.s3.models import s3_backends

        if path == "/_front" and method == "PUT":
            with self.lock:
                self.faults = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            return b""
        if path == "/_front":
            with self.lock:
                lines, self.requests = self.requests, []
            return json.dumps(lines).encode()
        if path == "/_running":
            return str(self.running).encode()
        (bucket,) = (
            b
            for account in s3_backends.values()
            for b in account["aws"].buckets.values()
            if b.name == path.split("/")[2]
        )
        if path.startswith("/_fill"):
            count, folder = path.split("/", 4)[3:]
            for i in range(int(count)):
                s3_backends["123456789012"]["aws"].put_object(
                    bucket.name, f"{folder}/{i:04}.json", b"{}"
                )
        if path.startswith("/_uploads"):
            return str(len(bucket.multiparts)).encode()
        folder = path.split("/", 3)[3]
        return json.dumps(
            {
                key.name: key.value.hex()
                for key in bucket.keys.values()
                if key.name.startswith(folder)
            }
        ).encode()


def serve() -> None:
    """Run until terminated; the port goes to stdout first."""
    import logging

    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    front = Front(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=MotoRequestHandler)
    print(server.server_port, flush=True)
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    server.serve_forever()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    serve()
