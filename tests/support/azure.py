"""Azurite, Microsoft's emulator of Azure's blob storage, where it is installed."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
import small

ACCOUNT = "devstoreaccount1"
KEY = (  # the published one of all emulators
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
OPTIONS = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
CREDENTIALS = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}


def program() -> str:
    """The program azurite-blob of the folder ONESHOT_AZURITE, or of PATH; the test skips
    without.
    """
    folder = os.environ.get("ONESHOT_AZURITE")
    places = [str(Path(folder) / "node_modules/.bin")] if folder else []
    found = shutil.which(
        "azurite-blob", path=os.pathsep.join([*places, os.environ.get("PATH", "")])
    )
    if found is None or shutil.which("node") is None:
        pytest.skip(
            "needs azurite: npm install --prefix FOLDER azurite, and set ONESHOT_AZURITE=FOLDER"
        )
    return found


class Server:
    """A server with one container, in memory."""

    def __init__(self, container: str = "container"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [program(), *OPTIONS, "--blobHost", "127.0.0.1", "--blobPort", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            small.wait_for(self._listens, 60, self.process)
            self._make(container)
        except BaseException:
            self.stop()
            raise
        self.uri = f"az://{container}/results?scheme=http&endpoint_override=127.0.0.1:{self.port}"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return not probe.connect_ex(("127.0.0.1", self.port))

    def _make(self, container: str) -> None:
        path, version = f"/{ACCOUNT}/{container}", "2021-08-06"
        date = email.utils.formatdate(usegmt=True)
        headers = f"x-ms-date:{date}\nx-ms-version:{version}\n"
        text = "PUT" + "\n" * 12 + f"{headers}/{ACCOUNT}{path}\nrestype:container"
        signed = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}?restype=container",
            method="PUT",
            headers={
                "x-ms-date": date,
                "x-ms-version": version,
                "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signed).decode()}",
            },
        )
        urllib.request.urlopen(request, timeout=30).close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
