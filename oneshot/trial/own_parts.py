"""What a sweep has of the user's own, tried before a run: family, data set, critics, metrics."""

from __future__ import annotations

from collections.abc import Sequence

from oneshot.sweep import own_critics, own_data
from oneshot.sweep.point import Point
from oneshot.trial import own_critic, own_family, own_metric
from oneshot.trial import own_data as its_images


def problems(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Why parts of the user's are of no use, each reason once.

    Args:
        points: of a sweep.

    Returns:
        Messages, and where the sweep file gives the points.
    """
    own = [p for p in points if p.metrics or own_data.find(p.settings["dataset"])]
    scored = [
        p for p in points if any(own_critics.SETTING in c.settings for c in p.critics.values())
    ]
    return [
        *own_family.problems(points),
        *its_images.problems(own),
        *own_critic.problems(scored),
        *own_metric.problems(own),
    ]
