"""A record of a point, as tests of the store need many."""

from __future__ import annotations

from oneshot.store.records import Record


def record(point_id: str, status: str = "done", **more: object) -> Record:
    """A record with details; of a failed point, with its curve alone."""
    row = (
        dict(point_id=point_id, status=status, model="vae_stn", beta=1.0, seed=44, z=3, sweep="q")
        | more
    )
    classes = (
        {"class_name": ["a", "b"], "diversity": [1.0, float("nan")]} if status == "done" else {}
    )
    return Record(row, classes, {"epoch": [0, 1], "loss": [2.0, 1.0]})
