"""Which settings of a set VAE fit together, and the shapes that follow from them; imports no torch.

A set VAE's Config is read without the rest of its file, so what its methods need is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HALVED = 64  # images of so many pixels and more are halved before the first stage
RECOMPUTE_BYTES = 3e9  # of activations: above, they are computed again in the backward pass
LAYOUTS = ("encoder_layout", "latent_layout", "decoder_layout")
Layout = list[tuple[int, int]]


def encoder_sizes(image_size: int, stages: int) -> list[int]:
    """Widths of the maps before the first stage of the encoder and after each one.

    Args:
        image_size: side of the images in pixels.
        stages: of the encoder, each of which halves the map.

    Returns:
        `stages + 1` widths in pixels.
    """
    sizes = [image_size // 2 if image_size >= HALVED else image_size]
    for _ in range(stages):
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


def decoder_sizes(image_size: int, stages: int) -> list[int]:
    """Widths of the maps after each stage of the decoder, which doubles the map.

    Args:
        image_size: side of the images in pixels.
        stages: of the decoder, as many as of the encoder.

    Returns:
        `stages` widths in pixels. From the third stage on, the map is first cut to the encoder's.
    """
    down = encoder_sizes(image_size, stages)
    up = [2 * down[-1]] if stages else []
    for i in range(1, stages):
        up.append(2 * (down[-1 - i] if i >= 2 else up[-1]))
    return up


def parse_layout(name: str, text: str) -> Layout:
    """Read a layout as in "8-2,4-2,2-2,1-2".

    Args:
        name: of the setting, for the message.
        text: resolution-count of each group, each resolution half of the one before.

    Returns:
        (resolution, count) of the groups, finest first.

    Raises:
        ValueError: the text is not of this form.
    """
    parts = [part.split("-") for part in text.split(",")]
    if all(len(part) == 2 and part[0].isdecimal() and part[1].isdecimal() for part in parts):
        groups = [(int(r), int(n)) for r, n in parts]
        if all(n > 0 and r > 0 and r << i == groups[0][0] for i, (r, n) in enumerate(groups)):
            return groups
    raise ValueError(
        f"{name} = {text!r} must be resolution-count,... each resolution half of the one"
        " before, as in '8-2,4-2,2-2,1-2'"
    )


def problems(config: Any, image_size: int, channels: int, drawings_per_class: int) -> list[str]:
    """Name every combination of settings that cannot be, with what is allowed.

    Args:
        config: of a set VAE.
        image_size: side of the images in pixels.
        channels: of the images.
        drawings_per_class: images that every class has at least.

    Returns:
        One message for each mistake.
    """
    messages = _mismatches(config) + _misfits(config, channels, drawings_per_class)
    if config.latents == "pyramid":
        return messages + _layout_problems({n: getattr(config, n) for n in LAYOUTS}, image_size)
    return messages + _size_problems(config.stages, image_size)


def _mismatches(config: Any) -> list[str]:
    """Settings of the networks that exclude each other."""
    pyramid, heads_fit = config.latents == "pyramid", config.hidden % 4 == 0
    film_fits = (config.latents, config.context, config.pooling) == (
        "vector",
        "hierarchical",
        "attention",
    )
    checks = [
        (
            pyramid != (config.carry == "stream"),
            f"latents = {config.latents!r} needs carry = {'stream' if pyramid else 'sample'!r}",
        ),
        (
            pyramid and config.context != "hierarchical",
            "latents = 'pyramid' needs context = 'hierarchical'",
        ),
        (
            config.conditioner == "film" and not film_fits,
            "conditioner = 'film' needs latents = 'vector', context = 'hierarchical' and"
            " pooling = 'attention'; else it is 'add'",
        ),
        (
            config.context == "none" and config.pooling != "mean",
            "context = 'none' pools nothing: leave pooling at 'mean'",
        ),
        (
            config.pooling == "attention" and not heads_fit,
            f"pooling = 'attention' has 4 heads: hidden = {config.hidden} must be divisible by 4",
        ),
        (
            pyramid and not heads_fit,
            f"latents = 'pyramid' narrows to a quarter: hidden = {config.hidden} must be"
            " divisible by 4",
        ),
    ]
    return [text for wrong, text in checks if wrong]


def _misfits(config: Any, channels: int, drawings_per_class: int) -> list[str]:
    """Settings that the images do not allow, and what is then not scored."""
    wanted = 1 if config.pixels == "bernoulli" else 3
    checks = [
        (
            config.set_size > drawings_per_class,
            f"set_size = {config.set_size} is more than the {drawings_per_class} images of a"
            " class; at most that many",
        ),
        (
            channels != wanted,
            f"pixels = {config.pixels!r} is for {wanted} channels, not {channels}:"
            " 'bernoulli' for 1, 'logistic_mixture' for 3",
        ),
        (
            config.transfer != "none" and (wanted != 1 or config.likelihood == "none"),
            f"transfer = {config.transfer!r} needs pixels = 'bernoulli' and likelihood ="
            " 'elbo' or 'nll'",
        ),
        (config.classify and wanted != 1, "classify = True needs pixels = 'bernoulli'"),
    ]
    return [text for wrong, text in checks if wrong]


def _size_problems(stages: int, image_size: int) -> list[str]:
    """Why the decoder's stages cannot end at the image size."""

    def mirrored(size: int) -> bool:
        last = (decoder_sizes(size, stages) or encoder_sizes(size, stages))[-1]
        return size % 2 == 0 and (2 if size >= HALVED else 1) * last == size

    if mirrored(image_size):
        return []
    near = [size for size in range(max(16, image_size - 12), image_size + 13) if mirrored(size)]
    return [
        f"{stages} stages cannot mirror images of {image_size} pixels; image_size near it:"
        f" {', '.join(map(str, near)) or 'none'}"
    ]


