"""Rules of job scripts: what Slurm would refuse, drop without a word, or end too late."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from oneshot.cluster.batch_script import LONG, BatchScript
from oneshot.cluster.cluster_file import PLACEHOLDER
from oneshot.sweep.settings import did_you_mean

LEAST_WARNING = 60  # seconds before the time limit: 30 to save, and Slurm's own delay
MISSPELT = re.compile(r"(#\s+SBATCH|#sbatch|#\s*(SABTCH|SBTACH|SBATHC|SBACTH|SBATACH))\s+-")
NEVER_SHARED = ("/tmp", "/var/tmp", "/dev/shm")
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?$")


def check_placeholders(script: BatchScript) -> None:
    """Values that were left for people to fill in."""
    for number, line in enumerate(script.lines, 1):
        if line.lstrip().startswith("#") and not re.match(r"#(SBATCH|PBS|\$) ", line):
            continue
        for word in PLACEHOLDER.findall(line):
            help = "replace it; the comment above it says by what"
            script.error(number, f"{word.rstrip('/')} is still to be filled in", help)


def check_options(script: BatchScript) -> None:
    """Options that Slurm does not know, and lines that it takes for comments."""
    for name, option in script.options.items():
        if name not in LONG:
            near = difflib.get_close_matches(name, sorted(LONG), 1)
            help = f"write --{near[0]}" if near else "man sbatch lists all options"
            message = f"Slurm knows no option --{name}.{did_you_mean(name, sorted(LONG))}"
            script.error(option.line, message, help)
        if "$" in option.value:
            message = f"--{name}={option.value}: Slurm does not expand variables here"
            script.error(option.line, message, "write the value, or give it to sbatch")
    for number, line in enumerate(script.lines, 1):
        if MISSPELT.match(line):
            message = f"Slurm takes this line for a comment: {line.strip()}"
            script.error(number, message, "write #SBATCH, without a space, in capitals", hint=True)


def check_stop(script: BatchScript) -> None:
    """Whether trainings are saved ahead of the time limit, and the job goes back into the queue."""
    limit, signal = seconds_of(script.value("time")), script.value("signal")
    found = re.fullmatch(r"(?:([RB]+):)?(?:SIG)?([A-Z]+|15)(?:@(\d+))?", signal)
    if not signal:
        message = "no --signal: at the time limit trainings lose what they did since a checkpoint"
        script.error(None, message, "add: #SBATCH --signal=B:TERM@180")
    elif not found or found[2] not in ("TERM", "15"):
        message = f"--signal={signal}: the script waits for TERM"
        script.error(script.line("signal"), message, "write --signal=B:TERM@180")
    elif "B" not in (found[1] or ""):
        message = (
            f"--signal={signal} goes to all processes but the script: Ray's end before trainings"
            " are saved"
        )
        script.error(script.line("signal"), message, "write B: before TERM")
    elif (seconds := int(found[3] or 60)) < LEAST_WARNING:
        message = f"--signal={signal} leaves {seconds} seconds; trainings have 30 to save"
        script.error(script.line("signal"), message, "write 180, or 60 at least")
    elif limit and limit <= seconds:
        message = f"--signal={signal} comes before the job begins: its --time is {limit:.0f} s"
        script.error(script.line("signal"), message, "give it more time")
    if "time" not in script.options:
        help = "add --time: short jobs begin sooner, and go on where they stopped"
        script.error(None, "no --time: the partition's own limit holds", help, hint=True)
    elif limit is None:
        message = f"--time={script.value('time')} is no time"
        help = "write minutes, HH:MM:SS or DAYS-HH:MM:SS"
        script.error(script.line("time"), message, help)
    if "requeue" not in script.options:
        message = "no --requeue: a job that is preempted, or whose node fails, is lost"
        script.error(script.line("no-requeue"), message, "add: #SBATCH --requeue")
    if script.value("open-mode") != "append":
        message = "a job that comes back writes over its log"
        script.error(script.line("open-mode"), message, "add: #SBATCH --open-mode=append", True)


def check_nodes(script: BatchScript) -> None:
    """Whether several nodes are the job's alone, with one task on each."""
    nodes = script.value("nodes")
    if not any("symmetric-run" in line for line in script.lines) or nodes in ("", "1"):
        return
    if not re.fullmatch(r"[0-9]+(-[0-9]+)?", nodes):
        script.error(script.line("nodes"), f"--nodes={nodes} is no number", "write --nodes=2")
    elif "exclusive" not in script.options or script.value("exclusive"):
        message = (
            f"--nodes={nodes} without --exclusive: `ray symmetric-run` refuses a node where a Ray"
            " of somebody else runs, and ends all others of yours"
        )
        help = "add: #SBATCH --exclusive; or one node, or parts of the sweep as in slurm_array.sh"
        script.error(script.line("nodes"), message, help)
    if script.value("ntasks-per-node") != "1":
        message = "one task on each node starts Ray there"
        line = script.line("ntasks-per-node") or script.line("ntasks")
        script.error(line, message, "write --ntasks-per-node=1")


