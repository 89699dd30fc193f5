"""The live lines and the log lines."""

from __future__ import annotations

import io
import json
import math
import sys
import threading
import time
import warnings
from collections.abc import Callable

import pytest
from terminals import Emulator

from oneshot.console import progress
from oneshot.console.progress import Progress, State, lines, summary
from oneshot.console.running import Running, from_heartbeat


def state() -> State:
    made = State("vae_stn", 100, before=40, work=60.0)
    made.running = {
        "a": Running("beta=1", 17, 1.0, done=61, total=200),
        "b": Running("beta=2", 1, 1.0),
    }
    return made


def test_lines_of_at_most_79_columns_say_what_trials_are_at() -> None:
    shown = lines(state(), 80)
    assert len(shown) == 6 and all(len(line) <= 79 for line in shown)
    assert shown[0].startswith("vae_stn  40/100  40%  [") and shown[0].endswith("left -")
    assert "running 18 in 2 trials   failed" in shown[1]
    assert shown[4:] == ["  epoch 61/200    beta=1", "  starts          beta=2"]
    made = state()
    made.running["a"].loss = 1.2345678
    made.running["b"] = Running("beta=2", 1, 1.0, doing="drawing", done=30, total=300)
    assert lines(made, 80)[4:] == [
        "  epoch 61/200    loss 1.235   beta=1",
        "  drawing 10%                  beta=2",
    ]
    assert len(lines(State("q", 3), 80)) == 4


def test_of_many_trials_three_are_named_and_the_others_counted() -> None:
    made = State("q", 30)
    for i in range(4):
        made.running[str(i)] = Running(f"beta={i}", 1, 1.0, done=i, total=9 if i else 0)
    named = [line.split()[-1] for line in lines(made)[4:]]
    assert named == ["beta=1", "beta=2", "beta=3", "beta=0"]
    made.running["4"] = Running("z" * 100, 1, 1.0, "bound of mnist in sets of 5", 1, 2)
    shown = lines(made, 80)
    assert len(shown) == 8 and shown[-1] == "  2 more" and all(len(line) <= 79 for line in shown)
    del made.running["1"], made.running["2"]
    assert lines(made, 80)[5].startswith("  bound of mnist in...  zzz")


def test_a_heartbeat_tells_a_watcher_what_trials_are_at() -> None:
    made = state()
    assert from_heartbeat(made.published_trials())[0].line() == "beta=1 epoch 61/200"
    made.running["a"].loss = 0.5
    told = json.loads(json.dumps(made.published_trials(), allow_nan=False))
    assert [trial.line() for trial in from_heartbeat(told)] == [
        "beta=1 epoch 61/200 loss 0.5",
        "beta=2 starts",
    ]


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


def test_the_best_point_is_named_by_what_points_are_compared_by() -> None:
    made = state()
    assert made.best_text() == "nearest to people: -"
    for measure, text, line in (
        ("human_distance", "nearest to people 0.25", "nearest=0.25"),
        ("mode_distance", "nearest to the data's modes 0.2500", "mode_distance=0.2500"),
        ("nelbo", "lowest NELBO 0.25", "nelbo=0.25"),
        ("hits_missing", "most hits of what was left out 0.2500", "hits_missing=0.2500"),
    ):
        made.measure, made.nearest, made.nearest_distance = measure, "beta 1", 0.25
        assert made.best_text() == f"{text}: beta 1" and summary(made).endswith(line)


def test_a_trial_that_did_not_finish_does_not_count() -> None:
    made = State("q", 4, work=10.0)
    made.running["x"] = Running("", 1, 5.0)
    made.end_trial("x", finished=False)
    assert (made.work_done, made.trials_ended, made.running) == (0, 0, {})


