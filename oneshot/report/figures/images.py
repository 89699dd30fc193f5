"""Images inside figures."""

from __future__ import annotations

import numpy as np


def on_paper(image: np.ndarray, paper: float) -> np.ndarray:
    """The pixels of a drawing as they are shown.

    Args:
        image: [H, W] of 0 and 1, or in grey or colour [H, W, 1 or 3] of 0 .. 255.
        paper: The grey of the paper, in [0, 1].

    Returns:
        In [0, 1]: dark ink on paper, or the image's own greys or colours.
    """
    return image / 255 if image.ndim == 3 else np.where(image, 0.0, paper)
