"""What the figures of models of sets share: which models are shown, and the unit of the bounds."""

from __future__ import annotations

PANELS = 8  # models shown at most as panels
NATS = "nats per image"


def models_to_show(models: list[str], most: int) -> tuple[list[str], str]:
    """The best models, and the note that says which.

    Args:
        models: The models by their NELBO, the lowest first.
        most: How many at most.

    Returns:
        The first ones, and the note ("" if there are no more).
    """
    note = f"the {most} of {len(models)} models of lowest NELBO" if len(models) > most else ""
    return models[:most], note
