"""What the commands say and return: readers that leave, printed commands, paths, selections,
counts, old results.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import small

from oneshot import cli, paths
from oneshot.console import messages, summary
from oneshot.console.arguments import VIEWS, assignments, command_line
from oneshot.console.flag_values import positive
from oneshot.console.outcome import Outcome
from oneshot.engine import driver
from oneshot.engine.local import LocalEngine
from oneshot.engine.options import Options
from oneshot.report import command
from oneshot.store import estimate, plan, records
from oneshot.store.plan import Plan
from oneshot.store.records import Record
from oneshot.store.store import Store, Unavailable
from oneshot.sweep.point import Point

Capture = pytest.CaptureFixture[str]


class Closed(io.StringIO):
    """A pipe that nobody reads."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    """The first words of a command: a small sweep and a results folder of its own."""
    sweep = small.embedded(small.write_sweep(tmp_path))
    return [str(sweep), "--results", str(tmp_path / "results")]


def planned(asked: Sequence[str], *more: str) -> Plan:
    return cli._make_plan(cli.parser().parse_args([*asked, *more]))


def record(made: Plan, points: Sequence[Point], status: str = "done", **more: Any) -> None:
    """Leave a record of these points."""
    for p in points:
        row = {
            **p.row(),
            "status": status,
            "train_seconds": 1.0,
            "device": "a lamp",
            "error": None,
            **more,
        }
        if status == "failed":
            row |= dict(error_type="RuntimeError", error="the lamp went out", log="log.txt")
        made.store.write(records.key(made.sweep.name, p.point_id), records.encode(Record(row)))


# Readers that leave


@pytest.mark.parametrize(
    "look", [["--list"], ["--check"], ["--status", "--json"], ["--settings", "copy"], ["--help"]]
)
def test_a_look_whose_reader_leaves_ends_quietly(
    look: list[str], asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed())
    try:
        status = cli.main([*asked, *look])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 0 and capsys.readouterr().err == ""


def test_a_look_into_a_closed_pipe_ends_quietly_as_a_process(asked: list[str]) -> None:
    """Also at the end of the process, where Python writes what it has kept."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(small.ROOT / "run_sweep.py"), *asked, "--list"]
    done = subprocess.run(
        command,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=small.environment(),
        timeout=120,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("images", ["embedded", "told of before anything else"])
def test_a_run_whose_reader_has_left_does_not_begin(
    images: str, asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if images != "embedded":
        small.write_sweep(tmp_path)
    monkeypatch.setattr(sys, "stderr", Closed())
    assert cli.main([*asked, "--local"]) == 141
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("unread", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE])
def test_a_stopped_run_tells_by_what(
    number: signal.Signals, unread: bool, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(made: Plan, *_: Any) -> Outcome:
        if unread:
            monkeypatch.setattr(sys, "stderr", Closed())
        return Outcome({}, len(made.to_run), 1.0, number)

    monkeypatch.setattr(driver, "run", run)
    assert cli.main([*asked, "--local"]) == 128 + number


def test_a_run_whose_summary_nobody_reads_is_no_success(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(
        driver, "run", lambda made, *_: Outcome(dict(done=6, diverged=0, failed=0), 0, 1.0)
    )
    monkeypatch.setattr(sys, "stdout", Closed())
    assert cli.main([*asked, "--local"]) == 141


def test_a_broken_socket_is_not_taken_for_a_missing_cluster(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:

    def fail(error: Exception) -> Callable[..., Any]:
        def run(*_: Any) -> Any:
            raise error

        return run

    monkeypatch.setattr(driver, "run", fail(BrokenPipeError(32, "Broken pipe")))
    with pytest.raises(BrokenPipeError):
        cli.main([*asked, "--local"])
    monkeypatch.setattr(driver, "run", fail(ConnectionError("no Ray cluster answers at there")))
    assert cli.main([*asked, "--local"]) == 2
    assert (
        "no Ray cluster answers at there\n  help: start one with ray up" in capsys.readouterr().err
    )


def test_tables_are_written_to_files_though_nobody_reads_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2]})

    def run(args: argparse.Namespace) -> int:
        command._print_table(frame, True)
        frame.to_csv(args.csv)
        return 0

    monkeypatch.setattr(command, "_run", run)
    monkeypatch.setattr(sys, "stdout", Closed())
    assert (
        command.main(["results", "--csv", str(tmp_path / "t.csv")]) == 0
        and (tmp_path / "t.csv").exists()
    )


# Ctrl-C


@pytest.mark.parametrize("look", [["--check"], ["--list"], []])
def test_ctrl_c_while_results_are_read_is_one_line(
    look: list[str], asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "make", interrupted)
    assert cli.main([*asked, *look]) == 130
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("Interrupted") and shown.err.count("\n") == 1


# Printed commands


AWKWARD = """a b "c" 'd' $HOME `e` ~/f*; \\ """


OF_A_FORM = {"shard": "3/8", "suggest": "optuna:3"}


def words_of(action: argparse.Action) -> list[str]:
    """A use of a flag with a value that shells would change, where it takes a text."""
    flag = action.option_strings[-1] if action.option_strings else ""
    if action.nargs == 0:
        return [flag]
    if action.dest in OF_A_FORM:
        return [flag, OF_A_FORM[action.dest]]
    if action.choices:
        return [word for choice in list(action.choices)[:2] for word in (flag, str(choice))]
    if action.type is not None:
        return [flag, "3"] if action.type is positive else [flag, ".25"]
    return (
        [flag, AWKWARD] * (2 if isinstance(action, argparse._AppendAction) else 1)
        if flag
        else [AWKWARD]
    )


def flags_of_runs() -> list[argparse.Action]:
    p = cli.parser()
    groups = [g for g in p._action_groups if g.title != VIEWS]
    return [a for g in groups for a in g._group_actions if a.dest != "help"]


def pasted(command: str) -> list[str]:
    """The words that bash makes of a command line."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("dest", [*(a.dest for a in flags_of_runs() if a.option_strings), "all"])
def test_a_printed_command_is_the_command(dest: str) -> None:
    flags = [a for a in flags_of_runs() if dest in (a.dest, "all") or not a.option_strings]
    options = cli.parser().parse_args([word for a in flags for word in words_of(a)])
    assert all(getattr(options, a.dest) != a.default for a in flags), "a value that tells nothing"
    printed = command_line(options)
    words = pasted(printed)
    assert words[:2] == ["python", "run_sweep.py"] and words == shlex.split(printed)
    assert cli.parser().parse_args(words[2:]) == options
    again = ("--set", "--log")  # may be given several times
    assert all(n == 1 for w, n in Counter(words).items() if w[:2] == "--" and w not in again), (
        "a flag twice"
    )
    assert len(flags_of_runs()) > 12 and {"address", "drop_weights", "where"} <= {
        a.dest for a in flags_of_runs()
    }


def test_values_that_look_like_flags_stay_values() -> None:
    options = cli.parser().parse_args(["--where=-1<beta", "--results=--here", "--", "-odd.py"])
    assert cli.parser().parse_args(pasted(command_line(options))[2:]) == options


def test_the_commands_in_last_words_can_be_pasted(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Those of a dry run, of a stop, of trouble, of failures, and where nothing is left to run."""
    given = [
        *asked,
        "--where",
        'model == "vae_stn" and beta <= 1',
        "--address",
        "auto",
        "--gpus-per-trial",
        ".25",
        "--drop-weights",
    ]
    options = cli.parser().parse_args(given)

    def said(mark: str, text: str) -> argparse.Namespace:
        (line,) = [text_line for text_line in text.splitlines() if mark in text_line]
        return cli.parser().parse_args(pasted(line.partition(mark)[2].strip())[2:])

    assert cli.main([*given, "--check"]) == 0
    assert said("Run:", capsys.readouterr().out) == options
    for outcome, mark in [
        (dict(signal=2), "Continue:"),
        (dict(abort_reason="no room"), "Continue:"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(driver, "run", lambda made, *_, o=outcome: Outcome({}, 1, 1.0, **o))
            assert cli.main(given) in (1, 130)
        assert said(mark, capsys.readouterr().err) == options
    made = planned(given)
    record(made, made.points, "failed")
    retry = cli.parser().parse_args([*given, "--retry-failed"])
    assert cli.main(given) == 1
    assert said("Run the failed ones again:", capsys.readouterr().err) == retry
    made.log.update()
    text = summary.finished(
        made,
        Outcome(dict(done=0, diverged=0, failed=1), 0, 1.0),
        command_line(retry, retry_failed=True),
    )
    assert cli.parser().parse_args(pasted(text.splitlines()[-1].strip())[2:]) == retry
    assert pasted(text.splitlines()[-2].removeprefix("next"))[:2] == ["python", "analyze.py"]


# Paths


def test_a_home_folder_is_meant_in_every_path(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ONESHOT_RESULTS", "~/from_env")
    assert planned(["~/small.py"]).store.base == str(tmp_path / "from_env")
    assert planned(["~/small.py"], "--results", "~/r x").store.base == str(tmp_path / "r x")
    seen: list[Any] = []
    monkeypatch.setattr(command, "_run", lambda args: seen.append(args) or 0)
    flags = ["--csv", "--parquet", "--figures", "--importance"]
    assert (
        command.main(["~/a", "~/b", *(word for flag in flags for word in (flag, f"~/{flag}"))]) == 0
    )
    assert seen[0].results == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert [getattr(seen[0], flag[2:]) for flag in flags] == [
        str(tmp_path / flag) for flag in flags
    ]
    assert command.main(["~/a", "--importance"]) == 0 and (seen[1].importance, seen[1].csv) == (
        "",
        None,
    )


def test_other_paths_stay_and_an_unknown_home_is_an_error(
    asked: list[str], capsys: Capture
) -> None:
    assert [paths.user_path(p) for p in ("a~b", "s3://b/~c", "/d", "")] == [
        "a~b",
        "s3://b/~c",
        "/d",
        "",
    ]
    assert cli.main([asked[0], "--check", "--results", "~nobody-of-this-name/x"]) == 2
    assert "the home folder ~nobody-of-this-name is not known\n  help: " in capsys.readouterr().err


# Selections


@pytest.mark.parametrize(
    "look",
    [
        ["--local"],
        ["--check"],
        ["--status"],
        ["--list"],
        ["--check", "--json"],
        ["--list", "--json"],
    ],
)
@pytest.mark.parametrize("condition", ["beta > 100", "model == 'human'", "status == 'done'"])
def test_a_selection_without_points_is_refused(
    look: list[str], condition: str, asked: list[str], tmp_path: Path, capsys: Capture
) -> None:
    """References do not count; nothing is written."""
    assert cli.main([*asked, "--where", condition, *look]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(
        f"error: no point fulfils {condition!r}\n  help: "
    )
    held = dict(beta="beta is 0, 1, 2", model="model is vae_stn", status="status is missing")
    assert held[condition.split()[0]] in shown.err and not (tmp_path / "results").exists()


# Counts


def test_counts_are_those_of_the_points_that_a_run_is_about(asked: list[str]) -> None:
    """--limit, --where and --retry-failed: what is not selected is not done, and what is retried is
    not done yet.
    """

    seen: list[tuple[int, int]] = []

    class Idle(LocalEngine):
        """Prepares and runs nothing."""

        def prepare(self, points: Sequence[Point]) -> None:
            seen.append((self.state.ended, self.state.total))

        def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
            self.sweep_run.stop.requested_at = 1.0

    def counted(*more: str) -> tuple[int, int]:
        driver.run(planned(asked, "--seeds", "3", *more), Options(), Idle)
        return seen[-1]

    assert counted("--limit", "2") == (0, 5)  # of 12, three of them references
    assert counted("--where", "beta == 1", "--limit", "1") == (0, 4)
    made = planned(asked, "--seeds", "3")
    own = messages.own_points(made)
    record(made, own[:2])
    record(made, own[2:4], "failed")
    assert counted() == (4, 12)
    assert counted("--retry-failed") == (2, 12)
    assert counted("--limit", "1") == (4, 8)
    assert counted("--limit", "1", "--retry-failed") == (3, 7)


def test_the_words_after_a_stop_count_what_goes_on(asked: list[str]) -> None:
    def words(made: Plan, new: Sequence[Point] = ()) -> str:
        return messages.stopped(
            made, Outcome({}, 0, 1.0, 2, new_rows=[dict(point_id=p.point_id) for p in new]), "again"
        ).splitlines()[0]

    made = planned(asked)
    own = messages.own_points(made)
    assert words(made) == "Stopped: 0 finished, 0 continue from checkpoints, 6 not started."
    record(made, own[:1], "failed")
    for p, name in [
        (own[0], "checkpoint.pt"),
        (own[1], "training.pt"),
        (own[2], ".checkpoint.pt.1.2.tmp"),
    ]:
        made.store.write(f"store/trainings/{p.train_id}/{name}", b"x")
    assert (
        words(planned(asked)) == "Stopped: 1 finished, 1 continue from checkpoints, 4 not started."
    )
    retried = planned(asked, "--retry-failed")
    assert words(retried) == "Stopped: 0 finished, 2 continue from checkpoints, 4 not started."
    assert (
        words(retried, own[:1])
        == "Stopped: 1 finished, 1 continue from checkpoints, 4 not started."
    )
    limited = planned(asked, "--limit", "1")
    assert words(limited) == "Stopped: 1 finished, 1 continue from checkpoints, 3 not started."


def test_words_after_a_stop_come_without_the_store(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:

    def silent(*_: Any) -> Any:
        raise Unavailable.during("list", 5, "no answer", "there")

    made = planned(asked)
    monkeypatch.setattr(Store, "keys", silent)
    assert (
        "6 left (which of them continue from checkpoints cannot be seen: no answer)"
        in messages.stopped(made, Outcome({}, 6, 1.0, 2), "x")
    )


@pytest.mark.parametrize("look", ["--check", "--status", "--list", "stopped"])
def test_a_look_costs_one_listing_of_the_trainings(
    look: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asks: Counter[str] = Counter()

    def counting(name: str) -> Callable[..., Any]:
        whole = getattr(Store, name)

        def ask(self: Store, key: str, *more: Any, **named: Any) -> Any:
            listed = "trainings" if (name, key) == ("keys", "store/trainings") else name
            asks["of a training" if key.startswith("store/trainings/") else listed] += 1
            return whole(self, key, *more, **named)

        return ask

    for name in ("exists", "keys", "read", "version", "versions", "names", "fetch"):
        monkeypatch.setattr(Store, name, counting(name))
    many = [*asked, "--seeds", "40"]
    if look == "stopped":
        messages.stopped(planned(many), Outcome({}, 120, 1.0, 2), "x")
    else:
        assert cli.main([*many, look]) == 0
    assert asks["of a training"] == 0 and asks["trainings"] == (look in ("--check", "stopped"))
    assert asks.total() < 20


def test_keys_are_all_below_a_folder_but_temporary_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in ("a/c/2", "a/b/1", "a/0", "ab/3", "a/b/.1.9.9.tmp"):
        store.write(key, b"")
    assert (
        store.keys("a") == ["a/0", "a/b/1", "a/c/2"]
        and store.keys("a/b") == ["a/b/1"]
        and store.keys("nowhere") == []
    )


# Old and odd results


def test_rows_from_before_a_setting_do_not_break_a_look(asked: list[str], capsys: Capture) -> None:
    """The setting counts as its default; a row whose data set is gone is left out of the speed."""
    made = planned(asked)
    first, second, third = messages.own_points(made)
    old = {n: v for n, v in first.row().items() if n != "time_steps"}
    for p, row in [
        (first, old),
        (second, {**second.row(), "dataset": "gone"}),
        (third, {**third.row(), "split": "gone"}),
    ]:
        whole = {**row, "status": "done", "train_seconds": 2.0, "device": "a lamp"}
        made.store.write(records.key("small", p.point_id), records.encode(Record(whole)))
    for look in ("--check", "--status", "--list"):
        assert cli.main([*asked, "--set", "epochs=3", look]) == 0
        shown = capsys.readouterr()
        assert look != "--check" or "from 1 rows on a lamp" in " ".join(shown.out.split())


def test_rows_of_a_family_that_is_gone_are_passed_over(asked: list[str]) -> None:
    made = planned(asked)
    record(made, made.points[:1])
    made.log.update()
    (record_of_person,) = made.log.records.values()
    gone = dataclasses.replace(
        record_of_person,
        row={**record_of_person.row, "model": "my_old_family", "point_id": "0" * 16},
    )
    made.log.records["0" * 16] = gone
    assert plan.signature(gone.row, []) is None and estimate.row_work(gone.row) is None
    assert [r.row["model"] for r in made.current_records()] == ["human"]
    assert made.stale() == [] and estimate.estimate(made, estimate.work_left(made))[0]


def test_a_damaged_quality_of_a_critic_costs_its_row_alone(asked: list[str]) -> None:
    made = planned(asked)
    (simclr, protonet) = {
        spec.id: spec for p in made.points for spec in p.critics.values()
    }.values()
    made.store.write(simclr.quality_key, b'{"critic": "simclr"')
    made.store.write(protonet.quality_key, b'{"critic": "protonet"}')
    with pytest.warns(UserWarning, match=r"quality\.json is damaged"):
        assert made.critic_rows() == [{"critic": "protonet"}]


# Words


def test_a_family_that_trains_nothing_has_no_estimate(tmp_path: Path, capsys: Capture) -> None:
    text = (
        small.write_sweep(tmp_path)
        .read_text()
        .replace('model="vae_stn"', 'model="copy"')
        .replace('variant="tiny",', "")
    )
    text = text.replace("grid(beta=[0.0, 1.0, 2.0])", "grid(drawings_per_class=[2, 3])").replace(
        " drawings_per_class=4,", ""
    )
    (tmp_path / "copy.py").write_text(text.replace("epochs=2, batch_size=512,", ""))
    asked = [str(tmp_path / "copy.py"), "--results", str(tmp_path / "r"), "--check"]
    assert cli.main(asked) == 0
    assert "estimate    none: copy trains nothing" in capsys.readouterr().out
    assert (
        cli.main([*asked, "--json"]) == 0
        and json.loads(capsys.readouterr().out)["estimate_seconds"] is None
    )


def test_warnings_are_lines_without_code(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def dispatch(options: argparse.Namespace) -> int:
        for file in (
            plan.__file__,
            str(small.ROOT / "analyze.py"),
            "/usr/lib/python3/site-packages/numpy/core.py",
        ):
            shown.append(warnings.formatwarning("p1.json is damaged", UserWarning, file, 7))
        return 0

    before = warnings.formatwarning
    monkeypatch.setattr(cli, "_dispatch", dispatch)
    assert cli.main(asked) == 0 and warnings.formatwarning is before
    assert (
        shown[:2] == ["warning: p1.json is damaged\n"] * 2 and "core.py:7: UserWarning" in shown[2]
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("--seeds=x", "--seeds: x is not a whole number of at least 1"),
        ("--seeds=1.5", "--seeds: 1.5 is not a whole number of at least 1"),
        ("--cpus-per-trial=0", "0 is not more than 0"),
        ("--gpus-per-trial=nan", "nan is not a number of at least 0"),
        ("--checkpoint-seconds=-5", "-5 is not a number of at least 0"),
        ("--set=epochs=[1]", "gives several values"),
        ("--set=epochs=1,2", "gives several values"),
    ],
)
def test_numbers_are_refused_in_words(
    value: str, message: str, asked: list[str], capsys: Capture
) -> None:
    try:
        status = cli.main([*asked, "--check", value])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2 and message in capsys.readouterr().err


def test_a_quoted_text_may_hold_a_comma() -> None:
    assert assignments(["file='a,b.npz'", "epochs=3", "variant=tiny"]) == {
        "file": "a,b.npz",
        "epochs": 3,
        "variant": "tiny",
    }


def test_looks_fit_80_columns(asked: list[str], capsys: Capture) -> None:
    made = planned(asked)
    record(made, messages.own_points(made)[:1], "failed")
    for look in ("--check", "--status", "--list"):
        assert cli.main([*asked[:1], "--results", asked[2], look]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) < 80 or "run_sweep.py" in line for line in lines), lines


def test_looks_import_nothing_heavy(asked: list[str]) -> None:
    """Once the cost of the models is counted, which takes torch."""
    assert cli.main([*asked, "--check"]) == 0
    code = (
        f"import sys; from oneshot import cli; cli.main({[*asked, '--check']!r});"
        " print(sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=small.environment(),
        timeout=120,
    )
    loaded = eval(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and "oneshot.console.messages" in loaded
    assert not {"torch", "ray", "pandas", "matplotlib", "scipy"} & set(loaded)
