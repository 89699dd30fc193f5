"""Diffusion: training, drawing with guidance, contexts, importance maps, and a sweep over gamma."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import torch
from bars import SIZE, bars
from short_training import first_images
from torch import Tensor

from oneshot.contracts import Pairs, Sets
from oneshot.models.diffusion import VARIANTS, Config, Diffusion
from oneshot.store.store import Store
from oneshot.sweep import Sweep, SweepError, grid
from oneshot.sweep.expansion import expand
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import Stopped, fit

CPU = torch.device("cpu")


def model(**changed: Any) -> Diffusion:
    torch.manual_seed(3)
    return Diffusion(
        Config(**{**VARIANTS["tiny"], **dict(time_steps=4, ddim_steps=0), **changed}), SIZE
    )


def spy(
    family: Diffusion, answer: Callable[[Tensor, Tensor], Tensor] | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Put a network in place of the family's that notes its inputs (image and exemplar channel,
    time); answers zeros, or as told.
    """
    seen: list[tuple[Tensor, Tensor]] = []

    class Network(torch.nn.Module):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            seen.append((x.clone(), time.clone()))
            return torch.zeros_like(x[:, :1]) if answer is None else answer(x, time)

    family.network = Network()  # type: ignore[assignment]
    return seen


def test_a_model_with_a_stacked_exemplar_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in Diffusion(Config(), 48).parameters()) == 8_488_721


# ---- training
# -----------------------------------------------------------------------------


def pairs(n: int = 400) -> Pairs:
    x = (torch.rand(n, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) > 0.8).float()
    return Pairs(x, x.flip(0))


