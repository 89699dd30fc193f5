"""What is wrong in a cluster file, in words: `run_sweep.py --check-cluster FILE`.

No cloud and no batch system is contacted. A cluster file must be one that Ray takes (its own
validator has the last word) and one on which sweeps of this project can run. Of job scripts,
`batch_check` tells.
"""

from __future__ import annotations

import difflib
import os
import shlex
import textwrap
from pathlib import Path
from typing import Any

from oneshot.cluster import batch_check, rayjob_summary
from oneshot.cluster.batch_script import is_script, read
from oneshot.cluster.cluster_file import ClusterFile, Place, Problem, dotted, kind_of
from oneshot.cluster.rules import access, commands, nodes, rayjob, rayjob_pods, schema, token

WIDTH = 79
SUFFIXES = (".yaml", ".yml", ".sh")
RULES = (
    nodes.check_node_types,
    nodes.check_workers,
    nodes.check_own_machines,
    access.check_access,
    access.check_files,
    token.check_token,
    commands.check_installation,
    commands.check_start,
)

# of a file for Kubernetes; each group relies on the ones before
RAYJOB_RULES = (
    (rayjob_pods.check_containers,),
    (
        rayjob.check_version,
        rayjob.check_entrypoint,
        rayjob_pods.check_groups,
        rayjob.check_end,
    ),
    (rayjob_pods.check_credentials,),
)


def problems(path: str | os.PathLike[str]) -> list[Problem]:
    """Everything wrong in a cluster file, in the order of its lines; hints last.

    It raises nothing for what a file may hold.
    """
    return batch_check.problems(Path(path)) if is_script(Path(path)) else _read(Path(path))[1]


def report(path: str | os.PathLike[str]) -> tuple[str, int]:
    """The text for stdout, and the exit status: 0, or 2 if there are errors."""
    file, config = Path(path), dict[str, Any]()
    if is_script(file):
        found, contacted = problems(file), "no batch system"
    else:
        config, found = _read(file)
        contacted = "no cloud"
    shown = [_shown(file, p) for p in found]
    if errors := sum(not p.hint for p in found):
        number = f"{errors} error{'s' * (errors > 1)}"
        end = f"{number}. Nothing was started, and {contacted} was contacted."
        return "\n".join([*shown, "", end]), 2
    summary = _summary(file, config) if config else _script_summary(file)
    return "\n".join([summary, *([""] if shown else []), *shown]), 0


# Reading


def _read(path: Path) -> tuple[dict[str, Any], list[Problem]]:
    """The file as Python values, and its problems."""
    import yaml

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        config = None if root is None else loader.construct_document(root)
        lines, twice = _lines(root)
    except FileNotFoundError:
        return {}, [_missing(path)]
    except (OSError, UnicodeDecodeError) as error:
        return {}, [
            Problem(f"{path} cannot be read: {error}", "give a text file that you may read")
        ]
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that is none
        return {}, [_syntax(error)]
    except RecursionError:
        return {}, [Problem("an alias (*name) stands inside what it repeats", "write the part out")]
    if not isinstance(config, dict):
        kind = "is empty" if config is None else f"holds {kind_of(config)}"
        return {}, [
            Problem(
                f"{path} {kind}; a mapping of keys is needed", "copy cluster.yaml and edit the copy"
            )
        ]
    cluster_file = ClusterFile(config, lines)
    for place in twice:
        message = f"{dotted(place)} is given twice, and the last one counts"
        cluster_file.error(place, message, "keep one of them")
    _apply_rules(cluster_file)
    found = dict.fromkeys([*cluster_file.placeholders, *cluster_file.problems])
    return config, sorted(found, key=lambda p: (p.hint, p.line or 0))


