"""Cluster files are read, checked and summed up. No cloud is asked."""

from __future__ import annotations

import copy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import small
import yaml
from cluster_files import FILES, edited, filled, put, report_of, written

from oneshot.cluster import check, cluster_file


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_the_file_as_it_is_and_filled_in(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    for text in ((small.ROOT / name).read_text(), filled(name)):
        validate_config(prepare_config(copy.deepcopy(yaml.safe_load(text))))


@pytest.mark.parametrize("name", FILES)
def test_a_file_as_it_is_lacks_nothing_but_what_people_must_fill_in(name: str) -> None:
    found = check.problems(small.ROOT / name)
    assert found and all("is still to be filled in" in p.message and not p.hint for p in found)
    places = [(p.line, p.place) for p in found]
    assert len(set(places)) == len(places), "a value that an alias repeats is asked for once"
    lines = (small.ROOT / name).read_text().splitlines()
    assert all(p.message.split()[0] in lines[(p.line or 0) - 1] for p in found)
    out, status = check.report(small.ROOT / name)
    assert status == 2 and out.count("error:") == len(found) and "no cloud was contacted" in out


def test_every_placeholder_of_the_files_is_answered_in_these_tests() -> None:
    assert not any(
        cluster_file.PLACEHOLDER.search(value)
        for name in FILES
        for _, value in cluster_file.strings_in(yaml.safe_load(filled(name)))
    )


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "cluster.yaml",
            [
                "oneshot on aws, us-west-2",
                "m5.large, runs no trials",
                "0..8 of g5.xlarge spot, 1 GPU each",
                "s3://",
                "10 minutes",
            ],
        ),
        (
            "oneshot/cluster/gcp.yaml",
            [
                "gcp, us-west1-a",
                "n2-standard-2, runs no trials",
                "0..8 of g2-standard-8 spot, 1 GPU each",
                "gs://",
            ],
        ),
        (
            "oneshot/cluster/local.yaml",
            [
                "oneshot on local",
                "head 10.0.0.1",
                "2..2 of 2 machines: 10.0.0.2, 10.0.0.3",
                "/SHARED/FOLDER",
            ],
        ),
    ],
)
def test_a_file_that_is_filled_in_is_summed_up(tmp_path: Path, name: str, facts: list[str]) -> None:
    text, status = report_of(tmp_path, filled(name))
    assert status == 0 and "hint:" not in text and "No cloud was contacted" in text
    assert all(fact in text for fact in facts), text
    assert all(
        command in text
        for command in (
            "ray up ",
            "ray dashboard ",
            "ray job submit --address http://127.0.0.1:8265",
        )
    )


def test_mistakes_of_yaml_are_told_with_line_and_column(tmp_path: Path) -> None:
    text, status = report_of(
        tmp_path, filled("cluster.yaml").replace("provider:\n  type: aws", "provider:\n\ttype: aws")
    )
    line = (
        next(
            n
            for n, s in enumerate(filled("cluster.yaml").splitlines(), 1)
            if s.startswith("provider:")
        )
        + 1
    )
    assert status == 2 and f"c.yaml:{line} column 1" in text and "replace the tab by spaces" in text
    text, status = report_of(tmp_path, "cluster_name: [oneshot\nprovider: {type: aws}\n")
    assert (
        status == 2
        and "this is not YAML" in text
        and "c.yaml:2 column 9" in text
        and "look at indentation" in text
    )
    text, status = report_of(tmp_path, filled("cluster.yaml") + "\nmax_workers: 9\n")
    assert status == 2 and "max_workers is given twice" in text and "keep one of them" in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n",
        "just words\n",
        "&a [*a]\n",
        "a: &a [*a]\n",
        "provider: 3\n",
        "1: 2\n",
        "a: 2026-02-31\n",
        "\x00",
    ],
)
def test_nothing_that_a_file_may_hold_raises(tmp_path: Path, text: str) -> None:
    out, status = report_of(tmp_path, text)
    assert status == 2 and "error:" in out and "help:" in out and "Traceback" not in out


