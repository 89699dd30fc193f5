"""The RayJob of KubeRay: what the operator takes, and mistakes that are named with a remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import small
import yaml
from cluster_files import edited, filled, put, report_of

from oneshot import cli
from oneshot.cluster import check
from oneshot.cluster.rules.rayjob import GROUP_KEYS, KEYS, ray_version

NAME = "oneshot/cluster/kuberay.yaml"
CRD = Path(__file__).parent / "rayjob_crd.yaml"
CLUSTER = "spec.rayClusterSpec"
HEAD = f"{CLUSTER}.headGroupSpec"
GPU = f"{CLUSTER}.workerGroupSpecs.0"
CONTAINER = "template.spec.containers.0"
RUN = "oneshot run vae_stn --address auto --gpus-per-trial 1 --results"


def strict(schema: Any) -> Any:
    """The schema, refusing keys that it does not know, as Kubernetes does."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def refused(text: str) -> list[str]:
    """What the operator's schema says against a manifest."""
    schema = strict(yaml.safe_load(CRD.read_text()))
    config = yaml.safe_load(text)
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(config)]


def with_processors_only(text: str) -> str:
    """The manifest with its group of processors in place of that of GPUs, as its comments say."""
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if "groupName: gpu" in line)
    group = next(n for n, line in enumerate(lines) if "# - groupName: cpu" in line)
    own = [re.sub(r"^(\s*)# ", r"\1", line) for line in lines[group:]]
    return "\n".join([*lines[:first], *own]).replace(" --gpus-per-trial 1", "")


def test_the_operator_takes_the_manifest_with_gpus_and_with_processors() -> None:
    text = filled(NAME)
    assert refused(text) == []
    processors = with_processors_only(text)
    assert refused(processors) == [] and "nvidia" not in processors.split("workerGroupSpecs")[1]
    groups = yaml.safe_load(processors)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert [group["groupName"] for group in groups] == ["cpu"]


@pytest.mark.parametrize(
    "change",
    [
        put("spec.entrypiont", "x"),
        put(f"{HEAD}.rayStartParams.num-cpus", 0),
        put(f"{GPU}.template.spec.containers", None),
        put(f"{GPU}.{CONTAINER}.resources.limits.memory", "32 GB"),
    ],
)
def test_the_schema_can_refuse(change: Callable[[dict[str, Any]], None]) -> None:
    assert refused(edited(change, NAME))


def test_the_keys_that_are_known_are_those_of_the_schema() -> None:
    spec = yaml.safe_load(CRD.read_text())["properties"]["spec"]["properties"]
    cluster = spec["rayClusterSpec"]["properties"]
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}
    for given, known in (
        (spec, KEYS["spec"]),
        (cluster, KEYS["rayClusterSpec"]),
        (cluster["headGroupSpec"]["properties"], KEYS["headGroupSpec"]),
        (cluster["workerGroupSpecs"]["items"]["properties"], GROUP_KEYS),
    ):
        for key, part in given.items():
            assert {**kinds, list: "array"}[known[key]] == part["type"], key


def test_a_manifest_as_it_is_lacks_nothing_but_image_and_bucket() -> None:
    found = check.problems(small.ROOT / NAME)
    assert {p.message.split()[0] for p in found} == {"YOUR-IMAGE", "YOUR-BUCKET"}
    lines = (small.ROOT / NAME).read_text().splitlines()
    assert all(p.message.split()[0] in lines[(p.line or 0) - 1] for p in found)
    out, status = check.report(small.ROOT / NAME)
    assert status == 2 and out.count("error:") == 2


def test_a_manifest_that_is_filled_in_is_summed_up(tmp_path: Path) -> None:
    for text, workers in (
        (filled(NAME), "0..8 of gpu: registry.example/oneshot:0.1.0-gpu, 1 GPU each"),
        (with_processors_only(filled(NAME)), "0..16 of cpu: registry.example"),
    ):
        out, status = report_of(tmp_path, text)
        assert status == 0 and "hint:" not in out and "No cluster was contacted" in out, out
        assert workers in out and "s3://drawings/results" in out and "runs no trials" in out, out
        assert "kubectl apply -f" in out and "job/oneshot" in out