def _layout_problems(texts: Mapping[str, str], image_size: int) -> list[str]:
    """What is wrong with the layouts of a pyramid, each or together."""
    messages, layouts = [], []
    for name in LAYOUTS:
        try:
            layouts.append(parse_layout(name, texts[name]))
        except ValueError as error:
            messages.append(str(error))
    if messages:
        return messages
    encoder, latent, decoder = layouts
    missing = sorted({r for r, _ in latent} - {r for r, _ in encoder})
    first, last = encoder[0][0], decoder[-1][0]
    checks = [
        (
            missing,
            f"encoder_layout lacks the resolutions {', '.join(map(str, missing))} of latent_layout",
        ),
        (latent[-1][0] != 1, f"latent_layout must end at resolution 1, not {latent[-1][0]}"),
        (
            last != latent[0][0],
            f"decoder_layout must end where latent_layout begins, at {latent[0][0]}, not {last}",
        ),
        (
            decoder[0][0] != first,
            f"decoder_layout must begin where encoder_layout does, at {first}, not {decoder[0][0]}",
        ),
        (
            first < image_size,
            f"encoder_layout must begin at {image_size} (the size of the images) or more, not"
            f" {first}",
        ),
    ]
    return [text for wrong, text in checks if wrong]


def recomputes(config: Any, image_size: int) -> bool:
    """Whether a step keeps only the inputs of convolutional stages and computes the rest again.

    Args:
        config: of a set VAE.
        image_size: side of the images in pixels.

    Returns:
        True where a step of one model would otherwise keep more than 3 GB.
    """
    if config.latents == "pyramid":
        return False
    images = config.batch_size * config.set_size
    return 4.0 * images * _kept_numbers(config, image_size) > RECOMPUTE_BYTES


def _kept_numbers(config: Any, image_size: int) -> float:
    """About how many numbers an image leaves for the backward pass, unless recomputed."""
    stages = config.stages
    widths = [config.channels * 2**i for i in range(stages)]
    down_sizes = encoder_sizes(image_size, stages)[1:]
    down = sum(18.0 * w * side**2 for w, side in zip(widths, down_sizes))
    up_sizes = decoder_sizes(image_size, stages)
    up = sum(3.0 * w * side**2 for w, side in zip(widths[::-1], up_sizes))
    positions = down_sizes[-1] ** 2 if config.latents == "map" else 1
    contexts = 2 / config.set_size if config.context == "hierarchical" else 0
    levels = 2.0 * positions * config.layers * (2 + contexts) * config.hidden * (config.blocks + 2)
    mixture = 0.0 if config.pixels == "bernoulli" else 500.0 * image_size**2
    return down + up + levels + mixture
