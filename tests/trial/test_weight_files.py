"""Points that start from a file of weights, from the command to records, and what is refused."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import published_files
import pytest
import small
import torch
from made_inputs import PROTONET, SIMCLR, some_points

from oneshot.critics import protonet, simclr
from oneshot.models import dagan, diffusion, set_vae
from oneshot.models.vae_stn import VARIANTS, Config, VaeStn
from oneshot.paths import DataError
from oneshot.store.store import Store
from oneshot.sweep import families
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.settings import COMMON, SettingError
from oneshot.trial import files, prepare
from oneshot.trial.files import MissingInput, file_key
from oneshot.trial.job import Job
from oneshot.trial.train import build, start_from_file, stored_training

CPU = torch.device("cpu")
SIZE = 16
SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Where do published weights lie?",
    model="vae_stn",
    variant="tiny",
    points=grid({axes}),
    references=(),
    fixed=dict(dataset="quickdraw", split="fixed", image_size={size}, drawings_per_class=2),
    critics=dict(simclr=dict({simclr}), protonet=dict({protonet})),
)
"""
FILES = 'weights_file=["a.model", "b.model"], epochs=[0]'


def write(axes: str, size: int = SIZE, simclr: str = SIMCLR, protonet: str = PROTONET) -> Path:
    path = Path("q.py")
    path.write_text(SWEEP.format(axes=axes, size=size, simclr=simclr, protonet=protonet))
    return path


def save(name: str, seed: int) -> dict[str, torch.Tensor]:
    """A published file of the tiny VAE-STN; returns the same weights by our names."""
    torch.manual_seed(seed)
    model = VaeStn(Config(**VARIANTS["tiny"]), SIZE)
    with torch.no_grad():
        model.location[-1].weight.normal_(0, 0.1)  # the window moves, so that its rows matter
    torch.save(published_files.vae_stn(model), name)
    return {n: t.clone() for n, t in model.state_dict().items()}


def records(results: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(results.rglob("records/*.json"))]
    return found


def nothing_was_written(results: Path) -> bool:
    return not results.exists() or not any(path.is_file() for path in results.rglob("*"))


