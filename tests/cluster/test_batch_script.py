"""Job scripts are read, checked and summed up; bash reads them all. No batch system is asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import small

from oneshot.cluster import check
from oneshot.cluster.rules.batch import seconds_of

FOLDER = small.ROOT / "oneshot" / "cluster"
ANSWERS = {"YOUR-PARTITION": "gpu", "YOUR-QUEUE": "all.q", "/YOUR/SHARED/FOLDER": "/home"}
SCRIPTS = ("slurm.sh", "slurm_array.sh", "pbs_array.sh", "sge_array.sh")


def filled(name: str, *changes: tuple[str, str]) -> str:
    """The text of a script as a person leaves it who filled it in, with changes."""
    text = (FOLDER / name).read_text()
    for old, new in ANSWERS.items():
        text = text.replace(old, new)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def report_of(folder: Path, text: str, name: str = "job.sh") -> tuple[str, int]:
    (folder / name).write_text(text)
    return check.report(folder / name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_reads_every_script(name: str) -> None:
    done = subprocess.run(["bash", "-n", FOLDER / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_as_it_is_lacks_nothing_but_what_people_must_fill_in(name: str) -> None:
    found = check.problems(FOLDER / name)
    assert len(found) == 3 and all("is still to be filled in" in p.message for p in found)
    out, status = check.report(FOLDER / name)
    assert status == 2 and "no batch system was contacted" in out


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("slurm.sh", ["oneshot in gpu", "2, whole", "180 s before it", "sbatch ", "/home/results"]),
        ("slurm_array.sh", ["1-8, each 4 processors, 16G memory", "--status --results /home"]),
        ("pbs_array.sh", ["PBS", "Only its syntax was checked"]),
        ("sge_array.sh", ["Grid Engine", "Only its syntax was checked"]),
    ],
)
def test_a_filled_in_script_is_in_order(name: str, facts: list[str], tmp_path: Path) -> None:
    out, status = report_of(tmp_path, filled(name))
    assert status == 0 and "is in order" in out.replace("\n", " ") and "hint" not in out, out
    assert all(fact in out.replace("\n            ", " ") for fact in facts), out


MISTAKES = [
    ("slurm.sh", "#SBATCH --requeue\n", "", "no --requeue"),
    ("slurm.sh", "#SBATCH --exclusive\n", "", "without --exclusive"),
    ("slurm.sh", "--ntasks-per-node=1\n#", "--ntasks=4\n#", "one task on each node"),
    ("slurm.sh", "--signal=B:TERM@180", "--signal=TERM@180", "goes to all processes"),
    ("slurm.sh", "--signal=B:TERM@180", "--signal=B:USR1@180", "waits for TERM"),
    ("slurm.sh", "--signal=B:TERM@180", "--signal=B:TERM@20", "leaves 20 seconds"),
    ("slurm.sh", "#SBATCH --signal=B:TERM@180\n", "", "no --signal"),
    ("slurm.sh", "--time=04:00:00", "--time=2", "comes before the job begins"),
    ("slurm.sh", "--time=04:00:00", "--time=4h", "is no time"),
    ("slurm.sh", "#SBATCH --time=04:00:00\n", "", "no --time"),
    ("slurm.sh", "#SBATCH --open-mode=append\n", "", "writes over its log"),
    ("slurm.sh", "--partition=gpu", "--partiton=gpu", "Did you mean 'partition'?"),
    ("slurm.sh", "--partition=gpu", "--partition=$QUEUE", "does not expand variables"),
    ("slurm.sh", "#SBATCH --mem=0", "# SBATCH --mem=0", "for a comment"),
    ("slurm.sh", "CONTAINER=\n", "CONTAINER=\n#SBATCH --mem=0\n", "after the first command"),
    ("slurm.sh", "RESULTS=/home/results", "RESULTS=/tmp/results", "of each node's own"),
    ("slurm.sh", "RESULTS=/home/results", "RESULTS=results", "no absolute path"),
    ("slurm.sh", "--output=%x", "--output=/no/such/%x", "there is no folder /no/such"),
    ("slurm.sh", "done\n", "\n", "this is not bash"),
    ("slurm.sh", "#!/bin/bash", "", "names no shell"),
    ("slurm.sh", "\n", "\r\n", "as on Windows"),
    ("slurm_array.sh", "SHARDS=8", "SHARDS=4", "are not the parts 1 .. 4"),
    ("slurm_array.sh", "--array=1-8", "--array=0-7", "are not the parts 1 .. 8"),
    ("slurm_array.sh", "#SBATCH --array=1-8\n", "", "no --array"),
    ("slurm_array.sh", "SHARDS=8", "SHARDS=many", "is no number"),
    ("slurm_array.sh", '--shard "$SLURM_ARRAY_TASK_ID/$SHARDS" ', "", "would run the whole sweep"),
]


@pytest.mark.parametrize(("name", "old", "new", "told"), MISTAKES)
def test_each_mistake_is_explained(
    name: str, old: str, new: str, told: str, tmp_path: Path
) -> None:
    out, status = report_of(tmp_path, filled(name, (old, new)))
    assert told in " ".join(out.split()), out
    assert status == (0 if "hint: " in out and "error: " not in out else 2)


def test_options_in_every_form_and_the_limit_of_tasks_are_read(tmp_path: Path) -> None:
    changes = (
        ("#SBATCH --time=04:00:00", "#SBATCH -t 1-12 -c4  # a day and a half"),
        ("#SBATCH --cpus-per-task=4\n", ""),
        ("--array=1-8", "--array 1-8%4"),
    )
    out, status = report_of(tmp_path, filled("slurm_array.sh", *changes))
    assert status == 0 and "1-12; 180 s" in out and "4 processors" in out, out


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("2:00:00", 7200), ("1-12", 129600), ("1-0:30", 88200)],
)
def test_times_are_read_as_slurm_reads_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds and seconds_of("soon") is None


def test_a_missing_script_and_one_of_no_batch_system_are_told(tmp_path: Path) -> None:
    out, status = check.report(tmp_path / "slurm.sh")
    assert status == 2 and "there is no file" in out and "slurm_array.sh" in out
    out, status = report_of(tmp_path, "#!/bin/bash\necho\n")
    assert status == 2 and "no options of a batch system" in out
    out, status = check.report(tmp_path / "jobs.sh")
    assert "did you mean" in out and "job.sh" in out


# ---- What the script does on several nodes, with stand-ins for srun, Ray and Python

STAND_INS = {
    # a task on each node, side by side
    "srun": """echo "srun $*" >>"$SAID"; while [ "${1#--}" != "$1" ]; do shift; done