def asked(family: Diffusion, training: bool, n: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    """What the network is asked in one loss: noisy image, exemplar channel, time."""
    seen = spy(family)
    noise = torch.randn(n, *family.noise_shape, generator=torch.Generator().manual_seed(4))
    family.train(training)._loss(pairs(n), noise, family.hyper(0))
    ((x, time),) = seen
    return x[:, :1], x[:, 1:], time


def test_times_are_uniform_and_reach_the_last() -> None:
    _, _, time = asked(model(time_steps=10), training=True)
    values, counts = time.unique(return_counts=True)
    torch.testing.assert_close(values, 100.0 * torch.arange(1, 11))
    assert counts.min() > 15
    _, _, time = asked(model(time_steps=10, published_process=True), training=True)
    torch.testing.assert_close(time.unique(), torch.arange(1, 10) / 10)  # the last is not trained


def test_pixels_are_of_both_signs_unless_published() -> None:
    for published, low in ((False, -1.0), (True, 0.0)):
        family = model(time_steps=500, published_process=published)
        _, exemplar, _ = asked(family, training=False)
        assert set(exemplar.unique().tolist()) == {low, 1.0}
        x, noise = family.process.from_pixels(pairs(2).target), torch.randn(2, 1, SIZE, SIZE)
        t = torch.tensor([3, 400])
        alpha_bar = family.process.alpha_bar[t].view(-1, 1, 1, 1)
        torch.testing.assert_close(
            family.process.add_noise(x, noise, t),
            alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * noise,
            atol=1e-4,
            rtol=1e-4,
        )


def test_exemplars_are_dropped_as_often_as_asked_and_never_in_evaluation() -> None:
    for probability in (0.0, 0.3):
        _, exemplar, _ = asked(model(drop_probability=probability, gamma=0.0), training=True)
        assert float((exemplar == 0).all(3).all(2).float().mean()) == pytest.approx(
            probability, abs=0.08 if probability else 0
        )
    _, exemplar, _ = asked(model(drop_probability=0.3), training=False)
    assert not (exemplar == 0).any()


def test_the_loss_is_the_mean_squared_error_of_the_noise() -> None:
    family = model()
    spy(family)
    noise = torch.randn(400, *family.noise_shape, generator=torch.Generator().manual_seed(4))
    loss = family._loss(pairs(), noise, family.hyper(0))["loss"]
    torch.testing.assert_close(loss, noise[:, :-2].square().mean(1))


def test_each_image_of_a_set_is_drawn_from_the_others_at_one_time() -> None:
    family = model(
        conditioning="film",
        exemplars=3,
        encoder_width=8,
        encoder_depth=1,
        encoder_heads=1,
        drop_probability=0.0,
        gamma=0.0,
    )
    images = torch.arange(8.0).view(2, 4, 1, 1, 1).expand(2, 4, 1, SIZE, SIZE)
    targets, contexts = family._task(Sets(images))
    assert targets.shape == (2, 4, 1, SIZE, SIZE) and contexts.shape == (2, 4, 3, 1, SIZE, SIZE)
    for b in range(2):
        for m in range(4):
            assert {float(targets[b, m, 0, 0, 0])} | set(contexts[b, m, :, 0, 0, 0].tolist()) == {
                4.0 * b + i for i in range(4)
            }
            assert float(targets[b, m, 0, 0, 0]) == 4 * b + m
    times: list[Tensor] = []
    predict = family._noise_hat
    family._noise_hat = lambda x, t, c, k: times.append(t) or predict(x, t, c, k)  # type: ignore[method-assign, func-returns-value]
    family._loss(
        Sets(images / 7),
        torch.randn(2, *family.noise_shape, generator=torch.Generator().manual_seed(2)),
        family.hyper(0),
    )
    assert len(times[0]) == 8 and len(times[0][:4].unique()) == len(times[0][4:].unique()) == 1


@pytest.mark.parametrize("conditioning", ["film", "cross_attention"])
def test_other_conditionings_begin_without_the_exemplar_and_learn_to_use_it(
    conditioning: str,
) -> None:
    family = model(
        conditioning=conditioning,
        encoder_width=8,
        encoder_depth=1,
        encoder_heads=1,
        ddim_steps=2,
        drop_probability=0.0,
        gamma=0.0,
    )
    one, two = (pairs(4).target * v for v in (0, 1))
    noise = torch.randn(4, *family.drawing_noise_shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(family._draw_x0(one, noise), family._draw_x0(two, noise))
    optimiser = torch.optim.Adam(family.parameters(), 1e-2)
    for step in range(5):
        given = torch.randn(4, *family.noise_shape, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        family._loss(pairs(4), given, family.hyper(0))["loss"].mean().backward()
        optimiser.step()
    assert not torch.allclose(family._draw_x0(one, noise), family._draw_x0(two, noise), atol=1e-4)


def train(models: list[Diffusion], folder: Path, stop_after: int | None = None) -> list[Training]:
    seen: list[int] = []
    checkpoints = [Checkpoint(Store(folder), f"{k}.pt", 0.0) for k in range(len(models))]
    material = batches_for(models[0], bars(), np.arange(0, 96, 6), CPU)
    stop = (lambda: len(seen) >= stop_after) if stop_after else (lambda: False)
    return fit(models, material, 5, checkpoints, lambda *_: seen.append(1), stop)  # type: ignore[return-value]


SETS: dict[str, Any] = dict(
    conditioning="cross_attention",
    exemplars=2,
    encoder_width=8,
    encoder_depth=1,
    encoder_heads=1,
    batch_size=4,
)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, SETS])
def test_a_stack_over_step_size_and_drop_probability_is_its_solo_trainings(
    more: dict[str, Any], tmp_path: Path
) -> None:
    settings = [
        dict(drop_probability=0.0, gamma=0.0),
        dict(drop_probability=0.4),
        dict(learning_rate=1e-3),
    ]
    more = {"batch_size": 20, **more}
    together = train([model(epochs=2, **more, **s) for s in settings], tmp_path / "stack")
    for k, own in enumerate(settings):
        (alone,) = train([model(epochs=2, **more, **own)], tmp_path / str(k))
        for name in ("train_loss", "validation_loss", "learning_rate"):
            np.testing.assert_allclose(
                together[k].curve[name], alone.curve[name], rtol=2e-3, err_msg=f"{name} of {own}"
            )
    assert (
        together[0].how == "stack of 3, eager"
        and together[0].curve["train_loss"] != together[1].curve["train_loss"]
    )


@pytest.mark.slow
def test_a_resumed_training_is_the_unbroken_one_and_the_step_size_fades(tmp_path: Path) -> None:
    few = dict(learning_rate=1e-3, batch_size=20)  # three steps an epoch
    (whole,) = train([model(epochs=4, **few)], tmp_path / "whole")
    with pytest.raises(Stopped):
        train([model(epochs=4, **few)], tmp_path / "broken", stop_after=2)
    (resumed,) = train([model(epochs=4, **few)], tmp_path / "broken")
    assert resumed.curve == whole.curve and all(
        torch.equal(resumed.end[n], w) for n, w in whole.end.items()
    )
    np.testing.assert_allclose(whole.curve["learning_rate"], [7.5e-4, 5e-4, 2.5e-4, 0], rtol=1e-6)
    (constant,) = train([model(epochs=2, **few, fading=False)], tmp_path / "constant")
    np.testing.assert_allclose(constant.curve["learning_rate"], [1e-3, 1e-3])


@pytest.mark.slow
def test_training_learns_to_tell_noise_from_images() -> None:
    """On images of 8 x 8: the left half is ink, or the right."""
    torch.manual_seed(0)
    family = Diffusion(Config(n_feat=8, time_steps=40), 8)
    halves = torch.zeros(2, 1, 8, 8)
    halves[0, ..., :4] = halves[1, ..., 4:] = 1
    batch = Pairs(*(halves.repeat(8, 1, 1, 1),) * 2)
    optimiser = torch.optim.Adam(family.parameters(), 3e-3)
    for step in range(100):
        given = torch.randn(16, *family.noise_shape, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        loss = family._loss(batch, given, family.hyper(0))["loss"].mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.4


# ---- drawing
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(("steps", "gamma"), [(0, 0.0), (5, 0.0), (0, 1.5)])
def test_a_network_that_knows_the_noise_draws_the_exemplar(
    published: bool, steps: int, gamma: float
) -> None:
    """Time, range of pixels, both samplers and guidance, together."""
    family = model(time_steps=30, ddim_steps=steps, gamma=gamma, published_process=published)

    def knows(x: Tensor, time: Tensor) -> Tensor:
        t = (time * (30 if published else 0.03)).round().long()
        alpha_bar = family.process.alpha_bar[t].view(-1, 1, 1, 1)
        sigma = family.process.one_minus_alpha_bar[t].view(-1, 1, 1, 1).sqrt()
        return (x[:, :1] - alpha_bar.sqrt() * family_sees) / sigma

    exemplars = pairs(4).exemplar
    family_sees = family.process.from_pixels(exemplars).repeat(2 if gamma else 1, 1, 1, 1)
    spy(family, knows)
    noise = torch.randn(4, *family.drawing_noise_shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        family.sample(exemplars, noise), exemplars, atol=0.05 if published else 1e-3, rtol=0
    )


def voices(x: Tensor, time: Tensor) -> Tensor:
    """A network that predicts 1 with an exemplar and 0.25 without."""
    given = (x[:, 1:] != 0).any(3).any(2).any(1).view(-1, 1, 1, 1)
    return torch.where(given, 1.0, 0.25).expand(-1, 1, *x.shape[2:])


def test_guidance_is_one_plus_gamma_times_with_less_gamma_times_without() -> None:
    exemplars, noise = pairs(3).target, torch.zeros(3, 4, SIZE, SIZE)
    for gamma in (0.0, 0.5, 2.0):
        family = model(gamma=gamma, time_steps=4)
        seen = spy(family, voices)
        family.process.sample_ddpm = lambda predict, noise: predict(
            noise[:, :1], torch.full((3,), 2)
        )  # type: ignore[method-assign]
        guided = family._draw_x0(exemplars, noise)
        torch.testing.assert_close(
            guided, torch.full_like(guided, (1 + gamma) * 1.0 - gamma * 0.25)
        )
        assert len(seen[0][0]) == (6 if gamma else 3)  # without guidance nothing is computed twice


def test_gamma_draws_from_one_training_and_changes_the_drawings() -> None:
    family = model(time_steps=8).eval()
    exemplars, noise = (
        pairs(3).target,
        torch.randn(3, 8, SIZE, SIZE, generator=torch.Generator().manual_seed(0)),
    )
    drawn = []
    for gamma in (0.0, 2.0):
        family.config = dataclasses.replace(family.config, gamma=gamma)
        drawn.append(family.sample(exemplars, noise))
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-4)


def test_published_drawings_are_stretched_and_corrected_ones_are_cut() -> None:
    for published in (False, True):
        family = model(published_process=published, ddim_steps=2, gamma=0.0)
        family._draw_x0 = lambda *_: torch.linspace(-3, 1, SIZE * SIZE).view(1, 1, SIZE, SIZE)  # type: ignore[method-assign]
        drawn = family.sample(pairs(1).target, torch.zeros(1, 1, SIZE, SIZE)).flatten()
        assert drawn.min() == 0 and drawn.max() == 1
        assert float((drawn == 0).float().mean()) == pytest.approx(
            1 / 256 if published else 0.5, abs=0.01
        )


def test_an_importance_map_sums_the_disagreement_over_the_steps() -> None:
    family = model(time_steps=5)
    spy(family, lambda x, time: voices(x, time) * (1 + time / 1000).view(-1, 1, 1, 1))
    maps = family.importance(pairs(3).target, torch.randn(3, *family.importance_noise_shape))
    expected = sum(0.75 * (1 + t / 5) for t in range(1, 6))
    torch.testing.assert_close(maps, torch.full((3, SIZE, SIZE), expected))


# ---- settings and sweeps
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (dict(n_feat=7), "n_feat = 7 is odd"),
        (dict(exemplars=2), "takes one exemplar, not 2"),
        (dict(exemplars=30, conditioning="film"), "needs classes of 31 images"),
        (dict(gamma=1.0), "gamma = 1 needs drop_probability"),
        (dict(ddim_steps=600), "more than time_steps = 500"),
        (dict(importance_seeds=3), "importance_seeds = 3 needs drop_probability"),
    ],
)
def test_impossible_combinations_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SweepError, match=told):
        expand(Sweep(question="?", model="diffusion", points=grid(batch_size=[8]), fixed=settings))


