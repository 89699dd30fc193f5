"""Writing to terminals and pipes."""

from __future__ import annotations

import io
import signal

import pytest

from oneshot.console.terminal import write_whole


def test_a_second_ctrl_c_ends_a_write_that_hangs() -> None:
    class Hanging(io.StringIO):
        def write(self, text: str) -> int:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it went on")

    with pytest.raises(KeyboardInterrupt):
        write_whole(Hanging(), "text")
