"""State dicts of our models written as the published code would have: its names, order and layout.

The maps are written out here a second time, from the published side, so that a mistake in
`oneshot/nn/published/` does not cancel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from oneshot.models.dagan import Dagan
from oneshot.models.diffusion import Diffusion
from oneshot.models.set_vae import SetVae
from oneshot.models.vae_stn import VaeStn

State = dict[str, Tensor]


def vae_stn(model: VaeStn) -> State:
    """A published VAE-STN; its window is a b c d tx ty, ours a b tx c d ty."""
    state = {}
    for name, tensor in model.state_dict().items():
        module, _, rest = name.partition(".")
        if name in ("location.4.weight", "location.4.bias"):
            a, b, tx, c, d, ty = tensor
            tensor = torch.stack([a, b, c, d, tx, ty])
        theirs = dict(
            location="fc_loc",
            mean="q_z_mean",
            log_variance="q_z_var",
            imagette="to_imagette",
            core="rnn",
        )
        state[f"{theirs[module]}.{rest}"] = tensor
    return state


def neural_statistician(model: SetVae, side_by_side: bool) -> State:
    """A published Neural Statistician, with the two products that never learn.

    Its names are not known. So these are made up, in one of two styles.

    Args:
        model: ours, with one level of vectors.
        side_by_side: all products of a module before all its normalisations; else in turns.

    Returns:
        Tensors by name.
    """
    modules = {
        "encoder.stages.": "encoder.",
        "encoder.project.": "pre.",
        "levels.0.posterior_c.": "statistic.",
        "levels.0.posterior_z.": "posterior_z.0.",
        "levels.0.net_z.": "prior_z.0.",
        "decoder.": "decoder.",
    }
    ours = model.state_dict()
    state: State = {}
    for start, theirs in modules.items():
        layers = list(dict.fromkeys(n.rpartition(".")[0] for n in ours if n.startswith(start)))
        if side_by_side:
            layers.sort(key=lambda layer: f"{layer}.running_mean" in ours)
        for i, layer in enumerate(layers):
            for name, tensor in ours.items():
                if name.rpartition(".")[0] == layer:
                    state[f"{theirs}layer_{i}.{name.rpartition('.')[2]}"] = tensor
        if theirs.endswith("_z.0."):
            state[f"{theirs}linear_z.weight"] = torch.full((model.config.hidden, 16), torch.nan)
            state[f"{theirs}linear_z.bias"] = torch.zeros(model.config.hidden)
    (last,) = (n for n, t in state.items() if t.shape == model.decoder.last.weight.shape)  # type: ignore[union-attr]
    state[last] = state[last][..., None, None]  # a convolution
    return state


def dagan(model: Dagan) -> State:
    """A published DAGAN generator; its names are made up, by order."""
    channels = model.config.channels
    skips = model.config.generator == "uresnet"
    c2, inner = 2 * channels, 3 if skips else 2
    entering = [c2, c2, c2, channels, channels]  # of a decoder's blocks, without skip and noise
    carried, leaving = [0, *entering[1:]], [*entering[1:], channels]
    of_skip, of_noise = [0, c2, channels, channels, 1], [8, 4, 2, 0, 0]
    state: State = {}
    for name, tensor in model.generator.state_dict().items():
        decoder = re.match(r"decoder\.blocks\.(\d)\.(carries|units|last)\.?(\d?)", name)
        encoder = re.match(r"encoder\.blocks\.(\d)\.(units|last)\.?(\d?)", name)
        kernel = tensor.dim() == 4
        if kernel and encoder:
            block, kind, unit = int(encoder[1]), encoder[2], encoder[3]
            number = inner if kind == "last" else int(unit)
            outputs = [channels, c2, c2][block]
            inputs = [channels, channels, c2][block]
            if number:  # the first is x and the carried map, in our order
                tensor = _newest_first(tensor, [inputs, *[outputs] * number], 0)
        if kernel and decoder:
            block, kind = int(decoder[1]), decoder[2]
            number = inner if kind == "last" else int(decoder[3])
            if kind != "carries":
                skip = of_skip[block] if skips else 0
                whole = entering[block] + skip + of_noise[block]
                parts = [entering[block], skip, of_noise[block], tensor.shape[1] - whole]
                x, s, n, rest = tensor.split(parts, 1)
                tensor = torch.cat([n, x, s, rest], 1)
                carry = 0 if kind == "last" else carried[block]
                tensor = _newest_first(tensor, [whole, *[leaving[block]] * number], carry)
            if kind != "units":  # a transposed convolution of the enlarged map
                tensor = tensor.flip(2, 3).transpose(0, 1)
        layer, _, end = name.rpartition(".")
        state[f"{layer.replace('.', '_')}.{end}"] = tensor
    return state


def _newest_first(kernel: Tensor, widths: Sequence[int], carry: int) -> Tensor:
    """Columns of the newest map, of the carried one, then of the others; ours end with it."""
    *features, carried = kernel.split([*widths, carry], 1)
    return torch.cat([features[-1], carried, *features[:-1]], 1)


def unet(model: Diffusion) -> State:
    """A published diffusion model: the network below `nn_model`, and tables of its schedule."""
    network = model.network
    state: State = {"alpha_t": torch.zeros(3), "sqrtab": torch.ones(3)}

    def put(name: str, module: nn.Module | None) -> None:
        if module is not None:
            state.update({f"nn_model.{name}.{n}": t for n, t in module.state_dict().items()})

    def put_block(name: str, block: nn.Module) -> None:
        put(f"{name}.mlp.1", block.time)  # type: ignore[arg-type]
        put(f"{name}.ds_conv", block.depthwise)  # type: ignore[arg-type]
        put(f"{name}.net", block.wide)  # type: ignore[arg-type]
        put(f"{name}.res_conv", block.skip)  # type: ignore[arg-type]

    def put_attention(name: str, attention: nn.Module) -> None:
        put(f"{name}.fn.fn.to_qkv", attention.qkv)  # type: ignore[arg-type]
        put(f"{name}.fn.fn.to_out", attention.out)  # type: ignore[arg-type]
        put(f"{name}.fn.norm", attention.norm)  # type: ignore[arg-type]

    put("init_conv", network.first)
    put("time_mlp.1", network.time[0])
    put("time_mlp.3", network.time[2])
    for side, stages, steps in (
        ("downs", network.down, network.shrink),
        ("ups", network.up, network.grow),
    ):
        for i, stage in enumerate(stages):
            put_block(f"{side}.{i}.0", stage.blocks[0])  # type: ignore[union-attr,index]
            put_block(f"{side}.{i}.1", stage.blocks[1])  # type: ignore[union-attr,index]
            put_attention(f"{side}.{i}.2", stage.attention)  # type: ignore[arg-type]
            if i < len(steps):
                put(f"{side}.{i}.3", steps[i])
    put_block("mid_block1", network.middle.blocks[0])
    put_attention("mid_attn", network.middle.attention)
    put_block("mid_block2", network.middle.blocks[1])
    put_block("final_conv.0", network.last)
    put("final_conv.1", network.out)
    return state