def test_no_epochs_leave_the_weights_of_the_file(tmp_path: Path, store: Store) -> None:
    weights = [save("a.model", 1), save("b.model", 2)]
    sweep = write(FILES)
    done = small.main(sweep, "--local", "--results", store.root, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [record["row"] for record in records(Path(store.base))]
    assert len(rows) == 2
    assert all(row["status"] == "done" and row["epochs_done"] == 0 for row in rows)
    assert all(np.isfinite(row["diversity"]) for row in rows)
    job = Job(store, "q", "run")
    for point, imported in zip(expand(load_sweep(sweep)), weights):
        training = stored_training(point, job)
        assert training is not None and training.epochs_done == 0 and training.curve == {}
        assert training.best_epoch == -1
        for kept in (training.end, training.best):
            assert kept.keys() == imported.keys()
            assert all(torch.equal(kept[name], imported[name]) for name in imported)
    shown = small.main(Path(store.root) / "q", cwd=tmp_path, script="analyze.py")
    assert shown.returncode == 0, shown.stderr
    again = small.main(sweep, "--check", "--results", store.root, cwd=tmp_path)
    assert again.returncode == 0 and "to run 0" in again.stdout


OTHERS: dict[str, tuple[str, dict[str, Any], Any, str]] = {
    "set_vae": ("tiny_ns", dict(layers=1), set_vae.SetVae, ""),
    "dagan": ("tiny", {}, dagan.Dagan, "generator."),
    "diffusion": ("tiny", dict(exemplar_sign=-1.0), diffusion.Diffusion, ""),
}


@pytest.mark.parametrize("family", OTHERS)
def test_every_family_draws_from_its_published_file(
    family: str, tmp_path: Path, store: Store
) -> None:
    variant, changed, kind, part = OTHERS[family]
    module = importlib.import_module(f"oneshot.models.{family}")
    torch.manual_seed(1)
    model = kind(module.Config(**{**module.VARIANTS[variant], **changed}), SIZE)
    written = {
        "set_vae": lambda: published_files.neural_statistician(model, True),
        "dagan": lambda: published_files.dagan(model),
        "diffusion": lambda: published_files.unet(model),
    }
    torch.save(written[family](), "a.model")
    more = "".join(f", {name}=[{value!r}]" for name, value in changed.items())
    text = SWEEP.replace('"vae_stn"', repr(family)).replace('"tiny"', repr(variant))
    axes = f'weights_file=["a.model"], epochs=[0]{more}'
    sweep = Path("q.py")
    sweep.write_text(text.format(axes=axes, size=SIZE, simclr=SIMCLR, protonet=PROTONET))
    done = small.main(sweep, "--local", "--results", store.root, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (point,) = expand(load_sweep(sweep))
    training = stored_training(point, Job(store, "q", "run"))
    assert training is not None and training.epochs_done == 0
    imported = {n: t for n, t in model.state_dict().items() if n.startswith(part)}
    assert imported and all(torch.equal(training.end[name], t) for name, t in imported.items())


def test_training_goes_on_from_the_weights_of_the_file(tmp_path: Path, store: Store) -> None:
    imported = save("a.model", 1)
    sweep = write('weights_file=["a.model"], epochs=[1], learning_rate=[1e-7]')
    done = small.main(sweep, "--local", "--results", store.root, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (point,) = expand(load_sweep(sweep))
    training = stored_training(point, Job(store, "q", "run"))
    assert training is not None and training.epochs_done == 1
    moved = max((training.end[n] - imported[n]).abs().max().item() for n in imported)
    assert 0 < moved < 1e-4


def test_a_training_starts_from_the_content_that_its_id_was_made_from(
    tmp_path: Path, store: Store
) -> None:
    imported = save("a.model", 1)
    (point,) = expand(load_sweep(write('weights_file=["a.model"], epochs=[0]')))
    content = Path("a.model").read_bytes()
    save("a.model", 2)
    with pytest.raises(SettingError, match=r"a\.model has changed since this run began"):
        files.store_files([point], store)
    Path("a.model").write_bytes(content)
    files.store_files([point], store)
    Path("a.model").unlink()
    files.store_files([point, point], store)  # it is there
    family = build(point)
    start_from_file(point, family, store)
    assert all(torch.equal(family.state_dict()[name], imported[name]) for name in imported)


def test_damaged_content_in_the_store_is_brought_again(tmp_path: Path, store: Store) -> None:
    save("a.model", 1)
    (point,) = expand(load_sweep(write('weights_file=["a.model"], epochs=[0]')))
    with pytest.raises(MissingInput, match=r"a\.model is not in .* run the sweep again"):
        start_from_file(point, build(point), store)
    key = file_key("a.model", point.files["weights_file"])
    store.write(key, b"damaged")
    files.store_files([point], store)
    assert (
        store.unseal(file_key("a.model", point.files["weights_file"]))
        == Path("a.model").read_bytes()
    )


# --- refused before anything is prepared


@pytest.mark.parametrize("way", [("--check",), ("--local",)])
def test_a_file_that_does_not_fit_is_told_before_anything_is_prepared(
    way: tuple[str], tmp_path: Path, store: Store
) -> None:
    save("a.model", 1)
    torch.save({"fc_loc.0.weight": torch.ones(2)}, "b.model")
    done = small.main(write(FILES), *way, "--results", store.root, cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "error: b.model is not a file of a published VAE-STN" in done.stderr
    assert "missing fc_loc.0.bias" in done.stderr and "--> q.py" in done.stderr
    assert "a.model" not in done.stderr
    assert nothing_was_written(Path(store.base))


def test_a_family_that_reads_no_files_says_so(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(VaeStn, "published_state")
    for seed, name in enumerate(("a.model", "b.model")):
        save(name, seed)
    done = small.main(write(FILES), "--check", "--results", store.root, cwd=tmp_path)
    assert done.returncode == 2 and "error: VaeStn reads no published weights" in done.stderr


def test_no_epochs_without_a_file_are_refused(tmp_path: Path, store: Store) -> None:
    done = small.main(write("epochs=[0, 1]"), "--check", "--results", store.root, cwd=tmp_path)
    assert done.returncode == 2
    assert "epochs = 0 of vae_stn trains nothing: give a weights_file" in done.stderr


@pytest.mark.parametrize("way", [("--check",), ("--local",)])
@pytest.mark.parametrize(
    ("size", "file", "told"),
    [
        (50, "protonet.model", "is not a published simclr critic: missing projection.0.bias"),
        (16, "simclr.model", "published critics see 50x50 images, given image_size 16"),
        (50, "text.model", "text.model: not a torch file of tensors"),
    ],
    ids=["kind", "size", "text"],
)
def test_critics_that_do_not_fit_are_told_before_anything_is_prepared(
    size: int, file: str, told: str, way: tuple[str], tmp_path: Path, store: Store
) -> None:
    torch.save(simclr.SimCLR(50).state_dict(), "simclr.model")
    torch.save(protonet.ProtoNet(50).state_dict(), "protonet.model")
    Path("text.model").write_text("weights")
    sweep = write("beta=[1.0]", size, simclr=f'weights="{file}"')
    done = small.main(sweep, *way, "--results", store.root, cwd=tmp_path)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr
    assert nothing_was_written(Path(store.base))


def test_critics_that_fit_pass_the_check(tmp_path: Path, store: Store) -> None:
    torch.save(simclr.SimCLR(50).state_dict(), "simclr.model")
    torch.save(protonet.ProtoNet(50).state_dict(), "protonet.model")
    sweep = write(
        "beta=[1.0]", 50, simclr='weights="simclr.model"', protonet='weights="protonet.model"'
    )
    done = small.main(sweep, "--check", "--results", store.root, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_too_few_test_classes_are_told_by_the_check(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = families.constant

    def constant(kind: str, name: str, variable: str, *default: Any) -> Any:
        if variable == "TEST_CLASSES":
            return {"fixed": 19}
        return known(kind, name, variable, *default)

    monkeypatch.setattr(families, "constant", constant)
    assert COMMON["ways"].default == 20
    done = small.main(write("beta=[1.0]"), "--check", "--results", store.root, cwd=tmp_path)
    assert done.returncode == 2 and nothing_was_written(Path(store.base))
    assert "quickdraw has 19 test classes in its split 'fixed'" in done.stderr
    assert "recognizability needs 20" in done.stderr


def test_too_few_test_classes_are_told_before_critics_are_trained(
    tmp_path: Path, store: Store, trained: list[str]
) -> None:
    (point,) = some_points(tmp_path)
    # the made images have 22
    point = dataclasses.replace(point, settings={**point.settings, "ways": 23})
    with pytest.raises(DataError, match=r"22 test classes .* recognizability needs 23"):
        prepare.prepare(point, store, CPU)
    assert trained == []
