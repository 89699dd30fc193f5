"""Sweeps of set VAEs from the command to the tables: likelihoods, digits, colour."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
from mnist_files import idx
from short_training import first_images

from oneshot.store import records
from oneshot.sweep import Sweep, SweepError, grid, points
from oneshot.sweep.expansion import expand

pytestmark = pytest.mark.slow  # they share one run of a sweep

DIGITS_PER_CLASS = 6

SETS = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Do sets work?",
    model="set_vae",
    points=grid(variant=["tiny", "tiny_vae", "tiny_ns"], beta=[0.5, 1.0]),
    fixed=dict(
        dataset="quickdraw", split="fixed", image_size=16, drawings_per_class=0, epochs=1,
        batch_size=50, set_size=8, augmented_copies=0, binarisation="stochastic",
        likelihood="nll", nll_samples=12, nll_sets=3, test_sets=6, transfer="mnist", classify=False,
    ),
)
"""

FACES = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does colour work?",
    model="set_vae",
    variant="tiny",
    points=grid(beta=[1.0, 2.0]),
    fixed=dict(
        dataset="celeba", split="identities", image_size=16, pixels="logistic_mixture", epochs=1,
        set_size=3, drawings_per_class=2, test_sets=4, augmented_copies=1,
    ),
)
"""


def made_digits(folder: Path) -> None:
    """Ten kinds of bars as MNIST files, 6 each."""
    rng = np.random.default_rng(0)
    label = np.arange(10, dtype=np.uint8).repeat(DIGITS_PER_CLASS)
    grey = np.zeros((len(label), 28, 28), np.uint8)
    for image, digit in zip(grey, label):
        image[4 : 6 + 2 * digit, 8:20] = rng.integers(100, 256)
    folder.mkdir(parents=True)
    for name, array in (("t10k-images-idx3-ubyte", grey), ("t10k-labels-idx1-ubyte", label)):
        (folder / name).write_bytes(idx(array))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the sweep SETS with a folder of made digits beside it."""
    folder = tmp_path_factory.mktemp("sets")
    made_digits(folder / "data" / "mnist")
    (folder / "sets.py").write_text(SETS)
    with first_images(train=1600, schedule=800):
        done = small.main("sets.py", "--local", "--results", "results", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout + done.stderr)
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / "sets" / f"{name}.parquet")


def test_a_sweep_over_variants_needs_no_critics_and_leaves_likelihoods(sets: Path) -> None:
    found = table(sets, "points")
    assert (
        len(found) == 6
        and (found.status == "done").all()
        and set(found.variant) == {"tiny", "tiny_vae", "tiny_ns"}
    )
    assert not list((sets / "results" / "store").glob("critics/*"))
    assert (
        found.diversity.isna().all()
        and np.isfinite(found[["nelbo", "nll", "kl_z"]].to_numpy()).all()
    )
    assert found.mnist_nelbo.isna().all()  # no set of 8 digits of a kind
    assert (found.nll < found.nelbo).all() and (
        found.query("variant == 'tiny_vae'").kl_c == 0
    ).all()
    np.testing.assert_allclose(
        found.nelbo, found.reconstruction + found.kl_c + found.kl_z, rtol=1e-5
    )
    text = (sets / "stdout.txt").read_text()
    assert "lowest" in text and "NELBO" in text and "no critics: likelihoods only" in text


def test_the_stack_of_a_variant_trains_each_of_its_betas(sets: Path) -> None:
    found = table(sets, "points")
    assert (found.trained_as == "stack of 2, eager").all() and found.train_id.nunique() == 6
    curves = table(sets, "curves")
    assert {"train_kl_c", "validation_kl_z", "validation_loss"} <= set(curves.columns) and len(
        curves
    ) == 6


def test_likelihoods_stand_by_data_set_and_size(sets: Path) -> None:
    found, likelihood = table(sets, "points"), table(sets, "likelihood")
    sizes = {
        name: sorted(rows_of.set_size.unique()) for name, rows_of in likelihood.groupby("dataset")
    }
    # six digits of a kind make no set of 8
    assert sizes == {"test": [1, 2, 5, 8, 10, 20], "mnist": [1, 2, 5]}
    assert (
        likelihood.query("dataset == 'mnist'").nll.isna().all()
        and likelihood.query("dataset == 'test'").nll.notna().all()
    )
    own = likelihood.query("dataset == 'test' and set_size == 8").set_index("point_id").nelbo
    np.testing.assert_allclose(own.loc[found.point_id].to_numpy(), found.nelbo)
    layers, attention = table(sets, "layers"), table(sets, "attention")
    totals = (
        layers.groupby(["point_id", "latent"]).kl.sum().unstack(fill_value=0).loc[found.point_id]
    )
    np.testing.assert_allclose(totals[["c", "z"]], found[["kl_c", "kl_z"]], rtol=1e-4, atol=1e-6)
    tiny = set(found.query("variant == 'tiny'").point_id)
    assert (
        set(attention.point_id) == tiny
        and attention.level.isin(["c1", "c2"]).all()
        and set(attention.member) == set(range(8))
    )
    np.testing.assert_allclose(
        attention.groupby(["point_id", "set", "level", "head"]).weight.sum(), 1, rtol=1e-5
    )