def _apply_rules(file: ClusterFile) -> None:
    """Apply all rules. Most rely on types, and Ray itself is asked only about what looks right."""
    schema.check_placeholders(file)
    if rayjob.is_manifest(file.config):
        rayjob.check_parts(file)
        for group in RAYJOB_RULES:
            if file.has_errors():
                return
            for rule in group:
                rule(file)
        return
    schema.check_schema(file)
    schema.check_provider(file)
    if file.has_errors():
        return
    for rule in RULES:
        rule(file)
    if not file.has_errors():
        schema.ask_ray(file)


def _missing(path: Path) -> Problem:
    """That there is no such file, with a name that is near."""
    files = [str(f) for f in sorted(path.parent.glob("*")) if f.suffix in SUFFIXES]
    near = difflib.get_close_matches(str(path), files, 1, 0.5)
    help = (
        f"did you mean {near[0]}?"
        if near
        else (
            "copy cluster.yaml, or gcp.yaml, local.yaml, kuberay.yaml, slurm.sh or slurm_array.sh"
            " of oneshot/cluster/, and edit the copy"
        )
    )
    return Problem(f"there is no file {path}", help)


def _syntax(error: Exception) -> Problem:
    """A mistake of YAML itself, with line and column."""
    what = str(
        getattr(error, "problem", None) or getattr(error, "reason", None) or error
    ).splitlines()[0]
    help = (
        "look at indentation (spaces, never tabs), colons, brackets and quotes here and in the line"
        " before"
    )
    if "\\t" in what:
        help = "replace the tab by spaces"
    mark = getattr(error, "problem_mark", None)
    place, line = (f"column {mark.column + 1}", mark.line + 1) if mark else ("", None)
    return Problem(f"this is not YAML: {what}", help, place, line)


def _lines(root: Any) -> tuple[dict[Place, int], list[Place]]:
    """The line of every key and item, and the places of keys that are given twice.

    What an alias repeats has its own line.
    """
    found: dict[Place, int] = {}
    twice: list[Place] = []

    def walk(node: Any, place: Place) -> None:
        entries: list[tuple[Any, Any, Any]] = []
        if node.id == "mapping":
            entries = [
                (key.value if isinstance(key.value, str) else "?", key, value)
                for key, value in node.value
            ]
        elif node.id == "sequence":
            entries = [(index, value, value) for index, value in enumerate(node.value)]
        seen: set[Any] = set()
        for name, start, value in entries:
            inner = (*place, name)
            if name in seen:
                twice.append(inner)
            seen.add(name)
            found[inner] = (
                value.start_mark.line + 1 if value.id == "scalar" else start.start_mark.line + 1
            )
            walk(value, inner)

    if root is not None:
        walk(root, ())
    return found, twice


# Telling


