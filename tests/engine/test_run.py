"""Whole runs through the command: results, reuse, failure, and death in the middle, with real
processes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import clusters
import numpy as np
import pandas as pd
import pytest
import small

from oneshot import cli
from oneshot.engine import driver
from oneshot.engine.local import LocalEngine
from oneshot.engine.options import Options
from oneshot.engine.sweep_run import trial_label
from oneshot.models import vae_stn
from oneshot.scoring import sample
from oneshot.store import estimate, plan, tables
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.training.checkpoint import Training
from oneshot.trial import inputs, trial


@pytest.fixture
def prepared(finished: Path, tmp_path: Path) -> Path:
    """A fresh folder where the critics are there already, and nothing else."""
    small.copy_prepared(finished, tmp_path)
    return tmp_path


def files(folder: Path) -> dict[str, tuple[int, float]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime)
        for p in folder.rglob("*")
        if p.is_file()
    }


def points(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "results/small/points.parquet")


def test_a_run_leaves_one_row_a_point_with_references_in_their_place(finished: Path) -> None:
    frame = points(finished)
    assert frame.model.tolist() == [
        "human",
        "copy",
        "noise",
        "vae_stn",
        "vae_stn",
        "vae_stn",
    ] and set(frame.status) == {"done"}
    by_model = frame.drop_duplicates("model").set_index("model")
    assert by_model.loc["copy", ["diversity", "recognizability"]].tolist() == [0, 100]
    assert by_model.recognizability["noise"] == pytest.approx(5, abs=4)
    assert by_model.human_distance["human"] == 0 and by_model.recognizability["human"] > 10
    assert (frame.human_diversity == by_model.diversity["human"]).all()
    human, copy = by_model.loc["human"], by_model.loc["copy"]
    assert human.fid < 1e-6 and human.nearest_train == pytest.approx(1, abs=1e-6)
    assert human[["sample_precision", "sample_recall", "coverage"]].tolist() == [1, 1, 1]
    assert human.density == pytest.approx(1, abs=0.01)  # less than 1 where distances tie
    assert copy.vendi_classes == pytest.approx(1)
    assert frame[list(tables.PANEL)].notna().all(axis=None)
    assert (frame.fid[1:] > 0).all() and (frame.vendi > 1).all()
    expected = ((frame.diversity_ratio - 1) * 1.286 / 0.775) ** 2 + (
        (frame.recognizability - frame.human_recognizability) / 13.5
    ) ** 2
    np.testing.assert_allclose(frame.human_distance, expected**0.5, rtol=1e-6)
    assert list(frame.columns[:5]) == [
        "point_id",
        "status",
        "model",
        "beta",
        "seed",
    ] and frame.beta.tolist()[3:] == [0.0, 1.0, 2.0]
    models = frame[frame.model == "vae_stn"]
    assert (
        (models.epochs_done == 2).all()
        and (models.train_seconds > 0).all()
        and (models.drawings == small.TEST_CLASSES * 4).all()
    )
    assert (
        models.git_revision.notna().all()
        and models.torch.notna().all()
        and models.finished_at.notna().all()
    )


def test_the_other_tables_agree_with_the_points(finished: Path) -> None:
    frame, folder = points(finished), finished / "results/small"
    classes = (
        pd.read_parquet(folder / "classes.parquet")
        .groupby("point_id")[["diversity", "recognizability", "originality"]]
        .mean()
    )
    for metric in classes:
        np.testing.assert_allclose(
            classes[metric].reindex(frame.point_id), frame[metric], rtol=1e-5
        )
    # of people alone: the others have four drawings a class
    generalization = pd.read_parquet(folder / "generalization.parquet")
    assert generalization.point_id.tolist() == [
        frame.point_id[0]
    ] * 10 and generalization.bin.tolist() == [*range(1, 11)]
    scored = frame[["generalization_area", "generalization_coverage"]]
    assert scored.iloc[0].tolist() == [0, 1] and scored.iloc[1:].isna().all(axis=None)
    curves = pd.read_parquet(folder / "curves.parquet")
    assert (
        curves.groupby("point_id").size().tolist() == [2, 2, 2]
        and curves[["train_loss", "validation_loss"]].notna().all().all()
    )
    critics = pd.read_parquet(folder / "critics.parquet").set_index("critic")
    assert critics.test_recognizability["protonet"] > 2 * critics.chance_recognizability["protonet"]
    assert critics.test_loss["simclr"] < critics.chance_loss["simclr"]


def test_what_a_run_prints_fits_80_columns_and_says_what_matters(finished: Path) -> None:
    out, err = (finished / "stdout.txt").read_text(), (finished / "stderr.txt").read_text()
    assert (
        out.startswith("Finished: 6 done, 0 diverged, 0 failed")
        and "people" in out
        and "next        python analyze.py" in out
    )
    assert (
        "settings    vae_stn: variant tiny, dataset folder" in err
        and "protonet" in err
        and "\x1b" not in err
    )
    assert all(len(line) < 100 or str(finished) in line for line in (out + err).splitlines())


def test_running_again_computes_nothing(finished: Path) -> None:
    before = files(finished / "results/store") | files(finished / "results/small/records")
    again = small.main(finished / "small.py", "--results", finished / "results")
    assert again.returncode == 0 and "Nothing to run: all 6 points have a result" in again.stderr
    assert before == files(finished / "results/store") | files(finished / "results/small/records")


@pytest.mark.slow
def test_sample_and_score_settings_reuse_what_lies_before_them(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    store = tmp_path / "results/store"
    trainings, drawings = (files(store / k) for k in ("trainings", "drawings"))
    humans = len(list((store / "humans").glob("*.json")))
    done = small.main(
        finished / "small.py",
        "--local",
        "--results",
        tmp_path / "results",
        "--set",
        "protocol=episodes",
    )
    assert done.returncode == 0, done.stderr
    assert (
        files(store / "trainings") == trainings
        and files(store / "drawings") == drawings
        and len(list((store / "humans").glob("*.json"))) == humans + 1
    )
    episodes, expected = points(tmp_path), points(finished)
    assert set(episodes.protocol) == {"episodes"} and len(episodes) == 6
    # the two protocols agree
    np.testing.assert_allclose(episodes.recognizability, expected.recognizability, atol=2.0)
    done = small.main(
        finished / "small.py",
        "--local",
        "--results",
        tmp_path / "results",
        "--set",
        "drawings_per_class=3",
    )
    assert (
        done.returncode == 0
        and files(store / "trainings") == trainings
        and len(files(store / "drawings")) > len(drawings)
    )


def test_a_longer_axis_computes_only_the_new_points(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    text = (finished / "small.py").read_text().replace("[0.0, 1.0, 2.0]", "[0.0, 1.0, 2.0, 3.0]")
    (tmp_path / "small.py").write_text(text)
    small.write_images(tmp_path)
    before = files(tmp_path / "results/small/records")
    done = small.main(tmp_path / "small.py", "--local", "--results", tmp_path / "results")
    assert done.returncode == 0 and "1 done" in done.stdout
    after = files(tmp_path / "results/small/records")
    assert (
        len(after) == len(before) + 1
        and before.items() <= after.items()
        and len(points(tmp_path)) == 7
    )


def test_images_made_elsewhere_score_as_the_model_that_drew_them(
    finished: Path, tmp_path: Path
) -> None:
    """The drawings of a trained point, written to a file and scored as `drawings`, have the same
    metrics; a bad file is a failed row.
    """
    shutil.copytree(finished / "results", tmp_path / "results")
    row = points(finished).set_index("model").loc["vae_stn"].iloc[1]
    made = sample.from_bytes(
        (tmp_path / f"results/store/drawings/{row.sample_id}/drawings.npz").read_bytes()
    )
    given = dict(
        exemplar=made.label, exemplars=made.exemplars, class_names=np.array(made.class_names)
    )
    np.savez(tmp_path / "good.npz", images=made.images, **given)
    np.savez(tmp_path / "bad.npz", images=made.images * np.float32("nan"), **given)
    text = (
        (finished / "small.py")
        .read_text()
        .replace('model="vae_stn"', 'model="drawings"')
        .replace('variant="tiny",', "")
    )
    text = text.replace("import Sweep, grid", "import Sweep, points").replace(
        "epochs=2, batch_size=512, ", ""
    )
    made_sweep, results = tmp_path / "made.py", tmp_path / "results"
    small.write_images(tmp_path)

    def run(*names: str) -> small.Done:
        files = [dict(file=str(tmp_path / f"{name}.npz")) for name in names]
        made_sweep.write_text(text.replace("grid(beta=[0.0, 1.0, 2.0])", f"points({files})"))
        return small.main(made_sweep, "--local", "--results", results)

    refused = run("good", "bad")
    assert refused.returncode == 2 and not (results / "made").exists(), refused.stdout
    assert "bad.npz: images must be finite" in refused.stderr
    assert run("good").returncode == 0
    frame = pd.read_parquet(results / "made/points.parquet").set_index("model")
    for metric in ("diversity", "recognizability", "originality", "human_distance"):
        assert frame[metric]["drawings"] == pytest.approx(row[metric], rel=1e-5)


def test_looking_runs_and_writes_nothing(finished: Path, tmp_path: Path) -> None:
    sweep = small.write_sweep(tmp_path)
    for flag in ("--check", "--status", "--list"):
        done = small.main(sweep, flag, "--json", "--results", tmp_path / "nowhere")
        assert done.returncode == 0 and json.loads(done.stdout)
    facts = json.loads(
        small.main(
            sweep,
            "--check",
            "--json",
            "--seeds",
            "3",
            "--where",
            "beta <= 1",
            "--results",
            tmp_path / "nowhere",
        ).stdout
    )
    assert (facts["points"], facts["to_run"], facts["trainings"], facts["stacked_groups"]) == (
        9,
        9,
        6,
        3,
    )
    assert facts["estimate_seconds"] > 0 and not (tmp_path / "nowhere").exists()
    shown = small.main(
        sweep, "--check", "--set", "epochs=3", "--results", finished / "results"
    ).stdout
    assert "not reused  3 rows: epochs is 3, theirs 2" in shown
    assert ", last row " in small.main(sweep, "--status", "--results", finished / "results").stdout
    status = json.loads(
        small.main(
            sweep, "--status", "--json", "--seeds", "2", "--results", finished / "results"
        ).stdout
    )
    assert (status["done"], status["missing"], status["driver"]) == (6, 3, None)
    assert status["by_axis"]["beta"] == {
        "0": {"done": 1, "missing": 1},
        "1": {"done": 1, "missing": 1},
        "2": {"done": 1, "missing": 1},
    }


def test_only_the_first_round_stacks_trainings(tmp_path: Path) -> None:
    """A stack that vanishes is run again one training a trial; what vanishes in every round becomes
    a failed row.
    """
    made = plan.make(
        load_sweep(str(small.write_sweep(tmp_path))),
        Store(tmp_path / "results"),
        "model == 'vae_stn'",
    )
    rounds: list[tuple[list[int], bool]] = []
    labels: list[str] = []

    class Vanishing(LocalEngine):
        """Nothing to prepare; two slots; only the second round finishes anything, and then one
        point.
        """

        def prepare(self, points: Sequence[Point]) -> None:
            self.state.phase = ""

        def slots(self) -> int:
            return 2

        def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
            rounds.append(([len(group) for group in trials], attempt))
            labels.append(trial_label(trials[-1], ["beta"]))
            if len(rounds) == 2:
                trial.record_failure(trials[0][0], RuntimeError("first"), self.job)

    made.to_run = [p for p in made.to_run if p.model == "vae_stn"]
    outcome = driver.run(made, Options(max_stack=8), Vanishing)
    assert rounds == [([1, 2], 0), ([1, 1, 1], 1), ([1, 1], 2)]
    assert (
        labels[0] == "beta=1.0 seed=44 .. beta=2.0 seed=44 (2 stacked)"
        and labels[1] == "beta=2.0 seed=44"
    )
    assert outcome.counts["failed"] == 3 and outcome.missing == 0
    assert (
        sorted(r["error"] for r in outcome.new_rows)[0] == "first"
        and "in each of 3 rounds" in outcome.new_rows[-1]["error"]
    )


def test_the_work_of_a_stack_is_that_of_its_trainings(tmp_path: Path) -> None:
    points = [
        p for p in expand(load_sweep(str(small.write_sweep(tmp_path)))) if p.model == "vae_stn"
    ]
    assert (
        estimate.trial_work(points) == pytest.approx(3 * estimate.trial_work(points[:1]))
        and estimate.trial_work([]) == 0
    )
    assert estimate.trial_work([points[0], points[0]]) == estimate.trial_work(points[:1])


def test_a_stack_of_which_some_points_are_done_computes_the_others_only(
    finished: Path, tmp_path: Path
) -> None:
    """As when its worker died while it scored."""
    shutil.copytree(finished / "results", tmp_path / "results")
    job = trial.Job(Store(tmp_path / "results"), "small")
    points = [p for p in expand(load_sweep(str(finished / "small.py"))) if p.model == "vae_stn"]
    records = {
        p.point_id: tmp_path / "results" / "small" / "records" / f"{p.point_id}.json"
        for p in points
    }
    old = json.loads(records[points[1].point_id].read_text())["row"]
    records[points[1].point_id].unlink()
    times = {i: path.stat().st_mtime_ns for i, path in records.items() if path.exists()}
    assert trial.run(points, job) == dict.fromkeys(records, "done")
    assert times == {i: records[i].stat().st_mtime_ns for i in times}, (
        "a done point was computed again"
    )
    new = json.loads(records[points[1].point_id].read_text())["row"]
    assert [new[n] for n in ("diversity", "recognizability")] == [
        old[n] for n in ("diversity", "recognizability")
    ]


@pytest.mark.slow
def test_weights_are_dropped_when_asked_and_drawings_stay(prepared: Path) -> None:
    assert local(prepared, "--drop-weights") == 0
    store = prepared / "results" / "store"
    assert (
        not list(store.glob("trainings/*/training.pt"))
        and len(list(store.glob("drawings/*/drawings.npz"))) == 6
    )


def local(folder: Path, *more: str) -> int:
    return cli.main(
        [str(small.write_sweep(folder)), "--local", "--results", str(folder / "results"), *more]
    )


@pytest.mark.slow
def test_a_raising_model_leaves_a_failed_row_and_retry_mends_it(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = vae_stn.VaeStn.hyper

    def broken(self: Any, epoch: int) -> Any:
        if self.config.beta == 1.0:
            raise RuntimeError("the lamp went out")
        return whole(self, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(vae_stn.VaeStn, "hyper", broken)
        assert local(prepared) == 1
    shown = capsys.readouterr()
    assert (
        "1 x RuntimeError: the lamp went out" in shown.out
        and "--retry-failed" in shown.out
        and "failed" in shown.err
    )
    frame = points(prepared).set_index("beta")
    assert Counter(frame.status) == {"done": 5, "failed": 1} and frame.status[1.0] == "failed"
    assert frame.error[1.0] == "the lamp went out" and np.isnan(frame.diversity[1.0])
    assert "in broken" in Path(frame.log[1.0]).read_text()
    assert local(prepared) == 1, "a failed point is not run again unasked"
    assert local(prepared, "--retry-failed") == 0
    assert Counter(points(prepared).status) == {"done": 6}


@pytest.mark.slow
def test_a_diverging_model_is_a_result(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        vae_stn.VaeStn,
        "hyper",
        lambda self, epoch: {"beta": float("inf") if self.config.beta == 2 and epoch else 1.0},
    )
    assert local(prepared) == 0
    frame = points(prepared).set_index("beta")
    assert (
        frame.status[2.0] == "diverged"
        and frame.epochs_done[2.0] == 1
        and "in epoch 1" in frame.error[2.0]
    )
    curves = pd.read_parquet(prepared / "results/small/curves.parquet")
    assert (curves.point_id == frame.point_id[2.0]).sum() == 1
    assert local(prepared, "--retry-failed") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ["trainings", "drawings", "critics", "exemplars", "humans", "features"]
)
@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_damaged_artefacts_are_made_again(part: str, finished: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    shutil.copytree(finished, prepared)
    for path in (prepared / "results/store" / part).rglob("*"):
        if path.suffix in (".pt", ".npz", ".npy") or (
            part == "humans" and path.suffix == ".json" and path.parent.name == part
        ):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    shutil.rmtree(prepared / "results/small/records")
    inputs._cache.clear()  # as a new process, which has to read what lies there
    assert local(prepared, "--limit", "1") == 0
    mine, theirs = (points(f).set_index("point_id") for f in (prepared, finished))
    assert set(mine.status) == {"done"} and len(mine) == 4
    # trained again, here on one thread, which rounds differently and ends in another network
    if part == "critics":
        store = Store(prepared / "results")
        assert all(
            store.unseal(f"store/critics/{i}/weights.pt")
            for i in {mine.simclr_id.iloc[0], mine.protonet_id.iloc[0]}
        )
        assert len(list((prepared / "results/store/critics").rglob("*.damaged-*"))) == 2
    else:
        np.testing.assert_allclose(mine.diversity, theirs.diversity[mine.index], rtol=1e-4)


@pytest.mark.slow
def test_ctrl_c_saves_says_how_to_continue_and_resumes(prepared: Path) -> None:
    sweep, results = small.write_sweep(prepared, epochs=40, batch=128), prepared / "results"
    (notes := prepared / "notes").mkdir()
    process = small.start(sweep, "--results", results, "--limit", "2", notes=notes)
    references = lambda: len(list((results / "small/records").glob("*.json"))) >= 3  # noqa: E731
    small.wait_for(lambda: references() and len(clusters.epochs(notes)) >= 1, 300, process)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=100)
    assert process.returncode == 130, text
    assert (
        "Stopping: no new trials" in text
        and "continue from checkpoints" in text
        and f"Continue: python run_sweep.py {sweep}" in text
    )
    saved = list((results / "store/trainings").rglob("checkpoint.pt"))
    assert (
        saved and Training.from_bytes(Store(saved[0].parent).unseal(saved[0].name)).epochs_done >= 1
    )
    assert len(points(prepared)) == 3, "the tables are whole after a stop"
    assert small.status(sweep, results)["driver"] is None


def test_ctrl_c_while_critics_are_prepared_ends_at_once(tmp_path: Path) -> None:
    sweep = small.write_sweep(tmp_path)
    sweep.write_text(sweep.read_text().replace("simclr=dict(epochs=1", "simclr=dict(epochs=99"))
    process = small.start(sweep, "--results", tmp_path / "results", "--local")
    small.wait_for(
        lambda: small.status(sweep, tmp_path / "results")["phase"].startswith("preparing"),
        60,
        process,
    )
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert (
        process.returncode == 130 and "Stopped: 0 finished" in text and "Traceback" not in text
    ), text


@pytest.mark.slow
def test_a_second_driver_is_refused_and_a_dead_one_is_not_in_the_way(prepared: Path) -> None:
    sweep, results = small.write_sweep(prepared, epochs=200), prepared / "results"
    process = small.start(sweep, "--results", results, "--local")
    try:
        small.wait_for(lambda: small.status(sweep, results)["driver"] is not None, 60, process)
        second = small.main(sweep, "--results", results, "--local")
        assert (
            second.returncode == 2
            and f"is being run by process {process.pid}" in second.stderr
            and "help:" in second.stderr
        )
        assert (
            f"run by process {process.pid}"
            in small.main(sweep, "--results", results, "--status").stdout
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list((results / "small").glob("driver*.json")), "it left its lease behind"
    assert small.main(sweep, "--results", results, "--local", "--set", "epochs=1").returncode == 0


def test_a_read_only_results_folder_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        blocked = "/proc/oneshot"  # even root cannot write here
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        blocked = str(tmp_path / "locked/results")
    done = small.main(small.write_sweep(tmp_path), "--local", "--results", blocked)
    assert (
        done.returncode == 2
        and "error: cannot write" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_critic_weights_that_do_not_fit_are_refused_before_any_trial(tmp_path: Path) -> None:
    (tmp_path / "w.model").write_bytes(b"not weights")
    text = (
        small.write_sweep(tmp_path)
        .read_text()
        .replace("simclr=dict(", f"simclr=dict(weights={str(tmp_path / 'w.model')!r}, ")
    )
    (tmp_path / "small.py").write_text(text)
    done = small.main(tmp_path / "small.py", "--local", "--results", tmp_path / "results")
    assert (
        done.returncode == 2
        and "error: " in done.stderr
        and "image_size 16" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert not list((tmp_path / "results").rglob("records/*.json"))


def test_results_by_uri_are_the_same_results(prepared: Path, finished: Path) -> None:
    sweep = small.write_sweep(prepared)
    done = small.main(
        sweep, "--local", "--limit", "1", "--results", f"file://{prepared / 'results'}"
    )
    assert done.returncode == 0, done.stderr
    mine, theirs = (points(f).set_index("point_id") for f in (prepared, finished))
    assert len(mine) == 4
    np.testing.assert_allclose(mine.diversity, theirs.diversity[mine.index], rtol=1e-4)
    again = small.main(sweep, "--status", "--json", "--results", f"file://{prepared / 'results'}")
    assert json.loads(again.stdout)["done"] == 4


def test_a_stop_while_drawing_is_heard_within_a_batch_and_the_training_is_kept(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first point of a training is drawn, the second is stopped at: run again, it is drawn from
    the stored training.
    """
    text = (
        small.write_sweep(prepared)
        .read_text()
        .replace("grid(beta=[0.0, 1.0, 2.0])", "grid(drawings_per_class=[4, 5], beta=[0.7])")
    )
    (prepared / "twice.py").write_text(text.replace(", drawings_per_class=4", ""))
    points = [p for p in expand(load_sweep(str(prepared / "twice.py"))) if p.model == "vae_stn"]
    job = trial.Job(Store(prepared / "results"), "twice")
    told: list[tuple[str, int, int]] = []

    def follow(what: str, done: int, total: int, **_: float) -> None:
        told.append((what, done, total))
        if (what, total) == ("drawing", small.TEST_CLASSES * 5):
            job.store.write(job.stop_key(), b"stop")

    now = [0.0]
    monkeypatch.setattr(
        "oneshot.training.loop.time.monotonic", lambda: now.append(now[-1] + 2) or now[-1]
    )
    assert trial.run(points, job, follow) == {points[0].point_id: "done"}
    # more than 256 in two batches, then the stop
    assert [what for what, _, _ in told] == ["epoch", "epoch", "drawing", "drawing", "drawing"]
    job.store.delete(job.stop_key())
    again: list[str] = []
    assert (
        trial.run(points, job, lambda what, *_, **__: again.append(what))
        == {p.point_id: "done" for p in points}
        and "epoch" not in again
    )
