"""Stacked training: the rules of a row are the library's, a slice ends where it would end alone,
and a bad slice harms no other.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oneshot.contracts import Hyper, Losses, Pairs, Player, TrainedFamily
from oneshot.models.vae_stn import VARIANTS, Config, VaeStn
from oneshot.nn.deferred import DeferredLinear, linear_step
from oneshot.store.store import Store
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import Diverged, Stopped, fit, noise
from oneshot.training.optimizer import ClippedAdam, Plateau
from oneshot.training.pair_batches import PairBatches
from oneshot.training.stack import Stack, by_vmap
from oneshot.trial import train as steps

SIZE = 20
CPU = torch.device("cpu")


def material() -> PairBatches:
    rng = np.random.default_rng(0)
    images = torch.from_numpy((rng.random((60, SIZE, SIZE)) > 0.8).astype(np.uint8))
    return PairBatches(images, torch.arange(60) // 6 * 6, np.arange(48), np.arange(48, 60))


def model(kind: type[VaeStn] = VaeStn, **changed: Any) -> VaeStn:
    torch.manual_seed(0)
    return kind(Config(**{**VARIANTS["tiny"], "epochs": 5, **changed}), SIZE)


def train(
    families: Sequence[TrainedFamily],
    folder: Path,
    every: float = 1e9,
    stop_after: int | None = None,
) -> list[Training | Diverged]:
    """Checkpoint k lies in folder/k.pt."""
    seen: list[int] = []
    checkpoints = [Checkpoint(Store(folder), f"{k}.pt", every) for k in range(len(families))]
    stop = (lambda: len(seen) >= stop_after) if stop_after is not None else (lambda: False)
    return fit(
        families, material(), 3, checkpoints, lambda epoch, epochs, row: seen.append(epoch), stop
    )


def players(rates: list[float], *limits: list[float]) -> list[Player]:
    """Players that only move; limits: clips, clamps, decays."""
    each = zip(*limits) if limits else [()] * len(rates)
    names = ("clip", "clamp", "weight_decay")
    return [
        Player("p", list, lambda *_: {}, rate, **dict(zip(names, values)))
        for rate, values in zip(rates, each)
    ]


@pytest.mark.parametrize("way", ["row_by_row", "all_rows"])
def test_moves_are_those_of_the_librarys_adam_and_clipping(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClippedAdam, "row_by_row", getattr(ClippedAdam, way))
    torch.manual_seed(0)
    rates, clips, clamps, decays = (
        [1e-3, 1e-1, 3e-2],
        [0.5, 0.0, 20.0],
        [0.0, 1.0, 2.0],
        [0.0, 1e-2, 0.1],
    )
    start = torch.randn(3, 300)
    flat, moves = start.clone(), ClippedAdam.start(start, players(rates, clips, clamps, decays))
    theirs = [nn.Parameter(row.clone()) for row in start]
    optimisers = [
        torch.optim.Adam([p], lr=rate, weight_decay=decay)
        for p, rate, decay in zip(theirs, rates, decays)
    ]
    for _ in range(40):
        gradient = torch.randn(3, 300) * 3
        for p, optimiser, row, clip, clamp in zip(theirs, optimisers, gradient, clips, clamps):
            p.grad = row.clone()
            if clamp:
                nn.utils.clip_grad_value_([p], clamp)
            if clip:
                nn.utils.clip_grad_norm_([p], clip)
            optimiser.step()
        moves.step(flat, gradient, torch.zeros(3))
    torch.testing.assert_close(
        flat, torch.stack([p.detach() for p in theirs]), rtol=1e-5, atol=1e-6
    )


def test_schedules_are_those_of_the_library() -> None:
    rng = np.random.default_rng(0)
    losses = torch.from_numpy(np.cumsum(rng.normal(-0.02, 1, (80, 3)), 0) + 100)
    losses[60:, 1] = float("nan")
    rates, patience = [0.1, 1e-3, 5e-8], [2, 5, 1]
    plateau, rate = (
        Plateau.start(patience, losses),
        torch.tensor(rates, dtype=torch.float64).unsqueeze(1),
    )
    optimisers = [torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=r) for r in rates]
    theirs = [
        torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=p, factor=0.5)
        for o, p in zip(optimisers, patience)
    ]
    for row in losses:
        plateau.end_epoch(row, rate)
        for schedule, value in zip(theirs, row.tolist()):
            schedule.step(value)
        assert rate[:, 0].tolist() == pytest.approx(
            [o.param_groups[0]["lr"] for o in optimisers], rel=1e-12
        )
    assert (rate[:, 0] < torch.tensor(rates, dtype=torch.float64)).all(), (
        "every schedule must have moved for this test to mean anything"
    )
    never, still = Plateau.start([0], losses), torch.ones(1, 1, dtype=torch.float64)
    for _ in range(9):
        never.end_epoch(torch.ones(1), still)
    assert still.item() == 1


@pytest.mark.parametrize(("low", "tolerance"), [(False, 1e-5), (True, 3e-2)])
def test_deferred_weight_gradients_equal_ordinary_ones(low: bool, tolerance: float) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(2, 6, 4, requires_grad=True), torch.randn(2, 6, requires_grad=True)
    inputs, back = torch.randn(3, 2, 5, 4), torch.randn(6, 4)

    def loop(layer: Any) -> Tensor:
        x, total = inputs[0], torch.zeros(())
        for t in range(3):
            x = torch.tanh(layer(t, x + inputs[t])) @ back * 0.3
            total = total + x.square().sum()
        return total

    plain = torch.autograd.grad(
        loop(lambda t, x: x @ weight.transpose(1, 2) + bias.unsqueeze(1)), (weight, bias)
    )
    deferred = DeferredLinear(weight, bias, 3, 5, low)

    def late(t: int, x: Tensor) -> Tensor:
        deferred.record(x.detach())
        return linear_step(deferred.biases[t], x, deferred.matrix)

    for a, b in zip(torch.autograd.grad(loop(late), (weight, bias)), plain):
        assert (a - b).norm() / b.norm() < tolerance


@pytest.mark.parametrize("changed", [{}, {"published_loss": True}])
def test_the_stacked_form_equals_vmap_and_each_model_alone(changed: dict[str, Any]) -> None:
    models = [VaeStn(Config(**{**VARIANTS["tiny"], **changed}), SIZE) for _ in range(3)]
    x = (torch.rand(6, 1, SIZE, SIZE) > 0.8).float()
    pairs, given, hyper = (
        Pairs(x, x.flip(0)),
        torch.randn(6, *models[0].noise_shape),
        {"beta": torch.tensor([0.0, 1.0, 4.0])},
    )
    stack = Stack(models, CPU)
    side = stack.players[0]
    fast = stack.losses_of(0, pairs, given, hyper)
    slow = by_vmap(stack.template, 0, side.weights(), pairs, given, hyper)
    gradients = [
        torch.autograd.grad(losses["loss"].mean(1).sum(), side.flat)[0] for losses in (fast, slow)
    ]
    torch.testing.assert_close(
        gradients[0], gradients[1], rtol=1e-4, atol=1e-5 * gradients[1].abs().max().item()
    )
    for k, one in enumerate(models):
        alone = one.players()[0].loss(pairs, given, {"beta": float(hyper["beta"][k])})
        for name, value in alone.items():
            torch.testing.assert_close(fast[name][k], value, rtol=1e-5, atol=1e-4)
            torch.testing.assert_close(slow[name][k], value, rtol=1e-5, atol=1e-4)


def test_a_solo_training_equals_a_plain_loop_with_the_librarys_optimiser(tmp_path: Path) -> None:
    """50 steps: the readable loss, torch.optim.Adam, clip_grad_norm_."""
    (ended,) = train([model(epochs=9, beta=2.0, learning_rate=3e-3)], tmp_path)
    assert isinstance(ended, Training)
    plain, seen = model(epochs=9, beta=2.0, learning_rate=3e-3), material()
    optimiser = torch.optim.Adam(plain.parameters(), lr=3e-3)
    losses = []
    for epoch in range(9):
        order = torch.from_numpy(batches_of(epoch, seen))
        total = 0.0
        for step, index in enumerate(order.split(8)):
            given = noise(3, ("noise", epoch, step), len(index), plain.noise_shape, CPU)
            loss = plain._loss(seen.batch({"index": index}), given, {"beta": 2.0})["loss"].mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 5.0)
            optimiser.step()
            total += loss.item() * len(index)
        losses.append(total / 48)
    assert ended.curve["train_loss"] == pytest.approx(losses, rel=1e-4)


def batches_of(epoch: int, seen: PairBatches) -> np.ndarray:
    from oneshot import rng as streams

    return streams.generator(3, "batches", epoch).permutation(seen.train)


SETTINGS: list[dict[str, Any]] = [
    dict(beta=0.0),
    dict(beta=4.0, learning_rate=1e-2, plateau=1),
    dict(beta=1.0, clip=0.01, annealing_epochs=4),
    dict(beta=0.25, learning_rate=0.1, plateau=2, clip=0.0),
]


def test_a_slice_ends_where_the_point_ends_alone(tmp_path: Path) -> None:
    """54 steps with different betas, step sizes, schedules, clipping and annealing."""
    stacked = train([model(epochs=9, **s) for s in SETTINGS], tmp_path / "stack")
    for k, settings in enumerate(SETTINGS):
        (alone,) = train([model(epochs=9, **settings)], tmp_path / f"solo{k}")
        together = stacked[k]
        assert isinstance(alone, Training) and isinstance(together, Training)
        for name in alone.curve:
            assert together.curve[name] == pytest.approx(alone.curve[name], rel=2e-4), name
        difference = torch.cat([(together.end[n] - alone.end[n]).flatten() for n in alone.end])
        assert (
            difference.norm() < 2e-3 * torch.cat([w.flatten() for w in alone.end.values()]).norm()
        )
        assert (
            together.best_epoch == alone.best_epoch
            and together.how == "stack of 4, eager"
            and alone.how == "eager"
        )
    rates = [t.curve["learning_rate"] for t in stacked if isinstance(t, Training)]
    assert len({tuple(r) for r in rates}) == 4 or len(set(rates[1])) > 1


class Poisoned(VaeStn):
    """Its beta is NaN from the third epoch on."""

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"beta": float("nan") if epoch >= 2 else 1.0}


def test_a_slice_that_diverges_harms_no_other(tmp_path: Path) -> None:
    good = [dict(beta=b) for b in (0.5, 1.0, 2.0)]
    healthy = train(
        [model(**good[0]), model(), *[model(**s) for s in good[1:]]], tmp_path / "healthy"
    )
    mixed = train(
        [model(**good[0]), model(Poisoned), *[model(**s) for s in good[1:]]], tmp_path / "mixed"
    )
    assert isinstance(mixed[1], Diverged) and "epoch 2" in str(mixed[1])
    assert (
        mixed[1].training is not None
        and mixed[1].training.epochs_done == 2
        and len(mixed[1].training.curve["epoch"]) == 2
    )
    for k in (0, 2, 3):
        a, b = healthy[k], mixed[k]
        assert isinstance(a, Training) and isinstance(b, Training)
        assert a.curve == b.curve and all(torch.equal(a.end[n], b.end[n]) for n in a.end), (
            "not one bit may differ"
        )


def test_a_stack_shrinks_once_a_third_of_it_is_dead(tmp_path: Path) -> None:
    members = [model(Poisoned), model(Poisoned), *[model(beta=b) for b in (0.5, 2.0)]]
    ended = train(members, tmp_path)
    assert [type(t) for t in ended] == [Diverged, Diverged, Training, Training]
    assert all(isinstance(t, Training) and t.how == "stack of 2, eager" for t in ended[2:])
    (alone,) = train([model(beta=2.0)], tmp_path / "solo")
    assert isinstance(alone, Training) and isinstance(ended[3], Training)
    assert ended[3].curve["train_loss"] == pytest.approx(alone.curve["train_loss"], rel=1e-4)


@pytest.mark.parametrize("way", ["row_by_row", "all_rows"])
def test_a_row_passes_over_bad_batches_as_if_they_had_not_been(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClippedAdam, "row_by_row", getattr(ClippedAdam, way))
    torch.manual_seed(0)
    start, gradients = torch.ones(2, 8), torch.randn(5, 2, 8)
    patient = [Player("p", list, lambda *_: {}, 0.1, skips=2) for _ in range(2)]
    flat, moves = start.clone(), ClippedAdam.start(start, patient)
    plain, reference = start.clone(), ClippedAdam.start(start, patient)
    for gradient in gradients:
        bad = gradient.clone()
        bad[1] = float("inf")
        for _ in range(2):
            assert moves.step(flat, bad.clone()[[1, 1]], torch.zeros(2)).tolist() == [False, False]
        assert moves.step(flat, gradient.clone(), torch.zeros(2)).all()
        reference.step(plain, gradient.clone(), torch.zeros(2))
    torch.testing.assert_close(flat, plain, rtol=1e-6, atol=1e-7)
    for expected in (True, True, False):
        moves.step(flat, gradients[0].clone(), torch.tensor([0.0, float("nan")]))
        assert moves.alive[:, 0].tolist() == [True, expected]


@pytest.mark.parametrize("way", ["row_by_row", "all_rows"])
def test_a_row_that_dies_keeps_its_last_good_parameters(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClippedAdam, "row_by_row", getattr(ClippedAdam, way))
    start = torch.ones(3, 8)
    flat, moves = start.clone(), ClippedAdam.start(start, players([0.1] * 3))
    moves.step(flat, torch.ones(3, 8), torch.zeros(3))
    before = flat.clone()
    bad = torch.ones(3, 8)
    bad[1, 3] = float("nan")
    moves.step(flat, bad, torch.tensor([0.0, 0.0, float("inf")]))
    moves.step(flat, torch.ones(3, 8), torch.zeros(3))
    assert moves.alive[:, 0].tolist() == [True, False, False]
    assert (
        torch.equal(flat[1:], before[1:])
        and (flat[0] < before[0]).all()
        and torch.isfinite(flat).all()
    )


def test_slices_resume_alone_or_together_from_their_own_epochs(tmp_path: Path) -> None:
    whole = train([model(beta=b) for b in (0.5, 2.0)], tmp_path / "whole")
    with pytest.raises(Stopped, match="after epoch 2 of 5"):
        train([model(beta=b) for b in (0.5, 2.0)], tmp_path / "parts", stop_after=2)
    ahead = tmp_path / "ahead"
    ahead.mkdir()
    (ahead / "0.pt").write_bytes((tmp_path / "parts" / "0.pt").read_bytes())
    # the first slice alone, one epoch further than the second
    with pytest.raises(Stopped, match="after epoch 3 of 5"):
        train([model(beta=0.5)], ahead, stop_after=1)
    (ahead / "1.pt").write_bytes((tmp_path / "parts" / "1.pt").read_bytes())
    resumed = train([model(beta=b) for b in (0.5, 2.0)], ahead)
    for a, b in zip(whole, resumed):
        assert isinstance(a, Training) and isinstance(b, Training)
        assert (
            b.curve["epoch"] == list(range(5))
            and b.best_epoch == a.best_epoch
            and b.how == "stack of 2, eager"
        )
        for name in a.curve:
            assert b.curve[name] == pytest.approx(a.curve[name], rel=1e-4), name


@dataclass(frozen=True)
class ToyConfig:
    learning_rate: float = 1e-2
    weight: float = 1.0
    plateau: int = 0
    batch_size: int = 8
    epochs: int = 3


class Toy(TrainedFamily):
    """Two players and batch normalisation, with no stacked form of its own."""

    def __init__(self, config: ToyConfig):
        super().__init__()
        self.config, self.image_size = config, SIZE
        self.draws = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Conv2d(3, 1, 3, padding=1),
        )
        self.judges = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 1))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (1, SIZE, SIZE)

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"weight": self.config.weight}

    def players(self) -> list[Player]:
        rate = self.config.learning_rate
        judge = Player(
            "judge", lambda: list(self.judges.parameters()), self._judge, rate, betas=(0.0, 0.9)
        )
        return [
            judge,
            Player("artist", lambda: list(self.draws.parameters()), self._draw, rate, every=2),
        ]

    def _judge(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        drawn = self.sample(pairs.exemplar, noise)
        score = self.judges(drawn) - self.judges(pairs.target)
        return {"loss": (score + hyper["weight"] * score.square()).squeeze(1)}

    def _draw(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        return {"loss": -self.judges(self.sample(pairs.exemplar, noise)).squeeze(1)}

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        return torch.sigmoid(self.draws(exemplars + 0.1 * noise))


def toy(**changed: Any) -> Toy:
    torch.manual_seed(1)
    return Toy(ToyConfig(**changed))


def test_any_family_stacks_by_vmap_with_two_players_and_running_statistics(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [
        dict(weight=0.1),
        dict(weight=1.0, learning_rate=3e-3),
        dict(weight=3.0),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stacked = train([toy(**s) for s in settings], tmp_path / "stack")
    for k, s in enumerate(settings):
        (alone,) = train([toy(**s)], tmp_path / f"solo{k}")
        together = stacked[k]
        assert isinstance(alone, Training) and isinstance(together, Training)
        assert together.curve["validation_loss"] == pytest.approx(
            alone.curve["validation_loss"], rel=1e-3, abs=1e-4
        )
        assert set(alone.end) == set(toy().state_dict())
        for name in alone.end:
            torch.testing.assert_close(
                together.end[name].float(), alone.end[name].float(), rtol=1e-3, atol=1e-4
            )
        assert int(together.end["draws.1.num_batches_tracked"]) > 0


def test_a_stack_that_raises_trains_as_halves_and_a_point_that_raises_ends_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[int] = []

    def fit_at_most_two(members: Sequence[Any], *rest: Any) -> dict[str, Any]:
        if len(members) > 2:
            raise torch.OutOfMemoryError("out of memory")
        if "5" in [m[0].train_id for m in members]:
            raise RuntimeError("five raises")
        trained.append(len(members))
        return {m[0].train_id: "trained" for m in members}

    @dataclass
    class Name:
        train_id: str

    class Family:
        trained = True

    monkeypatch.setattr(steps, "fit_stack", fit_at_most_two)
    monkeypatch.setattr(steps, "build", lambda point: Family())
    monkeypatch.setattr(steps, "stored_training", lambda point, job: None)
    monkeypatch.setattr(steps.machine, "most_in_memory", lambda *given: 10)
    points: Any = [Name(str(k)) for k in range(7)]
    found = steps.train(points, None, None, None)  # type: ignore[arg-type]
    assert list(found) == [str(k) for k in range(7)] and trained == [1, 2, 2, 1]
    assert [k for k, v in found.items() if isinstance(v, RuntimeError)] == ["5"]


def test_a_stack_that_raises_while_it_is_stored_does_not_train_again_what_was_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a full disk: the first of four trainings is stored when the second cannot be."""
    stored: dict[str, Training] = {}
    trained: list[list[str]] = []

    def fit_and_fail_once(members: Sequence[Any], *rest: Any) -> dict[str, Any]:
        names = [point.train_id for point, _ in members]
        trained.append(names)
        stored[names[0]] = Training({}, {})
        if len(names) > 2:
            raise OSError("no space left on device")
        return {name: "trained" for name in names}

    @dataclass
    class Name:
        train_id: str

    monkeypatch.setattr(steps, "fit_stack", fit_and_fail_once)
    monkeypatch.setattr(steps, "build", lambda point: model())
    monkeypatch.setattr(steps, "stored_training", lambda point, job: stored.get(point.train_id))
    monkeypatch.setattr(steps.machine, "most_in_memory", lambda *given: 10)
    points: Any = [Name(n) for n in "abcd"]
    found = steps.train(points, None, None, None)  # type: ignore[arg-type]
    assert trained == [["a", "b", "c", "d"], ["b"], ["c", "d"]] and set(found) == set("abcd")


def test_checkpoints_of_a_stack_are_written_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the others at the door: one after the other, none would get through."""
    whole, door, through = Checkpoint.save, threading.Barrier(3, timeout=30), []

    def save(self: Checkpoint, training: Training) -> None:
        door.wait()
        through.append(self.key)
        whole(self, training)

    monkeypatch.setattr(Checkpoint, "save", save)
    ended = train([model(beta=beta, epochs=2) for beta in (0.0, 1.0, 2.0)], tmp_path, every=0.0)
    assert len(ended) == 3 and sorted(set(through)) == ["0.pt", "1.pt", "2.pt"]
