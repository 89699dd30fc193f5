"""toy_gan: a small GAN on points of the plane, unconditional and creative, or asked by a class.

Without a condition it is DesIGN (Sbai et al. 2018, https://arxiv.org/abs/1804.00921): the
discriminator also tells the class of real points, and the generator is rewarded for points whose
class it cannot tell, by multi-class cross entropy with the uniform distribution (`mce`), or by the
binary form of creative adversarial networks (`can`; Elgammal et al. 2017,
https://arxiv.org/abs/1706.07068). With a condition it is a CGAN (Mirza and Osindero 2014,
https://arxiv.org/abs/1411.1784). Sizes, step sizes and data are those of Yurdakul (2019),
Creativity in generative adversarial networks.

Differences. Published code taught the class head random labels of drawn points besides, with which
it learns noise: `class_on_fake`. Its creative target was a fixed vector of labels drawn once, whose
mean over samples is the closed form that stands here. Its CGAN drew points of all labels, also of
the removed one, so that the discriminator learned to call that label drawn: `fake_labels="all"`.
A creative term has a meaning only with `lambda_d` above 0, and from `lambda_g` 1 on it drives
points away from all modes, as it has no upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid, softplus

from oneshot.contracts import Hyper, Labelled, Losses, Player, TrainedFamily
from oneshot.nn.data_parallel import rows_of_all
from oneshot.sweep.settings import setting

VERSION = 1
KINDS = ("points",)
BETAS = (0.5, 0.999)  # of Adam, for both players
KERNELS, KERNEL_SIZE = 5, 3  # of minibatch discrimination


@dataclass(frozen=True)
class Config:
    """Settings of the toy GAN."""

    condition: str = setting(
        "none",
        "model",
        "what generator and discriminator are told of a point: nothing, its class as one-hot, or"
        " as the angle of its place among the classes",
        choices=("none", "class", "angle"),
    )
    classes: int = setting(8, "model", "classes of the data set", low=2, high=1000)
    z: int = setting(2, "model", "size of the noise", low=1, high=1000)
    hidden: int = setting(64, "model", "width of the hidden layers", low=1, high=4096)
    layers: int = setting(3, "model", "hidden layers of either network", low=1, high=20)
    minibatch: bool = setting(
        False, "model", "the discriminator sees how near a point is to others of its batch"
    )
    creativity: str = setting(
        "none",
        "train",
        "what the generator is rewarded for besides: no class that can be told (mce), or that"
        " every class is unlikely (can)",
        choices=("none", "mce", "can"),
    )
    creative_classes: str = setting(
        "kept",
        "train",
        "classes over which an untold point is spread: those trained on, or all",
        choices=("kept", "all"),
    )
    lambda_d: float = setting(
        0.5, "train", "weight of the class loss of the discriminator", low=0, high=1000
    )
    lambda_g: float = setting(
        0.5, "train", "weight of the creative term, where there is one", low=0, high=1000
    )
    class_on_fake: bool = setting(
        False, "train", "the class loss also teaches drawn points random labels, as published"
    )
    fake_labels: str = setting(
        "kept",
        "train",
        "labels that points are drawn for in training, of families with a condition: those"
        " trained on, or all, as published",
        choices=("kept", "all"),
    )
    shots: int = setting(
        0,
        "train",
        "points of the removed class that are trained on all the same, repeated to the size of"
        " the others",
        low=0,
        high=1000,
        shapes=True,
    )
    shot_seed: int = setting(
        0, "train", "seed that chooses them", low=0, high=2**63 - 1, shapes=True
    )
    discriminator_rate: float = setting(
        9e-3, "train", "Adam step size of the discriminator", low=1e-7, high=1
    )
    generator_rate: float = setting(
        3e-3, "train", "Adam step size of the generator", low=1e-7, high=1
    )
    epochs: int = setting(30, "train", "of epoch_steps steps each", low=1, high=100000, shapes=True)
    epoch_steps: int = setting(
        100,
        "train",
        "steps an epoch, each on points drawn anew; 0: an epoch is all points once",
        low=0,
        high=100000,
        shapes=True,
    )
    batch_size: int = setting(400, "train", "points a step", low=1, high=8192, shapes=True)
    plateau: int = setting(
        0,
        "train",
        "epochs without progress before the step sizes halve; 0 for never",
        low=0,
        high=10000,
    )
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )

    @property
    def schedule_classes(self) -> str:
        """Points of the kept classes that are held out drive the schedule."""
        return "validation"

    def problems(self, image_size: int, channels: int, drawings: int) -> list[str]:
        """Why these settings cannot be together, each reason once.

        Args:
            image_size: of images, which points have none of.
            channels: likewise.
            drawings: points of a class.

        Returns:
            Messages.
        """
        if self.condition == "none":
            return []
        told = f"of toy_gan with condition = {self.condition!r}"
        found = []
        if self.creativity != "none":
            found.append(f"creativity = {self.creativity!r} {told}: it has no class head")
        if self.class_on_fake:
            found.append(f"class_on_fake = True {told}: it has no class head")
        return found


VARIANTS = {
    "tiny": dict(creativity="mce", hidden=8, epochs=2, epoch_steps=4, batch_size=32),
    "tiny_class": dict(
        condition="class", fake_labels="all", hidden=8, epochs=2, epoch_steps=4, batch_size=32
    ),
    "tiny_angle": dict(condition="angle", hidden=8, epochs=2, epoch_steps=4, batch_size=32),
    "tiny_minibatch": dict(
        creativity="can",
        class_on_fake=True,
        minibatch=True,
        hidden=8,
        epochs=2,
        epoch_steps=4,
        batch_size=32,
    ),
    "cgan": dict(condition="class"),
    "committed": dict(creativity="mce", creative_classes="all", class_on_fake=True),
    "cgan_committed": dict(condition="class", fake_labels="all", epochs=25),
}


def layers_of(inputs: int, config: Config) -> nn.Sequential:
    """The hidden layers of either network, [B, inputs] -> [B, hidden].

    Args:
        inputs: numbers of an item.
        config: width and number of the layers.

    Returns:
        Linear maps, each with ReLU.
    """
    sizes = [inputs, *[config.hidden] * (config.layers - 1)]
    maps = [nn.Linear(size, config.hidden) for size in sizes]
    return nn.Sequential(*(layer for one in maps for layer in (one, nn.ReLU())))


class Minibatch(nn.Module):
    """How near items are to those of their batch, each itself among them, [B, D] -> [B, KERNELS].

    Salimans et al. (2016), Improved techniques for training GANs, section 3.2. In evaluation an
    item is a batch of its own.
    """

    def __init__(self, inputs: int):
        super().__init__()
        self.kernels = nn.Linear(inputs, KERNELS * KERNEL_SIZE, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return torch.ones_like(x[:, :1]).expand(-1, KERNELS)
        m = self.kernels(x).unflatten(1, (KERNELS, KERNEL_SIZE))
        # o_b(x_i) = sum over j of exp(-|M_i,b - M_j,b|_1)
        others = rows_of_all(m)  # where several processes share a batch, those of all
        return (-(m[:, None] - others[None]).abs().sum(-1)).exp().sum(1)


class Discriminator(nn.Module):
    """D: points [B, 2] and codes [B, C] -> logits of being real [B], and of the classes [B, K]."""

    def __init__(self, config: Config, code: int):
        super().__init__()
        self.layers = layers_of(2 + code, config)
        self.minibatch = Minibatch(config.hidden) if config.minibatch else None
        inputs = config.hidden + (KERNELS if config.minibatch else 0)
        self.head = nn.Linear(inputs, 1 + (config.classes if config.condition == "none" else 0))

    def forward(self, points: Tensor, code: Tensor, batches: int = 1) -> tuple[Tensor, Tensor]:
        h = self.layers(torch.cat([points, code], 1))
        if self.minibatch is not None:  # real and drawn points are batches of their own
            near = torch.cat([self.minibatch(part) for part in h.chunk(batches)])
            h = torch.cat([h, near], 1)
        out = self.head(h)
        return out[:, 0], out[:, 1:]


class ToyGan(TrainedFamily):
    """G(z) or G(z, code) with its discriminator D, which moves first, on the same noise.

    8,642 and 9,097 parameters without a condition, 9,154 and 9,089 with one of 8 classes. Both
    start from Glorot's uniform weights and zero biases. The discriminator reports "adversarial" and
    "classification", before it is weighted, the generator "creativity", likewise.
    """

    trains_on = Labelled
    evaluation_batch = 4096
    cached_batch = 4096
    drawing_batch = 16384

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self.asks = "nothing" if config.condition == "none" else "class"  # type: ignore[misc]
        code = {"none": 0, "class": config.classes, "angle": 2}[config.condition]
        self.generator = nn.Sequential(
            layers_of(config.z + code, config), nn.Linear(config.hidden, 2)
        )
        self.discriminator = Discriminator(config, code)
        self.register_buffer("kept", torch.ones(config.classes))
        every = torch.arange(config.classes)
        self.register_buffer("every", every, persistent=False)
        angles = math.pi / 2 - 2 * math.pi / config.classes * every
        codes = {
            "none": torch.zeros(config.classes, 0),
            "class": torch.eye(config.classes),
            "angle": torch.stack([angles.cos(), angles.sin()], 1),
        }
        self.register_buffer("codes", codes[config.condition], persistent=False)
        self.kept: Tensor
        self.every: Tensor
        self.codes: Tensor
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def set_trained_classes(self, trained: Tensor) -> None:
        """As the contract says: the classes over which creative targets are spread."""
        self.kept.copy_(trained)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.config.z + 1,)

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        return (self.config.z,)

    def hyper(self, epoch: int) -> dict[str, float]:
        """Weights of the losses, as the contract says, of which 1 stands for what is no option."""
        config = self.config
        return {
            "class_weight": config.lambda_d,
            "mce_weight": config.lambda_g * (config.creativity == "mce"),
            "can_weight": config.lambda_g * (config.creativity == "can"),
            "class_on_real_only": float(not config.class_on_fake),
            "creative_kept": float(config.creative_classes == "kept"),
            "fake_kept": float(config.fake_labels == "kept"),
        }

    def players(self) -> list[Player]:
        """The discriminator, and the generator."""
        return [
            Player(
                "discriminator",
                lambda: list(self.discriminator.parameters()),
                self._discriminator_loss,
                self.config.discriminator_rate,
                BETAS,
            ),
            Player(
                "generator",
                lambda: list(self.generator.parameters()),
                self._generator_loss,
                self.config.generator_rate,
                BETAS,
            ),
        ]

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says, exemplars being weights over the classes, or nothing."""
        code = exemplars @ self.codes if self.asks == "class" else exemplars
        drawn: Tensor = self.generator(torch.cat([noise, code], 1))
        return drawn

    def _drawn_for(self, items: Labelled, noise: Tensor, hyper: Hyper) -> tuple[Tensor, Tensor]:
        """Labels of the points to be drawn, uniform over all classes, and those over kept ones.

        Labels of kept classes are those of the batch, which has them as often as the data.
        """
        uniform = torch.special.ndtr(noise[:, -1])
        chosen = (uniform * len(self.every)).long().clamp(max=len(self.every) - 1)
        any_label = (chosen[:, None] == self.every).to(noise.dtype)
        kept = hyper["fake_kept"]
        return any_label, kept * items.label + (1 - kept) * any_label

    def _discriminator_loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        """Sbai et al. (2018), L_D: of being real or drawn, and lambda_d times of the class."""
        any_label, label = self._drawn_for(items, noise, hyper)
        code, real_code = label @ self.codes, items.label @ self.codes
        with torch.no_grad():
            drawn = self.generator(torch.cat([noise[:, :-1], code], 1))
        points = torch.cat([items.images, drawn])
        logit, classes = self.discriminator(points, torch.cat([real_code, code]), batches=2)
        of_real, of_drawn = logit.chunk(2)
        adversarial = softplus(-of_real) + softplus(of_drawn)
        if self.config.condition != "none":
            return {"loss": adversarial, "adversarial": adversarial}
        told_real, told_drawn = log_softmax(classes, 1).chunk(2)
        classification = -(items.label * told_real).sum(1)
        on_drawn = 1 - hyper["class_on_real_only"]
        classification = classification - on_drawn * (any_label * told_drawn).sum(1)
        return {
            "loss": adversarial + hyper["class_weight"] * classification,
            "adversarial": adversarial,
            "classification": classification,
        }

    def _generator_loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        """Sbai et al. (2018), L_G: of being taken for real, and lambda_g times of no class."""
        _, label = self._drawn_for(items, noise, hyper)
        code = label @ self.codes
        drawn = self.generator(torch.cat([noise[:, :-1], code], 1))
        logit, classes = self.discriminator(drawn, code)
        if self.config.condition != "none":
            return {"loss": softplus(-logit)}
        kept = hyper["creative_kept"]
        spread = kept * self.kept + (1 - kept)  # 1 for each of the K classes
        mce, can = multi_class(classes, spread), binary(classes, spread)
        creativity = hyper["mce_weight"] * mce + hyper["can_weight"] * can
        return {"loss": softplus(-logit) + creativity, "creativity": mce}


def multi_class(logits: Tensor, spread: Tensor) -> Tensor:
    """MCE: the cross entropy of class logits with the uniform distribution over K classes.

    Sbai et al. (2018): -1/K sum over k of log softmax(b)_k, at least ln K, which an undecided head
    reaches.

    Args:
        logits: b, [B, classes].
        spread: 1 for each of the K classes, 0 for the others, [classes].

    Returns:
        In nats, [B].
    """
    return -(log_softmax(logits, 1) * (spread / spread.sum())).sum(1)


def binary(logits: Tensor, spread: Tensor) -> Tensor:
    """CAN: the binary cross entropies of class logits with 1/K, summed over K classes.

    Elgammal et al. (2017): -sum over k of 1/K log s(b_k) + (1 - 1/K) log(1 - s(b_k)), s the
    logistic function.

    Args:
        logits: b, [B, classes].
        spread: 1 for each of the K classes, 0 for the others, [classes].

    Returns:
        In nats, [B].
    """
    share = spread.sum().reciprocal()
    terms = share * logsigmoid(logits) + (1 - share) * logsigmoid(-logits)
    return -(terms * spread).sum(1)


FAMILY = ToyGan
