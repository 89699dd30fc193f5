"""Files of published models: read by a point, they draw what the published code drew with them.

The golden numbers are those of `test_golden_outputs.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import published_files
import pytest
import torch
from golden_fill import cross, filled, sines, square
from torch import Tensor

from oneshot.models import dagan, diffusion, set_vae, vae_stn
from oneshot.nn.state_file import StateFileError
from oneshot.store.store import Store
from oneshot.sweep import Sweep, grid
from oneshot.sweep.expansion import expand
from oneshot.sweep.point import Point
from oneshot.trial import files, weight_files
from oneshot.trial.train import build, start_from_file

pytestmark = pytest.mark.usefixtures("own_cache")

STN: dict[str, Any] = dict(time_steps=5, z=10, published_loss=True)


def point(model: str, path: Path, size: int = 50, **settings: Any) -> Point:
    """A point that draws from a file."""
    images = dict(dataset="quickdraw", split="fixed", image_size=size, epochs=0)
    (made,) = expand(
        Sweep(
            question="q",
            model=model,
            points=grid(weights_file=[str(path)]),
            fixed={**images, **settings},
            references=(),
        )
    )
    return made


def started(made: Point) -> Any:
    """The family of a point as its training begins."""
    family, store = build(made), Store(Path(made.settings["weights_file"]).parent / "results")
    files.store_files([made], store)
    start_from_file(made, family, store)
    return family


def imported(model: str, path: Path, size: int = 50, **settings: Any) -> Any:
    """The family of such a point, which also passes the check of files."""
    made = point(model, path, size, **settings)
    assert weight_files.problems([made]) == []
    return started(made).double().eval()


@pytest.fixture(scope="module")
def stn() -> vae_stn.VaeStn:
    model = filled(vae_stn.VaeStn(vae_stn.Config(**STN), 50), 2.0)
    last = model.location[-1]
    with torch.no_grad():
        last.bias.copy_(torch.tensor([1, 0.1, 0.05, -0.1, 0.9, -0.05], dtype=torch.float64))
        last.weight.mul_(0.3)
    return model


@pytest.fixture
def stn_file(stn: vae_stn.VaeStn, tmp_path: Path) -> Path:
    path = tmp_path / "_end.model"
    torch.save(published_files.vae_stn(stn), path)
    return path


def test_a_published_vae_stn_draws_the_golden_sample(stn_file: Path) -> None:
    bias = torch.load(stn_file)["fc_loc.4.bias"]
    assert bias.tolist() == [1, 0.1, -0.1, 0.9, 0.05, -0.05]  # a b c d tx ty
    drawn = imported("vae_stn", stn_file, **STN).sample(square(50), sines(50, 0.5).view(1, 5, 10))
    assert drawn.mean().item() == pytest.approx(0.4995162513, rel=1e-6)
    places = [drawn[0, 0, 10, 10], drawn[0, 0, 25, 25], drawn[0, 0, 40, 12]]
    assert torch.stack(places).tolist() == pytest.approx([0.2471124, 0.83770705, 0.16426407], 1e-5)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_published_neural_statistician_draws_the_golden_sample(
    side_by_side: bool, tmp_path: Path
) -> None:
    values = set_vae.VARIANTS["ns_50"]
    model = filled(set_vae.SetVae(set_vae.Config(**values), 50), 1.5)
    path = tmp_path / "ns.model"
    torch.save(published_files.neural_statistician(model, side_by_side), path)
    family = imported("set_vae", path, variant="ns_50")
    noise = torch.cat([sines(512, 0.5), sines(16, 0.2)]).view(1, 1, -1)
    with torch.no_grad():
        drawn = family.sample(square(50), noise)
    assert drawn.mean().item() == pytest.approx(0.6344041542, rel=1e-6)
    assert all(
        torch.equal(family.state_dict()[n], t.float()) for n, t in model.state_dict().items()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "mean"), [("uresnet", 0.4863179178), ("resnet", 0.4829979217)]
)
def test_a_published_dagan_draws_the_golden_sample(
    generator: str, mean: float, tmp_path: Path
) -> None:
    model = filled(dagan.Dagan(dagan.Config(generator=generator), 50), 2.0)
    path = tmp_path / "end_model.pt"
    torch.save(published_files.dagan(model), path)
    family = imported("dagan", path, generator=generator)
    drawn = family.sample(cross(50), sines(128, 0.5).unsqueeze(0))
    assert drawn.mean().item() == pytest.approx(mean, rel=1e-6)
    random = started(point("dagan", path, generator=generator)).critic.state_dict()
    assert len(random) and not any(t.isnan().any() for t in random.values())


def test_a_published_diffusion_network_predicts_the_golden_noise(tmp_path: Path) -> None:
    config = diffusion.Config(published_process=True)
    model = filled(diffusion.Diffusion(config, 48), 1.5)
    path = tmp_path / "ddpm.model"
    torch.save(published_files.unet(model), path)
    x, exemplar = sines(48 * 48, 0.0, 0.1).view(1, 1, 48, 48), cross(50)[..., 1:-1, 1:-1]

    def predicted(sign: float, exemplar: Tensor) -> Tensor:
        family = imported("diffusion", path, 48, published_process=True, exemplar_sign=sign)
        with torch.no_grad():
            context = family._context(exemplar.unsqueeze(1))
            ones = torch.ones(1, dtype=torch.float64)
            noise_hat: Tensor = family._noise_hat(x, torch.tensor([250]), context, ones)
        return noise_hat

    noise_hat = predicted(1.0, exemplar)
    assert noise_hat.mean().item() == pytest.approx(-0.3827929967, rel=1e-5)
    assert noise_hat.std().item() == pytest.approx(1.1362782183, rel=1e-6)
    # a network that has learned exemplars times -1 sees them so
    torch.testing.assert_close(predicted(-1.0, -exemplar), noise_hat)
    assert (predicted(-1.0, exemplar) - noise_hat).abs().max() > 1e-3


def test_other_set_vaes_are_read_by_our_names(tmp_path: Path) -> None:
    values = set_vae.VARIANTS["tiny_ctns"]
    model = set_vae.SetVae(set_vae.Config(**values), 16)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    family = started(point("set_vae", tmp_path / "w.pt", 16, variant="tiny_ctns"))
    assert all(torch.equal(family.state_dict()[n], t) for n, t in model.state_dict().items())


# --- what is refused


def less(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t for name, t in state.items() if name != "rnn.bias_hh"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (less, "missing rnn.bias_hh; unexpected nothing"),
        (lambda s: {**s, "gru.bias": torch.ones(1)}, "missing nothing; unexpected gru.bias"),
        (
            lambda s: {**s, "rnn.weight_ih": torch.ones(1600, 245)},
            "rnn.weight_ih is [1600, 245], needs [1600, 235]",
        ),
        (
            lambda s: {**s, "to_imagette.2.bias": torch.full((225,), math.nan)},
            "NaN or infinity in to_imagette.2.bias",
        ),
        (lambda s: {"state_dict": s, "epoch": 3}, "not a bare state dict"),
        (lambda s: b"no torch file", "not a torch file of tensors"),
        (lambda s: {**s, "code": np.ones}, "not a torch file of tensors"),
    ],
    ids=["missing", "unexpected", "shape", "nan", "checkpoint", "text", "code"],
)
def test_files_that_do_not_fit_are_refused_with_the_reason(
    change: Callable[[Any], Any], told: str, stn: vae_stn.VaeStn, tmp_path: Path
) -> None:
    content, path = change(published_files.vae_stn(stn)), tmp_path / "x.model"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    made = point("vae_stn", path, **STN)
    ((message, place),) = weight_files.problems([made, made])
    assert told in message and str(path) in message and place == made.place
    with pytest.raises(StateFileError):
        started(made)


def test_a_file_of_other_settings_is_refused(stn_file: Path) -> None:
    for changed in (dict(z=11), dict(lstm_size=404), dict(glimpse=14), dict(hidden=508)):
        made = point("vae_stn", stn_file, **{**STN, **changed})
        ((message, _),) = weight_files.problems([made])
        assert "needs [" in message


# --- ids and stacks


def test_the_content_of_a_file_and_not_its_name_enters_ids(
    stn: vae_stn.VaeStn, stn_file: Path, tmp_path: Path
) -> None:
    copy, other = tmp_path / "copy.model", tmp_path / "other.model"
    copy.write_bytes(stn_file.read_bytes())
    changed = published_files.vae_stn(stn)
    changed["to_imagette.2.bias"] = changed["to_imagette.2.bias"] + 1
    torch.save(changed, other)
    first, same, different = (point("vae_stn", path, **STN) for path in (stn_file, copy, other))
    assert (first.train_id, first.stack_key) == (same.train_id, same.stack_key)
    # points of different files never share a stack
    assert first.train_id != different.train_id and first.stack_key != different.stack_key
    bias = started(different).imagette[2].bias - started(first).imagette[2].bias
    torch.testing.assert_close(bias, torch.ones(225))
