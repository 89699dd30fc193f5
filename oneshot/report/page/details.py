"""What is looked at point by point: curves of generalization and of training, in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from oneshot.report.page.blocks import CHUNK, compressed, json_bytes, shortened
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced

MOST_EPOCHS = 60  # of a training curve; more are thinned evenly, with the first and the last
LOSSES = ("train_loss", "validation_loss")


def detail_blocks(results: Results) -> list[bytes]:
    """The curves of all points, CHUNK points a block.

    Args:
        results: The results.

    Returns:
        Compressed JSON: a list with one entry a point, null or a dict with `generalization`
        (originality and recognizability of the bins) and `curves` (epochs and losses).
    """
    ids = results.points["point_id"].tolist()
    bins, curves = _generalization(results), _curves(results)
    blocks = []
    for start in range(0, len(ids), CHUNK):
        entries = []
        for point_id in ids[start : start + CHUNK]:
            entry = {"generalization": bins.get(point_id), "curves": curves.get(point_id)}
            known = {name: value for name, value in entry.items() if value}
            entries.append(known or None)
        blocks.append(compressed(json_bytes(entries)))
    return blocks


def thinned(results: Results) -> bool:
    """Whether training curves have more epochs than a page carries."""
    if not {"point_id", "epoch"} <= set(results.curves):
        return False
    return bool((results.curves.groupby("point_id").size() > MOST_EPOCHS).any())


def _generalization(results: Results) -> dict[str, list[Any]]:
    """The bins of each point: originality, then recognizability."""
    table = results.generalization
    if not {"bin", "originality", "recognizability"} <= set(table):
        return {}
    table = table.sort_values(["point_id", "bin"], kind="stable")
    return {
        point_id: [shortened(part[name], 4) for name in ("originality", "recognizability")]
        for point_id, part in _parts(table)
    }


def _curves(results: Results) -> dict[str, dict[str, Any]]:
    """The epochs and losses of each point, thinned."""
    table = results.curves
    losses = [name for name in LOSSES if name in table]
    if "epoch" not in table or not losses:
        return {}
    out = {}
    for point_id, part in _parts(table.sort_values(["point_id", "epoch"], kind="stable")):
        kept = evenly_spaced(np.arange(len(part["epoch"])).tolist(), MOST_EPOCHS)
        out[point_id] = {
            "epoch": [int(part["epoch"][i]) for i in kept],
            **{name: shortened(part[name][kept], 4) for name in losses},
        }
    return out


def _parts(table: pd.DataFrame) -> Any:
    """The columns of each point of a sorted table as arrays."""
    ids = table["point_id"].to_numpy()
    arrays = {name: table[name].to_numpy() for name in table if name != "point_id"}
    cuts = np.flatnonzero(ids[1:] != ids[:-1]) + 1 if len(ids) else np.array([], int)
    for start, stop in zip([0, *cuts], [*cuts, len(ids)]):
        if stop > start:
            yield ids[start], {name: array[start:stop] for name, array in arrays.items()}
