"""How a sweep is run: the choices that the command line passes to the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Options:
    """The choices of one run; none of them changes what a point is.

    Attributes:
        address: the Ray cluster to join, "" for this machine.
        gpus_per_trial: share of a GPU for a trial, None for the share that the family names.
        cpus_per_trial: processors of a trial.
        workers_per_trial: processes that train one point together.
        checkpoint_seconds: most seconds between two checkpoints.
        fresh_workers: whether each trial gets a new process.
        stop_on_failure: whether the first failed point stops the run.
        max_stack: most trainings in one stack, None for the default of the device.
        drop_weights: whether the weights of a point are deleted once it is done.
        max_hours: after how many hours the run ends, None for no limit.
        max_cost: at what cost it ends, None for no limit.
        price_per_gpu_hour: of each GPU that is held, or of each trial slot without GPUs.
        log: the trackers that rows, curves and sheets are mirrored to.
    """

    address: str = ""
    gpus_per_trial: float | None = None
    cpus_per_trial: float = 1.0
    workers_per_trial: int = 1
    checkpoint_seconds: float = 60.0
    fresh_workers: bool = False
    stop_on_failure: bool = False
    max_stack: int | None = None
    drop_weights: bool = False
    max_hours: float | None = None
    max_cost: float | None = None
    price_per_gpu_hour: float = 0.0
    log: tuple[str, ...] = ()