def test_the_published_gammas_share_one_training_and_the_widths_none() -> None:
    from oneshot.sweep.files import load_sweep

    gammas = [
        p
        for p in expand(load_sweep(str(small.ROOT / "sweeps" / "cfgdm_gamma.py")))
        if p.model == "diffusion"
    ]
    assert [p.settings["gamma"] for p in gammas] == [0, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2]
    assert len({p.train_id for p in gammas}) == 1 and len({p.sample_id for p in gammas}) == 8
    widths = [
        p
        for p in expand(load_sweep(str(small.ROOT / "sweeps" / "diffusion_width.py")))
        if p.model == "diffusion"
    ]
    assert len({p.train_id for p in widths}) == len(widths) == 36


GAMMAS = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What does gamma do?",
    model="diffusion",
    variant="tiny",
    points=grid(gamma=[0, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2]),
    fixed=dict(
        dataset="quickdraw", split="fixed", image_size=16, epochs=1, batch_size=512, ddim_steps=1,
        n_feat=4, drawings_per_class=10, diversity_drawings=10, importance_seeds=1,
    ),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=15, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=15, train_ways=20, train_queries=2),
    ),
)
"""


@pytest.fixture(scope="module")
def gammas(tmp_path_factory: pytest.TempPathFactory, finished: Path) -> Path:
    """Results of a sweep over gamma, with the critics of the small sweep; each call of `fit` leaves
    a line in fits.txt.
    """
    folder = tmp_path_factory.mktemp("gammas")
    (folder / "gammas.py").write_text(GAMMAS)
    small.copy_prepared(finished, folder)
    with first_images(train=500, schedule=100) as fits:
        done = small.main("gammas.py", "--local", "--results", "results", cwd=folder)
    assert done.returncode == 0 and "to be trained" not in done.stderr, done.stderr
    (folder / "fits.txt").write_text("\n".join(map(str, fits)))
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / "gammas" / f"{name}.parquet")


@pytest.mark.slow
def test_a_sweep_over_gamma_trains_once_and_draws_eight_times(gammas: Path) -> None:
    assert (gammas / "fits.txt").read_text().split() == ["1"]
    assert len(list((gammas / "results" / "store" / "trainings").iterdir())) == 1
    rows = table(gammas, "points").query("model == 'diffusion'")
    assert (
        len(rows) == rows.sample_id.nunique() == 8
        and rows.train_id.nunique() == 1
        and (rows.status == "done").all()
    )
    drawings = [
        np.load(gammas / "results" / "store" / "drawings" / i / "drawings.npz")["packed"]
        for i in rows.sample_id
    ]
    assert len({d.tobytes() for d in drawings}) == 8


@pytest.mark.slow
def test_its_curves_of_generalization_and_its_maps_are_in_the_tables(gammas: Path) -> None:
    points, curve, importance = (
        table(gammas, name) for name in ("points", "generalization", "importance")
    )
    assert (
        curve.groupby("point_id").size().loc[points.query("model != 'copy'").point_id].eq(10).all()
    )
    models = points.query("model == 'diffusion'")
    assert models.generalization_coverage.between(0, 1).all() and set(importance.point_id) == set(
        models.point_id
    )
    np.testing.assert_allclose(
        importance.groupby("point_id").sparsity.mean().loc[models.point_id],
        models.importance_sparsity,
        rtol=1e-5,
    )
    assert importance.sparsity.between(0, 0.5).all()
    shown = small.main(
        gammas / "results" / "gammas", "--importance", "--no-figures", script="analyze.py"
    )
    assert shown.returncode == 0 and "sparsity" in shown.stdout