def test_a_log_has_whole_lines_without_control_codes_and_few_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    stream, made = io.StringIO(), state()
    with Progress(made, stream) as shown:
        for i in range(8):
            made.end_point("failed")
            shown.failure(
                "failed",
                dict(
                    point_id=f"{i:016d}",
                    model="vae_stn",
                    beta=1.0,
                    seed=44,
                    error_type="E",
                    log="l.txt",
                ),
                ["beta"],
            )
        wait_until(lambda: "vae_stn 48/100 48% running=18 failed=8" in stream.getvalue())
    text = stream.getvalue()
    assert "\x1b" not in text and "\r" not in text and text.endswith("\n")
    assert (
        text.count(" failed 0000000") == progress.SHOWN_FAILURES
        and "3 more failed or diverged points" in text
    )
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
        wait_until(lambda: "vae_stn  40/100" in stream.getvalue())
        shown.say("a line that stays")
    text = stream.getvalue()
    assert "\x1b[6A\x1b[J" in text and screen(text) == ["a line that stays", ""]
    assert text.endswith("\x1b[J"), "the live lines are taken away at the end"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


def test_a_log_hears_of_a_run_each_minute_though_no_point_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    stream, made = io.StringIO(), State("small", 100)
    made.running["a"] = Running("beta=1.75 seed=44", 1, 1.0, done=37, total=100, loss=1.2345678)
    with Progress(made, stream):
        wait_until(lambda: stream.getvalue().count("small at:") >= 2)
    assert "small 0/100 0% running=1" in stream.getvalue()
    assert "small at: beta=1.75 seed=44 epoch 37/100 loss 1.235\n" in stream.getvalue()


def test_a_log_hears_what_is_prepared_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    stream, made = io.StringIO(), State("small", 100, phase="preparing simclr epoch 3/10  loss=2.1")
    with Progress(made, stream):
        wait_until(
            lambda: "small now: preparing simclr epoch 3/10  loss=2.1\n" in stream.getvalue()
        )


def test_a_heartbeat_is_due_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Progress(state(), io.StringIO())
    began, due = shown._last_line, []
    for seconds in (1, 59, 61, 62, 119, 122):
        monkeypatch.setattr(progress.time, "monotonic", lambda at=began + seconds: at)
        shown._heartbeat_if_due()
        due.append(len(shown._said) > 0)
        shown._said.clear()
    assert due == [False, False, True, False, False, True]


def test_the_trials_of_a_heartbeat_fit_a_line() -> None:
    made = State("vae_stn", 100)
    assert progress.heartbeat(made) == [summary(made)]
    for i in range(9):
        made.running[str(i)] = Running(
            f"beta={i} time_steps=40 z=85 seed=44", 1, 1.0, done=i, total=8 if i > 1 else 0
        )
    line = progress.heartbeat(made)[-1]
    assert line == "vae_stn at: beta=2 time_steps=40 z=85 seed=44 epoch 2/8; 8 more"
    made.running = {
        str(i): Running(f"beta={i}", 1, 1.0, "drawing" if i else "epoch", i, 4, math.inf)
        for i in range(5)
    }
    line = progress.heartbeat(made)[-1]
    assert (
        line == "vae_stn at: beta=0 epoch 0/4; beta=1 drawing 25%; beta=2 drawing 50%; 2 more"
        and len(line) < 90
    )
    made.running = {"x": Running("a" * 200, 1, 1.0)}
    assert progress.heartbeat(made)[-1] == f"vae_stn at: {'a' * 200} starts"


def test_the_rate_may_be_asked_by_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """While points end; asking changes nothing."""
    made = State("q", 10)
    monkeypatch.setattr(progress, "RATE_SECONDS", 0.0)
    made.ends += [made.started - 1.0] * 2000
    made.per_minute()
    assert len(made.ends) == 2000
    monkeypatch.setattr(progress, "RATE_SECONDS", 1e-5)
    errors: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                assert made.per_minute() >= 0
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3000):
            made.end_point("done")
        stop.set()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == [] and made.counts["done"] == 3000 and len(made.ends) == 5000


