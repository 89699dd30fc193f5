"""Drivers as processes of their own, which enter the lease of a sweep and say what they see."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import small

SCRIPT = """
import platform, sys, time
from pathlib import Path
from oneshot.store import lease
from oneshot.store.store import Store

folder, name, host, renew, expiry = sys.argv[1:]
if host:
    platform.node = lambda: host
lease.RENEW_SECONDS, lease.EXPIRY_SECONDS = float(renew), float(expiry)
Path(folder, f"{name}.ready").touch()
while not Path(folder, "go").exists():
    time.sleep(0.002)

def say(*words):  # a line at once, as two threads say something
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

def lost(text):
    say("lost", text)

try:
    told = {"name": name}
    waits = lambda text: say("says", text)
    with lease.Lease(Store(folder), "q", lambda: told, lost, waits) as mine:
        say("held")
        while not Path(folder, f"{name}.end").exists():
            time.sleep(0.01)
            if Path(folder, f"{name}.ask").exists():
                say("holds" if mine.held() else "does not hold")
                Path(folder, f"{name}.ask").unlink()
except lease.Taken as error:
    say("taken", error)
"""


class Drivers:
    """Processes that hold, or try to hold, the lease of the sweep q in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.started = folder, dict[str, subprocess.Popen[str]]()

    def start(self, name: str, host: str = "", expiry: float = 60.0) -> subprocess.Popen[str]:
        """Start one that renews every 0.1 s, and return once it is ready to enter."""
        options = [str(self.folder), name, host, "0.1", str(expiry)]
        self.started[name] = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *options],
            cwd=small.ROOT,
            env=small.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: (self.folder / f"{name}.ready").exists())
        return self.started[name]

    def line(self, name: str) -> str:
        """Its next line, but for what it waits for."""
        out = self.started[name].stdout
        assert out is not None
        while (text := out.readline().strip()).startswith("says"):
            pass
        return text

    def end(self, name: str) -> None:
        """End one, and wait until it has."""
        (self.folder / f"{name}.end").touch()
        assert self.started[name].wait(timeout=20) == 0


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for a condition.

    Args:
        condition: asked every hundredth of a second.
        seconds: after which the test fails.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)
