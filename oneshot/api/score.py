"""score: where given drawings lie on the plane of diversity and recognizability."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oneshot.api import stored_points
from oneshot.api.arrays import as_drawings
from oneshot.api.load import place_of
from oneshot.api.trained_model import TrainedModel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from oneshot.store.store import Store
    from oneshot.sweep.point import Point


class CriticsError(ValueError):
    """Results have no critics that score such drawings, or several."""


def score(
    drawings: ArrayLike,
    exemplars: ArrayLike,
    critics: str | Path | TrainedModel,
    *,
    ways: int | None = None,
    protocol: str | None = None,
    diversity_drawings: int | None = None,
) -> dict[str, float]:
    """Score drawings by the critics of a sweep, as its own models are scored.

    Args:
        drawings: [C, n, H, W], n drawings for each of C exemplars, as `TrainedModel.sample` gives
            them; of any size, bool, uint8 of 0 and 1, or floats in [0, 1].
        exemplars: [C, H, W], each of another class.
        critics: folder of a sweep whose critics score; or a model, for those of its point, where
            the points of a sweep have different ones.
        ways: among how many classes a drawing is recognised; None for the sweep's number.
        protocol: of recognizability, "expected" or "episodes"; None for the sweep's.
        diversity_drawings: how many drawings of a class count for diversity; None for the sweep's.

    Returns:
        `diversity`, `recognizability` (in per cent), `originality`, their standard errors (`_se`),
        and how that compares with people on the sweep's own test classes (`human_distance`,
        `diversity_ratio` and more), under the names of columns. NaN where it cannot be said.

    Raises:
        ValueError: arrays that do not fit, or fewer classes than `ways`.
        CriticsError: no critics of the plane, or different ones.
    """
    import numpy as np
    import torch

    from oneshot.engine.base import default_device
    from oneshot.scoring import plane
    from oneshot.trial import inputs

    point, store = _scored_point(critics)
    settings = point.settings
    ways = settings["ways"] if ways is None else ways
    given = as_drawings(np.asarray(drawings), np.asarray(exemplars), settings["image_size"])
    if len(given.exemplars) < ways:
        raise ValueError(
            f"{len(given.exemplars)} classes, but a drawing is recognised among {ways}: give more"
            " classes, or a smaller number of `ways`"
        )
    device, size = torch.device(default_device()), settings["image_size"]
    networks = plane.Critics(
        inputs.read_critic(point.critics["simclr"], size, store, device),
        inputs.read_critic(point.critics["protonet"], size, store, device),
        device,
    )
    grades = plane.grade(
        given,
        networks,
        protocol or settings["protocol"],
        inputs.read_human(inputs.keys(point)["human"], store),
        diversity_drawings or settings["diversity_drawings"],
        ways=ways,
    )
    return grades.totals


def _scored_point(critics: str | Path | TrainedModel) -> tuple[Point, Store]:
    """A point that the critics in question score, and the store that they are in."""
    if isinstance(critics, TrainedModel):
        point, store = critics.stored.point, critics.stored.store
    else:
        store, sweep = place_of(critics)
        names = sorted(store.versions(f"{sweep}/records", ".json"))
        rows = (stored_points.row_of(store, sweep, n.removesuffix(".json")) for n in names)
        scored = [row for row in rows if row.get("simclr_id") and row.get("protonet_id")]
        pairs = {(row["simclr_id"], row["protonet_id"]) for row in scored}
        if len(pairs) > 1:
            raise CriticsError(
                f"{critics} has {len(pairs)} pairs of critics: give the model whose critics are"
                " meant, as oneshot.model(results, point_id)"
            )
        if not pairs:
            raise CriticsError(f"{critics} has no critics of the plane: its drawings are no bits")
        point = stored_points.remade(scored[0], store, sweep)
    if not {"simclr", "protonet"} <= set(point.critics):
        raise CriticsError(f"the point {point.point_id} has no critics of the plane")
    return point, store
