"""Scoring one point, ours against the published protocol: all 150 classes at 50x50 pixels, 40 time
steps, latents of 60.

    python benchmarks/scoring.py [--quick] [--threads N] [--results RESULTS SWEEP]

(a) At equal or smaller standard error of both metrics. The published protocol draws 20 images a
class for diversity and, in 3,750
    episodes of 40 drawings, plays 500 queries a class, each right or wrong. Ours draws n a class,
    embeds each once, and takes for each the exact chance of being recognised; n follows from the
    spread of these chances (`needed`): 191, as measured on Omniglot for the model nearest to people
    of RESULTS.md, section 1. With --results it is the median over the finished points of that
    sweep.
(b) The published episodes themselves on the same given drawings, 500 a class and no two alike, and
diversity on 20 of them.

The network of the model is of full size and untrained, which does not matter for time. Both
programs are timed on a sample of classes and episodes and extrapolated; only what does not grow
with the sample (the metrics on all features) is timed whole.
"""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import baseline, harness, made
from oneshot.critics.encoder import embed_all, initialised
from oneshot.critics.protonet import ProtoNet
from oneshot.critics.simclr import SimCLR
from oneshot.metrics import diversity, recognizability
from oneshot.models.vae_stn import Config, VaeStn
from oneshot.scoring import sample

MEASURED = 191.0  # drawings a class, see (a)
CLASSES, EPISODES, QUERIES, SPREAD, WAYS = 150, 3750, 500, 20, 20  # of the published protocol


@dataclass(frozen=True)
class Scale:
    """Sizes of the network, and how much of the work is timed."""

    config: Config
    image_size: int = 50
    episodes: int = 25
    classes: int = 5  # of the published diversity
    our_classes: int = 30
    given_episodes: int = 100
    repeats: int = 5


FULL = Scale(Config())
QUICK = Scale(Config(time_steps=2, z=4, lstm_size=16, glimpse=5, hidden=16), 20, 1, 1, 1, 2, 2)


class Programs:
    """Ours and the baseline with the same weights, critics and exemplars."""

    def __init__(self, scale: Scale, device: torch.device):
        self.scale, self.device = scale, device
        images = made.strokes(CLASSES)
        self.data, self.exemplars = (
            made.data_set(images, scale.image_size, test=CLASSES),
            images.exemplar,
        )
        self.model = VaeStn(scale.config, scale.image_size).to(device).eval()
        self.simclr, self.protonet = (
            initialised(lambda c=c: c(scale.image_size), 0, "bench").to(device).eval()
            for c in (SimCLR, ProtoNet)
        )
        c = scale.config
        self.plain = (
            baseline.VaeStn(c.time_steps, c.z, c.lstm_size, c.glimpse, c.hidden, scale.image_size)
            .to(device)
            .eval()
        )
        self.plain.load_state_dict(self.model.state_dict())
        self.plain_simclr, self.plain_protonet = (
            baseline.Encoder.of(c, scale.image_size) for c in (self.simclr, self.protonet)
        )
        self.prototypes = (
            torch.from_numpy(self.data.images[self.exemplars]).to(device)[:, None].float()
        )
        self.tasks = recognizability.episodes(CLASSES, WAYS, QUERIES)
        rng = np.random.default_rng(0)
        self.features = rng.standard_normal((CLASSES * QUERIES, 256), np.float32)

    def published(self, drawings: torch.Tensor | None = None) -> float:
        """Seconds of the whole published protocol, from a sample of its classes and episodes;
        drawings [C, n, 1, S, S] given or drawn.
        """
        scale = self.scale
        episodes = scale.episodes if drawings is None else scale.given_episodes
        exemplars = self.prototypes[: scale.classes]
        spread = harness.seconds(
            lambda: baseline.diversity(
                self.plain, self.plain_simclr, exemplars, drawings=drawings, n=SPREAD
            )
        )
        tasks = self.tasks[:episodes]
        played = harness.seconds(
            lambda: baseline.recognizability(
                self.plain, self.plain_protonet, self.prototypes, tasks, drawings
            )
        )
        return spread * CLASSES / scale.classes + played * EPISODES / episodes

    def ours(self, n: int) -> float:
        """Seconds of n drawings a class and both metrics in closed form, from a sample of classes;
        as `grade` does it.
        """
        part = dataclasses.replace(self.data, test=self.data.test[: self.scale.our_classes])

        def work() -> None:
            images = sample.draw(self.model, part, self.exemplars, n, 0, self.device).images
            embed_all(self.protonet, images, self.device)
            embed_all(
                self.simclr,
                np.concatenate([images[i : i + SPREAD] for i in range(0, len(images), n)]),
                self.device,
            )

        return harness.seconds(work) * CLASSES / self.scale.our_classes + self.closed_form(
            n, SPREAD
        )

    def closed_form(self, n: int, spread: int) -> float:
        """Seconds of both metrics with their standard errors on all features."""
        label, few = np.arange(CLASSES).repeat(n), np.arange(CLASSES).repeat(spread)
        queries, prototypes = self.features[: len(label), :128], self.features[-CLASSES:, :128]

        def work() -> None:
            chance = recognizability.expected(queries, label, prototypes, WAYS)
            (
                recognizability.per_class(chance, label),
                recognizability.recognizability_se(chance, label),
            )
            (
                diversity.diversity(self.features[: len(few)], few),
                diversity.diversity_se(self.features[: len(few)], few),
            )

        return harness.seconds(work)

    def ours_on_given(self, drawings: np.ndarray) -> float:
        """Seconds of the published episodes on 500 given drawings a class, each embedded once;
        embedding timed on these [n, S, S].
        """
        embedded = harness.seconds(lambda: embed_all(self.protonet, drawings, self.device))
        spread = harness.seconds(lambda: embed_all(self.simclr, drawings, self.device))
        label, few = np.arange(CLASSES).repeat(QUERIES), np.arange(CLASSES).repeat(SPREAD)

        def work() -> None:
            recognizability.by_episodes(
                self.features[:, :128], label, self.features[-CLASSES:, :128], WAYS, QUERIES
            )
            diversity.diversity(self.features[: len(few)], few)

        whole = embedded * CLASSES * (QUERIES + 1) / len(
            drawings
        ) + spread * CLASSES * SPREAD / len(drawings)
        return whole + harness.seconds(work)


