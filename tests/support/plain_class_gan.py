"""A second class_gan of plain layers: torch's instance normalisation and spectral norm hook."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import spectral_norm

BCE = functional.binary_cross_entropy_with_logits


class PlainBlock(nn.Module):
    """A residual block of the generator."""

    def __init__(self, before: int, after: int, z: int, classes: int, up: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm1 = nn.InstanceNorm2d(after, affine=True)
        self.conv2: nn.Module = nn.Conv2d(after, after, 3, padding=1)
        if up:
            self.conv2 = nn.ConvTranspose2d(after, after, 3, 2, 1, 1)
        self.norm2 = nn.InstanceNorm2d(after, affine=True)
        self.embedding = nn.Embedding(classes, z)
        self.linear = nn.Linear(2 * z, 2 * after)
        self.skip = nn.Conv2d(before, after, 1) if up else nn.Identity()
        self.up = nn.Upsample(scale_factor=2) if up else nn.Identity()

    def forward(self, x: Tensor, z: Tensor, label: Tensor) -> Tensor:
        code = self.linear(torch.cat([z, self.embedding(label)], 1)).relu()
        gain, shift = code[:, : code.shape[1] // 2], code[:, code.shape[1] // 2 :]
        h = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        h = h * gain[:, :, None, None] + shift[:, :, None, None]
        result: Tensor = (self.up(self.skip(x)) + h).relu()
        return result


class PlainGenerator(nn.Module):
    """G for labels; widths: channels of the maps, one more than stages."""

    def __init__(self, widths: list[int], first: int, z: int, classes: int):
        super().__init__()
        self.start = nn.Parameter(torch.randn(widths[0], first, first))
        self.blocks = nn.ModuleList(
            PlainBlock(*sizes, z, classes, up)
            for before, after in pairwise(widths)
            for sizes, up in (((before, after), True), ((after, after), False))
        )
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        x = self.start[None].repeat(len(z), 1, 1, 1)
        for block in self.blocks:
            x = block(x, z, label)
        return torch.tanh(self.last(x))


class PlainDiscriminator(nn.Module):
    """D for labels: conditional and unconditional logit, recovered noise."""

    def __init__(self, width: int, z: int, classes: int):
        super().__init__()
        self.z = z
        sizes = [3, width, 2 * width, 4 * width, 8 * width, 8 * width]
        deep = sizes[-1]

        def conv(before: int, after: int, kernel: int) -> nn.Module:
            layer: nn.Module = spectral_norm(nn.Conv2d(before, after, kernel, padding=kernel // 2))
            return layer

        self.layers = nn.ModuleList()
        for before, after in pairwise(sizes):
            self.layers.append(conv(before, after, 3))
            self.layers.append(conv(after, after, 3))
            self.layers.append(conv(before, after, 1) if before != after else nn.Identity())
        self.psi, self.phi = spectral_norm(nn.Linear(deep, deep)), spectral_norm(nn.Linear(deep, 1))
        self.embedding = nn.Embedding(classes, deep)
        self.recovery = nn.Sequential(
            spectral_norm(nn.Linear(deep, deep)),
            nn.ReLU(),
            spectral_norm(nn.Linear(deep, deep)),
            nn.ReLU(),
            spectral_norm(nn.Linear(deep, 2 * z)),
        )

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pool = functional.avg_pool2d
        for i in range(5):
            first, second, skip = self.layers[3 * i : 3 * i + 3]
            h = second(first(x if i == 0 else x.relu()).relu())
            if i == 0:
                x = skip(pool(x, 2)) + pool(h, 2)
            elif i < 4:
                x = pool(skip(x), 2) + pool(h, 2)
            else:
                x = x + h
        h = x.relu().mean((2, 3))
        hh = self.psi(h).relu()
        unconditional = self.phi(hh)[:, 0]
        conditional = unconditional + (self.embedding(label) * hh).sum(1)
        return conditional, unconditional, self.recovery(h)[:, self.z :]


def copied(source: nn.Module, target: nn.Module) -> None:
    """Put the parameters and singular vectors of one network into the other, layer after layer.

    Both have their layers in one order; the hook calls the vectors weight_u and weight_v.

    Args:
        source: of the family.
        target: of plain layers.
    """
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.GroupNorm, nn.InstanceNorm2d)
    ours, theirs = ([m for m in net.modules() if isinstance(m, kinds)] for net in (source, target))
    assert len(ours) == len(theirs)
    with torch.no_grad():
        one: Any
        other: Any
        for one, other in zip(ours, theirs):
            normed = hasattr(other, "weight_orig")
            (other.weight_orig if normed else other.weight).copy_(one.weight)
            other.bias.copy_(one.bias)
            if normed:
                other.weight_u.copy_(one.norm.u)
                other.weight_v.copy_(one.norm.v)
        tables = [m.embedding for m in source.modules() if hasattr(m, "embedding")]
        for table, other in zip(
            tables, [m for m in target.modules() if isinstance(m, nn.Embedding)], strict=True
        ):
            other.weight.copy_(table)
        if hasattr(source, "start"):
            target.start.copy_(source.start)


class PlainTraining:
    """Both networks with torch's Adam, moved by losses as they are written.

    Args:
        generator: G.
        discriminator: D.
        rate: step size of both.
        gamma: weight of the recovery.
        alpha: weight of the loss without a class.
    """

    def __init__(
        self,
        generator: PlainGenerator,
        discriminator: PlainDiscriminator,
        rate: float,
        gamma: float,
        alpha: float,
    ):
        self.g, self.d, self.gamma, self.alpha = generator, discriminator, gamma, alpha
        self.of_g = torch.optim.Adam(generator.parameters(), rate, (0.9, 0.9))
        self.of_d = torch.optim.Adam(discriminator.parameters(), rate, (0.9, 0.9))

    def step(self, images: Tensor, label: Tensor, z: Tensor) -> dict[str, float]:
        """One step of D, then one of G.

        Args:
            images: in [-1, 1], [B, 3, S, S].
            label: class ids, [B].
            z: noise, [B, Z].

        Returns:
            The losses of both and their terms.
        """
        ones = torch.ones(len(z))
        real, real_u, _ = self.d(images, label)
        fake, fake_u, recovered = self.d(self.g(z, label).detach(), label)
        adversarial = 0.5 * (BCE(real, ones) + BCE(fake, 0 * ones))
        recovery = functional.mse_loss(recovered, z)
        unconditional = 0.5 * (BCE(real_u, ones) + BCE(fake_u, 0 * ones))
        loss = adversarial + self.gamma * recovery + self.alpha * unconditional
        found = dict(
            loss=loss, adversarial=adversarial, recovery=recovery, unconditional=unconditional
        )
        self.of_d.zero_grad()
        loss.backward()
        self.of_d.step()
        fake, fake_u, recovered = self.d(self.g(z, label), label)
        adversarial, recovery = BCE(fake, ones), functional.mse_loss(recovered, z)
        unconditional = BCE(fake_u, ones)
        loss = adversarial + self.gamma * recovery + self.alpha * unconditional
        found |= dict(
            generator_loss=loss,
            generator_adversarial=adversarial,
            generator_recovery=recovery,
            generator_unconditional=unconditional,
        )
        self.of_g.zero_grad()
        loss.backward()
        self.of_g.step()
        return {name: value.item() for name, value in found.items()}
