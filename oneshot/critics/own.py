"""A critic of the user's in the form of those of the package: made, trained, judged, embedding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.critics import protonet
from oneshot.critics.encoder import CriticError, Report, initialised
from oneshot.sweep import own_critics
from oneshot.sweep.own_critics import OwnCritic
from oneshot.types import DataSet


@dataclass(frozen=True)
class OwnConfig:
    """The settings of a critic of the user's: its file alone, which has the rest.

    Args:
        own: its name or path.
    """

    own: str
    epochs: int = 1


class OwnEncoder(nn.Module):
    """A module of the user's that maps images to features.

    Args:
        inner: the module.
        where: its file, for errors.
    """

    def __init__(self, inner: nn.Module, where: str):
        super().__init__()
        self.inner, self._where = inner, where

    def embed(self, images: Tensor) -> Tensor:
        """The features of images, [B, 1, S, S] of 0 and 1 of any type, as float [B, d].

        Raises:
            CriticError: the module returns something else.
        """
        features = self.inner(images.float())
        if not isinstance(features, Tensor) or features.shape[:1] != images.shape[:1]:
            raise CriticError(f"{self._where}: the module returns no features [B, d]")
        return features.flatten(1)


class OwnCriticFamily:
    """What a file of a critic is to a trial, of one of the user's.

    Attributes:
        Config: its settings.
    """

    Config = OwnConfig

    def __init__(self, own: OwnCritic):
        self.own, self.module = own, own_critics.module(own)

    def FAMILY(self, image_size: int) -> OwnEncoder:
        """The module, untrained."""
        inner = self.module.make(image_size)
        if not isinstance(inner, nn.Module):
            kind = type(inner).__name__
            raise CriticError(f"{self.own.file.shown}: make returns no torch module, but a {kind}")
        return OwnEncoder(inner, self.own.file.shown)

    def train(
        self,
        config: OwnConfig,
        data: DataSet,
        exemplars: np.ndarray | None,
        seed: int,
        device: torch.device | str,
        report: Report,
    ) -> tuple[nn.Module, dict[str, Any], list[dict[str, Any]]]:
        """Make the module and let its file train it.

        Args:
            config: unused.
            data: the images and their classes.
            exemplars: the supports by which it is judged; None for the first image of each class.
            seed: of its weights, and of its training.
            device: where it is trained.
            report: not called, as the file says nothing of its epochs.

        Returns:
            The critic, its quality, and no curve.

        Raises:
            CriticError: features of real images are not finite.
        """
        make: Callable[[], OwnEncoder] = lambda: self.FAMILY(data.image_size)  # noqa: E731
        critic = initialised(make, seed, self.own.name).to(device)
        if self.own.learns:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.module.train(critic.inner, data, seed, torch.device(device))
        critic.eval()
        return critic, self.quality(critic, data, exemplars, seed, device), []

    def quality(
        self,
        module: nn.Module,
        data: DataSet,
        exemplars: np.ndarray | None,
        seed: int,
        device: torch.device | str,
    ) -> dict[str, Any]:
        """How many real drawings of the test classes it recognises by their nearest exemplar.

        Args:
            module: the critic.
            data: the images.
            exemplars: the supports; None for the first image of each class.
            seed: unused.
            device: where it is computed.

        Returns:
            The columns that ProtoNet's quality has.
        """
        return protonet.quality(module, data, exemplars, seed, device)  # type: ignore[arg-type]
