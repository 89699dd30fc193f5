"""Files of DINOv2, a vision transformer: their names made one, and the sizes that follow from them.

Oquab et al. (2023), DINOv2: learning robust visual features without supervision
(https://arxiv.org/abs/2304.07193). The same numbers are published under two sets of names: those of
the authors, as `blocks.0.attn.qkv.weight`, and those of the package transformers, as
`encoder.layer.0.attention.attention.query.weight`. A file is a safetensors file, or a state dict
as torch.save writes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from oneshot.nn import state_file
from oneshot.nn.state_file import StateFileError

PATCH, HEAD = 14, 64  # pixels of a patch's side, and numbers of an attention head, of every size
WIDENING = 4  # of every published size
PROJECTION = "embeddings.patch_embeddings.projection.weight"
POSITIONS = "embeddings.position_embeddings"
MASK = "embeddings.mask_token"  # no feature needs it, and some files leave it out
PARTS = ("weight", "bias")
GATED = "mlp.weights_in.weight"
REGISTERS = re.compile(r"register_tokens?$")
# The authors' names, and those of transformers.
RULES = (
    (r"cls_token", "embeddings.cls_token"),
    (r"mask_token", MASK),
    (r"pos_embed", POSITIONS),
    (r"patch_embed\.proj\.(\w+)", r"embeddings.patch_embeddings.projection.\1"),
    (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"encoder.layer.\1.attention.output.dense.\2"),
    (r"blocks\.(\d+)\.ls([12])\.gamma", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (r"blocks\.(\d+)\.mlp\.w12\.(\w+)", r"encoder.layer.\1.mlp.weights_in.\2"),
    (r"blocks\.(\d+)\.mlp\.w3\.(\w+)", r"encoder.layer.\1.mlp.weights_out.\2"),
    (r"blocks\.(\d+)\.(norm[12]|mlp\.fc[12])\.(\w+)", r"encoder.layer.\1.\2.\3"),
    (r"norm\.(\w+)", r"layernorm.\1"),
)
QKV = re.compile(r"blocks\.(\d+)\.attn\.qkv\.(\w+)")


@dataclass(frozen=True)
class Sizes:
    """What the shapes of a file say of its network.

    Args:
        width: numbers of a token.
        layers: of the transformer.
        grid: patches along a side of the images that it was trained on.
        widening: of the hidden layer of an MLP, in widths.
        gated: whether the MLPs are gated, as in the largest.
    """

    width: int
    layers: int
    grid: int
    widening: int
    gated: bool


def read(path: str | Path) -> tuple[Sizes, dict[str, Tensor]]:
    """Read a file of DINOv2, on the CPU, and check all that is in it.

    Args:
        path: the file.

    Returns:
        The sizes of the network, and its float32 tensors by the names of transformers.

    Raises:
        StateFileError: it is no such file; the message says why.
    """
    state = renamed(_read_safetensors(path) if _is_safetensors(path) else state_file.read(path))
    if any(REGISTERS.search(name) for name in state):
        raise StateFileError(
            f"{path} holds a DINOv2 with register tokens: use the file of the one without"
        )
    of_file = sizes(state, path)
    state = {MASK: torch.zeros(1, of_file.width), **state}
    problem = f"{path} is not a file of DINOv2"
    return of_file, {
        name: value.float()
        for name, value in state_file.checked(state, wanted(of_file), problem).items()
    }


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state by the names of transformers; names that are neither's stay as they are.

    The authors' `qkv` are queries, keys and values one above the other.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if (joined := QKV.fullmatch(name)) and value.ndim and len(value) % 3 == 0:
            inner = f"encoder.layer.{joined[1]}.attention.attention"
            for part, tensor in zip(("query", "key", "value"), value.chunk(3)):
                found[f"{inner}.{part}.{joined[2]}"] = tensor
            continue
        rules = ((re.fullmatch(ours, name), theirs) for ours, theirs in RULES)
        found[next((match.expand(theirs) for match, theirs in rules if match), name)] = value
    return found


def sizes(state: Mapping[str, Tensor], path: str | Path) -> Sizes:
    """The sizes of the network that a state is of.

    Args:
        state: by the names of transformers.
        path: of its file, for messages.

    Returns:
        The sizes; that everything else fits them is not looked at.

    Raises:
        StateFileError: no DINOv2 has such shapes.
    """
    problem = f"{path} is not a file of DINOv2"
    for name, axes in ((PROJECTION, 4), (POSITIONS, 3)):
        if name not in state:
            raise StateFileError(f"{problem}: it lacks {name}")
        if state[name].ndim != axes:
            raise StateFileError(f"{problem}: {name} is {list(state[name].shape)}")
    width, side = len(state[PROJECTION]), state[PROJECTION].shape[-1]
    if side != PATCH:
        raise StateFileError(f"{problem}: its patches have {side} pixels a side, not {PATCH}")
    if not width or width % HEAD:
        raise StateFileError(f"{problem}: its width {width} is no multiple of {HEAD}")
    patches = state[POSITIONS].shape[1] - 1
    grid = math.isqrt(max(patches, 0))
    if not grid or grid**2 != patches:
        raise StateFileError(f"{problem}: its {patches} positions are no square")
    layers = {m[1] for name in state if (m := re.match(r"encoder\.layer\.(\d+)\.", name))}
    if not layers:
        raise StateFileError(f"{problem}: it has no layers")
    hidden = state.get("encoder.layer.0.mlp.fc1.weight")
    widening = len(hidden) // width if hidden is not None and hidden.ndim else WIDENING
    return Sizes(width, len(layers), grid, widening, any(name.endswith(GATED) for name in state))


def wanted(sizes: Sizes) -> dict[str, Tensor]:
    """All tensors of a network of these sizes, by the names of transformers, without memory."""
    width = sizes.width
    vectors = ["layernorm.weight", "layernorm.bias"]
    linear: dict[str, tuple[int, int]] = {}  # inputs and outputs
    for i in range(sizes.layers):
        layer = f"encoder.layer.{i}"
        vectors += [f"{layer}.{n}.{kind}" for n in ("norm1", "norm2") for kind in PARTS]
        vectors += [f"{layer}.layer_scale{n}.lambda1" for n in (1, 2)]
        for name in ("attention.query", "attention.key", "attention.value", "output.dense"):
            linear[f"{layer}.attention.{name}"] = (width, width)
        hidden = width * sizes.widening
        if sizes.gated:
            hidden = (hidden * 2 // 3 + 7) // 8 * 8
            linear[f"{layer}.mlp.weights_in"] = (width, 2 * hidden)
            linear[f"{layer}.mlp.weights_out"] = (hidden, width)
        else:
            linear[f"{layer}.mlp.fc1"] = (width, hidden)
            linear[f"{layer}.mlp.fc2"] = (hidden, width)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, width),
        MASK: (1, width),
        POSITIONS: (1, 1 + sizes.grid**2, width),
        PROJECTION: (width, 3, PATCH, PATCH),
        PROJECTION.replace("weight", "bias"): (width,),
        **dict.fromkeys(vectors, (width,)),
        **{f"{name}.weight": (outputs, inputs) for name, (inputs, outputs) in linear.items()},
        **{f"{name}.bias": (outputs,) for name, (_, outputs) in linear.items()},
    }
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def _is_safetensors(path: str | Path) -> bool:
    """Whether a file begins as safetensors do: 8 bytes with the length of a header of JSON."""
    try:
        with open(path, "rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise StateFileError(f"{path}: cannot read the file ({error.strerror or error})") from error


def _read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    import safetensors.torch

    try:
        state: dict[str, Tensor] = safetensors.torch.load_file(path, device="cpu")
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise StateFileError(
            f"{path}: not a safetensors file, or damaged ({str(error).splitlines()[0]})"
        ) from error
    return state