def check_array(script: BatchScript) -> None:
    """Whether the tasks of an array are the parts of the sweep."""
    shards = script.variables.get("SHARDS")
    array = re.sub(r"%\d+$", "", script.value("array"))
    sharded = any("--shard" in line for line in script.lines if not line.startswith("#"))
    if array and not sharded:
        message = "each task of the array would run the whole sweep, and all but one be refused"
        help = 'give run_sweep.py --shard "$SLURM_ARRAY_TASK_ID/$SHARDS", as in slurm_array.sh'
        script.error(script.line("array"), message, help)
    if not sharded or shards is None:
        return
    if not shards.value.isdecimal() or int(shards.value) < 1:
        script.error(shards.line, f"SHARDS={shards.value} is no number", "write SHARDS=8")
    elif not array:
        help = f"add: #SBATCH --array=1-{shards.value}"
        script.error(None, "no --array: there is no task for each part", help)
    elif array not in (f"1-{shards.value}", "1" if shards.value == "1" else ""):
        message = f"--array={array} are not the parts 1 .. {shards.value} of SHARDS"
        script.error(script.line("array"), message, f"write --array=1-{shards.value}")


def check_folders(script: BatchScript) -> None:
    """Whether all nodes see project, results and log."""
    for name in ("PROJECT", "RESULTS"):
        given = script.variables.get(name)
        if given is None or PLACEHOLDER.search(given.value) or "$" in given.value:
            continue
        if "://" not in given.value and not given.value.startswith(("/", "~")):
            help = "write the whole path, from /"
            script.error(given.line, f"{name}={given.value} is no absolute path", help)
        elif any(given.value == at or given.value.startswith(f"{at}/") for at in NEVER_SHARED):
            message = f"{name}={given.value} is a folder of each node's own"
            script.error(given.line, message, "give a folder that all nodes see")
    for option in ("output", "error"):
        folder = Path(script.value(option)).parent
        if script.value(option) and "%" not in str(folder) and not folder.is_dir():
            message = (
                f"there is no folder {folder} here: where the log has none, a job ends at once"
            )
            script.error(script.line(option), message, f"mkdir -p {folder}", hint=True)


def seconds_of(time: str) -> float | None:
    """The seconds of a time limit as Slurm writes them; None for what is none.

    Args:
        time: MINUTES, MINUTES:SECONDS, HOURS:MINUTES:SECONDS, or DAYS-HOURS with more.
    """
    if time.upper() in ("UNLIMITED", "INFINITE"):
        return float("inf")
    found = TIME.match(time)
    if not found:
        return None
    days, first, second, third = (int(part) if part else None for part in found.groups())
    assert first is not None
    if days is not None:
        return 86400.0 * days + 3600 * first + 60 * (second or 0) + (third or 0)
    if third is not None:
        return 3600.0 * first + 60 * (second or 0) + third
    return 60.0 * first + (second or 0)
