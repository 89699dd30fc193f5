"""What may be wrong in a cluster file: one method a thing. `cluster.py` reads the file and tells
people.

A place is where something stands in the file, as a tuple of keys and indices.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import fnmatch
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oneshot.sweep.settings import did_you_mean

Place = tuple[Any, ...]
WIDTH = 79
TOKEN = re.compile(r"\.ray/auth_token$")
MAKE_TOKEN = "(umask 077; ray get-auth-token --generate >/dev/null)"
# what `ray up` starts; kuberay, spark and others have ways of their own
PROVIDERS = ("aws", "gcp", "local", "azure", "vsphere", "aliyun")
PLACEHOLDER = re.compile(r"\bYOUR[-_/][A-Z0-9_/-]*")
MODE = re.compile(r"\bRAY_AUTH_MODE=['\"]?(\w+)")
INSTALLS = re.compile(
    r"\b(pip|uv)\b[^;&|\n]*\binstall\b[^;&|\n]*(\s['\"]?\./?(\[|['\"]|\s|$)|\boneshot(\.git)?/?([\[@'\"]|\s|$))"
    r"|\buv sync\b|\bmake \.venv/installed\b"
)
# what a node needs of the project
SENT = ("oneshot", "sweeps", "constraints.txt", "pyproject.toml", "README.md", "run_sweep.py")
NODE_KEYS = {
    "aws": (
        "BlockDeviceMappings IamInstanceProfile ImageId InstanceMarketOptions InstanceType KeyName"
        " NetworkInterfaces SecurityGroupIds SubnetIds UserData TagSpecifications Placement"
        " MetadataOptions EbsOptimized"
    ),
    "gcp": (
        "machineType disks guestAccelerators metadata scheduling serviceAccounts networkInterfaces"
        " labels tags minCpuPlatform"
    ),
}
PROVIDER_KEYS = {
    "aws": (
        "region availability_zone cache_stopped_nodes use_internal_ips security_group cloudwatch"
    ),
    "gcp": "region availability_zone project_id use_internal_ips gcp_credentials",
    "local": "head_ip worker_ips coordinator_address external_head_ip",
}
NEEDED = {
    "aws": {"region": "the region of your machines and of the bucket, as us-west-2"},
    "gcp": {
        "region": "the region of your machines and of the bucket, as us-west1",
        "availability_zone": "a zone of that region with the accelerator, as us-west1-a",
        "project_id": "`gcloud config get-value project` prints yours",
    },
}
KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}

# GPUs of the EC2 instance types that people train on, by family; where sizes differ, by size.
GPUS: dict[str, dict[str, int]] = {
    "g4dn": {"12xlarge": 4, "metal": 8, "": 1},
    **{
        family: {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8, "": 1}
        for family in ("g5", "g6", "g6e")
    },
    "p3": {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"4xlarge": 1, "48xlarge": 8},
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing to change. `place` is "" where it is the whole file; a hint keeps nothing from
    working.
    """

    message: str
    help: str
    place: str = ""
    line: int | None = None
    hint: bool = False


def dotted(place: Place) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
    return text.removeprefix(".")


def kind_of(value: Any) -> str:
    """What a value is, for people."""
    if value is None:
        return "nothing"
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a fraction",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def shown_value(value: Any) -> str:
    """A value as a short text."""
    text = (
        json.dumps(value, default=str)
        if isinstance(value, (dict, list, bool)) or value is None
        else str(value)
    )
    return text if len(text) <= 40 else f"{text[:37]}..."


# Checking


