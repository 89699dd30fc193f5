"""Files of the U-Net of Boutin et al. (2023), Diffusion models as artists, with its two channels.

https://arxiv.org/abs/2301.11722. Its layers have the names of the widely copied "annotated
diffusion" network. The tables of the noise schedule, which published files also hold, have no
place: ours are computed.
"""

from __future__ import annotations

from oneshot.nn.published.file_format import FileFormat, NamedFormat, OwnNames

SCHEDULE = (
    "alpha_t",
    "oneover_sqrta",
    "sqrt_beta_t",
    "alphabar_t",
    "sqrtab",
    "sqrtmab",
    "mab_over_sqrtmab",
)

_BLOCK = (("depthwise", "ds_conv"), ("time", "mlp.1"), ("wide", "net"), ("skip", "res_conv"))
_ATTENTION = (("norm", "fn.norm"), ("qkv", "fn.fn.to_qkv"), ("out", "fn.fn.to_out"))


def _inner(
    ours: str, published: str, parts: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Rules for the parts of a module whose own name is given."""
    return tuple((rf"{ours}\.{own}\.", rf"{published}.{theirs}.") for own, theirs in parts)


UNET = NamedFormat(
    title="a published diffusion network with these settings",
    prefixes=("module.", "nn_model."),
    unused=rf"({'|'.join(SCHEDULE)})$",
    rules=(
        (r"network\.first\.", "init_conv."),
        (r"network\.time\.0\.", "time_mlp.1."),
        (r"network\.time\.2\.", "time_mlp.3."),
        *_inner(r"network\.down\.(\d+)\.blocks\.(\d+)", r"downs.\1.\2", _BLOCK),
        *_inner(r"network\.down\.(\d+)\.attention", r"downs.\1.2", _ATTENTION),
        (r"network\.shrink\.(\d+)\.", r"downs.\1.3."),
        *_inner(r"network\.middle\.blocks\.0", "mid_block1", _BLOCK),
        *_inner(r"network\.middle\.attention", "mid_attn", _ATTENTION),
        *_inner(r"network\.middle\.blocks\.1", "mid_block2", _BLOCK),
        *_inner(r"network\.up\.(\d+)\.blocks\.(\d+)", r"ups.\1.\2", _BLOCK),
        *_inner(r"network\.up\.(\d+)\.attention", r"ups.\1.2", _ATTENTION),
        (r"network\.grow\.(\d+)\.", r"ups.\1.3."),
        *_inner(r"network\.last", "final_conv.0", _BLOCK),
        (r"network\.out\.", "final_conv.1."),
    ),
)

OTHERS = OwnNames(title="a diffusion model with these settings and the names of oneshot")

# by how exemplars enter; only the network that sees them as a second channel was published
FILE_FORMAT: dict[str, FileFormat] = {"stack": UNET, "film": OTHERS, "cross_attention": OTHERS}
