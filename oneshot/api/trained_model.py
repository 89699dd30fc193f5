"""model: a trained model of finished results, which draws for any exemplars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.api import stored_points
from oneshot.api.arrays import as_data
from oneshot.api.stored_points import NoSuchPoint, StoredPoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from oneshot.contracts import TrainedFamily
    from oneshot.types import Kind


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model.

    Attributes:
        stored: the point that it is of, with its record.
        family: the network, in evaluation mode.
        device: where it draws.
    """

    stored: StoredPoint
    family: TrainedFamily
    device: str

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the point."""
        return dict(self.stored.point.settings)

    @property
    def row(self) -> dict[str, Any]:
        """The row of the point: settings, how it ended, what it scored."""
        return dict(self.stored.row)

    def sample(self, exemplars: ArrayLike, n: int = 1, seed: int = 0) -> np.ndarray:
        """Draw for exemplars.

        Exemplars of bits may be of any size and in grey: they become bits of the model's image size
        as the training images did. A drawing depends on the weights, its exemplar, the exemplar's
        place in the array, its own number and the seed.

        Args:
            exemplars: [N, H, W] with ink 1 on background 0, bool, uint8 or floats in [0, 1]; one
                alone as [H, W]. Of data in colour [N, H, W, 3], as uint8 0 .. 255 or floats.
            n: drawings of each exemplar.
            seed: of the noise.

        Returns:
            [N, n, H, W] of uint8 0 and 1; in grey or colour [N, n, H, W, 1 or 3], 0 .. 255.

        Raises:
            ValueError: exemplars of another shape, or n below 1.
            Diverged: the model draws non-finite pixels.
        """
        import numpy as np
        import torch

        from oneshot.scoring import sample

        if n < 1:
            raise ValueError(f"n = {n}: at least one drawing of each exemplar")
        data = as_data(np.asarray(exemplars), self.family.image_size, _kind(self.stored))
        count = len(data.images)
        device = torch.device(self.device)
        drawings = sample.draw(self.family, data, np.arange(count), n, seed, device)
        return drawings.images.reshape(count, n, *drawings.images.shape[1:])


def model(results: str | Path, point_id: str, device: str = "") -> TrainedModel:
    """The trained model of a finished point.

    Args:
        results: folder of a sweep, or of results with one sweep in it; or the URI of a sweep.
        point_id: of the table of points, or its first digits.
        device: where it draws, as "cpu"; "" for the GPU if there is one.

    Returns:
        The model with the weights that drew the point's drawings.

    Raises:
        NoSuchPoint: there is no such point, or it has no weights, or does not draw for exemplars.
        AnalysisError: there are no results.
        MissingInput: its weights were dropped.
    """
    stored = stored_points.find(results, point_id)
    import torch

    from oneshot.contracts import ShotFamily
    from oneshot.engine.base import default_device
    from oneshot.trial import train, tune
    from oneshot.trial.job import Job

    point, job = stored.point, Job(stored.store, stored.sweep)
    family = train.build(point)
    if not family.trained:
        raise NoSuchPoint(f"{point.model} learns nothing: it has no weights to draw with")
    if family.asks != "exemplar":
        raise NoSuchPoint(f"{point.model} does not draw for exemplars, but by {family.asks}")
    if isinstance(family, ShotFamily) and family.config.shots > 1:
        raise NoSuchPoint(
            f"{point.model} adapts to {family.config.shots} images of a class; only models of one"
            " exemplar draw here"
        )
    tuning = None
    if point.tune_id != point.train_id:
        tuning = train.stored_under(tune.tuning_key(point), job)
    where = device or default_device()
    trained = train.Trained(family, train.stored_training(point, job), tuning)
    train.load_weights(point, trained, torch.device(where))
    family.eval()
    return TrainedModel(stored, family, where)


def _kind(stored: StoredPoint) -> Kind:
    """What the images of a point are."""
    from oneshot.sweep.point import kind_of

    settings = stored.point.settings
    return kind_of(settings["dataset"], bool(settings.get("colour")))
