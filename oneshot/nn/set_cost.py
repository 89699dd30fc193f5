"""Estimates of what a training of a set VAE costs, from its settings alone."""

from __future__ import annotations

from typing import Any

from oneshot.nn.set_shapes import decoder_sizes, encoder_sizes, parse_layout, recomputes


def work(config: Any, images: int, image_size: int) -> float:
    """Multiply-adds of a training, forward and backward.

    Args:
        config: of a set VAE.
        images: training images.
        image_size: side of the images in pixels.

    Returns:
        About their number.
    """
    copies = config.set_size - 1 if config.augmented_copies < 0 else config.augmented_copies
    parts = sum(work for work, _ in _parts(config, image_size))
    return 3.0 * config.epochs * images * (1 + copies) * parts


def memory(config: Any, image_size: int) -> float:
    """Bytes that a training step of one model keeps for its backward pass, roughly.

    Args:
        config: of a set VAE.
        image_size: side of the images in pixels.

    Returns:
        About their number.
    """
    numbers = sum(kept for _, kept in _parts(config, image_size))
    kept = 4.0 * config.batch_size * config.set_size * numbers
    return 0.3 * kept if recomputes(config, image_size) else kept


def _parts(config: Any, image_size: int) -> list[tuple[float, float]]:
    """Of each group of layers and an image: multiply-adds, and numbers kept for the gradient."""
    pyramid = config.latents == "pyramid"
    parts = _pyramid_parts(config) if pyramid else _conv_parts(config, image_size)
    mixture = (100.0 * config.channels * image_size**2, 500.0 * image_size**2)
    return parts if config.pixels == "bernoulli" else [*parts, mixture]


def _conv_parts(config: Any, image_size: int) -> list[tuple[float, float]]:
    down_sizes = encoder_sizes(image_size, config.stages)[1:]
    up_sizes = decoder_sizes(image_size, config.stages)
    widths = [config.channels * 2**i for i in range(config.stages)]
    # of width^2 side^2
    down, up = [45.0] + [63.0] * (config.stages - 1), [5.5] + [7.75] * (config.stages - 1)
    parts = [
        (n * (w * side) ** 2, 18.0 * w * side**2) for n, w, side in zip(down, widths, down_sizes)
    ]
    parts += [
        (n * (w * side) ** 2, 3.0 * w * side**2) for n, w, side in zip(up, widths[::-1], up_sizes)
    ]
    last = down_sizes[-1] ** 2
    positions, taps = (last, 9) if config.latents == "map" else (1, 1)
    contexts = 2 / config.set_size if config.context == "hierarchical" else 0
    nets = config.layers * (2 + contexts)
    flat = 2.0 * last * widths[-1] * config.hidden
    heads = positions * nets * config.hidden**2 * (config.blocks * taps + 1)
    return [*parts, (flat + heads, 2.0 * positions * nets * config.hidden * (config.blocks + 2))]


def _pyramid_parts(config: Any) -> list[tuple[float, float]]:
    groups = [
        (r, n, 1)
        for name in ("encoder_layout", "decoder_layout")
        for r, n in parse_layout(name, getattr(config, name))
    ]
    # q, p, residual block and products, of c and z
    groups += [(r, n, 8) for r, n in parse_layout("latent_layout", config.latent_layout)]
    width = config.hidden
    return [
        (n * each * r * r * width**2 * (1.625 if r > 2 else 0.625), n * each * r * r * 3.5 * width)
        for r, n, each in groups
    ]
