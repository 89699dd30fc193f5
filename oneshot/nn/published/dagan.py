"""Files of the DAGAN generators that Boutin et al. (2022) trained on Omniglot.

https://arxiv.org/abs/2205.10370. They hold the generator alone; the critic stays as it is. Names
are not known, so that layers are recognised by order. Two things differ in memory: maps are joined
in another order, and the kernels after an enlargement are those of transposed convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oneshot.nn.published.file_format import OrderedFormat
from oneshot.nn.published.layout import Layout

Widths = Mapping[str, int]  # channels of the maps that a convolution sees, by name


def file_format(config: Any, noise_channels: Sequence[int]) -> OrderedFormat:
    """The format of files of a generator.

    Args:
        config: of DAGAN.
        noise_channels: of the maps that z becomes, coarsest first.

    Returns:
        The format.
    """
    c, skips = config.channels, config.generator == "uresnet"
    inner, layouts = 3 if skips else 2, dict[str, Layout]()
    for i, (inputs, outputs) in enumerate([(c, c), (c, 2 * c), (2 * c, 2 * c)]):
        block = f"generator.encoder.blocks.{i}"
        for unit in range(1, inner + 1):  # the first joins its two maps as ours does
            name = f"{block}.units.{unit}" if unit < inner else f"{block}.last"
            layouts[f"{name}.convolution.weight"] = _joined({"x": inputs}, outputs, unit, 0)
    widths = (2 * c, 2 * c, 2 * c, c, c, c)
    of_skip, of_noise = (0, 2 * c, c, c, 1), (*noise_channels, 0, 0)
    for i in range(5):
        block, carry = f"generator.decoder.blocks.{i}", widths[i] if i else 0
        x = {"x": widths[i], "skip": of_skip[i] if skips else 0, "noise": of_noise[i]}
        for unit in range(inner):
            name = f"{block}.units.{unit}.convolution.weight"
            layouts[name] = _joined(x, widths[i + 1], unit, carry)
            if carry:
                layouts[f"{block}.carries.{unit}.weight"] = Layout(turned=True)
        last = _joined(x, widths[i + 1], inner, 0)
        if i < 4:
            layouts[f"{block}.last.convolution.weight"] = Layout(columns=last.columns, turned=True)
    return OrderedFormat(
        title="a published DAGAN generator with these settings", part="generator.", layouts=layouts
    )


def _joined(x: Widths, outputs: int, unit: int, carry: int) -> Layout:
    """How the published code orders the maps that a convolution of a block sees.

    Ours are x (with its skip and noise), the outputs of the convolutions before, and the carried
    map. Published are the newest, the carried map, then the others from x on; within x, the noise
    comes first.

    Args:
        x: channels of the parts of x in our order.
        outputs: channels of each convolution of the block.
        unit: how many convolutions are before it.
        carry: channels of the carried map, 0 without.
    """
    before = {f"output {i}": outputs for i in range(unit)}
    ours = {**x, **before, "carry": carry}
    parts_of_x = [*(["noise"] if "noise" in x else []), *(n for n in x if n != "noise")]
    features = [parts_of_x, *([name] for name in before)]
    published = [*features[-1], "carry", *(name for part in features[:-1] for name in part)]
    starts, at = {}, 0
    for name in published:
        starts[name] = at
        at += ours[name]
    columns = [starts[name] + i for name, width in ours.items() for i in range(width)]
    return Layout(columns=tuple(columns))
