"""The live lines and the log lines."""

from __future__ import annotations

import io
import time

import pytest

from oneshot import progress
from oneshot.progress import Progress, Running, State, duration, lines, summary


def state() -> State:
    made = State("vae_stn", 100, before=40, work=60.0)
    made.running = {"a": Running("beta=1", 17, 1.0, done=61, total=200), "b": Running("beta=2", 1, 1.0)}
    return made


@pytest.mark.parametrize(("seconds", "text"), [(8, "8 s"), (150, "2 min"), (31800, "8 h 50 m"), (273600, "3 d 4 h")])
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_four_lines_of_at_most_79_columns() -> None:
    shown = lines(state(), 80)
    assert len(shown) == 4 and all(len(line) <= 79 for line in shown)
    assert shown[0].startswith("vae_stn  40/100  40%  [") and shown[0].endswith("left -")
    assert "running 18 in 2 trials (epoch 61/200)" in shown[1]
    made = state()
    made.running["b"] = Running("beta=2", 1, 1.0, doing="drawing", done=30, total=300)
    assert "running 18 in 2 trials (epoch 61/200, drawing 10%)" in lines(made, 80)[1]


def test_time_left_weighs_work_and_waits_for_three_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    made = State("q", 4, work=100.0)
    clock = made.started
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock + 50)
    for i, work in enumerate((10.0, 10.0, 5.0)):
        assert made.left() == "-"
        made.running[str(i)] = Running("", 1, work)
        made.end_trial(str(i))
    assert made.left() == "2 min"  # 25 of 100 in 50 s
    made.running["x"] = Running("", 1, 50.0, done=1, total=2)
    assert made.left() == "50 s"  # with half of the long one, 50 of 100
    made.running["x"].doing = "drawing"
    assert made.left() == "17 s"  # it has trained: 75 of 100


def test_a_trial_that_did_not_finish_does_not_count() -> None:
    made = State("q", 4, work=10.0)
    made.running["x"] = Running("", 1, 5.0)
    made.end_trial("x", finished=False)
    assert (made.work_done, made.trials_ended, made.running) == (0, 0, {})


def test_a_log_has_whole_lines_without_control_codes_and_few_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    stream, made = io.StringIO(), state()
    with Progress(made, stream) as shown:
        for i in range(8):
            made.end_point("failed")
            shown.failure("failed", dict(point_id=f"{i:016d}", model="vae_stn", beta=1.0, seed=44, error_type="E", log="l.txt"), ["beta"])
        time.sleep(1.3)
    text = stream.getvalue()
    assert "\x1b" not in text and "\r" not in text and text.endswith("\n")
    assert text.count(" failed 0000000") == progress.SHOWN_FAILURES and "3 more failed or diverged points" in text
    assert "vae_stn 48/100 48% running=18 failed=8" in text
    assert "left=" in summary(made)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


def test_a_terminal_is_repainted_and_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with Progress(state(), stream) as shown:
        time.sleep(0.6)
        shown.say("a line that stays")
    text = stream.getvalue()
    assert "\x1b[4A\x1b[J" in text and "a line that stays\n" in text
    assert text.endswith("\x1b[J"), "the live lines are taken away at the end"
