"""classify: few-shot classification of digits by a model of sets that never saw digits, and is not
adapted to them.

A digit is known by a support of five images. A query goes to the digit whose support explains it
best, by one of three scorers: "kl", the summed divergence of the contexts of the support and of the
query alone; "elbo", by how much the query raises the bound of the support; "reconstruction", the
likelihood of the query under the reconstructions of the support.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import SetFamily, SetTerms
from oneshot.scoring.test_sets import SEED
from oneshot.training.loop import Tick

SHOTS = 5
Score = Callable[[Tensor, Tensor], Tensor]
Scorer = Callable[[SetFamily, Tensor, Tensor], Score]


@torch.inference_mode()
def classify(
    family: SetFamily,
    bits: np.ndarray,
    labels: np.ndarray,
    device: torch.device,
    tick: Tick,
    queries: int = 2000,
    draws: int = 1,
    budget: int = 512,
    shots: int = SHOTS,
) -> tuple[dict[str, float], dict[str, list]]:
    """(per cent right of each scorer, `confusion` table: counts of each scorer, digit and
    prediction).

    bits: uint8 [N, H, W] of 0 and 1. labels: int64 [N], one way a distinct label. queries: how many
    images to classify, an equal number a digit. draws: supports to average over; counts add up.
    budget: most images in a forward pass (at least what one query needs). A family without context
    has no "kl", and no "elbo" either: a query tells nothing of the support there.
    """
    ways, label = np.unique(labels, return_inverse=True)
    supports, asked = split(label, queries, draws, shots)
    family.eval()
    scorers = (
        SCORERS
        if _has_context(family, bits, device)
        else {"reconstruction": SCORERS["reconstruction"]}
    )
    counts = {name: np.zeros((len(ways), len(ways)), np.int64) for name in scorers}
    step = max(budget // (len(ways) * (shots + 1)), 1)
    for draw, support in enumerate(supports):
        given = _images(bits, support, device)
        given_noise = _noise(
            np.arange(len(ways)), ("support", draw), family.noise_size(shots), device
        )
        scores = {name: scorer(family, given, given_noise) for name, scorer in scorers.items()}
        for start in range(0, len(asked), step):
            rows = asked[start : start + step]
            query, noise = (
                _images(bits, rows[:, None], device),
                _noise(rows, ("query",), family.noise_size(1), device),
            )
            for name, score in scores.items():
                predicted = score(query, noise).argmax(1).cpu().numpy()
                np.add.at(counts[name], (label[rows], predicted), 1)
            tick("classification", draw * len(asked) + start + len(rows), draws * len(asked))
    percent = {
        name: 100 * float(np.trace(found)) / float(found.sum()) for name, found in counts.items()
    }
    return percent, _confusion(counts, ways)


def split(label: np.ndarray, queries: int, draws: int, shots: int) -> tuple[np.ndarray, np.ndarray]:
    """Image indices: supports int64 [draws, ways, shots], all different, and queries [at most
    `queries`], which are in no support.

    The queries depend on neither draws nor shots, as long as images are left. label: int64 [N] of 0
    .. ways - 1. Raises ValueError if a way has too few images.
    """
    supports, asked = [], []
    ways = int(label.max()) + 1
    for way in range(ways):
        rows = rng.generator(SEED, "classify", way).permutation(np.flatnonzero(label == way))
        if len(rows) <= draws * shots:
            raise ValueError(
                f"{draws} supports of {shots} images and a query need more than the"
                f" {len(rows)} images of way {way}"
            )
        supports.append(rows[: draws * shots].reshape(draws, shots))
        asked.append(rows[: draws * shots - 1 : -1][: max(queries // ways, 1)])
    return np.stack(supports, 1), np.concatenate(asked)


def _images(bits: np.ndarray, index: np.ndarray, device: torch.device) -> Tensor:
    """float32 [*index.shape, 1, H, W]."""
    return torch.from_numpy(bits[index]).to(device).float().unsqueeze(-3)


def _noise(
    numbers: np.ndarray, purpose: tuple[object, ...], size: int, device: torch.device
) -> Tensor:
    """Standard normal noise, float32 [n, size]: a row depends on (purpose, number) alone."""
    rows = [
        rng.generator(SEED, "classify", *purpose, i).standard_normal(size, np.float32)
        for i in numbers.tolist()
    ]
    return torch.from_numpy(np.stack(rows)).to(device)


def _has_context(family: SetFamily, bits: np.ndarray, device: torch.device) -> bool:
    noise = torch.zeros(1, family.noise_size(1), device=device)
    return bool(family.context(_images(bits, np.zeros((1, 1), np.int64), device), noise))


def by_kl(family: SetFamily, support: Tensor, noise: Tensor) -> Score:
    """-sum over levels of KL(q(c given support) || q(c given the query alone)).

    All scorers: support [ways, shots, 1, H, W] and the noise of its walk [ways, noise_size(shots)]
    -> a function of queries [Q, 1, 1, H, W] and the noise of theirs [Q, noise_size(1)] that gives
    scores [Q, ways], highest for the likeliest way.
    """
    given = family.context(support, noise)

    def score(query: Tensor, query_noise: Tensor) -> Tensor:
        total = torch.zeros(len(query), len(support), dtype=torch.float64, device=query.device)
        for (mean_p, log_p), (mean_q, log_q) in zip(
            given, family.context(query, query_noise), strict=True
        ):
            ratio = log_p - log_q.unsqueeze(1)
            square = (mean_p - mean_q.unsqueeze(1)).square() * (-log_q).exp().unsqueeze(1)
            total += 0.5 * (ratio.exp() - 1 - ratio + square).sum(2).double()
        return -total

    return score


def by_elbo(family: SetFamily, support: Tensor, noise: Tensor) -> Score:
    """ELBO of query and support together less that of the support, sums over a set.

    Both bounds take the noise of the context and of the support's images from one sample, so that
    the difference depends on it less.
    """
    ways, shots = support.shape[:2]
    own = family.noise_size(shots + 1) - family.noise_size(shots)
    features = family.encode(support)
    alone = _set_elbo(family.terms(support, noise, features))
    of_context, members = noise.split([noise.shape[1] - shots * own, shots * own], 1)

    def score(query: Tensor, query_noise: Tensor) -> Tensor:
        n = len(query)
        of_query = query_noise[:, None, query_noise.shape[1] - own :].expand(-1, ways, -1)
        joint_noise = torch.cat(
            [of_context.expand(n, -1, -1), of_query, members.expand(n, -1, -1)], 2
        ).flatten(0, 1)
        joint_features = {
            resolution: _joint(f, features[resolution])
            for resolution, f in family.encode(query).items()
        }
        return (
            _set_elbo(family.terms(_joint(query, support), joint_noise, joint_features)).view(
                n, ways
            )
            - alone
        )

    return score


def _joint(query: Tensor, support: Tensor) -> Tensor:
    """Each query before each support: [Q, 1, ...] and [ways, shots, ...] -> [Q * ways, 1 + shots,
    ...].
    """
    queries = query.unsqueeze(1).expand(-1, len(support), *query.shape[1:])
    return torch.cat([queries, support.expand(len(query), *support.shape)], 2).flatten(0, 1)


def _set_elbo(terms: SetTerms) -> Tensor:
    """float64 [B], nats of a whole set."""
    return (
        terms.log_likelihood.double().sum(1)
        - terms.kl_c.double().sum(1)
        - terms.kl_z.double().sum((1, 2))
    )


def by_reconstruction(family: SetFamily, support: Tensor, noise: Tensor) -> Score:
    """The Bernoulli log-likelihood of the query under the best of the support's reconstructions;
    logarithms end at -100.
    """
    ink = family.reconstruct(support, noise).flatten(0, 1).flatten(1).double()
    log_p, log_not_p = ink.log().clamp(min=-100), (-ink).log1p().clamp(min=-100)

    def score(query: Tensor, query_noise: Tensor) -> Tensor:
        x = query.flatten(1).double()
        return (x @ log_p.T + (1 - x) @ log_not_p.T).view(len(x), len(support), -1).amax(2)

    return score


SCORERS: dict[str, Scorer] = {"kl": by_kl, "elbo": by_elbo, "reconstruction": by_reconstruction}


def _confusion(counts: dict[str, np.ndarray], ways: np.ndarray) -> dict[str, list]:
    columns: dict[str, list] = {"scorer": [], "digit": [], "predicted": [], "count": []}
    for scorer, found in counts.items():
        for (digit, predicted), count in np.ndenumerate(found):
            for column, value in zip(
                columns.values(),
                (scorer, int(ways[digit]), int(ways[predicted]), int(count)),
                strict=True,
            ):
                column.append(value)
    return columns
