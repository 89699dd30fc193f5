"""The plane of diversity and recognizability, originality, and distances to people."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from oneshot.scoring import plane
from oneshot.scoring.work import Columns, Tables, Work
from oneshot.store.store import with_checksum

VERSION = 2
NEEDS = ("critics",)


def grade(work: Work) -> tuple[Columns, Tables]:
    """The metrics of the plane; those of each drawing go into the store.

    Args:
        work: a point with critics.

    Returns:
        Columns of the row, and the tables `classes` and `generalization`.
    """
    assert work.critics is not None
    point, drawings = work.point, work.drawings
    human = None if point.model == "human" else work.human  # people are their own reference
    protocol, most = point.settings["protocol"], point.settings["diversity_drawings"]
    ways = point.settings["ways"]
    grades = plane.grade(drawings, work.critics, protocol, human, most, work.features, ways)
    of_drawings: dict[str, Any] = {k: v.astype(np.float32) for k, v in grades.drawings.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, label=drawings.label, **of_drawings)
    work.store.write(f"store/scores/{point.point_id}.npz", with_checksum(buffer.getvalue()))
    classes = {
        "class_name": list(drawings.class_names),
        "drawings": np.bincount(drawings.label, minlength=len(drawings.exemplars)).tolist(),
        **grades.classes,
    }
    return grades.totals, {"classes": classes, "generalization": grades.generalization}
