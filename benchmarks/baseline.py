"""The other side of every ratio: VAE-STN trained and scored the way the published scripts do it,
written anew and without our tricks.

One point a process, eager, one image decoded, resized and binarised per access, three separate
reads and a general matrix inverse per time step, losses read to be printed at every step, scores
drawn episode by episode in batches of 40 (Boutin et al. 2022, https://arxiv.org/abs/2205.10370).
State dicts have our names, so that both programs start from the same weights; noise may be given
from outside, so that both see the same. tests/benchmarks/test_baseline.py shows that losses,
drawings and scores agree. Stroke images in place of data: made.py.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.made import Images, prepare


class VaeStn(nn.Module):
    """Images [B, 1, S, S] of 0 and 1; noise [B, T, z], drawn at each time step where it is not
    given.
    """

    def __init__(
        self,
        time_steps: int = 40,
        z: int = 60,
        lstm_size: int = 400,
        glimpse: int = 15,
        hidden: int = 512,
        image_size: int = 50,
    ):
        super().__init__()
        self.time_steps, self.z, self.lstm_size, self.glimpse, self.image_size = (
            time_steps,
            z,
            lstm_size,
            glimpse,
            image_size,
        )
        self.steering, window = lstm_size // 4, glimpse**2
        self.location = _layers(self.steering, 64, 32, 6)
        last = self.location[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        last.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
        posterior = (3 * window + lstm_size, hidden, hidden // 4, z)
        self.mean, self.log_variance = _layers(*posterior), _layers(*posterior)
        self.imagette = _layers(lstm_size - self.steering, 200, window)
        self.core = nn.LSTMCell(z + window, lstm_size)

    def forward(
        self, x: Tensor, exemplar: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(logits of the reconstruction [B, 1, S, S], KL [B] in nats)."""
        h, c, theta, canvas = self._start(x)
        kl = x.new_zeros(len(x))
        for t in range(self.time_steps):
            error = x - torch.sigmoid(canvas)
            read_error, read_x, read_exemplar = (
                self._read(error, theta),
                self._read(x, theta),
                self._read(exemplar, theta),
            )
            features = torch.cat([h, read_error, read_x, read_exemplar], dim=1)
            mean, log_variance = self.mean(features), self.log_variance(features)
            epsilon = torch.randn_like(mean) if noise is None else noise[:, t]
            z = mean + torch.exp(log_variance / 2) * epsilon
            kl = kl - 0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp(), dim=1)
            canvas = canvas + self._write(h, theta)
            h, c = self.core(torch.cat([z, read_exemplar], dim=1), (h, c))
            theta = self.location(h[:, : self.steering]).view(-1, 2, 3)
        return canvas, kl

    def sample(self, exemplar: Tensor, noise: Tensor | None = None) -> Tensor:
        """A drawing for each exemplar: probabilities [B, 1, S, S]."""
        h, c, theta, canvas = self._start(exemplar)
        for t in range(self.time_steps):
            z = (
                torch.randn(len(exemplar), self.z, device=exemplar.device)
                if noise is None
                else noise[:, t]
            )
            read_exemplar = self._read(exemplar, theta)
            canvas = canvas + self._write(h, theta)
            h, c = self.core(torch.cat([z, read_exemplar], dim=1), (h, c))
            theta = self.location(h[:, : self.steering]).view(-1, 2, 3)
        return torch.sigmoid(canvas)

    def _start(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        h, c = (images.new_zeros(len(images), self.lstm_size) for _ in range(2))
        theta = torch.eye(2, 3, device=images.device, dtype=images.dtype).repeat(len(images), 1, 1)
        return h, c, theta, torch.zeros_like(images)

    def _read(self, images: Tensor, theta: Tensor) -> Tensor:
        grid = F.affine_grid(
            theta, [len(images), 1, self.glimpse, self.glimpse], align_corners=False
        )
        return F.grid_sample(images, grid, align_corners=False).flatten(1)

    def _write(self, h: Tensor, theta: Tensor) -> Tensor:
        glimpse = self.imagette(h[:, self.steering :]).view(-1, 1, self.glimpse, self.glimpse)
        inverse = torch.inverse(theta[:, :, :2])
        back = torch.cat([inverse, -torch.bmm(inverse, theta[:, :, 2:])], dim=2)
        grid = F.affine_grid(
            back, [len(h), 1, self.image_size, self.image_size], align_corners=False
        )
        return F.grid_sample(glimpse, grid, align_corners=False)


def _layers(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def optimiser_of(model: VaeStn, learning_rate: float = 1e-3) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), lr=learning_rate)


def train_step(
    model: VaeStn,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    exemplar: Tensor,
    noise: Tensor | None = None,
    beta: float = 1.0,
    published_loss: bool = True,
    clip: float = 5.0,
) -> dict[str, float]:
    """One step of Adam; the batch means in nats, read out as printing them does.

    published_loss: cross-entropy after a sigmoid, as in the scripts; False: from the logits, as
    ours by default.
    """
    canvas, kl = model(x, exemplar, noise)
    if published_loss:
        pixels = F.binary_cross_entropy(torch.sigmoid(canvas), x, reduction="none")
    else:
        pixels = F.binary_cross_entropy_with_logits(canvas, x, reduction="none")
    reconstruction, kl = pixels.flatten(1).sum(1).mean(), kl.mean()
    loss = reconstruction + beta * kl
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return {"loss": loss.item(), "reconstruction": reconstruction.item(), "kl": kl.item()}