def needed(chance: np.ndarray, label: np.ndarray) -> float:
    """Drawings a class at which the closed form has the standard error of the published protocol.

    Published, a query is right or wrong: variance p (1 - p) / 500 of a class. In closed form it is
    v / n, with v the variance of the chances, which is smaller. chance [N] from
    `recognizability.expected`; both terms are estimated without bias from m drawings a class. NaN
    where every drawing of every class is recognised for certain.
    """
    count, p = np.bincount(label), recognizability.per_class(chance, label) / 100
    v = np.bincount(label, (chance - p[label]) ** 2) / (count - 1)
    right_or_wrong = (p * (1 - p) + v / count).sum()
    return float(QUERIES * v.sum() / right_or_wrong) if right_or_wrong > 1e-9 else float("nan")


def stored(results: str, name: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(label of the point, chances, class of each drawing) of the finished points of a sweep's own
    family.
    """
    from oneshot.store import plan
    from oneshot.store.store import Store
    from oneshot.sweep.files import load_sweep

    planned = plan.make(load_sweep(name), Store(results))
    for record in planned.log.records.values():
        if record.row["status"] == "done" and record.row["model"] == planned.sweep.model:
            row = record.row
            with np.load(
                io.BytesIO(planned.store.read(f"store/scores/{row['point_id']}.npz"))
            ) as file:
                yield (
                    ", ".join(f"{axis} {row[axis]}" for axis in planned.sweep.axes),
                    file["recognized"].astype(np.float64),
                    file["label"],
                )


def main() -> None:
    p = harness.parser(__doc__)
    p.add_argument(
        "--results",
        nargs=2,
        metavar=("RESULTS", "SWEEP"),
        help="take the spread of the chances from the points of this sweep",
    )
    options = p.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    scale = QUICK if options.quick else FULL
    programs = Programs(scale, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    found = (
        {what: needed(chance, label) for what, chance, label in stored(*options.results)}
        if options.results
        else {"documented": MEASURED}
    )
    for what, drawings in found.items():
        print(
            f"{what}: {drawings:.0f} drawings a class have the standard error of {QUERIES} queries"
        )
    n = (
        max(SPREAD + 1, int(np.ceil(np.nanmedian(list(found.values())))))
        if not options.quick
        else SPREAD + 1
    )
    save(programs, n, found)


def save(programs: Programs, n: int, found: dict[str, float]) -> None:
    """Time both comparisons, ours and the baseline in turn, and write the rows."""
    drawings = programs.data.images  # 20 a class, which stand for 500 in the timing
    tensors = (
        torch.from_numpy(drawings).to(programs.device)[:, None].float().unflatten(0, (CLASSES, -1))
    )
    equal, given = [], []
    for i in range(programs.scale.repeats + 1):
        pairs = (
            (programs.ours(n), programs.published()),
            (
                programs.ours_on_given(drawings),
                programs.published(tensors),
            ),
        )
        if i:  # the first run warms up
            equal.append(pairs[0])
            given.append(pairs[1])
    table = harness.Table("scoring")
    table.note(drawings_needed=found, drawings=n)
    least = (None, None) if programs.scale is QUICK else (20, 2.5)
    note = f"{n} drawings a class; both extrapolated from a sample of classes and episodes"
    table.add(
        harness.of_pairs(equal).row(
            4, "score one point at equal standard error", least[0], note=note
        )
    )
    table.add(
        harness.of_pairs(given).row(
            4, "published episodes on the same drawings", least[1], note="both extrapolated"
        )
    )


if __name__ == "__main__":
    main()
