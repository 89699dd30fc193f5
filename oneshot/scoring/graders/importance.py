"""Importance maps: which pixels of the exemplars the drawings rest on."""

from __future__ import annotations

from oneshot.scoring import importance_maps
from oneshot.scoring.importance import explain
from oneshot.scoring.work import Columns, Tables, Work

VERSION = 1
NEEDS = ("importance_seeds",)


def grade(work: Work) -> tuple[Columns, Tables]:
    """Make the importance map of the exemplar of each test class; the maps go into the store.

    Args:
        work: a point of an ExplainedFamily; its settings say over how many draws of noise a map is
            averaged.

    Returns:
        The mean sparsity, and the table `importance`.

    Raises:
        Stopped: the run was asked to stop.
        Diverged: a map holds non-finite pixels.
    """
    work.load_weights()
    seeds = work.point.settings["importance_seeds"]
    maps = explain(work.family, work.data, work.exemplars, seeds, work.device, work.tick)
    key = importance_maps.key(work.point.point_id)
    work.store.write(key, importance_maps.to_bytes(maps))
    table = importance_maps.columns(maps)
    return {"importance_sparsity": importance_maps.mean_sparsity(table)}, {"importance": table}