class Interrupted(Terminal):
    """A terminal during whose third write a signal arrives, whose handler speaks."""

    shown: Progress
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        if self.writes != 3:
            return super().write(text)
        half = len(text) // 2
        super().write(text[:half])
        self.shown.say("Stopping: no new trials")
        self.shown.say("   Ctrl-C again stops at once")
        return super().write(text[half:]) + half


def screen(text: str) -> list[str]:
    """What a terminal shows after this text, down to the cursor."""
    terminal = Emulator(rows=100)
    terminal.feed(text)
    return terminal.lines[: terminal.y + 1]


def test_a_signal_that_speaks_in_the_middle_of_a_frame_leaves_frames_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "REPAINT_SECONDS", 1000.0)  # this thread alone paints
    stream = Interrupted()
    with Progress(state(), stream) as stream.shown:
        for word in ("one", "two", "three", "four"):
            stream.shown.say(word)
            assert len(screen(stream.getvalue())[-7:-1]) == 6
    assert stream.writes >= 5
    assert screen(stream.getvalue()) == [
        "one",
        "two",
        "three",
        "Stopping: no new trials",
        "   Ctrl-C again stops at once",
        "four",
        "",
    ]


def test_an_interrupt_in_the_middle_of_a_frame_leaves_no_half_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "REPAINT_SECONDS", 1000.0)

    class Torn(Terminal):
        tear = False

        def write(self, text: str) -> int:
            if not self.tear:
                return super().write(text)
            self.tear = False
            super().write(text[: len(text) - 20])
            raise KeyboardInterrupt

    stream = Torn()
    with pytest.raises(KeyboardInterrupt), Progress(state(), stream) as shown:
        shown.say("one")
        stream.tear = True
        shown.say("two")
    shown.say("Stopped: 0 finished")
    assert screen(stream.getvalue())[-2:] == ["Stopped: 0 finished", ""]


class Leaving(io.StringIO):
    """A pipe whose reader leaves after one write."""

    def __init__(self, error: OSError):
        super().__init__()
        self.error, self.writes = error, 0

    def write(self, text: str) -> int:
        self.writes += 1
        if self.writes > 1:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error")]
)
def test_a_reader_that_leaves_is_told_once_and_hurts_nobody(error: OSError) -> None:
    left: list[str] = []
    stream = Leaving(error)
    with Progress(state(), stream) as shown:
        shown.gone = lambda: left.append("gone") or shown.say("Stopping: nobody reads")  # type: ignore[func-returns-value]
        for word in ("one", "two", "three"):
            shown.say(word)
    assert left == ["gone"] and stream.getvalue() == "one\n" and stream.writes == 2


def test_a_full_disk_below_a_log_is_no_reader_that_left() -> None:
    left: list[str] = []
    stream = Leaving(OSError(28, "No space left on device"))
    with Progress(state(), stream, gone=lambda: left.append("gone")) as shown:
        shown.say("one")
        shown.say("two")
        stream.writes = 0
        shown.say("three")
    assert left == [] and stream.getvalue() == "one\nthree\n"


def test_a_closed_stderr_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress(state()) as shown:
        shown.say("one")


def test_a_mistake_in_what_is_shown_is_told_once_and_the_lines_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    calls: list[int] = []

    def tick() -> None:
        calls.append(1)
        raise IndexError("pop from an empty deque")

    stream = io.StringIO()
    with Progress(state(), stream, tick):
        wait_until(lambda: len(calls) > 3)
    assert (
        stream.getvalue().count("progress cannot be shown: IndexError: pop from an empty deque")
        == 1
    )


def test_a_warning_stays_above_the_live_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream, before = Terminal(), warnings.showwarning
    with Progress(state(), stream):
        warnings.showwarning("p1.json is damaged", UserWarning, "x.py", 1)
    assert warnings.showwarning is before
    assert "p1.json is damaged" in screen(stream.getvalue())[0]
