"""Small DINOv2s with random weights, and a second implementation of the network.

Names and order of computation are those of the authors: https://arxiv.org/abs/2304.07193.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PATCH, HEAD, SEEN = 14, 64, 16  # SEEN: patches along a side of what the network is shown


def state(
    width: int = 2 * HEAD, layers: int = 2, gated: bool = False, grid: int = SEEN
) -> dict[str, Tensor]:
    """The state dict of a small DINOv2 by the authors' names.

    Args:
        width: numbers of a token.
        layers: of the transformer.
        gated: whether its MLPs are gated.
        grid: patches along a side for which it has positions.

    Returns:
        Tensors, the same for the same arguments.
    """
    numbers = torch.Generator().manual_seed(width + layers + gated + grid)

    def random(*shape: int, scale: float = 0.2, middle: float = 0.0) -> Tensor:
        return middle + scale * torch.randn(shape, generator=numbers)

    def linear(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
        weight = random(outputs, inputs, scale=1.5 * inputs**-0.5)
        return {f"{name}.weight": weight, f"{name}.bias": random(outputs)}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": random(width, middle=1.0), f"{name}.bias": random(width)}

    found = {
        "cls_token": random(1, 1, width),
        "pos_embed": random(1, 1 + grid**2, width),
        "mask_token": random(1, width),
        "patch_embed.proj.weight": random(width, 3, PATCH, PATCH, scale=0.05),
        "patch_embed.proj.bias": random(width),
    }
    for i in range(layers):
        block = f"blocks.{i}"
        found |= norm(f"{block}.norm1") | linear(f"{block}.attn.qkv", width, 3 * width)
        found |= linear(f"{block}.attn.proj", width, width)
        found |= {f"{block}.ls1.gamma": random(width, middle=0.5)} | norm(f"{block}.norm2")
        if gated:
            hidden = (width * 4 * 2 // 3 + 7) // 8 * 8
            found |= linear(f"{block}.mlp.w12", width, 2 * hidden)
            found |= linear(f"{block}.mlp.w3", hidden, width)
        else:
            found |= linear(f"{block}.mlp.fc1", width, 4 * width)
            found |= linear(f"{block}.mlp.fc2", 4 * width, width)
        found |= {f"{block}.ls2.gamma": random(width, middle=0.5)}
    return found | norm("norm")


def features(state: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """The class tokens of images that have as many patches as the network has positions.

    Args:
        state: of a DINOv2, by the authors' names.
        pixels: float [B, 3, H, W], as the network sees them.

    Returns:
        float [B, width].
    """

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        middle, spread = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return (x - middle) / (spread + 1e-6).sqrt() * state[f"{name}.weight"] + state[
            f"{name}.bias"
        ]

    projection = state["patch_embed.proj.weight"]
    maps = F.conv2d(pixels, projection, state["patch_embed.proj.bias"], stride=PATCH)
    first = state["cls_token"].expand(len(pixels), -1, -1)
    x = torch.cat([first, maps.flatten(2).mT], 1) + state["pos_embed"]
    number, tokens, width = x.shape
    for i in range(sum(name.endswith("ls1.gamma") for name in state)):
        block = f"blocks.{i}"
        joined = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", x))
        heads = joined.reshape(number, tokens, 3, width // HEAD, HEAD)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        attended = torch.softmax(q @ k.mT / HEAD**0.5, -1) @ v
        mixed = attended.transpose(1, 2).reshape(number, tokens, width)
        x = x + state[f"{block}.ls1.gamma"] * linear(f"{block}.attn.proj", mixed)
        y = norm(f"{block}.norm2", x)
        if f"{block}.mlp.w12.weight" in state:
            gate, value = linear(f"{block}.mlp.w12", y).chunk(2, -1)
            y = linear(f"{block}.mlp.w3", F.silu(gate) * value)
        else:
            y = linear(f"{block}.mlp.fc2", F.gelu(linear(f"{block}.mlp.fc1", y)))
        x = x + state[f"{block}.ls2.gamma"] * y
    return norm("norm", x)[:, 0]
