"""What trials ask of a Ray cluster, and what its machines have."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import ray

from oneshot.engine import demand
from oneshot.engine.autoscaler import grows_elsewhere, promised
from oneshot.engine.demand import Resources, Types, WaitDisplay
from oneshot.engine.options import Options
from oneshot.sweep import families

CHECK_SECONDS = 5.0  # between two looks whether the machines there are could run what is left


class Request(NamedTuple):
    """What a trial asks for.

    Attributes:
        cpus: processors of each worker.
        gpus: share of a GPU, or GPUs, of each worker.
        workers: how many workers train it together.
    """

    cpus: float
    gpus: float
    workers: int = 1

    @property
    def share(self) -> dict[str, float]:
        """The resources of each worker, under Ray's names."""
        return {"CPU": self.cpus, "GPU": self.gpus}


class ClusterResources:
    """The machines of the cluster that this process has joined.

    Attributes:
        options: what the command line says of resources.
        wait_display: shows what the run waits for.
        to_come: the machines that an autoscaler may start.
    """

    def __init__(self, options: Options, wait_display: WaitDisplay):
        self.options, self.wait_display = options, wait_display
        self.to_come: Types = promised() if options.address else []
        self._checked = time.monotonic()

    def alive(self) -> list[Resources]:
        """The resources of each node that is alive."""
        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def all_machines(self) -> list[Resources]:
        """The resources of each node there is, and of one of each type that may come."""
        return [*self.alive(), *(resources for _, resources in self.to_come)]

    def request(self, models: Iterable[str], attempt: int = 0) -> Request:
        """What a trial of points of these models asks for.

        Args:
            models: the families of its points.
            attempt: the round. Each round asks for twice as much as the one before.

        Returns:
            Its request; no more processors than a machine has.
        """
        families = [_family_class(model) for model in models]
        workers = self.options.workers_per_trial if any(f.trained for f in families) else 1
        return self._scaled(max(f.gpu_share for f in families), workers, attempt)

    def whole_gpu_request(self) -> Request:
        """What a trial asks for that wants a GPU for itself, where there are any."""
        return self._scaled(1.0, self.options.workers_per_trial, 0)

    def _scaled(self, gpu_share: float, workers: int, attempt: int) -> Request:
        """A request with the processors and GPUs that the command line gives to trials."""
        options, machines, factor = self.options, self.all_machines(), 2**attempt
        if options.gpus_per_trial is not None:
            gpus = options.gpus_per_trial
        else:
            gpus = gpu_share if any(machine.get("GPU") for machine in machines) else 0.0
        most = max((m.get("CPU", 0) for m in machines if m.get("GPU", 0) >= gpus), default=1)
        cpus = max(min(options.cpus_per_trial * factor, most), options.cpus_per_trial)
        return Request(cpus, gpus if gpus >= 1 else min(gpus * factor, 1.0), workers)

    def slots(self) -> int:
        """How many trials fit side by side on the cluster, as it is now or as it may grow."""
        request = self.whole_gpu_request()
        return demand.slots(self.alive(), self.to_come, request.share, request.workers)

    def held(self) -> float:
        """The GPUs of the nodes that are alive; without any, the trials that fit side by side."""
        alive = self.alive()
        if gpus := sum(node.get("GPU", 0.0) for node in alive):
            return float(gpus)
        request = self.whole_gpu_request()
        return float(demand.slots(alive, [], request.share, request.workers))

    def whole_node(self) -> Request:
        """All processors of the smallest node, and its GPU; a node with a GPU if there is one."""
        nodes = [machine for machine in self.all_machines() if machine.get("CPU")]
        nodes = [node for node in nodes if node.get("GPU")] or nodes
        gpus = min((node.get("GPU", 0.0) for node in nodes), default=0.0)
        return Request(min((node["CPU"] for node in nodes), default=1.0), min(gpus, 1.0))

    def check(self, requests: Iterable[Request]) -> None:
        """Hold requests against the cluster, before anything is prepared.

        Raises:
            Impossible: a trial would wait for ever, as no machine that there is or may come can
                hold it.
        """
        if grows_elsewhere():
            return
        for request in requests:
            if refused := demand.refusal(
                self.alive(), self.to_come, request.share, request.workers
            ):
                raise refused

    def check_due(self) -> bool:
        """Whether it is time for `show_shortage` again."""
        return time.monotonic() - self._checked > CHECK_SECONDS

    def show_shortage(self, requests: Iterable[Request], all_busy: bool = False) -> None:
        """Say what the run waits for, while no machine could hold what is asked for.

        Args:
            requests: what is asked for.
            all_busy: whether the machines that could hold it have not begun for long.
        """
        self._checked, alive, requests = time.monotonic(), self.alive(), list(requests)
        shortages: Sequence[str] = [
            words for r in requests if (words := demand.lacks(alive, r.share, r.workers))
        ]
        if not shortages and all_busy and requests:
            shortages = [f"a free worker with {demand.words(requests[0].share)}"]
        self.wait_display.show(shortages[0] if shortages else "")


def _family_class(model: str) -> Any:
    """The class of a family."""
    return families.module("models", model).FAMILY