class Check:
    """One pass over a file. Each method looks at one thing and leaves what it finds in `found`."""

    def __init__(self, config: dict[str, Any], lines: dict[Place, int]):
        self.config, self.lines = config, lines
        self.found: list[Problem] = []
        self.left: list[Problem] = []  # placeholders, beside which all else can be looked at
        provider = config.get("provider")
        self.provider: dict[str, Any] = provider if isinstance(provider, dict) else {}
        self.kind = self.provider.get("type")

    def error(self, place: Place, message: str, help: str, hint: bool = False) -> None:
        """Note a problem at a place, or at the nearest place above it that is in the file."""
        at = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in self.lines), ())
        self.found.append(Problem(message, help, dotted(place), self.lines.get(at), hint))

    def hint(self, place: Place, message: str, help: str) -> None:
        """As `error`, of what works but is hardly meant."""
        self.error(place, message, help, hint=True)

    def everything(self) -> None:
        """All checks. Those after the schema's rely on types, and Ray itself is asked only about
        what looks right.
        """
        self.placeholders()
        self.schema()
        self.provider_keys()
        if self.wrong():
            return
        self.node_types()
        self.workers()
        self.local()
        self.access()
        self.files()
        self.token()
        self.commands()
        if not self.wrong():
            self.ask_ray()

    def wrong(self) -> bool:
        """Whether an error was found, placeholders aside."""
        return any(not p.hint for p in self.found)

    def placeholders(self) -> None:
        """Values that were left for people to fill in; what an alias repeats is said once."""
        seen = set()
        for place, value in texts(self.config):
            for word in PLACEHOLDER.findall(value):
                if (at := (word, self.lines.get(place))) not in seen:
                    seen.add(at)
                    help = "replace it; the comment beside it says by what"
                    self.left.append(
                        Problem(
                            f"{word} is still to be filled in",
                            help,
                            dotted(place),
                            self.lines.get(place),
                        )
                    )

    def schema(self) -> None:
        """Keys and types, by the schema that Ray ships."""
        import jsonschema
        import ray.autoscaler

        schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
        config = dict(self.config)
        if self.kind == "local":
            config.pop("min_workers", None)  # Ray takes it out before it validates
        for problem in jsonschema.Draft7Validator(schema).iter_errors(
            json.loads(json.dumps(config, default=str))
        ):
            self.explain(problem)

    def explain(self, problem: Any) -> None:
        """A problem of the schema in our words."""
        place: Place = tuple(problem.absolute_path)
        rule, value = problem.validator, problem.instance
        if rule == "additionalProperties":
            known = list(problem.schema.get("properties", {}))
            for key in [k for k in value if k not in known]:
                self.unknown((*place, key), known)
        elif rule == "required":
            for key in [k for k in problem.validator_value if k not in value]:
                self.error((*place, key), f"{dotted((*place, key))} is missing", _remedy(key))
        elif rule == "type":
            self.wrong_type(place, value, problem.validator_value)
        elif rule == "minimum":
            self.error(
                place,
                f"{dotted(place)} is {shown_value(value)}, below {problem.validator_value}",
                f"give {problem.validator_value} or more",
            )
        else:
            self.error(
                place,
                f"{dotted(place)}: {problem.message.splitlines()[0]}",
                "see cluster.yaml, which has comments for each key",
            )

    def unknown(self, place: Place, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        where = f"in {dotted(place[:-1])}" if place[:-1] else "at the top of the file"
        help = (
            f"write {near[0]}"
            if near
            else f"take it out; known {where} are: {', '.join(sorted(known))}"
        )
        self.error(
            place,
            "Ray knows no key"
            f" {str(place[-1])!r} {where}.{did_you_mean(str(place[-1]), list(known))}",
            help,
        )

    def wrong_type(self, place: Place, value: Any, wanted: str | list[str]) -> None:
        name = " or ".join(
            KINDS.get(w, w) for w in ([wanted] if isinstance(wanted, str) else wanted)
        )
        help = (
            f"give {name}"
            if wanted != "string"
            else f'give text, in quotes: "{shown_value(value)}"'
        )
        if (
            "resources" in place[-2:-1]
            and isinstance(value, (int, float))
            and not isinstance(value, bool)
        ):
            help = "give what the whole machine has; trials share a GPU by `--gpus-per-trial .5`"
        elif wanted == "array" and isinstance(value, str):
            help = "write it below the key, after a dash: - ..."
        self.error(
            place,
            f"{dotted(place)} is {shown_value(value)} ({kind_of(value)}), {name} is needed",
            help,
        )

    def provider_keys(self) -> None:
        """The provider's type, and the keys that it needs or that look like its keys. Ray lets any
        key pass here.
        """
        if not isinstance(self.kind, str):
            return
        if self.kind not in PROVIDERS:
            near = did_you_mean(self.kind, list(PROVIDERS))
            self.error(
                ("provider", "type"),
                f"there is no provider {self.kind!r}.{near}",
                f"write one of {', '.join(PROVIDERS)}",
            )
        self.near_keys(("provider",), self.provider, PROVIDER_KEYS.get(self.kind, "").split())
        for key, help in NEEDED.get(self.kind, {}).items():
            if not self.provider.get(key):
                self.error(
                    ("provider", key), f"provider.{key} is missing, {self.kind} needs it", help
                )

    def near_keys(self, place: Place, given: dict[str, Any], known: Sequence[str]) -> None:
        """Keys that are almost a known one which is not given: Ray would pass over them in
        silence.
        """
        for key in given:
            near = difflib.get_close_matches(
                str(key), [k for k in known if k not in given], 1, 0.75
            )
            near = near or [
                k
                for k in known
                if k not in given and k.lower() == str(key).replace("_", "").lower()
            ]
            if key not in known and near:
                self.error(
                    (*place, key),
                    f"{dotted((*place, key))} is no key that {self.kind} knows",
                    f"write {near[0]}",
                )

    def types(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Each node type: its name, what the file says of it, and its node_config."""
        for name, given in self.config.get("available_node_types", {}).items():
            yield name, given, given["node_config"]

    def node_types(self) -> None:
        """The head's type and what each type's machine needs."""
        names, head = (
            list(self.config.get("available_node_types", {})),
            self.config.get("head_node_type"),
        )
        if self.kind == "local":
            return
        if not names:
            self.error(
                ("available_node_types",),
                "available_node_types is missing: which machines?",
                "copy the part from cluster.yaml",
            )
        elif head is None:
            self.error(
                ("head_node_type",), "head_node_type is missing", f"write one of {', '.join(names)}"
            )
        elif head not in names:
            near = did_you_mean(head, names)
            self.error(
                ("head_node_type",),
                f"head_node_type is {head!r}, which is no node type.{near}",
                f"write one of {', '.join(names)}",
            )
        for name, _, node in self.types():
            place: Place = ("available_node_types", name, "node_config")
            self.near_keys(place, node, NODE_KEYS.get(self.kind or "", "").split())
            machine = {"aws": "InstanceType", "gcp": "machineType"}.get(self.kind or "")
            if machine and not node.get(machine):
                self.error(
                    (*place, machine),
                    f"{dotted((*place, machine))} is missing",
                    f"say which machine, as in cluster.yaml: {machine}: ...",
                )
        head_type = self.config.get("available_node_types", {}).get(head)
        if head_type and head_type["resources"].get("CPU") != 0:
            place = ("available_node_types", head, "resources")
            self.hint(
                place,
                "the head has processors for trials, beside the driver",
                'resources: {"CPU": 0} keeps them on the workers',
            )

    def workers(self) -> None:
        """How many workers there can be, and of what kind."""
        if self.kind == "local" or any(p.place == "available_node_types" for p in self.found):
            return
        most, head = self.config.get("max_workers"), self.config.get("head_node_type")
        if most is None:
            self.hint(
                ("max_workers",),
                "max_workers is missing: Ray takes 2",
                "say how many workers you want at most",
            )
        least = {name: given.get("min_workers", 0) for name, given, _ in self.types()}
        if sum(least.values()) > (2 if most is None else most):
            parts = " + ".join(f"{n} of {name}" for name, n in least.items() if n)
            self.error(
                ("max_workers",),
                f"max_workers is {most}, less than the min_workers of all types: {parts}",
                "raise it, or lower those",
            )
        if most == 0:
            self.error(
                ("max_workers",),
                "max_workers is 0: no worker can start",
                "give the most workers that you want to pay for",
            )
        found = [entry for entry in self.types() if entry[0] != head]
        for name, given, node in found:
            self.worker(name, given, node)
        if not found and head in least:
            self.error(
                ("available_node_types",),
                "there is no node type besides the head's: no worker can start",
                "add one, as gpu_worker in cluster.yaml",
            )

    def worker(self, name: str, given: dict[str, Any], node: dict[str, Any]) -> None:
        """One type of worker."""
        place: Place = ("available_node_types", name)
        most, least = given.get("max_workers"), given.get("min_workers", 0)
        if most is not None and most <= 0:
            self.error(
                (*place, "max_workers"),
                f"max_workers of {name} is {most}: none can start",
                "give 1 or more, or take the type out",
            )
        elif most is not None and least > most:
            self.error(
                (*place, "min_workers"),
                f"min_workers of {name} is {least}, above its max_workers {most}",
                "lower it, or raise max_workers",
            )
        if least < 0:
            self.error(
                (*place, "min_workers"), f"min_workers of {name} is {least}", "give 0 or more"
            )
        if least > 0:
            self.hint(
                (*place, "min_workers"),
                f"{least} of {name} stay even when idle, and are paid",
                "min_workers: 0 lets all go",
            )
        gpus = gpus_of(self.kind, given)
        if gpus == 0 and self.kind == "gcp" and node.get("guestAccelerators"):
            self.error(
                (*place, "resources"),
                f"{name} has guestAccelerators but no GPU in its resources: trials would not"
                " see it",
                'resources: {"CPU": ..., "GPU": 1}',
            )
        elif gpus == 0:
            self.hint(
                (*place, "resources"),
                f"{name} has no GPU: trials run on processors",
                "choose another machine if that is not meant",
            )
        if self.kind in ("aws", "gcp") and not spot(node):
            key = (
                "InstanceMarketOptions: {MarketType: spot}"
                if self.kind == "aws"
                else "scheduling: {provisioningModel: SPOT}"
            )
            self.hint(
                (*place, "node_config"),
                f"{name} is paid on demand, not spot",
                f"{key} is cheaper; interrupted points continue",
            )

    def local(self) -> None:
        """Addresses of machines that are there already."""
        if self.kind != "local":
            return
        for key in ("available_node_types", "head_node_type"):
            if key in self.config:
                self.error(
                    (key,),
                    f"provider local has no {key}",
                    "take it out: Ray finds processors and GPUs of your machines itself",
                )
        if "coordinator_address" in self.provider:
            return
        head, workers = self.provider.get("head_ip"), self.provider.get("worker_ips")
        if not head:
            self.error(
                ("provider", "head_ip"),
                "provider.head_ip is missing",
                "give the address of the machine that is to be the head",
            )
        if workers is None:
            message = "provider.worker_ips is missing"
            self.error(
                ("provider", "worker_ips"),
                message,
                "list the other machines, one a line after a dash; [] for the head alone",
            )
        for index, ip in enumerate(workers or []):
            if ip == head or ip in (workers or [])[:index]:
                help = (
                    "take it out: the head runs trials by itself"
                    if ip == head
                    else "take one of them out"
                )
                self.error(("provider", "worker_ips", index), f"{ip} is there twice", help)
        if not self.config.get("auth", {}).get("ssh_user"):
            self.error(
                ("auth", "ssh_user"),
                "auth.ssh_user is missing",
                "give the user's name on these machines",
            )

    def access(self) -> None:
        """Keys for ssh, images, and whether workers may write results."""
        key = self.config.get("auth", {}).get("ssh_private_key")
        if key and not PLACEHOLDER.search(key) and not Path(key).expanduser().is_file():
            help = "give the path of your key" + (
                "" if self.kind == "local" else ", or take the line out: Ray makes a key"
            )
            self.error(
                ("auth", "ssh_private_key"), f"auth.ssh_private_key: there is no file {key}", help
            )
        if self.kind not in ("aws", "gcp"):
            return
        for name, _, node in self.types():
            place = ("available_node_types", name, "node_config")
            if self.kind == "aws" and key and not node.get("KeyName") and "UserData" not in node:
                self.error(
                    (*place, "KeyName"),
                    f"{name} has no KeyName, which ssh_private_key calls for",
                    "give the name of that key in EC2",
                )
            if (
                self.kind == "aws"
                and not node.get("ImageId")
                and not self.config.get("docker", {}).get("image")
            ):
                message = (
                    f"{name} has no ImageId, and Ray's own choice, Ubuntu 18.04, has no Python 3.11"
                )
                self.error(
                    (*place, "ImageId"), message, "the comment in cluster.yaml says how to find one"
                )
            role = {"aws": "IamInstanceProfile", "gcp": "serviceAccounts"}[self.kind]
            if name != self.config.get("head_node_type") and not node.get(role):
                message = f"{name} has no {role}: its trials cannot write to a bucket"
                self.hint(
                    (*place, role),
                    message,
                    "give it the one in cluster.yaml's or gcp.yaml's comments, if results go"
                    " to one",
                )

    def files(self) -> None:
        """What is copied to the nodes, and what is kept from them."""
        for remote, source in self.config.get("file_mounts", {}).items():
            place = ("file_mounts", remote)
            if not isinstance(source, str):
                self.wrong_type(place, source, "string")
            elif not PLACEHOLDER.search(source) and not Path(source).expanduser().exists():
                help = f"paths here begin in the folder where `ray up` is run; this is {Path.cwd()}"
                if TOKEN.search(str(remote)):
                    help = f"make it, once: {MAKE_TOKEN}"
                self.error(place, f"file_mounts: there is no {source} to copy to {remote}", help)
        needed = [
            n
            for name in SENT
            for n in [
                name,
                *(p.name for p in sorted(Path(__file__).parents[1].iterdir()) if name == "oneshot"),
            ]
        ]
        for index, pattern in enumerate(self.config.get("rsync_exclude", [])):
            plain = str(pattern).rstrip("/").removeprefix("**/")
            lost = (
                []
                if "/" in plain
                else [n for n in needed if fnmatch.fnmatch(n, plain) and n != "__pycache__"]
            )
            if lost:
                message = (
                    f"rsync_exclude {str(pattern)!r} also keeps {lost[0]} of this project from the"
                    " nodes"
                )
                self.error(
                    ("rsync_exclude", index),
                    message,
                    f'"/{plain}" means the one at the top of the folder only',
                )

    def token(self) -> None:
        """Whether Ray asks for a token, on head and workers alike, and whether all nodes have
        it.
        """
        modes: dict[str, str | None] = {}
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            # without the key: Ray's own
            starts = [
                c for c in self.config.get(key) or ["ray start"] if re.search(r"\bray start\b", c)
            ]
            modes[key] = (
                next((m[1].lower() for c in starts if (m := MODE.search(c))), "")
                if starts
                else None
            )
        if self.kind == "local" and not self.provider.get("worker_ips", True):
            modes.pop("worker_start_ray_commands")  # there are none
        head = modes["head_start_ray_commands"]
        if head is None:
            return  # started by something that cannot be looked into
        for key, mode in modes.items():
            if mode is not None and (mode == "token") != (head == "token"):
                message = "head and workers differ in RAY_AUTH_MODE: they would refuse each other"
                self.error((key,), message, "write RAY_AUTH_MODE=token before each `ray start`")
                return
        if head != "token":
            message = (
                "no token is asked for: whoever reaches the head over the network can run code on"
                " all nodes"
            )
            help = (
                f"{MAKE_TOKEN}, the token in file_mounts and RAY_AUTH_MODE=token before each `ray"
                " start`, as in cluster.yaml"
            )
            self.hint(("head_start_ray_commands",), message, help)
            return
        mounts = {
            str(remote): source
            for remote, source in self.config.get("file_mounts", {}).items()
            if TOKEN.search(str(remote))
        }
        text = "\n".join(c for key in modes for c in self.config.get(key) or [])
        shared = self.kind == "local" and not self.config.get("file_mounts")  # homes on one disk
        if not mounts and not re.search(r"\bRAY_AUTH_TOKEN(_PATH)?=", text) and not shared:
            message = (
                "RAY_AUTH_MODE=token, but no token goes to the nodes: Ray would not start there"
            )
            self.error(
                ("file_mounts",),
                message,
                "add to file_mounts: ~/.ray/auth_token: ~/.ray/auth_token",
            )
        for remote, source in mounts.items():
            with contextlib.suppress(OSError, RuntimeError, TypeError):
                if Path(source).expanduser().stat().st_mode & 0o077:
                    self.hint(
                        ("file_mounts", remote),
                        f"others on this machine may read {source}",
                        f"chmod 600 {source}",
                    )

    def commands(self) -> None:
        """Whether the nodes get this project, at the pinned versions, and start Ray so that it can
        grow and stop.
        """
        keys = [
            k
            for k in ("setup_commands", "head_setup_commands", "worker_setup_commands")
            if self.config.get(k)
        ]
        text = "\n".join(c for k in keys for c in self.config[k]).replace("\\\n", " ")
        place = (keys[0],) if keys else ("setup_commands",)
        if not INSTALLS.search(text):
            prepared = bool(self.config.get("docker", {}).get("image")) or (
                self.kind == "local" and not keys
            )
            message = f"{place[0]}: no command installs this project on the nodes"
            self.error(
                place,
                message,
                "add: cd ~/oneshot && python3 -m pip install -c constraints.txt -e '.[cluster]'",
                hint=prepared,
            )
        else:
            if "constraints.txt" not in text:
                self.hint(
                    place,
                    "the nodes install no pinned versions",
                    "add -c constraints.txt: different Rays refuse each other",
                )
            if not re.search(r"\[[^\]]*\b(cluster|default)\b", text):
                self.hint(
                    place,
                    "ray[default] is not installed: `ray job submit` will not work",
                    "install -e '.[cluster]'",
                )
        start = "\n".join(self.config.get("head_start_ray_commands") or [])
        if start and "--autoscaling-config" not in start:
            message = "head_start_ray_commands has no --autoscaling-config: no worker would start"
            self.error(
                ("head_start_ray_commands",),
                message,
                "add --autoscaling-config=~/ray_bootstrap_config.yaml to `ray start`",
            )
        if "RAY_JOB_STOP_WAIT_TIME_S" not in start:
            message = "`ray job stop` will kill after 3 seconds, before checkpoints are saved"
            self.hint(
                ("head_start_ray_commands",),
                message,
                "write RAY_JOB_STOP_WAIT_TIME_S=60 before `ray start` of the head",
            )

    def ask_ray(self) -> None:
        """Ray's own validator, on the file with Ray's defaults filled in. It reads the file
        only.
        """
        import copy

        from ray.autoscaler._private.util import prepare_config, validate_config

        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                validate_config(prepare_config(copy.deepcopy(self.config)))
        except Exception as error:  # whatever it raises is its answer
            what = (str(error).strip() or type(error).__name__).splitlines()[0]
            self.error((), f"Ray refuses this file: {what}", "compare it with cluster.yaml")


def _remedy(key: str) -> str:
    examples = {
        "cluster_name": "add a name for the cluster: cluster_name: oneshot",
        "provider": "say where the machines are: provider: {type: aws, region: us-west-2}",
        "type": f"write one of {', '.join(PROVIDERS)}",
        "resources": 'add resources: {} and Ray fills them in (on aws), or {"CPU": 8, "GPU": 1}',
        "node_config": "say which machine, as in cluster.yaml",
    }
    return examples.get(key, "add it, as in cluster.yaml")


def texts(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """All texts in a value, with their places."""
    if isinstance(value, str):
        yield place, value
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from texts(inner, (*place, key))


def spot(node: dict[str, Any]) -> bool:
    """Whether a node is one that may be taken away."""
    market = node.get("InstanceMarketOptions")
    if isinstance(market, dict):
        return market.get("MarketType") == "spot"
    asked = node.get("scheduling") or {}
    parts = asked if isinstance(asked, list) else [asked]  # Ray's own examples have a list here
    return any(
        isinstance(p, dict)
        and (p.get("preemptible") is True or p.get("provisioningModel") == "SPOT")
        for p in parts
    )


def gpus_of(kind: str | None, given: dict[str, Any]) -> int | None:
    """GPUs of a node type, or None where that cannot be known here."""
    if "GPU" in given["resources"]:
        return int(given["resources"]["GPU"])
    if kind != "aws":
        return 0 if kind == "gcp" else None
    family, _, size = str(given["node_config"].get("InstanceType", "")).partition(".")
    if family in GPUS:
        return GPUS[family].get(size, GPUS[family].get(""))
    return 0 if re.match(r"[mcrtiz]\d", family) else None