def _wrapped(text: str, first: str) -> str:
    """A text in lines that fit, the first of which begins with `first`."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shown(file: Path, problem: Problem) -> str:
    """A problem as the lines that people read."""
    parts = [_wrapped(problem.message, "hint: " if problem.hint else "error: ")]
    if problem.line:
        at, where = f"  --> {file}:{problem.line}", problem.place
        gap = "  " if len(at) + len(where) + 2 <= WIDTH else "\n      "
        parts.append(f"{at}{gap}{where}" if where else at)
    return "\n".join([*parts, _wrapped(problem.help, "  help: ")])


def _script_summary(file: Path) -> str:
    """What a job script asks for, and what to do next."""
    script = read(file)
    lines = [_wrapped(text, f"{name:<12}") for name, text in batch_check.facts(script)]
    note = f"{file} is in order. No batch system was contacted: whether it has what is asked for"
    if script.system == "Slurm":
        note += f" is told by: sbatch --test-only {shlex.quote(str(file))} SWEEP"
    else:
        note += " shows when it is submitted. Only its syntax was checked."
    return "\n".join([_wrapped(note, ""), "", *lines])


def _summary(file: Path, config: dict[str, Any]) -> str:
    """What the file asks for, and what to do next."""
    if rayjob.is_manifest(config):
        note = (
            f"{file} is in order. No cluster was contacted: whether the operator, images, quotas"
            " and secrets are there shows when it starts."
        )
        told = [_wrapped(text, f"{name:<12}") for name, text in rayjob_summary.facts(config)]
        return "\n".join(
            [_wrapped(note, ""), "", *told, *rayjob_summary.next_commands(file, config)]
        )
    provider = config["provider"]
    local = provider["type"] == "local"
    region = "" if local else f", {provider.get('availability_zone') or provider.get('region', '')}"
    facts = [("cluster", f"{config['cluster_name']} on {provider['type']}{region}")]
    facts += _local_facts(config) if local else _cloud_facts(config)
    where = {"aws": "s3://BUCKET/results", "gcp": "gs://BUCKET/results"}.get(
        provider["type"], "/SHARED/FOLDER/results"
    )
    facts.append(("results", f"must lie where every node can write: --results {where}"))
    lines = [_wrapped(text, f"{name:<12}") for name, text in facts]
    lines += _next(file, where, "RAY_AUTH_MODE=token" in str(config.get("head_start_ray_commands")))
    note = (
        f"{file} is in order. No cloud was contacted: whether images, instance types, rights and"
        " quotas are there shows when it starts."
    )
    return "\n".join([_wrapped(note, ""), "", *lines])


def _local_facts(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The machines of a cluster of one's own."""
    provider = config["provider"]
    if "coordinator_address" in provider:
        return [("machines", f"given by the coordinator at {provider['coordinator_address']}")]
    workers = [str(ip) for ip in provider["worker_ips"]]
    if not workers:
        return [("machine", f"{provider['head_ip']} alone")]
    least, most = config.get("min_workers", len(workers)), config.get("max_workers", len(workers))
    return [
        ("head", str(provider["head_ip"])),
        ("workers", f"{min(least, most)}..{most} of {len(workers)} machines: {', '.join(workers)}"),
    ]


def _cloud_facts(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The machines that a cloud is asked for."""
    head, kind = config["head_node_type"], config["provider"]["type"]
    facts: list[tuple[str, str]] = []
    for name, given in config["available_node_types"].items():
        node = given["node_config"]
        machine = node.get("InstanceType") or node.get("machineType") or name
        if name == head:
            facts.insert(
                0,
                (
                    "head",
                    f"{machine}, "
                    + (
                        "runs no trials"
                        if given["resources"].get("CPU") == 0
                        else "runs trials too"
                    ),
                ),
            )
            continue
        overall = config.get("max_workers", 2)
        most = min(given.get("max_workers", overall), overall)
        gpus = nodes.gpus_of(kind, given)
        each = "" if gpus is None else f", {gpus} GPU{'s' * (gpus != 1)} each"
        facts.append(
            (
                "workers",
                (
                    f"{given.get('min_workers', 0)}..{most} of"
                    f" {machine} {'spot' if nodes.is_spot(node) else 'on demand'}{each}"
                ),
            )
        )
    idle = config.get("idle_timeout_minutes", 5)
    return [
        *facts,
        ("idle", f"a worker ends after {idle:g} minute{'s' * (idle != 1)} without work"),
    ]


def _next(file: Path, results: str, token: bool) -> list[str]:
    """The commands that follow; the last one may be copied as it is, over several lines."""
    indent, quoted = " " * 12, shlex.quote(str(file))
    return [
        f"next        ray up {quoted}",
        f"{indent}ray dashboard {quoted}   # leave it open",
        *[f"{indent}export RAY_AUTH_MODE=token   # it asks for ~/.ray/auth_token"] * token,
        f"{indent}ray job submit --address http://127.0.0.1:8265 -- bash -c \\",
        f"{indent}  'cd ~/oneshot && exec .venv/bin/python run_sweep.py SWEEP \\",
        f"{indent}  --address auto --results {results}'",
    ]
