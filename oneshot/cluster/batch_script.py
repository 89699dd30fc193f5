"""A job script that is checked: its options, its variables, and the problems found."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from oneshot.cluster.cluster_file import Problem

SHORT = {
    **{"A": "account", "C": "constraint", "D": "chdir", "F": "nodefile", "G": "gpus", "H": "hold"},
    **{"J": "job-name", "L": "licenses", "M": "clusters", "N": "nodes", "O": "overcommit"},
    **{"Q": "quiet", "S": "core-spec", "W": "wait", "a": "array", "b": "begin", "v": "verbose"},
    **{"c": "cpus-per-task", "d": "dependency", "e": "error", "i": "input", "k": "no-kill"},
    **{"m": "distribution", "n": "ntasks", "o": "output", "p": "partition", "q": "qos"},
    **{"s": "oversubscribe", "t": "time", "w": "nodelist", "x": "exclude"},
}
_LONG = """
bb bbf cluster-constraint comment container contiguous cores-per-socket cpu-freq cpus-per-gpu
deadline delay-boot exclusive export export-file extra-node-info get-user-env gid gpu-bind gpu-freq
gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint ignore-pbs kill-on-invalid-dep
mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nice no-requeue
ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode parsable power prefer
priority profile propagate reboot requeue reservation signal sockets-per-node spread-job switches
test-only thread-spec threads-per-core time-min tmp tres-bind tres-per-task uid use-min-nodes
wait-all-nodes wckey wrap
"""
LONG = frozenset((*SHORT.values(), *_LONG.split()))  # every option of sbatch
# those without a value
FLAGS = {"contiguous", "hold", "no-kill", "overcommit", "quiet", "reboot", "spread-job"}
SYSTEMS = {"#SBATCH": "Slurm", "#PBS": "PBS", "#$": "Grid Engine"}


@dataclass(frozen=True)
class Option:
    """An option that a line of the script gives to the batch system.

    Attributes:
        value: as it stands; "" where it has none.
        line: from 1.
    """

    value: str
    line: int


@dataclass
class BatchScript:
    """One pass over a script; each rule notes here what it finds.

    Attributes:
        path: of the file.
        lines: its lines.
        system: Slurm, PBS, Grid Engine, or "" for a script without options of one.
        options: of Slurm, by their long names, as far as Slurm reads them.
        variables: what lines like NAME=value give, with the line.
        problems: what the rules found.
    """

    path: Path
    lines: list[str]
    system: str = ""
    options: dict[str, Option] = field(default_factory=dict)
    variables: dict[str, Option] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def error(self, line: int | None, message: str, help: str, hint: bool = False) -> None:
        """Note a problem.

        Args:
            line: where, from 1; None for the whole file.
            message: what is wrong.
            help: what to do.
            hint: whether everything works all the same.
        """
        self.problems.append(Problem(message, help, "", line, hint))

    def value(self, option: str) -> str:
        """The value of an option; "" where it is not given."""
        return self.options[option].value if option in self.options else ""

    def line(self, option: str) -> int | None:
        """The line of an option; None where it is not given."""
        return self.options[option].line if option in self.options else None


def is_script(path: Path) -> bool:
    """Whether a file is a job script, by its name or its first line."""
    if path.suffix in (".sh", ".sbatch", ".slurm", ".pbs", ".sge"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def read(path: Path) -> BatchScript:
    """A script with its options and variables; what cannot be read of it is noted.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is no text.
    """
    text = path.read_bytes().decode("utf-8")  # with the ends of lines as they are
    script = BatchScript(path, text.split("\n"))
    marks = [mark for mark in SYSTEMS if re.search(rf"(?m)^{re.escape(mark)} ", text)]
    script.system = SYSTEMS[marks[0]] if marks else ""
    if "\r" in text:
        script.error(1, "lines end as on Windows", f"sed -i 's/\\r$//' {shlex.quote(str(path))}")
    _check_syntax(script, text)
    body = False  # after the first command Slurm reads no options
    for number, line in enumerate(script.lines, 1):
        words = line.strip()
        if found := re.match(r"([A-Z_][A-Z0-9_]*)=(\S*)\s*$", words):
            script.variables.setdefault(found[1], Option(found[2].strip("'\""), number))
        if words.startswith("#SBATCH"):
            if body:
                message = f"Slurm reads no options after the first command: {words}"
                script.error(number, message, "move it up, before the first line that is a command")
            else:
                _read_options(script, number, words.removeprefix("#SBATCH"))
        elif words and not words.startswith("#"):
            body = True
    return script


def _check_syntax(script: BatchScript, text: str) -> None:
    """Let bash read the script, without running it."""
    if not text.startswith("#!"):
        script.error(1, "the first line names no shell", "write #!/bin/bash into the first line")
    if not (bash := shutil.which("bash")):
        return
    done = subprocess.run([bash, "-n"], input=text, capture_output=True, text=True)
    for line in done.stderr.splitlines() if done.returncode else ():
        found = re.search(r"line ([0-9]+): (.*)", line)
        if found and not found[2].startswith("`"):
            help = "look at quotes, brackets, if .. fi and do .. done here and in the lines before"
            script.error(int(found[1]), f"this is not bash: {found[2]}", help)


def _read_options(script: BatchScript, number: int, text: str) -> None:
    """The options of one line."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        return script.error(number, f"the options cannot be read: {error}", "close the quote")
    if not words:
        script.error(number, "#SBATCH without an option", "write an option, or take the line out")
    while words:
        word = words.pop(0)
        name, sign, value = word.partition("=")
        if word.startswith("--"):
            name = name[2:]
        elif len(word) > 1 and word[0] == "-" and word[1] in SHORT:
            name, sign, value = SHORT[word[1]], word[2:], word[2:]
        elif word.startswith("-"):
            name = word[1:]
        else:
            script.error(number, f"{word} is no option", "options begin with --")
            continue
        if not sign and name not in FLAGS and words and not words[0].startswith("-"):
            value = words.pop(0)
        script.options[name] = Option(value, number)
