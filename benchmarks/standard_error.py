"""How many drawings a class are enough? The standard error of diversity and recognizability against
their number.

    python benchmarks/standard_error.py RESULTS SWEEP [--point ID] [--most 100] [--repeats 50]

Takes a trained point of a sweep (default: the one nearest to people), draws `most` drawings for
each test class, and scores random subsets of n of them: the spread over subsets is the standard
error of a score that rests on n drawings a class, the shift of its mean against all drawings is the
bias.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from oneshot.critics.encoder import embed_all
from oneshot.metrics import diversity, recognizability
from oneshot.scoring import sample
from oneshot.scoring.plane import Critics
from oneshot.store import plan
from oneshot.store.store import Store
from oneshot.sweep.files import load_sweep
from oneshot.training.checkpoint import Training
from oneshot.trial import inputs, train

COUNTS = (2, 5, 10, 20, 50)


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("results")
    p.add_argument("sweep")
    p.add_argument("--point", default="")
    p.add_argument("--most", type=int, default=100)
    p.add_argument("--repeats", type=int, default=50)
    options = p.parse_args()
    made = plan.make(load_sweep(options.sweep), Store(options.results))
    done = [
        r.row
        for r in made.log.records.values()
        if r.row["status"] == "done" and r.row["model"] == made.sweep.model
    ]
    row = min(
        done, key=lambda r: (not r["point_id"].startswith(options.point), r["human_distance"])
    )
    point = next(p for p in made.all_points if p.point_id == row["point_id"])
    given = inputs.load(point, made.store, torch.device("cpu"))
    family = train.build(point)
    training = Training.from_bytes(
        made.store.unseal(f"store/trainings/{point.train_id}/training.pt")
    )
    family.load_state_dict(training.end)
    drawings = sample.draw(
        family, given.data, given.exemplars, options.most, point.seed, torch.device("cpu")
    )
    print(
        f"{made.sweep.name} {point.label(made.sweep.axes)}: {options.most} drawings for each of"
        f" {len(drawings.exemplars)} classes"
    )
    for line in table(
        drawings.images, drawings.exemplars, given.critics, options.most, options.repeats
    ):
        print(json.dumps(line))


def table(
    images: np.ndarray, exemplars: np.ndarray, critics: Critics, most: int, repeats: int
) -> list[dict[str, float]]:
    """Standard error and bias of both metrics for each number of drawings a class."""
    classes = len(exemplars)
    features = embed_all(critics.simclr, images, critics.device)
    queries, prototypes = (
        embed_all(critics.protonet, i, critics.device) for i in (images, exemplars)
    )
    chance = recognizability.expected(queries, np.arange(classes).repeat(most), prototypes)
    rng = np.random.default_rng(0)
    found = {}
    for n in (*[c for c in COUNTS if c < most], most):
        label = np.arange(classes).repeat(n)
        scores = []
        for _ in range(repeats if n < most else 1):
            rows = np.concatenate(
                [c * most + rng.choice(most, n, replace=False) for c in range(classes)]
            )
            scores.append(
                (
                    diversity.diversity(features[rows], label).mean(),
                    recognizability.per_class(chance[rows], label).mean(),
                )
            )
        found[n] = np.array(scores)
    whole = found[most][0]
    lines = []
    for n, scores in found.items():
        # drawn without replacement from `most`: the finite-population factor is taken out again
        factor = np.sqrt((most - 1) / (most - n)) if n < most else np.nan
        spread = scores.std(0, ddof=1) * factor if n < most else np.full(2, np.nan)
        bias = scores.mean(0) - whole
        lines.append(
            dict(
                drawings=n,
                diversity_se=spread[0],
                diversity_bias=bias[0],
                recognizability_se=spread[1],
                recognizability_bias=bias[1],
            )
        )
    return [{k: round(float(v), 4) for k, v in line.items()} for line in lines]


if __name__ == "__main__":
    main()
