"""Published weight files: read, completed, refused with the reason."""

from __future__ import annotations

import dataclasses
import io
import math
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from oneshot.critics import importing, protonet
from oneshot.critics.encoder import CriticError, embed_all, initialised


def saved(state: object, tag: str = "cpu") -> bytes:
    """A torch file whose storages are tagged with another device, as the published ones are
    (`cuda:7`).
    """
    buffer, out = io.BytesIO(), io.BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith("data.pkl"):
                content = content.replace(
                    b"X\x03\x00\x00\x00cpu", b"X" + len(tag).to_bytes(4, "little") + tag.encode()
                )
                assert tag.encode() in content
            new.writestr(info.filename, content)
    return out.getvalue()


@pytest.fixture(scope="module")
def published() -> OrderedDict[str, torch.Tensor]:
    module = initialised(lambda: protonet.ProtoNet(50), 1, "published")
    module.train()
    module.embed(
        (torch.rand(8, 1, 50, 50, generator=torch.Generator().manual_seed(0)) > 0.9).float()
    )
    return OrderedDict((name, value.contiguous()) for name, value in module.state_dict().items())


def test_published_files_of_another_machines_gpu_are_read(tmp_path: Path, published):
    path = tmp_path / "_best.model"
    path.write_bytes(saved(published, "cuda:7"))
    if torch.cuda.device_count() < 8:
        with pytest.raises(RuntimeError):
            torch.load(path, weights_only=True)  # so the tag is real
    module = importing.import_weights(path, "protonet")
    assert isinstance(module, protonet.ProtoNet) and not module.training
    assert all(
        torch.equal(value, published[name]) and value.device.type == "cpu"
        for name, value in module.state_dict().items()
    )
    reference = protonet.ProtoNet(50).eval()
    reference.load_state_dict(published)
    images = (np.random.default_rng(0).random((3, 50, 50)) > 0.9).astype(np.uint8)
    assert np.array_equal(embed_all(module, images, "cpu"), embed_all(reference, images, "cpu"))


def test_counters_of_batch_normalisation_may_be_absent(tmp_path: Path, published):
    path = tmp_path / "bare.model"
    torch.save(
        {
            name: value
            for name, value in published.items()
            if not name.endswith("num_batches_tracked")
        },
        path,
    )
    assert torch.equal(
        importing.import_weights(str(path), "protonet").state_dict()["metric_layer.bias"],
        published["metric_layer.bias"],
    )


def test_damaged_and_foreign_files_are_refused_with_the_reason(tmp_path: Path, published):
    whole = saved(published, "cuda:2")
    nan = {**published, "embedding.6.bias": torch.full((256,), math.nan)}
    less = {name: value for name, value in published.items() if name != "embedding.2.0.bias"}
    files = {
        "truncated": (whole[: len(whole) // 2], "not a torch file"),
        "text": (b"weights\n", "not a torch file"),
        "empty": (b"", "not a torch file"),
        "code": (saved({"a": torch.ones(1), "fit": dataclasses.replace}), "not a torch file"),
        "tensor": (saved(torch.ones(3)), "but Tensor"),
        "checkpoint": (saved({"epoch": 3, "state": dict(published)}), "but keys 'epoch', 'state'"),
        "missing": (saved(less), r"missing embedding\.2\.0\.bias; unexpected nothing"),
        "more": (
            saved({**published, "head.weight": torch.ones(1)}),
            r"missing nothing; unexpected head\.weight",
        ),
        "shape": (
            saved({**published, "embedding.6.weight": torch.ones(256, 64)}),
            r"embedding\.6\.weight is \[256, 64\], needs \[256, 576\]",
        ),
        "nan": (saved(nan), r"NaN or infinity in embedding\.6\.bias"),
    }
    for name, (content, reason) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CriticError, match=reason) as caught:
            importing.import_weights(path, "protonet")
        assert str(path) in str(caught.value)


def test_wrong_kinds_sizes_and_paths_are_refused(tmp_path: Path, published):
    path = tmp_path / "protonet.model"
    path.write_bytes(saved(published))
    with pytest.raises(
        CriticError,
        match=(
            r"simclr critic: missing projection\.0\.bias, projection\.0\.weight; unexpected"
            r" metric_layer"
        ),
    ):
        importing.import_weights(path, "simclr")
    with pytest.raises(CriticError, match="50x50 images, given image_size 28"):
        importing.import_weights(path, "protonet", 28)
    with pytest.raises(CriticError, match=r"'resnet'; there are for: simclr, protonet"):
        importing.import_weights(path, "resnet")
    with pytest.raises(CriticError, match="cannot read the file"):
        importing.import_weights(tmp_path / "absent", "protonet")