[ "$1" != rm ] || exec "$@"
export SLURM_STEP_ID=0; SLURM_NODEID=1 "$@" & echo $! >"$SAID.second"
SLURM_NODEID=0 "$@"; wait $!""",
    "scancel": """echo "scancel $*" >>"$SAID"; kill -KILL $(cat "$SAID.second")""",
    "ray": """echo "ray $SLURM_NODEID $*" >>"$SAID"
[ "$SLURM_NODEID" -eq 0 ] || exec sleep 5 >/dev/null 2>&1
while [ "$1" != -- ]; do shift; done; shift; "$@"; s=$?; echo "ray stop" >>"$SAID"; exit $s""",
    "python": """[ "$1" != - ] || exec "$PYTHON" "$@"
echo "python $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN} $*" >>"$SAID"
trap 'echo "saved" >>"$SAID"; exit 143' TERM
touch "$SAID.started"; [ -z "$ENDS" ] || exit "$ENDS"; while true; do sleep 0.05; done""",
    "scontrol": """echo "scontrol $*" >>"$SAID"
case "$1 $2" in "show hostnames") echo n1; echo n2;; "show node") echo " NodeAddr=127.0.0.1 X=1";;
"show job") echo "JobState=$STATE";; esac""",
}


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """The environment of a job on two nodes whose programs write down how they are called."""
    programs, tmp = tmp_path / "bin", tmp_path / "tmp"
    programs.mkdir()
    tmp.mkdir()
    for name, text in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    activate = tmp_path / "oneshot" / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("")
    text = filled("slurm.sh").replace("/home", str(tmp_path))
    (tmp_path / "job.sh").write_text(text)
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SAID": str(tmp_path / "said"),
        "PYTHON": sys.executable,
        "STATE": "RUNNING",
        "ENDS": "",
        **{"SLURM_JOB_ID": f"9{os.getpid()}", "SLURM_JOB_NUM_NODES": "2", "SLURM_NODEID": "0"},
        **{"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_CPUS_ON_NODE": "16"},
    }


def start(folder: Path, given: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", str(folder / "job.sh"), "mine", "--seeds", "2"],
        env=given,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("status", [0, 1])
def test_on_several_nodes_ray_starts_on_each_and_the_driver_on_the_first(
    status: int, tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    from ray.scripts.scripts import cli
    from ray.scripts.symmetric_run import curate_and_validate_ray_start_args

    job = start(tmp_path, {**stand_ins, "ENDS": str(status)})
    out = job.communicate(timeout=60)[0]
    said = (tmp_path / "said").read_text().splitlines()
    assert job.returncode == status, (out, said)
    calls = {
        line.split()[1]: line.split()[2:]
        for line in said
        if line.startswith("ray ") and "-run" in line
    }
    assert calls.keys() == {"0", "1"}
    assert any(line.startswith("srun --nodes=2 --ntasks=2 ") for line in said)
    for node, words in calls.items():
        given = words[1 : words.index("--")]
        assert given[0] == "--address" and given[2:6] == ["--min-nodes", "2", "--num-cpus", "16"]
        options = curate_and_validate_ray_start_args([*given, "--", "x"])
        ours = [*options[: options.index("x")], *(["--head"] if node == "0" else [])]
        cli.commands["start"].make_context("start", [w for w in ours if w != "--"])
        assert ("--include-dashboard=false" in given) == (node == "0")
    head = calls["0"][calls["0"].index("--address") + 1]
    driver = next(line for line in said if line.startswith("python token 64 "))
    assert driver.endswith(
        f"run_sweep.py mine --seeds 2 --results {tmp_path}/results --address {head}"
    )
    assert not any(line.startswith("scontrol requeue") for line in said)
    assert f"scancel --signal=KILL {stand_ins['SLURM_JOB_ID']}.0" in said, "the other node's Ray"
    assert not Path(f"/tmp/os-{os.getuid()}-{stand_ins['SLURM_JOB_ID']}").exists()


@pytest.mark.parametrize("state", ["RUNNING", "CANCELLED"])
def test_the_driver_alone_is_stopped_and_a_job_that_was_not_cancelled_goes_back(
    state: str, tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    job = start(tmp_path, {**stand_ins, "STATE": state})
    small.wait_until((tmp_path / "said.started").exists, 60)
    job.send_signal(signal.SIGTERM)
    out = job.communicate(timeout=60)[0]
    said = (tmp_path / "said").read_text().splitlines()
    assert said.index("saved") < said.index("ray stop"), said
    requeued = f"scontrol requeue {stand_ins['SLURM_JOB_ID']}" in said
    assert requeued == (state == "RUNNING") and job.returncode == (0 if requeued else 143), out


def test_folders_of_jobs_are_short_and_of_one_user_and_job() -> None:
    """Ray's sockets lie 64 bytes below; the path of a socket has at most 107."""
    from oneshot.engine.ray_connection import LONGEST_TEMP

    for name in SCRIPTS:
        line = next(x for x in (FOLDER / name).read_text().splitlines() if "RAY_TMPDIR=" in x)
        assert "$UID" in line and ("JOB_ID" in line or "${job" in line)
    longest = f"/tmp/os-{2**31}-{2**31}/ray"
    assert len(longest) <= LONGEST_TEMP and shutil.which("bash")
