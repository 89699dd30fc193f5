"""A command on a pseudo-terminal, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable

import small


class Emulator:
    """What stands on a screen: text, carriage returns, cursor up, clear to the right and below.

    Args:
        rows: of the screen; what goes beyond scrolls.
        columns: a longer line is an error.
    """

    def __init__(self, rows: int = 24, columns: int = 80):
        self.lines, self.y, self.x, self.scrolled = [""] * rows, 0, 0, 0
        self.columns = columns

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def feed(self, text: str) -> None:
        """Take in what a program writes."""
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", text):
            self._code(part[2:-1], part[-1]) if part[0] == "\x1b" else self._put(part)

    def _code(self, number: str, kind: str) -> None:
        line = self.lines[self.y][: self.x]
        if kind == "A":
            self.y = max(self.y - int(number or 1), 0)
        elif kind == "K":
            self.lines[self.y] = line
        elif kind == "J" and not number:
            self.lines[self.y :] = [line] + [""] * (len(self.lines) - self.y - 1)
        else:
            raise AssertionError(f"unexpected control code {number}{kind}")

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self.x = 0
        elif letter == "\n":
            self.x = 0
            if self.y == len(self.lines) - 1:
                self.lines, self.scrolled = [*self.lines[1:], ""], self.scrolled + 1
            else:
                self.y += 1
        else:
            assert self.x < self.columns, "a line is longer than the terminal is wide"
            line = self.lines[self.y].ljust(self.x)
            self.lines[self.y], self.x = line[: self.x] + letter + line[self.x + 1 :], self.x + 1


class Terminal(Emulator):
    """`run_sweep.py` on a pseudo-terminal of its own."""

    def __init__(self, *arguments: object, rows: int = 24, columns: int = 80):
        super().__init__(rows, columns)
        self.writes: list[str] = []
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = {**small.environment(), "TERM": "xterm"}
            environment.pop("COLUMNS", None)
            command = [sys.executable, str(small.ROOT / "run_sweep.py"), *map(str, arguments)]
            os.chdir(small.ROOT)
            os.execve(sys.executable, command, environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "\n".join(self.lines)
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    text = os.read(self.fd, 65536).decode()
                except OSError:  # it ended
                    assert condition(), "\n".join(self.lines)
                    return
                self.writes.append(text)
                self.feed(text)

    def end(self) -> int:
        """What it wrote last, and its exit status."""
        with open(self.fd, "rb", buffering=0, closefd=False) as stream:
            while True:
                try:
                    text = stream.read(65536)
                except OSError:
                    break
                self.feed((text or b"").decode())
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
