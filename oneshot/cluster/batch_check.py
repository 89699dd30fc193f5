"""What is wrong in a job script of a batch system, and what it asks for. None is contacted."""

from __future__ import annotations

import difflib
from pathlib import Path

from oneshot.cluster.batch_script import BatchScript, read
from oneshot.cluster.cluster_file import Problem
from oneshot.cluster.rules import batch

RULES = (
    batch.check_options,
    batch.check_stop,
    batch.check_nodes,
    batch.check_array,
    batch.check_folders,
)


def problems(path: Path) -> list[Problem]:
    """Everything wrong in a job script, in the order of its lines; hints last.

    It raises nothing for what a file may hold.
    """
    try:
        script = read(path)
    except FileNotFoundError:
        return [_missing(path)]
    except (OSError, UnicodeDecodeError) as error:
        help = "give a text file that you may read"
        return [Problem(f"{path} cannot be read: {error}", help)]
    batch.check_placeholders(script)
    if not script.system:
        message = "the script has no options of a batch system"
        script.error(None, message, "copy oneshot/cluster/slurm.sh and edit the copy")
    if script.system == "Slurm":
        for rule in RULES:
            rule(script)
    found = dict.fromkeys(script.problems)
    return sorted(found, key=lambda p: (p.hint, p.line or 0))


def _missing(path: Path) -> Problem:
    """That there is no such file, with a name that is near."""
    files = [str(f) for f in sorted(path.parent.glob("*.sh"))]
    near = difflib.get_close_matches(str(path), files, 1, 0.5)
    help = "copy slurm.sh or slurm_array.sh of oneshot/cluster/, and edit the copy"
    return Problem(f"there is no file {path}", f"did you mean {near[0]}?" if near else help)


def facts(script: BatchScript) -> list[tuple[str, str]]:
    """What a script asks for, by name.

    Args:
        script: without errors.

    Returns:
        Names of at most 11 characters, and texts.
    """
    if script.system != "Slurm":
        return [("system", script.system)]
    name, limit = script.value("job-name") or script.path.name, script.value("time")
    found = [("job", f"{name} in {script.value('partition') or 'the default partition'}")]
    if array := script.value("array"):
        found.append(("tasks", f"{array}, each {_room(script)}"))
    else:
        found.append(("nodes", f"{script.value('nodes') or '1'}, {_room(script)}"))
    stop = script.value("signal").rpartition("@")[2]
    text = f"{limit or 'none of its own'}; {stop} s before it trainings save, and it queues again"
    found.append(("time limit", text))
    results = script.variables.get("RESULTS")
    if results:
        found.append(("results", results.value))
    found.append(("next", f"sbatch {script.path} SWEEP"))
    if results:
        found.append(("", f"python run_sweep.py SWEEP --status --results {results.value}"))
    return found


def _room(script: BatchScript) -> str:
    """What a node or task is given."""
    words = []
    if "exclusive" in script.options:
        words.append("whole")
    for name, unit in (("cpus-per-task", "processors"), ("mem", "memory")):
        if (value := script.value(name)) and value != "0":
            words.append(f"{value} {unit}")
    gpus = script.value("gpus-per-node") or script.value("gpus") or script.value("gres")
    words.append(f"GPUs: {gpus}" if gpus else "no GPU")
    return ", ".join(words)
