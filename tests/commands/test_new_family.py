"""`python -m oneshot new family` and `check family`: what is written works, mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_families import change, forgotten

from oneshot import __main__ as command

__all__ = ["forgotten"]
pytestmark = pytest.mark.usefixtures("forgotten")


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert command.main(["new", "family", "my_vae"]) == 0
    return tmp_path / "my_vae.py"


def check(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = command.main(["check", "family", "./my_vae.py"])
    shown = capsys.readouterr()
    return status, shown.out + shown.err


def test_what_is_written_keeps_the_rules(family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len([line for line in family.read_text().splitlines() if line]) <= 66
    status, text = check(capsys)
    assert status == 0 and "my_vae.py keeps the rules (tiny)" in text, text


def test_nothing_is_overwritten_and_names_are_those_of_families(
    family: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = family.read_text()
    for name, words in {
        "my_vae": "is there already, and stays as it is",
        "vae_stn": "there is a family 'vae_stn' already",
        "my-vae": "'my-vae' cannot name a family",
        "class": "'class' cannot name a family",
        "random": "'random' is a module of Python",
    }.items():
        assert command.main(["new", "family", name]) == 2
        assert words in capsys.readouterr().err
    assert family.read_text() == before and len(list(family.parent.iterdir())) == 2


KL = "gaussian_kl(mean[:, None], log_variance[:, None])"
LOSS = 'reconstruction + hyper["beta"] * kl'
MISTAKES = {
    "a loss for the batch": (
        LOSS,
        f"({LOSS}).mean()",
        "loss is one number for the batch; one per example was expected",
    ),
    "a term for the batch": (KL, "gaussian_kl(mean, log_variance)", "kl is one number for the"),
    "a loss for each latent": (
        '"kl": kl',
        '"kl": mean.square()',
        "kl has the shape (5, 4) for a batch of 5; one number per example was expected",
    ),
    "no loss": ('"loss": loss, ', "", 'one of them must be "loss"'),
    "examples that share": (
        LOSS,
        f"{LOSS} + reconstruction.mean()",
        "depends on the other examples",
    ),
    "an unused layer": (
        "        self.widen =",
        "        self.spare = nn.Linear(2, 2)\n        self.widen =",
        "does not depend on the parameter spare.weight",
    ),
    "a parameter of nobody": (
        "list(self.parameters())",
        "list(self.decode.parameters())",
        "no player moves the parameter look.0.weight",
    ),
    "logits for drawings": (
        "torch.sigmoid(self._logits(exemplars, noise))",
        "9 * self._logits(exemplars, noise)",
        "0 to 1 was expected: end with torch.sigmoid",
    ),
    "drawings of another size": (
        "torch.sigmoid(self._logits(exemplars, noise))",
        "torch.sigmoid(self._logits(exemplars, noise))[..., 1:]",
        "sample gives the shape (5, 1, 20, 19); (5, 1, 20, 20) was expected",
    ),
    "noise of its own": (
        "* noise\n",
        "* torch.randn_like(mean)\n",
        "it draws random numbers of its own",
    ),
    "a look at values": (
        "        kl =",
        "        if mean.sum() > 1e9:\n            mean = mean / 2\n        kl =",
        "models cannot train as one stack, by torch.vmap: my_vae.py, line",
    ),
    "a setting past hyper": (
        'hyper["beta"] * kl',
        "self.config.beta * kl",
        "the loss depends on beta of the Config",
    ),
    "a state between": (
        "        loss =",
        "        self.calls = getattr(self, 'calls', 0) + 1\n"
        "        reconstruction = reconstruction * self.calls\n        loss =",
        "the same batch gives another loss the second time",
    ),
    "one image size": (
        "-(-image_size // 4)",
        "5",
        "image_size=28: my_vae.py, line",
    ),
    "a wrong layer": (
        "nn.Linear(config.z + features, features)",
        "nn.Linear(config.z, features)",
        "the loss raises an error. my_vae.py, line",
    ),
    "no class": ("FAMILY = MyVae\n", "", "the file must end with FAMILY = ..."),
    "no method": ("def hyper(", "def hyper_parameters(", "MyVae lacks hyper"),
    "a declaration": ("(TrainingSettings)", "", "class Config(TrainingSettings) has epochs"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_explained(
    mistake: str, family: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, words = MISTAKES[mistake]
    change(family.parent, old, new)
    status, text = check(capsys)
    assert status == (2 if mistake == "a declaration" else 1)
    assert words in text, text


def test_families_of_the_package_can_be_checked_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check", "family", "mlp_vae"]) == 0
    assert "mlp_vae keeps the rules" in capsys.readouterr().out
    assert command.main(["check", "family", "copy"]) == 0
    assert command.main(["check", "family", "no_such"]) == 2
