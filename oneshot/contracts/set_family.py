"""Families that model sets of images of a class."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from oneshot.contracts.batches import Features, Sets
from oneshot.contracts.family import LikelihoodFamily


@dataclass(frozen=True)
class SetTerms:
    """The one-sample bound of B sets of S images by its terms, in nats.

    Args:
        log_likelihood: log p(x_s | latents), [B, S].
        kl_c: of each level of the context, top first, for the whole set, [B, levels of c].
        kl_z: of each level of each image's latents, top first, [B, S, levels of z].
        log_ratio: log p - log q of all latents of the set at the sample that was drawn, [B]; its
            negative has the mean sum(kl_c) + sum(kl_z).
    """

    log_likelihood: Tensor
    kl_c: Tensor
    kl_z: Tensor
    log_ratio: Tensor


class SetFamily(LikelihoodFamily):
    """A family that models sets of images of a class by a context of the set and latents of images.

    Images are [B, S, C, H, W]; S may differ from the set size of training. The noise of a set is
    one vector: that of its context, then that of image 0, image 1, ... A set's terms do not depend
    on the others in evaluation mode. `elbo` gives per image (a set's sums divided by S):
    "reconstruction", "kl", "kl_c", "kl_z".
    """

    trains_on = Sets

    @abstractmethod
    def noise_size(self, set_size: int) -> int:
        """How many standard normal numbers one walk over a set of this size takes."""

    @abstractmethod
    def encode(self, images: Tensor) -> Features:
        """Features of each image by resolution r, [B, S, width, r, r]; its samples share them."""

    @abstractmethod
    def terms(self, images: Tensor, noise: Tensor, features: Features | None = None) -> SetTerms:
        """The bound at one sample of the latents.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].
            features: `encode(images)`, if it is at hand.

        Returns:
            The terms of the bound.
        """

    @abstractmethod
    def context(self, images: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The posteriors q(c_l | set) of the context, along a walk that takes them at their means.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].

        Returns:
            Mean and log-variance of each level, top first, each [B, D]; [] without a context.
        """

    @abstractmethod
    def reconstruct(self, images: Tensor, noise: Tensor) -> Tensor:
        """The images, with every latent from its posterior.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].

        Returns:
            Pixel values in [0, 1], [B, S, C, H, W].
        """

    @abstractmethod
    def draw(self, images: Tensor, noise: Tensor, mode: str) -> Tensor:
        """A new set for each given set.

        Args:
            images: [B, S, C, H, W].
            noise: [B, rounds, noise_size(S)], a round for the first drawing and one for each
                refinement.
            mode: one of the family's drawing modes.

        Returns:
            Pixel values in [0, 1], [B, S, C, H, W].
        """

    @abstractmethod
    def attention(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The weights of learned pooling in the posteriors of the context.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].

        Returns:
            Of each level ("c1" is the top), each [B, heads, S] with sums of 1 over S; {} without
            learned pooling.
        """