def test_what_is_submitted_is_a_command_of_this_project() -> None:
    words = shlex.split(yaml.safe_load(filled(NAME))["spec"]["entrypoint"])
    assert words[:2] == ["oneshot", "run"] and 'ENTRYPOINT ["oneshot"]' in (
        (small.ROOT / "Dockerfile").read_text()
    )
    options = cli.parser().parse_args(words[2:])
    assert options.address == "auto" and options.gpus_per_trial == 1
    assert options.results == "s3://drawings/results"
    assert yaml.safe_load(filled(NAME))["spec"]["rayClusterSpec"]["rayVersion"] == ray_version()


def on_a_volume(config: dict[str, Any]) -> None:
    """Results on a claim that all pods mount."""
    config["spec"]["entrypoint"] = f"{RUN} /shared/results"
    cluster = config["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        pod["volumes"] = [{"name": "all", "persistentVolumeClaim": {"claimName": "results"}}]
        pod["containers"][0] = {
            **pod["containers"][0],
            "volumeMounts": [{"name": "all", "mountPath": "/shared"}],
        }


def test_results_may_lie_on_a_volume_of_all_pods(tmp_path: Path) -> None:
    out, status = report_of(tmp_path, edited(on_a_volume, NAME))
    assert status == 0 and "/shared/results" in out, out

    def on_a_disk_of_each_pod(config: dict[str, Any]) -> None:
        on_a_volume(config)
        pod = config["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
        pod["volumes"] = [{"name": "all", "emptyDir": {}}]

    out, status = report_of(tmp_path, edited(on_a_disk_of_each_pod, NAME))
    assert status == 2 and "lies in the container and goes with it" in out, out


ERRORS: list[tuple[Callable[[dict[str, Any]], None], list[str]]] = [
    (put("kind", "RayCluster"), ["kind is RayCluster, RayJob is needed", "submits the sweep"]),
    (put("apiVersion", "ray.io/v1alpha1"), ["apiVersion is ray.io/v1alpha1", "ray.io/v1"]),
    (put("metadata", {}), ["metadata.name is missing", "name: oneshot"]),
    (put("spec", None), ["spec is missing", "copy the part"]),
    (
        put("spec.backofLimit", 3),
        ["no key 'backofLimit' in spec", "Did you mean 'backoffLimit'?", "take it out"],
    ),
    (put("spec.entrypoint", None), ["spec.entrypoint is missing", "say what runs"]),
    (put("spec.entrypoint", "oneshot run 'x"), ["entrypoint is no command", "close the quotes"]),
    (
        put("spec.entrypoint", "oneshot run vae_stn --gpus-per-trial 1"),
        ["no --results", "would lie in the container", "add --results s3://"],
    ),
    (
        put("spec.entrypoint", f"{RUN} /data/results"),
        ["--results /data/results lies in the container", "give a bucket"],
    ),
    (
        put("spec.entrypoint", f"{RUN} s3://a/b --local"),
        ["--local trains in the head's pod alone", "--address auto"],
    ),
    (
        put("spec.entrypoint", "oneshot run vae_stn --address auto --results=s3://a/b"),
        ["no trial asks for a GPU", "add --gpus-per-trial 1"],
    ),
    (
        put(f"{GPU}.{CONTAINER}.resources", {"limits": {"cpu": 8, "memory": "8Gi"}}),
        ["trials ask for 1 GPU, and no pod has one", "take --gpus-per-trial out"],
    ),
    (
        put(
            f"{GPU}.{CONTAINER}.resources",
            {"limits": {"cpu": 8, "memory": "8Gi"}, "requests": {"nvidia.com/gpu": 1}},
        ),
        ["nvidia.com/gpu stands in requests alone", "write it in limits"],
    ),
    (put(f"{CLUSTER}.rayVersion", "2.9.0"), ["rayVersion is 2.9.0, but the image", "write"]),
    (put(f"{CLUSTER}.rayVersion", 2.6), ["rayVersion is 2.6 (a fraction)", 'in quotes: "2.6"']),
    (put(f"{CLUSTER}.rayVersion", None), ["rayVersion is missing", "in quotes"]),
    (put(f"{HEAD}.{CONTAINER}.image", None), ["image is missing", "build the Dockerfile"]),
    (
        put(f"{HEAD}.{CONTAINER}.image", "a.example:5000/oneshot"),
        ["oneshot has no tag, which means latest", "as oneshot:0.1.0"],
    ),
    (
        put(f"{GPU}.{CONTAINER}.image", "oneshot:latest"),
        ["the image oneshot has the tag latest", "never moves"],
    ),
    (
        put(f"{HEAD}.rayStartParams.num-cpus", 0),
        ["num-cpus is a whole number, text is needed", 'in quotes: "0"'],
    ),
    (put(f"{GPU}.maxReplicas", 0), ["maxReplicas of gpu is 0: none can start", "1 or more"]),
    (put(f"{GPU}.minReplicas", 9), ["minReplicas of gpu is 9, above its maxReplicas 8"]),
    (put(f"{GPU}.maxReplicas", "8"), ["maxReplicas is 8 (text), a whole number is needed"]),
    (put(f"{GPU}.template.spec", {}), ["workerGroupSpecs[0] has no container", "copy one"]),
    (put(f"{CLUSTER}.workerGroupSpecs", []), ["there is no worker group", "add a group"]),
    (
        put(f"{CLUSTER}.enableInTreeAutoscaling", False),
        ["replicas are 0 and nothing raises them", "enableInTreeAutoscaling: true"],
    ),
]


@pytest.mark.parametrize(("change", "words"), ERRORS, ids=[case[1][0][:40] for case in ERRORS])
def test_a_mistake_in_a_manifest_is_named_with_a_remedy(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    out, status = report_of(tmp_path, edited(change, NAME))
    assert status == 2 and all(word in out for word in words) and "help: " in out, out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("spec.shutdownAfterJobFinishes", None), ["pods stay when the sweep is done"]),
        (put("spec.backoffLimit", None), ["a head that is lost ends the job", "backoffLimit: 3"]),
        (put(f"{GPU}.{CONTAINER}.envFrom", None), ["names no account and no secret"]),
        (put(f"{HEAD}.{CONTAINER}.resources", None), ["no limits for cpu and memory"]),
        (
            put("spec.entrypoint", "python x.py --gpus-per-trial 1 --results s3://a/b"),
            ["does not run a sweep of this project"],
        ),
    ],
)
def test_what_works_but_is_hardly_meant_in_a_manifest_is_a_hint(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    out, status = report_of(tmp_path, edited(change, NAME))
    assert status == 0 and "hint: " in out and all(word in out for word in words), out


@pytest.mark.parametrize(
    "place", ["spec", CLUSTER, HEAD, GPU, f"{GPU}.template", f"{HEAD}.template"]
)
def test_nothing_that_a_manifest_may_hold_raises(tmp_path: Path, place: str) -> None:
    for value in (None, 3, "text", [None], {"a": [1]}, {"spec": {"containers": [3]}}):

        def change(config: dict[str, Any], value: Any = value) -> None:
            *way, last = place.split(".")
            part: Any = config
            for key in way:
                part = part[int(key) if isinstance(part, list) else key]
            part[int(last) if isinstance(part, list) else last] = value

        out, status = report_of(tmp_path, edited(change, NAME))
        assert status == 2 and "help:" in out and "Traceback" not in out, out
