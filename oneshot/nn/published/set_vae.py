"""Files of the Neural Statistician of Boutin et al. (2022), https://arxiv.org/abs/2205.10370.

Of its names only those of the networks of the latents are known; all others are recognised by
order. The published networks of z own a product of a z above them, which one level does not have.
"""

from __future__ import annotations

from oneshot.nn.published.file_format import FileFormat, OrderedFormat, OwnNames
from oneshot.nn.published.layout import Layout

NEURAL_STATISTICIAN = OrderedFormat(
    title="a published Neural Statistician with these settings",
    within={"levels.0.posterior_z.": "posterior_z.0.", "levels.0.net_z.": "prior_z.0."},
    unused=r"(posterior|prior)_z\.0\.linear_z\.",
    layouts={"decoder.last.weight": Layout(kernel=True)},
)

OTHERS = OwnNames(title="a set VAE with these settings and the names of oneshot")


def file_format(latents: str, context: str, pooling: str, layers: int) -> FileFormat:
    """The format of files of a set VAE.

    Args:
        latents: its setting, as are the others.
        context: "none", "flat" or "hierarchical".
        pooling: "mean", "max" or "attention".
        layers: levels of latents.

    Returns:
        That of the published files where these settings are of the published model of 50 pixels;
        else files must have our names.
    """
    known = (latents, context, layers) == ("vector", "flat", 1) and pooling != "attention"
    return NEURAL_STATISTICIAN if known else OTHERS
