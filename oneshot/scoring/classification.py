"""classify: few-shot classification of digits by a model of sets that never saw digits.

The model is not adapted to them. A digit is known by a support of five images. A query goes to the
digit whose support explains it best, by one of three scorers (Giannone and Winther 2022, arXiv
2110.12279, whose code has all three):

    kl              the divergence of the context of the support from that of the query alone
    elbo            by how much the query raises the bound of the support
    reconstruction  the likelihood of the query under the reconstructions of the support
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

SHOTS = 5  # images of a support
Score = Callable[[Tensor, Tensor], Tensor]  # (queries, their noise) -> [queries, ways]
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
    """Classify images by the support that explains them best.

    A family without context has no "kl", and no "elbo" either: a query tells nothing of the support
    there.

    Args:
        family: a trained family, on the device.
        bits: uint8 [N, H, W] of 0 and 1.
        labels: int64 [N]; a distinct label is a way.
        device: where the family computes.
        tick: is called with ("classification", done, total) after each batch; it may raise.
        queries: how many images to classify, an equal number a way.
        draws: supports to average over; counts add up.
        budget: most images in a forward pass, but at least what one query needs.
        shots: images of a support.

    Returns:
        Per cent right of each scorer, and the table `confusion`: the counts of each scorer, digit
        and prediction.
    """
    ways, label = np.unique(labels, return_inverse=True)
    supports, query_rows = split(label, queries, draws, shots)
    family.eval()
    scorers = SCORERS
    if not _has_context(family, bits, device):
        scorers = {"reconstruction": by_reconstruction}
    counts = {name: np.zeros((len(ways), len(ways)), np.int64) for name in scorers}
    step = max(budget // (len(ways) * (shots + 1)), 1)
    for draw, rows in enumerate(supports):
        support = _images(bits, rows, device)
        purpose, numbers = ("support", draw), np.arange(len(ways))
        support_noise = _noise(numbers, purpose, family.noise_size(shots), device)
        scores = {name: scorer(family, support, support_noise) for name, scorer in scorers.items()}
        for start in range(0, len(query_rows), step):
            rows = query_rows[start : start + step]
            query = _images(bits, rows[:, None], device)
            query_noise = _noise(rows, ("query",), family.noise_size(1), device)
            for name, score in scores.items():
                predicted = score(query, query_noise).argmax(1).cpu().numpy()
                np.add.at(counts[name], (label[rows], predicted), 1)
            done = draw * len(query_rows) + start + len(rows)
            tick("classification", done, draws * len(query_rows))
    percent = {
        name: 100 * float(np.trace(count)) / float(count.sum()) for name, count in counts.items()
    }
    return percent, _confusion_table(counts, ways)


def split(label: np.ndarray, queries: int, draws: int, shots: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose the images of supports and queries.

    The queries depend on neither draws nor shots, as long as images are left.

    Args:
        label: way of each image, int64 [N] of 0 .. ways - 1.
        queries: how many at most, an equal number a way.
        draws: how many supports each way has.
        shots: images of a support.

    Returns:
        Image indices: supports int64 [draws, ways, shots], all different, and queries int64 [n],
        which are in no support.

    Raises:
        ValueError: a way has too few images.
    """
    supports, query_rows = [], []
    ways = int(label.max()) + 1
    for way in range(ways):
        rows = rng.generator(SEED, "classify", way).permutation(np.flatnonzero(label == way))
        if len(rows) <= draws * shots:
            raise ValueError(
                f"{draws} supports of {shots} images and a query need more than the"
                f" {len(rows)} images of way {way}"
            )
        supports.append(rows[: draws * shots].reshape(draws, shots))
        query_rows.append(rows[: draws * shots - 1 : -1][: max(queries // ways, 1)])
    return np.stack(supports, 1), np.concatenate(query_rows)


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
    """Whether the family has latents of the whole set."""
    noise = torch.zeros(1, family.noise_size(1), device=device)
    return bool(family.context(_images(bits, np.zeros((1, 1), np.int64), device), noise))


def by_kl(family: SetFamily, support: Tensor, noise: Tensor) -> Score:
    """Score a way by the divergence of its context, -sum_l KL(q(c_l | support) || q(c_l | query)).

    Args:
        family: a family with context.
        support: [ways, shots, 1, H, W].
        noise: of the walk over each support, [ways, noise_size(shots)].

    Returns:
        A function of queries [Q, 1, 1, H, W] and the noise of theirs [Q, noise_size(1)] that gives
        scores [Q, ways], highest for the likeliest way.
    """
    of_support = family.context(support, noise)

    def score(query: Tensor, query_noise: Tensor) -> Tensor:
        kl = torch.zeros(len(query), len(support), dtype=torch.float64, device=query.device)
        of_query = family.context(query, query_noise)
        for (mean_p, log_var_p), (mean_q, log_var_q) in zip(of_support, of_query, strict=True):
            # KL(N(m_p, s_p^2) || N(m_q, s_q^2)), [Q, ways, D] summed over D
            log_ratio = log_var_p - log_var_q.unsqueeze(1)
            square = (mean_p - mean_q.unsqueeze(1)).square() * (-log_var_q).exp().unsqueeze(1)
            kl += 0.5 * (log_ratio.exp() - 1 - log_ratio + square).sum(2).double()
        return -kl

    return score


def by_elbo(family: SetFamily, support: Tensor, noise: Tensor) -> Score:
    """Score a way by the bound, ELBO(query and support) - ELBO(support), sums over a set.

    Both bounds take the noise of the context and of the support's images from one sample, so that
    the difference depends on it less.

    Args:
        family: a family with context.
        support: [ways, shots, 1, H, W].
        noise: of the walk over each support, [ways, noise_size(shots)].

    Returns:
        A function as `by_kl` returns it.
    """
    ways, shots = support.shape[:2]
    image_noise = family.noise_size(shots + 1) - family.noise_size(shots)
    features = family.encode(support)
    elbo_support = _set_elbo(family.terms(support, noise, features))
    of_context, of_images = noise.split(
        [noise.shape[1] - shots * image_noise, shots * image_noise], 1
    )

    def score(query: Tensor, query_noise: Tensor) -> Tensor:
        n = len(query)
        of_query = query_noise[:, None, query_noise.shape[1] - image_noise :].expand(-1, ways, -1)
        # the noise of a set: that of its context, then that of image 0 (the query), image 1, ...
        joint_noise = torch.cat(
            [of_context.expand(n, -1, -1), of_query, of_images.expand(n, -1, -1)], 2
        ).flatten(0, 1)
        joint_features = {
            resolution: _joint(f, features[resolution])
            for resolution, f in family.encode(query).items()
        }
        terms = family.terms(_joint(query, support), joint_noise, joint_features)
        return _set_elbo(terms).view(n, ways) - elbo_support

    return score


def _joint(query: Tensor, support: Tensor) -> Tensor:
    """Each query before each support: [Q, 1, ..], [ways, shots, ..] -> [Q ways, 1 + shots, ..]."""
    queries = query.unsqueeze(1).expand(-1, len(support), *query.shape[1:])
    return torch.cat([queries, support.expand(len(query), *support.shape)], 2).flatten(0, 1)


def _set_elbo(terms: SetTerms) -> Tensor:
    """The bound of each whole set in nats, float64 [B]: log p(x | c, z) - KL_c - KL_z."""
    return (
        terms.log_likelihood.double().sum(1)
        - terms.kl_c.double().sum(1)
        - terms.kl_z.double().sum((1, 2))
    )


def by_reconstruction(family: SetFamily, support: Tensor, noise: Tensor) -> Score:
    """Score a way by the log-likelihood of the query under the best of its reconstructions.

    Pixels are Bernoulli variables; logarithms end at -100.

    Args:
        family: any family of sets.
        support: [ways, shots, 1, H, W].
        noise: of the walk over each support, [ways, noise_size(shots)].

    Returns:
        A function as `by_kl` returns it.
    """
    p = family.reconstruct(support, noise).flatten(0, 1).flatten(1).double()
    log_p, log_not_p = p.log().clamp(min=-100), (-p).log1p().clamp(min=-100)

    def score(query: Tensor, query_noise: Tensor) -> Tensor:
        x = query.flatten(1).double()
        # log p(x) = sum_pixels x log p + (1 - x) log(1 - p), the best of the shots of each way
        return (x @ log_p.T + (1 - x) @ log_not_p.T).view(len(x), len(support), -1).amax(2)

    return score


SCORERS: dict[str, Scorer] = {"kl": by_kl, "elbo": by_elbo, "reconstruction": by_reconstruction}


def _confusion_table(counts: dict[str, np.ndarray], ways: np.ndarray) -> dict[str, list]:
    """A line for each scorer, digit and prediction."""
    table: dict[str, list] = {"scorer": [], "digit": [], "predicted": [], "count": []}
    for scorer, of_scorer in counts.items():
        for (digit, predicted), count in np.ndenumerate(of_scorer):
            table["scorer"].append(scorer)
            table["digit"].append(int(ways[digit]))
            table["predicted"].append(int(ways[predicted]))
            table["count"].append(int(count))
    return table
