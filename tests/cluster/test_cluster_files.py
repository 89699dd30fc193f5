"""The cluster files are ones that Ray takes, and mistakes in them are explained. No cloud is
asked.
"""

from __future__ import annotations

import copy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import yaml

from oneshot.cluster import check, rules

FILES = ("cluster.yaml", "oneshot/cluster/gcp.yaml", "oneshot/cluster/local.yaml")
ANSWERS = {
    "YOUR-AMI": "ami-0123456789abcdef0",
    "YOUR-INSTANCE-PROFILE": "oneshot-nodes",
    "YOUR-PROJECT": "my-project-17",
    "YOUR-HEAD-IP": "10.0.0.1",
    "YOUR-WORKER-IP-1": "10.0.0.2",
    "YOUR-WORKER-IP-2": "10.0.0.3",
    "YOUR-USER": "me",
}


@pytest.fixture(autouse=True)
def in_the_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Paths of file_mounts begin where the command is run; nothing may find credentials or a cloud;
    a home with a token, returned.
    """
    monkeypatch.chdir(small.ROOT)
    home = tmp_path_factory.mktemp("home")
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").touch(0o600)
    monkeypatch.setenv("HOME", str(home))
    for name in (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ):
        monkeypatch.delenv(name, raising=False)
    return home


def filled(name: str) -> str:
    """The text of a cluster file as a person leaves it who filled it in."""
    text = (small.ROOT / name).read_text()
    for mark, answer in ANSWERS.items():
        text = text.replace(mark, answer)
    return text


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def told(folder: Path, text: str) -> tuple[str, int]:
    """The report on a text, as one line of words, and the status; every line fits, but for those of
    a long file name.
    """
    path = written(folder, text)
    out, status = check.report(path)
    assert all(len(line) < 80 for line in out.splitlines() if str(path) not in line), out
    return " ".join(out.split()), status


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
        rules.PLACEHOLDER.search(value)
        for name in FILES
        for _, value in rules.texts(yaml.safe_load(filled(name)))
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
    text, status = told(tmp_path, filled(name))
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


def edited(change: Callable[[dict[str, Any]], Any], name: str = "cluster.yaml") -> str:
    """A file with one change, written anew."""
    config = yaml.safe_load(filled(name))
    change(config)
    return yaml.safe_dump(config, sort_keys=False)


def put(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets what stands at a dotted place; None takes it out."""

    def change(config: dict[str, Any]) -> None:
        *way, last = place.split(".")
        for key in way:
            config = config[int(key) if isinstance(config, list) else key]
        if value is None:
            del config[last]
        else:
            config[last] = value

    return change


WORKER = "available_node_types.gpu_worker"
AWS: list[tuple[Callable[[dict[str, Any]], None], list[str]]] = [
    (
        put("idle_timeout_minuts", 5),
        ["no key 'idle_timeout_minuts' at the top of the file", "help: write idle_timeout_minutes"],
    ),
    (
        put(f"{WORKER}.max_worker", 5),
        [f"no key 'max_worker' in {WORKER}.", f"{WORKER}.max_worker", "help: write max_workers"],
    ),
    (
        put(f"{WORKER}.spot", True),
        ["no key 'spot'", "take it out; known", "node_config, priority, resources"],
    ),
    (
        put("idle_timeout_minutes", "ten"),
        ["idle_timeout_minutes is ten (text), a number is needed", "help: give a number"],
    ),
    (
        put("cluster_name", 7),
        ["cluster_name is 7 (a whole number), text is needed", 'in quotes: "7"'],
    ),
    (
        put("setup_commands", "pip install ."),
        ["setup_commands is pip install . (text), a list is needed", "after a dash"],
    ),
    (put("cluster_name", None), ["cluster_name is missing", "add a name"]),
    (put("max_workers", -1), ["max_workers is -1, below 0", "give 0 or more"]),
    (
        put("head_node_type", "haed"),
        ["head_node_type is 'haed'", "Did you mean 'head'?", "help: write one of head, gpu_worker"],
    ),
    (put("head_node_type", None), ["head_node_type is missing", "write one of head, gpu_worker"]),
    (put(f"{WORKER}.min_workers", 8), ["8 of gpu_worker stay even when idle"]),
    (
        put(f"{WORKER}.resources", {"GPU": 0.5}),
        [
            f"{WORKER}.resources.GPU is 0.5 (a fraction)",
            "help: give what the whole",
            "--gpus-per-trial .5",
        ],
    ),
    (put(f"{WORKER}.resources", None), [f"{WORKER}.resources is missing", "add resources: {}"]),
    (
        put(f"{WORKER}.max_workers", 0),
        ["max_workers of gpu_worker is 0: none can start", "give 1 or more"],
    ),
    (put(f"{WORKER}.min_workers", -2), ["min_workers of gpu_worker is -2", "give 0 or more"]),
    (put("max_workers", 0), ["max_workers is 0: no worker can start", "give the most workers"]),
    (put(WORKER, None), ["no node type besides the head's", "help: add one"]),
    (
        put("file_mounts", {"~/oneshot": "./onshot"}),
        ["there is no ./onshot to copy to ~/oneshot", f"this is {small.ROOT}"],
    ),
    (
        put("rsync_exclude", ["data"]),
        ["rsync_exclude 'data' also keeps data of this project", '"/data" means'],
    ),
    (put("rsync_exclude", ["*.txt"]), ["keeps constraints.txt of this project", '"/*.txt"']),
    (
        put("setup_commands", ["pip install boto3", "cd ~/oneshot"]),
        ["setup_commands: no command installs this project", "-c constraints.txt -e"],
    ),
    (
        put("head_start_ray_commands", ["ray stop", "ray start --head"]),
        ["no --autoscaling-config", "add --autoscaling-config="],
    ),
    (
        put("auth.ssh_private_key", "~/.ssh/none.pem"),
        ["there is no file ~/.ssh/none.pem", "take the line out", "has no KeyName"],
    ),
    (
        put("provider.type", "awss"),
        ["there is no provider 'awss'", "Did you mean 'aws'?", "write one of aws, gcp, local"],
    ),
    (
        put("provider", {"type": "aws", "regoin": "us-west-2"}),
        ["provider.regoin is no key that aws knows", "help: write region", "region is missing"],
    ),
    # beside InstanceType nothing is missing, and Ray lets it pass
    (put(f"{WORKER}.node_config.instance_type", "g5.xlarge"), []),
    (
        put(f"{WORKER}.node_config", {"instance_type": "g5.xlarge"}),
        ["instance_type is no key that aws knows", "help: write InstanceType"],
    ),
    (
        put(f"{WORKER}.node_config.InstanceType", None),
        [f"{WORKER}.node_config.InstanceType is missing", "say which machine"],
    ),
    (
        put(f"{WORKER}.node_config.ImageId", None),
        ["gpu_worker has no ImageId", "Ubuntu 18.04", "how to find one"],
    ),
    (
        put("provider.region", "YOUR-REGION"),
        ["YOUR-REGION is still to be filled in", "provider.region", "help: replace it"],
    ),
]


