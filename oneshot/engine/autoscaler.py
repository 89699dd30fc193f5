"""The machines that an autoscaler may still start, which a cluster does not show."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

# where `ray up` leaves the cluster's file on its head
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")


def promised(path: Path = BOOTSTRAP) -> list[tuple[int, Mapping[str, float]]]:
    """The types of workers that an autoscaler may start, from its file.

    Returns:
        (how many at most, resources of each) of every type; [] where there is no file, or it cannot
        be read.
    """
    import yaml

    with contextlib.suppress(
        OSError, yaml.YAMLError, AttributeError, TypeError, ValueError, RuntimeError
    ):
        config = yaml.safe_load(path.expanduser().read_text(encoding="utf-8"))
        types = config.get("available_node_types") or {}
        most = int(config.get("max_workers", 0))
        workers = [
            (min(int(t.get("max_workers", 0)), most), t.get("resources") or {})
            for t in types.values()
        ]
        return [(count, resources) for count, resources in workers if count > 0]
    return []


def grows_elsewhere() -> bool:
    """Whether machines may come that are not known here, as in a pod of Kubernetes."""
    return "KUBERNETES_SERVICE_HOST" in os.environ
