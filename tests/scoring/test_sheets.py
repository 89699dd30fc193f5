"""Sheets: what a family is given for them, and how they are kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from made_labelled import CLASSES, SIDE, made
from torch import Tensor, nn

from oneshot.models.infogan import FAMILY as INFOGAN
from oneshot.models.infogan import VARIANTS, Config
from oneshot.scoring import sheet_files, sheets
from oneshot.store.store import DamagedFile

CPU = torch.device("cpu")


class Echo(nn.Module):
    """Lays out what it was given."""

    drawing_noise_shape = (3,)

    def sheets(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        self.noise = noise
        return {"given": images, "odd": images[:1, :1] * float("nan"), "large": images * 3 - 1}


def test_a_family_is_given_held_out_images_of_each_class_and_fixed_noise() -> None:
    family, data = Echo(), made("greys", 2)
    made_of = sheets.make(family, data, CPU)  # type: ignore[arg-type]
    given = made_of["given"]
    assert given.shape == (CLASSES, 5, SIDE, SIDE, 1) and given.dtype == np.uint8
    assert given[:, :, 0, 0, 0].tolist() == [[c] * 5 for c in range(CLASSES)]
    assert given[:, :, 0, 1, 0].tolist() == [list(range(24, 29))] * CLASSES, "of TEST"
    assert not made_of["odd"].any() and set(np.unique(made_of["large"])) >= {0, 255}
    noise = family.noise
    assert noise.shape == (sheets.NOISES, 3) and not family.training
    assert torch.unique(noise).numel() == noise.numel()
    sheets.make(family, data, CPU)  # type: ignore[arg-type]
    assert torch.equal(noise, family.noise)


def test_few_images_and_classes_without_parts_are_enough() -> None:
    data = dataclasses.replace(made("greys"), part=None)
    few = np.concatenate([np.arange(CLASSES * 30 - 28)])  # the last class has two
    data = dataclasses.replace(data, images=data.images[few], label=data.label[few])
    given = sheets.make(Echo(), data, CPU)["given"]  # type: ignore[arg-type]
    assert given.shape[:2] == (CLASSES, 2) and given[:, 1, 0, 1, 0].tolist() == [1] * CLASSES


def test_a_sheet_comes_back_as_it_was_written_or_is_said_to_be_damaged() -> None:
    torch.manual_seed(0)
    family = INFOGAN(Config(**VARIANTS["tiny"]), SIDE)
    for name, images in sheets.make(family, made("greys"), CPU).items():
        data = sheet_files.to_bytes(images)
        assert np.array_equal(sheet_files.from_bytes(data), images) and images.std() > 0, name
    for broken in (data[:-60], data[:100], b"", data[:50] + b"x" + data[51:]):
        with pytest.raises(DamagedFile, match="a sheet is damaged"):
            sheet_files.from_bytes(broken)
    with pytest.raises(DamagedFile, match="images are float64"):
        sheet_files.from_bytes(sheet_files.to_bytes(np.zeros((1, 1, 2, 2, 1))))
    assert sheet_files.key("abc", "codes") == "store/sheets/abc/codes.npz"