@pytest.mark.parametrize(
    ("change", "words"),
    [case for case in AWS if case[1]],
    ids=[case[1][0][:40] for case in AWS if case[1]],
)
def test_a_mistake_is_named_with_a_remedy(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    text, status = told(tmp_path, edited(change))
    assert all(word in text for word in words), text
    assert status == (0 if "stay even" in words[0] else 2) and " help: " in text


def test_more_workers_at_least_than_at_most(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["max_workers"] = 3
        config["available_node_types"]["gpu_worker"]["min_workers"] = 4

    text, status = told(tmp_path, edited(change))
    assert (
        status == 2
        and "max_workers is 3, less than the min_workers of all types: 4 of gpu_worker" in text
        and "raise it" in text
    )
    text, status = told(tmp_path, edited(put(f"{WORKER}.min_workers", 9)))
    assert status == 2 and "min_workers of gpu_worker is 9, above its max_workers 8" in text


LOCAL: list[tuple[Callable[[dict[str, Any]], None], list[str]]] = [
    (put("provider.head_ip", None), ["provider.head_ip is missing", "the address of the machine"]),
    (
        put("provider.worker_ips", None),
        ["provider.worker_ips is missing", "list the other machines"],
    ),
    (
        put("provider.worker_ips", "10.0.0.2"),
        ["provider.worker_ips is 10.0.0.2 (text), a list is needed", "after a dash"],
    ),
    (
        put("provider.worker_ips", ["10.0.0.1"]),
        ["10.0.0.1 is there twice", "take it out: the head"],
    ),
    (put("auth", {}), ["auth.ssh_user is missing", "the user's name"]),
    (
        put("head_node_type", "x"),
        ["provider local has no head_node_type", "take it out: Ray finds"],
    ),
]


@pytest.mark.parametrize(("change", "words"), LOCAL, ids=[case[1][0][:40] for case in LOCAL])
def test_a_mistake_about_own_machines_is_named_with_a_remedy(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    text, status = told(tmp_path, edited(change, "oneshot/cluster/local.yaml"))
    assert status == 2 and all(word in text for word in words), text


def test_the_head_alone_is_a_cluster_of_own_machines(tmp_path: Path) -> None:
    def alone(config: dict[str, Any]) -> None:
        config["provider"]["worker_ips"] = []
        config["min_workers"] = config["max_workers"] = 0

    text, status = told(tmp_path, edited(alone, "oneshot/cluster/local.yaml"))
    assert status == 0 and "machine 10.0.0.1 alone" in text and "hint:" not in text, text


STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


def with_mode(mode: str, *keys: str) -> Callable[[dict[str, Any]], None]:
    """A change of RAY_AUTH_MODE in the commands under these keys."""

    def change(config: dict[str, Any]) -> None:
        for key in keys:
            config[key] = [c.replace("RAY_AUTH_MODE=token ", mode) for c in config[key]]

    return change


@pytest.mark.parametrize("name", FILES)
def test_in_all_files_every_node_asks_for_the_token_that_travels(name: str) -> None:
    config = yaml.safe_load((small.ROOT / name).read_text())
    starts = [c for key in STARTS for c in config[key] if "ray start" in c]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token" in c for c in starts)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("export RAY_AUTH_MODE=token" in c for c in config["setup_commands"]), (
        "`ray status` over ssh needs it"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_cluster_without_a_token_is_explained(
    tmp_path: Path, in_the_project: Path, name: str
) -> None:
    for mode in ("RAY_AUTH_MODE=disabled ", ""):
        text, status = told(tmp_path, edited(with_mode(mode, *STARTS), name))
        assert (
            status == 0
            and "hint: no token is asked for" in text
            and "ray get-auth-token --generate" in text
        ), text
        assert "export RAY_AUTH_MODE" not in text
    for key in STARTS:
        text, status = told(tmp_path, edited(with_mode("", key), name))
        assert (
            status == 2 and "differ in RAY_AUTH_MODE" in text and "before each `ray start`" in text
        ), text
    text, status = told(tmp_path, edited(lambda c: c["file_mounts"].pop("~/.ray/auth_token"), name))
    assert (
        status == 2
        and "no token goes to the nodes" in text
        and "~/.ray/auth_token: ~/.ray/auth_token" in text
    ), text
    (in_the_project / ".ray/auth_token").chmod(0o644)
    text, status = told(tmp_path, filled(name))
    assert (
        status == 0 and "hint: others on this machine may read" in text and "chmod 600" in text
    ), text
    assert "export RAY_AUTH_MODE=token" in text, "whoever submits needs it too"
    (in_the_project / ".ray/auth_token").unlink()
    text, status = told(tmp_path, filled(name))
    assert (
        status == 2
        and "there is no ~/.ray/auth_token" in text
        and "make it, once: (umask 077; ray get-auth-token" in text
    ), text


def test_on_google_cloud_gpus_must_be_named_and_project_and_zone_given(tmp_path: Path) -> None:
    text, status = told(
        tmp_path, edited(put(f"{WORKER}.resources", {"CPU": 8}), "oneshot/cluster/gcp.yaml")
    )
    assert status == 2 and "gpu_worker has guestAccelerators but no GPU in its resources" in text
    text, status = told(
        tmp_path,
        edited(put("provider", {"type": "gcp", "region": "us-west1"}), "oneshot/cluster/gcp.yaml"),
    )
    assert (
        status == 2
        and "provider.project_id is missing" in text
        and "provider.availability_zone is missing" in text
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            put(f"{WORKER}.node_config.InstanceMarketOptions", None),
            ["paid on demand, not spot", "MarketType: spot", "g5.xlarge on demand"],
        ),
        (
            put(f"{WORKER}.node_config.InstanceType", "m5.4xlarge"),
            ["gpu_worker has no GPU", "m5.4xlarge spot, 0 GPUs each"],
        ),
        (
            put(f"{WORKER}.node_config.IamInstanceProfile", None),
            ["its trials cannot write to a bucket"],
        ),
        (
            put("available_node_types.head.resources", {}),
            ["the head has processors for trials", "m5.large, runs trials too"],
        ),
        (
            put("setup_commands", ["cd ~/oneshot && pip install ."]),
            ["install no pinned versions", "ray[default] is not installed"],
        ),
        (
            put(
                "head_start_ray_commands",
                ["RAY_AUTH_MODE=token ray start --head --autoscaling-config=x"],
            ),
            ["kill after 3 seconds", "RAY_JOB_STOP_WAIT_TIME_S=60"],
        ),
    ],
)
def test_what_works_but_is_hardly_meant_is_a_hint(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    text, status = told(tmp_path, edited(change))
    assert status == 0 and "is in order" in text and "hint: " in text and "error:" not in text
    assert all(word in text for word in words), text


def test_mistakes_of_yaml_are_told_with_line_and_column(tmp_path: Path) -> None:
    text, status = told(
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
    text, status = told(tmp_path, "cluster_name: [oneshot\nprovider: {type: aws}\n")
    assert (
        status == 2
        and "this is not YAML" in text
        and "c.yaml:2 column 9" in text
        and "look at indentation" in text
    )
    text, status = told(tmp_path, filled("cluster.yaml") + "\nmax_workers: 9\n")
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
    out, status = told(tmp_path, text)
    assert status == 2 and "error:" in out and "help:" in out and "Traceback" not in out


@pytest.mark.parametrize("key", [*yaml.safe_load(filled(FILES[0])), "docker", "metadata"])
def test_a_key_of_a_wrong_kind_never_raises(tmp_path: Path, key: str) -> None:
    for value in (None, 3, "text", [None], {"a": [1]}):
        config = {**yaml.safe_load(filled(FILES[0])), key: value}
        _, status = told(tmp_path, yaml.safe_dump(config))
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
    text, status = told(tmp_path, edited(put("docker", {"image": "rayproject/ray"})))
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