@pytest.mark.parametrize("key", [*yaml.safe_load(filled(FILES[0])), "docker", "metadata"])
def test_a_key_of_a_wrong_kind_never_raises(tmp_path: Path, key: str) -> None:
    for value in (None, 3, "text", [None], {"a": [1]}):
        config = {**yaml.safe_load(filled(FILES[0])), key: value}
        _, status = report_of(tmp_path, yaml.safe_dump(config))
        assert status in (0, 2)


def test_a_missing_file_is_named_with_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("")
    out, status = check.report(tmp_path / "clustr.yaml")
    assert (
        status == 2
        and "there is no file" in out
        and "did you mean" in out
        and "cluster.yaml?" in out
    )
    out, status = check.report(tmp_path)
    assert status == 2 and "Is a directory" in " ".join(out.split())


def test_ray_has_the_last_word(tmp_path: Path) -> None:
    """What only Ray knows about is told in its words; here, what it raises for a docker part that
    lacks a name.
    """
    text, status = report_of(tmp_path, edited(put("docker", {"image": "rayproject/ray"})))
    assert (
        status == 2
        and "error: Ray refuses this file: " in text
        and "compare it with cluster.yaml" in text
    )


def test_the_text_fits_80_columns_in_the_project() -> None:
    for name in FILES:
        assert all(len(line) < 80 for line in check.report(name)[0].splitlines())


def test_looking_at_a_file_starts_no_ray_and_asks_no_cloud(tmp_path: Path) -> None:
    """In a process where any connection fails."""
    path = written(tmp_path, filled("cluster.yaml"))
    code = (
        "import socket, sys\n"
        "def refuse(*a): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from oneshot.cluster import check as cluster\n"
        "assert 'ray' not in sys.modules and 'yaml' not in sys.modules\n"
        f"out, status = cluster.report({str(path)!r})\n"
        "import ray\n"
        "assert status == 0 and not ray.is_initialized(), out\n"
        "assert not {'torch', 'boto3', 'googleapiclient'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=small.ROOT,
        env=small.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_command_to_submit_reaches_the_other_shell_whole(tmp_path: Path) -> None:
    """The words that `ray job submit` joins for the shell of the head (as in its source) are the
    command that was meant.
    """
    out, _ = check.report(written(tmp_path, filled("cluster.yaml")))
    command = out[out.index("ray job submit") :].replace("ray job submit", "printf '%s\\0'")
    words = subprocess.run(command, shell=True, capture_output=True, text=True).stdout.split("\0")[
        :-1
    ]
    assert words[:4] == ["--address", "http://127.0.0.1:8265", "--", "bash"] and len(words) == 6
    entrypoint = (
        shlex.join(words[3:])
        .replace("exec .venv/bin/python", "echo")
        .replace("cd ~/oneshot", "true")
    )
    meant = ["run_sweep.py", "SWEEP", "--address", "auto", "--results", "s3://BUCKET/results"]
    assert (
        subprocess.run(entrypoint, shell=True, capture_output=True, text=True).stdout.split()
        == meant
    )


def test_what_stays_behind_is_no_part_of_the_project() -> None:
    """The patterns of rsync_exclude begin at the top of the folder, where no part of the package
    lies.
    """
    for name in FILES:
        kept = yaml.safe_load((small.ROOT / name).read_text())["rsync_exclude"]
        assert ".venv" in kept and all(
            p == ".venv" or (p.startswith("/") and not p.startswith(("/oneshot", "/sweeps")))
            for p in kept
        )


def test_the_flag_prints_the_report(tmp_path: Path) -> None:
    good, bad = written(tmp_path, filled("cluster.yaml")), small.ROOT / "cluster.yaml"
    done = small.run("--check-cluster", good)
    assert (done.stdout.strip(), done.returncode) == (check.report(good)[0], 0), done.stderr
    done = small.run("--check-cluster", bad)
    assert (
        done.returncode == 2
        and done.stdout.strip() == check.report(bad)[0]
        and "Traceback" not in done.stderr
    )
