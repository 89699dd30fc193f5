"""Downloading Omniglot: once, again after faults, never half."""

from __future__ import annotations

import dataclasses
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from caches import run_at_once
from made_omniglot import Made, put_zips

from oneshot.data import download, images, omniglot
from oneshot.data.omniglot_files import SETS
from oneshot.paths import DataError


class Server:
    """Serves files on 127.0.0.1. `faults` holds what the first answers are instead: a status, "cut"
    or "wrong".
    """

    def __init__(self, files: dict[str, bytes]):
        self.faults: list[int | str] = []
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                body = files.get(Path(self.path).stem)
                fault = outer.faults.pop(0) if outer.faults else (None if body is not None else 404)
                if isinstance(fault, int):
                    return self.send_error(fault)
                assert body is not None
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                time.sleep(0.1)  # long enough for every process to ask
                self.wfile.write({"cut": body[:-100], "wrong": b"x" * len(body), None: body}[fault])

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(made: Made) -> Iterator[Server]:
    server = Server(made.zips)
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_absent_images_are_downloaded_once_with_progress(
    made: Made,
    server: Server,
    own_cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "REPORT", 0.0)
    release = dataclasses.replace(made.release, url=server.url)
    loaded = omniglot.load("strong", 28, release)
    assert np.array_equal(loaded.images, images.binarise_omniglot(made.bits, 28))
    omniglot.load("strong", 50, release)
    assert server.asked == ["/images_background.zip", "/images_evaluation.zip"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"oneshot: downloading {server.url}/images_background.zip (0.0 MB)")
    assert "oneshot: images_background.zip: 0.0 of 0.0 MB" in lines and any(
        "images_evaluation.zip: complete" in line for line in lines
    )
    assert (own_cache / "omniglot" / "images_evaluation.zip").read_bytes() == made.zips[SETS[1]]


@pytest.mark.parametrize(
    ("fault", "said"),
    [(503, "answers HTTP 503"), ("cut", "broke off after"), ("wrong", "has the wrong checksum")],
)
def test_a_passing_fault_is_tried_again(
    made: Made,
    server: Server,
    own_cache: Path,
    fault: int | str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.faults = [fault, fault]
    omniglot.packed_images(dataclasses.replace(made.release, url=server.url))
    assert len(server.asked) == 4
    err = capsys.readouterr().err
    assert err.count(said) == 2 and "next try in 0.01 s" in err and "next try in 0.02 s" in err
    assert not list(own_cache.rglob("*.part"))


@pytest.mark.parametrize(
    ("faults", "said", "asked"),
    [
        ([404], "answers HTTP 404", 1),
        ([500] * 3, "HTTP 500 .*, 3 tries", 3),
        (["cut"] * 3, "broke off", 3),
        (["wrong"] * 3, "wrong checksum", 3),
    ],
)
def test_a_lasting_fault_is_told_and_leaves_no_file(
    made: Made, server: Server, own_cache: Path, faults: list[int | str], said: str, asked: int
) -> None:
    server.faults = list(faults)
    with pytest.raises(
        DataError, match=rf"Omniglot is not here and cannot be downloaded \(.*{said}"
    ):
        omniglot.load("weak", 50, dataclasses.replace(made.release, url=server.url))
    assert len(server.asked) == asked
    assert (
        not list(own_cache.rglob("*.zip"))
        and not list(own_cache.rglob("*.part"))
        and not list(own_cache.rglob("*.npy"))
    )


def test_a_silent_server_is_given_up(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = download.socket.create_server(("127.0.0.1", 0))  # accepts, never answers
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with pytest.raises(download.DownloadError, match=r"no answer in 0\.1 s, 3 tries"):
        download.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x.zip", tmp_path / "x.zip", "")
    silent.close()


def test_four_processes_make_one_download(made: Made, server: Server) -> None:
    release = dataclasses.replace(made.release, url=server.url)
    code = "from oneshot.data import omniglot; from oneshot.data.omniglot_files import Release\n"
    code += f"print(omniglot.load('weak', 28, {release!r}).images.sum())"
    outputs = run_at_once(code, 4)
    assert (
        len(set(outputs)) == 1 and int(outputs[0]) == images.binarise_omniglot(made.bits, 28).sum()
    )
    assert sorted(server.asked) == ["/images_background.zip", "/images_evaluation.zip"]


def test_offline_and_absent_says_what_to_put_where(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ONESHOT_CACHE")
    put_zips(tmp_path / "data" / "omniglot", {SETS[0]: made.zips[SETS[0]]})
    with pytest.raises(DataError) as caught:
        omniglot.load("weak", 50, made.release)
    assert (
        str(caught.value)
        == "Omniglot is not here and cannot be downloaded (host not reachable, 3 tries)\n  help:"
        " put images_background.zip and images_evaluation.zip into one of these:\n       "
        " $ONESHOT_DATA/omniglot (not set),\n        $ONESHOT_DATA (not set),\n       "
        " ./data/omniglot (has no images_evaluation.zip),\n        ./data (has no"
        " images_background.zip and no images_evaluation.zip),\n       "
        " ~/.cache/oneshot/omniglot (has no images_background.zip and no"
        " images_evaluation.zip),\n        ~/.cache/oneshot (has no images_background.zip and no"
        " images_evaluation.zip)"
    )
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"\$ONESHOT_DATA \(no such folder\)"):
        omniglot.load("weak", 50, made.release)
