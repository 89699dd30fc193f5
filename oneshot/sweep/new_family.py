"""The files that `python -m oneshot new family NAME` writes: a family that works, and a sweep."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path

from oneshot.sweep import families
from oneshot.sweep.settings import SettingError

FAMILY = '''"""{name}: a convolutional VAE that is given the exemplar."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oneshot.contracts import Hyper, Losses, Pairs, Player, TrainedFamily
from oneshot.nn.bernoulli import bernoulli_nll, gaussian_kl
from oneshot.sweep.settings import TrainingSettings, setting

# Every edit of this file gives new ids, so that models are trained again. With a line VERSION = 1
# they follow that number alone: raise it whenever a change moves numbers.


@dataclass(frozen=True)
class Config(TrainingSettings):
    channels: int = setting(16, "model", "channels of the first layer", low=1, high=256)
    z: int = setting(32, "model", "latent variables", low=1, high=1000)
    beta: float = setting(1.0, "train", "weight of the KL term", low=0, high=100)
    learning_rate: float = setting(1e-3, "train", "Adam step size", low=1e-7, high=1)


VARIANTS = {{"tiny": dict(channels=4, z=4, epochs=2)}}  # for quick checks


class {class_name}(TrainedFamily):
    """Pixels are independent, given the exemplar and the latent variables."""

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        c, self.side = config.channels, -(-image_size // 4)  # a quarter of the size, rounded up
        features = 2 * c * self.side**2
        self.look = nn.Sequential(*convolutions(1, c))
        self.encode = nn.Sequential(*convolutions(2, c), nn.Linear(features, 2 * config.z))
        self.widen = nn.Linear(config.z + features, features)
        self.decode = nn.Sequential(
            nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(c, 1, 4, stride=2, padding=1),
        )

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.config.z,)  # of each image; noise comes in as an argument

    def hyper(self, epoch: int) -> dict[str, float]:
        return {{"beta": self.config.beta}}  # what stacked models may differ in

    def players(self) -> list[Player]:
        rate = self.config.learning_rate
        return [Player("vae", lambda: list(self.parameters()), self._loss, rate)]

    def _loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        both = torch.cat([pairs.exemplar, pairs.target], 1)
        mean, log_variance = self.encode(both).chunk(2, -1)
        z = mean + torch.exp(log_variance / 2) * noise
        reconstruction = bernoulli_nll(self._logits(pairs.exemplar, z), pairs.target)
        kl = gaussian_kl(mean[:, None], log_variance[:, None])
        loss = reconstruction + hyper["beta"] * kl  # [B]: one number per image
        return {{"loss": loss, "reconstruction": reconstruction, "kl": kl}}

    def _logits(self, exemplars: Tensor, z: Tensor) -> Tensor:
        wide = torch.relu(self.widen(torch.cat([z, self.look(exemplars)], 1)))
        maps = self.decode(wide.unflatten(1, (-1, self.side, self.side)))
        return maps[..., : self.image_size, : self.image_size]

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        return torch.sigmoid(self._logits(exemplars, noise))


def convolutions(maps: int, c: int) -> list[nn.Module]:
    first, second = nn.Conv2d(maps, c, 3, 2, padding=1), nn.Conv2d(c, 2 * c, 3, 2, padding=1)
    return [first, nn.ReLU(), second, nn.ReLU(), nn.Flatten()]


FAMILY = {class_name}
'''

SWEEP = """from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What does beta do?",
    model="./{name}.py",
    points=grid(beta=[0.5, 1.0, 2.0]),
    fixed=dict(dataset="quickdraw", split="fixed", image_size=28),
)
"""


def write(name: str, folder: Path) -> list[Path]:
    """Write a family file and a sweep of it.

    Args:
        name: of the family.
        folder: where the files go; it is made if need be.

    Returns:
        The family file, and the sweep.

    Raises:
        SettingError: the name cannot be that of a family, or a file is there already.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise SettingError([f"{name!r} cannot name a family: letters, digits and _, as in my_vae"])
    if name in families.names("models"):
        raise SettingError([f"there is a family {name!r} already: choose another name"])
    if name in sys.stdlib_module_names:
        raise SettingError([f"{name!r} is a module of Python: choose another name"])
    class_name = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    texts = {
        folder / f"{name}.py": FAMILY.format(name=name, class_name=class_name),
        folder / f"{name}_first.py": SWEEP.format(name=name),
    }
    if there := [str(path) for path in texts if path.exists()]:
        raise SettingError([f"{' and '.join(there)} is there already, and stays as it is"])
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)
