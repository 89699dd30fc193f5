"""Which settings of a diffusion model exclude each other; imports no torch.

A diffusion model's Config is read without the rest of its file, so what its method needs is here.
"""

from __future__ import annotations

from typing import Any


def problems(config: Any, drawings_per_class: int) -> list[str]:
    """Name every combination of settings that cannot be.

    Args:
        config: of a diffusion model.
        drawings_per_class: images that every class has at least.

    Returns:
        One message for each mistake.
    """
    several, undropped = config.exemplars > 1, config.drop_probability == 0
    rules = [
        (
            config.n_feat % 2,
            f"n_feat = {config.n_feat} is odd: half of it are sines of the time, half cosines",
        ),
        (
            several and config.conditioning == "stack",
            f"conditioning = 'stack' takes one exemplar, not {config.exemplars}: film and"
            " cross_attention take more",
        ),
        (
            several and config.set_size > drawings_per_class,
            f"exemplars = {config.exemplars} needs classes of {config.set_size} images; these have"
            f" {drawings_per_class}",
        ),
        (
            config.gamma > 0 and undropped,
            f"gamma = {config.gamma:g} needs drop_probability > 0, or the network has never drawn"
            " without an exemplar",
        ),
        (
            config.ddim_steps > config.time_steps,
            f"ddim_steps = {config.ddim_steps} is more than time_steps = {config.time_steps}",
        ),
        (
            config.importance_seeds > 0 and undropped,
            f"importance_seeds = {config.importance_seeds} needs drop_probability > 0: maps"
            " compare drawing with and without exemplar",
        ),
    ]
    return [message for broken, message in rules if broken]