def test_running_it_again_computes_nothing_and_other_score_settings_train_nothing(
    sets: Path,
) -> None:
    again = small.main("sets.py", "--local", "--results", "results", cwd=sets)
    assert again.returncode == 0 and "Nothing to run: all 6 points have a result" in again.stderr
    before = {
        f: f.stat().st_mtime_ns
        for f in (sets / "results" / "store" / "trainings").glob("*/training.pt")
    }
    other = small.main(
        "sets.py",
        "--local",
        "--results",
        "results",
        "--set",
        "nll_samples=3",
        "--set",
        "classify=False",
        cwd=sets,
    )
    assert other.returncode == 0, other.stderr
    assert (
        before
        == {
            f: f.stat().st_mtime_ns
            for f in (sets / "results" / "store" / "trainings").glob("*/training.pt")
        }
        and len(before) == 6
    )


def test_points_that_differ_in_how_they_draw_share_a_training(tmp_path: Path) -> None:
    text = FACES.replace(
        "points=grid(beta=[1.0, 2.0])",
        "points=grid(drawing=['conditional', 'unconditional', 'refined_union'],"
        " refinements=[1, 2])",
    )
    made_faces(tmp_path)
    (tmp_path / "faces.py").write_text(
        text.replace("test_sets=4", "test_sets=4, likelihood='none'")
    )
    done = small.main("faces.py", "--local", "--results", "results", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = pd.read_parquet(tmp_path / "results" / "faces" / "points.parquet")
    assert (
        len(found) == 6
        and found.train_id.nunique() == 1
        and len(list((tmp_path / "results" / "store" / "trainings").iterdir())) == 1
    )
    drawn = {}
    for row in found.itertuples():
        with np.load(
            tmp_path / "results" / "store" / "drawings" / str(row.sample_id) / "drawings.npz"
        ) as file:
            drawn[row.drawing, row.refinements] = file["images"].astype(int)
    assert np.array_equal(drawn["conditional", 1], drawn["conditional", 2])
    for one, other in itertools.combinations(
        [("conditional", 1), ("unconditional", 1), ("refined_union", 1), ("refined_union", 2)], 2
    ):
        assert (drawn[one] != drawn[other]).mean() > 0.1, (one, other)


def test_classification_leaves_its_table(sets: Path) -> None:
    done = small.main(
        "sets.py",
        "--local",
        "--results",
        "results",
        "--where",
        "variant == 'tiny' and beta == 1",
        "--set",
        "classify=True",
        "--set",
        "likelihood='none'",
        "--set",
        "transfer='none'",
        cwd=sets,
    )
    # no likelihood, no drawings
    assert done.returncode == 2 and "nothing would be scored" in done.stderr
    done = small.main(
        "sets.py",
        "--local",
        "--results",
        "results",
        "--where",
        "variant == 'tiny' and beta == 1",
        "--set",
        "classify=True",
        cwd=sets,
    )
    assert done.returncode == 0, done.stderr
    confusion = table(sets, "confusion")
    counts = confusion.groupby(["scorer", "digit"])["count"].sum()
    # six of a kind, five of them the support
    assert set(confusion.scorer) == {"kl", "elbo", "reconstruction"} and (counts == 1).all()
    found = table(sets, "points").dropna(subset=["classified_kl"])
    right = confusion.query("scorer == 'kl' and digit == predicted")["count"].sum()
    assert len(found) == 1 and found.classified_kl.iloc[0] == pytest.approx(100 * right / 10)


def test_missing_digits_are_named_before_any_trial(tmp_path: Path) -> None:
    (tmp_path / "sets.py").write_text(SETS)
    done = small.main("sets.py", "--local", "--results", "results", cwd=tmp_path)
    assert (
        done.returncode == 2
        and "MNIST" in done.stderr
        and "help:" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert not list(tmp_path.glob("results/sets/records/*"))


def made_faces(folder: Path) -> None:
    """Twelve identities with 20 noisy pictures each, as CelebA has them."""
    from PIL import Image

    rng, lines = np.random.default_rng(0), []
    pictures = folder / "data" / "celeba" / "img_align_celeba"
    pictures.mkdir(parents=True)
    for identity in range(1, 13):
        for number in range(20):
            name = f"{20 * identity + number:06d}.jpg"
            Image.fromarray(np.uint8(rng.integers(0, 40, (22, 18, 3)) + 15 * identity)).save(
                pictures / name
            )
            lines.append(f"{name} {identity}")
    (folder / "data" / "celeba" / "identity_CelebA.txt").write_text("\n".join(lines) + "\n")


def test_a_colour_sweep_has_likelihoods_and_colour_drawings(tmp_path: Path) -> None:
    made_faces(tmp_path)
    (tmp_path / "faces.py").write_text(FACES)
    done = small.main("faces.py", "--local", "--results", "results", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = pd.read_parquet(tmp_path / "results" / "faces" / "points.parquet")
    assert (
        len(found) == 2
        and (found.status == "done").all()
        and found.nelbo.gt(0).all()
        and found.diversity.isna().all()
    )
    (first, *_) = sorted((tmp_path / "results" / "store" / "drawings").glob("*/drawings.npz"))
    with np.load(first) as file:
        assert (
            file["images"].shape == (2 * 2, 16, 16, 3)
            and file["images"].dtype == np.uint8
            and file["exemplars"].shape == (2, 16, 16, 3)
        )
    looked = small.main(
        tmp_path / "results" / "faces",
        "--figures",
        tmp_path / "figures",
        script="analyze.py",
        cwd=tmp_path,
    )
    assert looked.returncode == 0, looked.stderr
    assert (tmp_path / "figures" / "sheet.png").exists() and "nelbo" in looked.stdout


def problems(**settings: object) -> str:
    """What an expansion with these settings says."""
    fixed = dict(dataset="quickdraw", split="fixed", image_size=28)
    values = {k: [v] for k, v in settings.items()}
    with pytest.raises(SweepError) as caught:
        expand(
            Sweep(
                "?",
                "set_vae",
                grid(**values),
                fixed={k: v for k, v in fixed.items() if k not in settings},
            )
        )
    return str(caught.value)


def test_combinations_that_cannot_be_are_refused_with_what_is_allowed() -> None:
    assert "latents = 'pyramid' needs context = 'hierarchical'" in problems(
        latents="pyramid", carry="stream", context="flat"
    )
    assert "set_size = 90 is more than the 80 images of a class" in problems(set_size=90)
    assert "variant = 'nss'" in problems(variant="nss") and "cthfsgm" in problems(variant="nss")
    assert "logistic_mixture" in problems(pixels="logistic_mixture")
    assert "diversity needs 2" in problems(drawings_per_class=1)
    assert "3" in problems(dataset="cifar10", image_size=32) and "'bernoulli'" in problems(
        dataset="cifar10", image_size=32
    )
    with pytest.raises(
        SweepError, match="vae_stn models binary images, cifar10 holds colour images"
    ):
        expand(
            Sweep(
                "?",
                "vae_stn",
                grid(beta=[1.0]),
                fixed=dict(dataset="cifar10", split="fixed", image_size=32),
            )
        )


def test_a_variant_gives_defaults_that_the_sweep_overrules_and_enters_no_id() -> None:
    fixed = dict(dataset="quickdraw", split="fixed", image_size=28, c=8)
    named = expand(
        Sweep(
            "?",
            "set_vae",
            points([dict(variant="cns"), dict(variant="ns", hidden=96)]),
            fixed=fixed,
        )
    )[-2:]
    assert [(p.settings["latents"], p.settings["hidden"], p.settings["c"]) for p in named] == [
        ("map", 256, 8),
        ("vector", 96, 8),
    ]
    by_hand = expand(
        Sweep(
            "?",
            "set_vae",
            grid(latents=["map"]),
            fixed={**fixed, **dict(hidden=256, learning_rate=2e-4, epochs=1000)},
        )
    )[-1]
    assert by_hand.point_id == named[0].point_id and by_hand.settings["variant"] == ""
    references = expand(Sweep("?", "set_vae", grid(variant=["cns", "ns"]), fixed=fixed))
    assert len([p for p in references if p.model == "human"]) == 1


def test_records_of_earlier_formats_are_read() -> None:
    record = records.Record(
        dict(point_id="p", status="done"), {"class_name": ["a"], "diversity": [0.5]}, {"epoch": [0]}
    )
    text = records.encode(record)
    old = json.loads(text)
    assert "likelihood" not in old  # a sweep without likelihoods writes what it wrote before
    assert records.decode(text).likelihood == {}
