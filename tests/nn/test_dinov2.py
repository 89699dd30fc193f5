"""Files of DINOv2: the authors' names, sizes that follow from shapes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_dino
import pytest
import torch

from oneshot.nn.published import dinov2
from oneshot.nn.state_file import StateFileError


def test_names_of_the_authors_become_those_of_transformers() -> None:
    state = made_dino.state(width=64, layers=11)
    found = dinov2.renamed(state)
    assert not any(name.startswith(("blocks", "norm", "patch_embed", "pos")) for name in found)
    assert len(found) == len(state) + 2 * 2 * 11  # of a weight and a bias, three
    block = "encoder.layer.10"
    same = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        f"{block}.norm2.weight": "blocks.10.norm2.weight",
        f"{block}.layer_scale2.lambda1": "blocks.10.ls2.gamma",
        f"{block}.attention.output.dense.bias": "blocks.10.attn.proj.bias",
        f"{block}.mlp.fc1.weight": "blocks.10.mlp.fc1.weight",
        "layernorm.bias": "norm.bias",
    }
    assert all(found[ours] is state[theirs] for ours, theirs in same.items())
    for i, part in enumerate(("query", "key", "value")):
        for kind in ("weight", "bias"):
            joined = state[f"blocks.10.attn.qkv.{kind}"]
            name = f"{block}.attention.attention.{part}.{kind}"
            assert torch.equal(found[name], joined[64 * i : 64 * (i + 1)])
    assert dinov2.renamed(found) == found  # its own names stay


def test_gated_mlps_have_other_names() -> None:
    state = made_dino.state(width=64, layers=1, gated=True)
    found = dinov2.renamed(state)
    assert found["encoder.layer.0.mlp.weights_in.bias"] is state["blocks.0.mlp.w12.bias"]
    assert found["encoder.layer.0.mlp.weights_out.weight"] is state["blocks.0.mlp.w3.weight"]


def test_sizes_follow_from_shapes() -> None:
    given: list[dict[str, Any]] = [
        dict(width=192, layers=3, grid=5),
        dict(width=64, layers=12, grid=37, gated=True),
    ]
    found = [dinov2.sizes(dinov2.renamed(made_dino.state(**a)), "a.pt") for a in given]
    assert found == [
        dinov2.Sizes(192, 3, 5, widening=4, gated=False),
        dinov2.Sizes(64, 12, 37, widening=4, gated=True),
    ]


def without(name: str) -> dict[str, torch.Tensor]:
    return {n: v for n, v in made_dino.state(width=64, layers=1).items() if name not in n}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (without("pos_embed"), "it lacks embeddings.position_embeddings"),
        (without("blocks"), "it has no layers"),
        (dict(pos_embed=torch.zeros(1, 11, 64)), "its 10 positions are no square"),
        (dict(pos_embed=torch.zeros(1, 1, 64)), "its 0 positions are no square"),
        (dict(pos_embed=torch.zeros(5, 64)), r"position_embeddings is \[5, 64\]"),
        (
            {"patch_embed.proj.weight": torch.zeros(64, 3, 16, 16)},
            "its patches have 16 pixels a side, not 14",
        ),
        (
            {"patch_embed.proj.weight": torch.zeros(80, 3, 14, 14)},
            "its width 80 is no multiple of 64",
        ),
    ],
    ids=["absent", "layers", "square", "none", "axes", "patch", "width"],
)
def test_a_state_that_no_dinov2_has_is_refused(
    changed: dict[str, torch.Tensor], reason: str
) -> None:
    whole = made_dino.state(width=64, layers=1)
    state = dinov2.renamed({**whole, **changed} if len(changed) == 1 else changed)
    with pytest.raises(StateFileError, match=f"a.pt is not a file of DINOv2: .*{reason}"):
        dinov2.sizes(state, "a.pt")


@pytest.mark.parametrize("name", ["register_tokens", "embeddings.register_tokens"])
def test_register_tokens_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "reg4.pth"
    torch.save({**made_dino.state(width=64, layers=1), name: torch.zeros(1, 4, 64)}, path)
    with pytest.raises(StateFileError, match=r"reg4\.pth holds a DINOv2 with register"):
        dinov2.read(path)


def test_what_is_no_file_of_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_text("weights")
    with pytest.raises(StateFileError, match=r"a\.pth: not a torch file of tensors"):
        dinov2.read(path)
    with pytest.raises(StateFileError, match=r"b\.pth: cannot read the file"):
        dinov2.read(tmp_path / "b.pth")


def test_a_damaged_safetensors_file_is_refused(tmp_path: Path) -> None:
    needs = "needs safetensors: pip install 'oneshot[eval]'"
    torch_files = pytest.importorskip("safetensors.torch", reason=needs)
    path = tmp_path / "a.safetensors"
    state = made_dino.state(width=64, layers=1)
    torch_files.save_file(state, path)
    assert dinov2.read(path)[1].keys() == dinov2.renamed(state).keys()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StateFileError, match=r"a\.safetensors: not a safetensors file, or damaged"):
        dinov2.read(path)


@pytest.mark.parametrize("gated", [False, True])
def test_a_whole_file_is_read(gated: bool, tmp_path: Path) -> None:
    path, state = tmp_path / "a.pth", made_dino.state(layers=3, gated=gated, grid=5)
    torch.save({n: v.half() for n, v in state.items() if n != "mask_token"}, path)
    sizes, found = dinov2.read(path)
    assert sizes == dinov2.Sizes(128, 3, 5, widening=4, gated=gated)
    token = found.pop(dinov2.MASK)  # no feature needs it
    assert token.shape == (1, 128) and not token.any()
    assert {value.dtype for value in found.values()} == {torch.float32}
    expected = dinov2.renamed(state)
    del expected[dinov2.MASK]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], v.half().float()) for name, v in expected.items())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"blocks.1.attn.qkv.weight": None}, "missing encoder.layer.1.attention.attention.key"),
        ({"blocks.0.norm1.bias": None}, "missing encoder.layer.0.norm1.bias; unexpected nothing"),
        ({"head.weight": torch.ones(2)}, "unexpected head.weight"),
        ({"norm.weight": torch.ones(64)}, r"layernorm.weight is \[64\], needs \[128\]"),
        ({"norm.bias": torch.full((128,), torch.nan)}, "NaN or infinity in layernorm.bias"),
        ({"norm.bias": torch.ones(128, dtype=torch.int64)}, "layernorm.bias is int64, needs float"),
    ],
    ids=["qkv", "missing", "unexpected", "shape", "nan", "whole"],
)
def test_a_file_that_does_not_fit_is_refused(
    changed: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    state = {**made_dino.state(), **changed}
    torch.save({n: v for n, v in state.items() if v is not None}, tmp_path / "a.pth")
    with pytest.raises(StateFileError, match=f"a.pth is not a file of DINOv2: .*{reason}"):
        dinov2.read(tmp_path / "a.pth")
