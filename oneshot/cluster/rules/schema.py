"""Keys and types: placeholders, the schema that Ray ships, and the provider's own keys."""

from __future__ import annotations

import contextlib
import copy
import difflib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneshot.cluster.cluster_file import (
    PLACEHOLDER,
    ClusterFile,
    Place,
    Problem,
    dotted,
    kind_of,
    shown_value,
    strings_in,
)
from oneshot.sweep.settings import did_you_mean

# what `ray up` starts; kuberay, spark and others have ways of their own
PROVIDERS = ("aws", "gcp", "local", "azure", "vsphere", "aliyun")
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


def check_placeholders(file: ClusterFile) -> None:
    """Values that were left for people to fill in; what an alias repeats is said once."""
    seen = set()
    for place, value in strings_in(file.config):
        for word in PLACEHOLDER.findall(value):
            if (at := (word, file.lines.get(place))) not in seen:
                seen.add(at)
                help = "replace it; the comment beside it says by what"
                file.placeholders.append(
                    Problem(
                        f"{word.rstrip('/')} is still to be filled in",
                        help,
                        dotted(place),
                        file.lines.get(place),
                    )
                )


def check_schema(file: ClusterFile) -> None:
    """Keys and types, by the schema that Ray ships."""
    import jsonschema
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    config = dict(file.config)
    if file.kind == "local":
        config.pop("min_workers", None)  # Ray takes it out before it validates
    for problem in jsonschema.Draft7Validator(schema).iter_errors(
        json.loads(json.dumps(config, default=str))
    ):
        _explain(file, problem)


def _explain(file: ClusterFile, problem: Any) -> None:
    """A problem of the schema in our words."""
    place: Place = tuple(problem.absolute_path)
    rule, value = problem.validator, problem.instance
    if rule == "additionalProperties":
        known = list(problem.schema.get("properties", {}))
        for key in [k for k in value if k not in known]:
            _unknown_key(file, (*place, key), known)
    elif rule == "required":
        for key in [k for k in problem.validator_value if k not in value]:
            file.error((*place, key), f"{dotted((*place, key))} is missing", _remedy(key))
    elif rule == "type":
        wrong_type(file, place, value, problem.validator_value)
    elif rule == "minimum":
        file.error(
            place,
            f"{dotted(place)} is {shown_value(value)}, below {problem.validator_value}",
            f"give {problem.validator_value} or more",
        )
    else:
        file.error(
            place,
            f"{dotted(place)}: {problem.message.splitlines()[0]}",
            "see cluster.yaml, which has comments for each key",
        )


def _unknown_key(file: ClusterFile, place: Place, known: Sequence[str]) -> None:
    """Note a key that Ray does not know."""
    near = difflib.get_close_matches(str(place[-1]), known, 1)
    where = f"in {dotted(place[:-1])}" if place[:-1] else "at the top of the file"
    help = (
        f"write {near[0]}"
        if near
        else f"take it out; known {where} are: {', '.join(sorted(known))}"
    )
    file.error(
        place,
        f"Ray knows no key {str(place[-1])!r} {where}.{did_you_mean(str(place[-1]), list(known))}",
        help,
    )


def wrong_type(file: ClusterFile, place: Place, value: Any, wanted: str | list[str]) -> None:
    """Note a value of a wrong type.

    Args:
        file: the file.
        place: where it stands.
        value: the value.
        wanted: the type or types that are allowed, in the words of JSON schemas.
    """
    name = " or ".join(KINDS.get(w, w) for w in ([wanted] if isinstance(wanted, str) else wanted))
    help = f"give {name}" if wanted != "string" else f'give text, in quotes: "{shown_value(value)}"'
    if (
        "resources" in place[-2:-1]
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
    ):
        help = "give what the whole machine has; trials share a GPU by `--gpus-per-trial .5`"
    elif place == ("provider", "worker_ips") and value is None:
        help = "write [] for the head alone, or list the other machines after dashes"
    elif wanted == "array" and isinstance(value, str):
        help = "write it below the key, after a dash: - ..."
    file.error(
        place,
        f"{dotted(place)} is {shown_value(value)} ({kind_of(value)}), {name} is needed",
        help,
    )


def check_provider(file: ClusterFile) -> None:
    """The provider's type, and the keys that it needs; Ray lets any key pass here."""
    if not isinstance(file.kind, str):
        return
    if file.kind not in PROVIDERS:
        near = did_you_mean(file.kind, list(PROVIDERS))
        file.error(
            ("provider", "type"),
            f"there is no provider {file.kind!r}.{near}",
            f"write one of {', '.join(PROVIDERS)}",
        )
    check_near_keys(file, ("provider",), file.provider, PROVIDER_KEYS.get(file.kind, "").split())
    for key, help in NEEDED.get(file.kind, {}).items():
        if not file.provider.get(key):
            file.error(("provider", key), f"provider.{key} is missing, {file.kind} needs it", help)


def check_near_keys(
    file: ClusterFile, place: Place, given: dict[str, Any], known: Sequence[str]
) -> None:
    """Note keys that are almost a known one which is not given: Ray would ignore them.

    Args:
        file: the file.
        place: where the keys stand.
        given: what stands there.
        known: the keys that are known there.
    """
    for key in given:
        near = difflib.get_close_matches(str(key), [k for k in known if k not in given], 1, 0.75)
        near = near or [
            k for k in known if k not in given and k.lower() == str(key).replace("_", "").lower()
        ]
        if key not in known and near:
            file.error(
                (*place, key),
                f"{dotted((*place, key))} is no key that {file.kind} knows",
                f"write {near[0]}",
            )


def ask_ray(file: ClusterFile) -> None:
    """Ask Ray's own validator, with Ray's defaults filled in. It reads the file only."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            validate_config(prepare_config(copy.deepcopy(file.config)))
    except Exception as error:  # whatever it raises is its answer
        what = (str(error).strip() or type(error).__name__).splitlines()[0]
        file.error((), f"Ray refuses this file: {what}", "compare it with cluster.yaml")


def _remedy(key: str) -> str:
    """What to do about a missing key."""
    examples = {
        "cluster_name": "add a name for the cluster: cluster_name: oneshot",
        "provider": "say where the machines are: provider: {type: aws, region: us-west-2}",
        "type": f"write one of {', '.join(PROVIDERS)}",
        "resources": 'add resources: {} and Ray fills them in (on aws), or {"CPU": 8, "GPU": 1}',
        "node_config": "say which machine, as in cluster.yaml",
    }
    return examples.get(key, "add it, as in cluster.yaml")