def train(
    model: VaeStn,
    loader: DataLoader,
    steps: int,
    device: torch.device | str = "cpu",
    beta: float = 1.0,
) -> list[dict[str, float]]:
    """So many steps, over the loader again and again; the losses of each."""
    optimiser = optimiser_of(model)
    batches = itertools.islice(_endless(loader), steps)
    model.train()
    return [train_step(model, optimiser, x.to(device), e.to(device), beta=beta) for x, e in batches]


def _endless(loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


class Encoder(nn.Module):
    """The network of both critics as published: convolution, batch normalisation, ReLU, pooling;
    `head` is its last layer, if any.
    """

    def __init__(self, image_size: int = 50, head: str = ""):
        super().__init__()
        blocks = [
            nn.Sequential(
                nn.Conv2d(inputs, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)
            )
            for inputs in (1, 64, 64, 64)
        ]
        self.embedding = nn.Sequential(
            *blocks, nn.Flatten(), nn.ReLU(), nn.Linear(64 * (image_size // 16) ** 2, 256)
        )
        self.metric_layer = nn.Linear(256, 128) if head else None

    @staticmethod
    def of(critic: nn.Module, image_size: int) -> Encoder:
        """The same network with the weights of a SimCLR or a ProtoNet of ours, on its device."""
        state = {
            k: v
            for k, v in critic.state_dict().items()
            if k.startswith(("embedding", "metric_layer"))
        }
        encoder = Encoder(image_size, "metric_layer" if "metric_layer.weight" in state else "")
        encoder.load_state_dict(state)
        return encoder.to(next(critic.parameters()).device).eval()

    def forward(self, images: Tensor) -> Tensor:
        features = self.embedding(images)
        return features if self.metric_layer is None else self.metric_layer(features)


def standardise(images: Tensor) -> Tensor:
    """Each image [B, 1, S, S] from its own minimum and maximum to 0 .. 1, ink above one half; a
    constant image becomes empty.
    """
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return ((images - low) / (high - low) > 0.5).float()


@torch.no_grad()
def diversity(
    model: VaeStn,
    critic: Encoder,
    exemplars: Tensor,
    noise: Tensor | None = None,
    drawings: Tensor | None = None,
    n: int = 20,
) -> list[float]:
    """The value of each class, one after the other: n drawings in one batch, their features, and
    the spread of those.

    exemplars: [C, 1, S, S]. noise: [C, n, T, z] where given. drawings: [C, m, 1, S, S]; where
    given, the first n of a class are scored and nothing is drawn.
    """
    values = []
    for c in range(len(exemplars)):
        if drawings is None:
            batch = model.sample(
                exemplars[c : c + 1].repeat(n, 1, 1, 1), None if noise is None else noise[c]
            )
        else:
            batch = drawings[c, :n]
        features = critic(standardise(batch))
        # the scripts embed the exemplar as well, and leave it unused
        critic(standardise(exemplars[c : c + 1].repeat(n, 1, 1, 1)))
        values.append(features.std(0).mean().item())
    return values


@torch.no_grad()
def recognizability(
    model: VaeStn | None,
    critic: Encoder,
    exemplars: Tensor,
    tasks: Sequence[Sequence[int]] | np.ndarray,
    drawings: Tensor | None = None,
) -> np.ndarray:
    """Hits and queries of each class over the episodes, int64 [2, C].

    tasks: the classes of each episode (ours: `oneshot.metrics.recognizability.episodes`). In every
    episode the model draws for the supports as well as for the queries, and only the latter are
    used. drawings: [C, n, 1, S, S]; where given, query k of a class is its drawing k mod n, and
    nothing is drawn.
    """
    found = np.zeros((2, len(exemplars)), np.int64)
    for task in tasks:
        shown = torch.as_tensor(np.asarray(task), device=exemplars.device)
        support = exemplars[shown]
        if drawings is None:
            assert model is not None
            queries = model.sample(torch.cat([support, support]))[len(shown) :]
        else:
            turn = torch.from_numpy(found[1, np.asarray(task)] % drawings.shape[1]).to(
                exemplars.device
            )
            queries = drawings[shown, turn]
        features = critic(standardise(torch.cat([support, queries])))
        distance = (features[len(shown) :, None] - features[None, : len(shown)]).pow(2).sum(2)
        right = (-distance).argmax(1).cpu().numpy() == np.arange(len(shown))
        found[1, task] += 1
        found[0, task] += right
    return found


class Items(Dataset):
    """Training items (target, exemplar of its class), each prepared anew at each access: float32
    [1, size, size] of 0 and 1.
    """

    def __init__(self, images: Images, size: int = 50):
        self.images, self.size = images, size

    def __len__(self) -> int:
        return len(self.images.grey)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        images = self.images
        return prepare(images.grey[i], self.size), prepare(
            images.grey[images.exemplar[images.label[i]]], self.size
        )


def loader(images: Images, batch_size: int = 128, size: int = 50, seed: int = 0) -> DataLoader:
    """Batches of items in random order; the last one may be smaller."""
    order = torch.Generator().manual_seed(seed)
    return DataLoader(
        Items(images, size), batch_size=batch_size, shuffle=True, num_workers=0, generator=order
    )
