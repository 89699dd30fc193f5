"""What each tracker keeps of a run, read back by its own package."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import logged_runs
import pytest

BLOCK, WHOLE, LAST = 32768, 1, 4
NAMES = ("tensorboard", "mlflow", "wandb", "trackio")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that was run, and whose failed point was run again, with every tracker
    that is installed here.
    """
    names = logged_runs.installed()
    if not names:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    folder = tmp_path_factory.mktemp("logged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        for name in ("MLFLOW_TRACKING_URI", "WANDB_DIR", "WANDB_PROJECT", "TRACKIO_DIR"):
            patch.delenv(name, raising=False)
        assert logged_runs.run(folder, names).counts == {"done": 2, "diverged": 0, "failed": 1}
        assert logged_runs.run(folder, names, failing=None, ended="02:03:04").counts["done"] == 1
        assert logged_runs.run(folder, names).missing == 0  # with nothing to do
    for name in names:
        note = json.loads((folder / f"results/made/logged/{name}.json").read_text())
        assert len(note["points"]) == 3, name
    return folder / "results" / "made"


def test_tensorboard_has_a_run_a_point_with_curves_results_and_sheets(logged: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folders = sorted(path for path in (logged / "tensorboard").iterdir() if path.is_dir())
    assert [path.name.rpartition("_")[0] for path in folders] == [
        f"beta={beta}_seed=44" for beta in (0, 1, 2)
    ]
    for folder in folders:
        assert len(list(folder.iterdir())) == 1, "what is logged again replaces what was there"
        events = EventAccumulator(str(folder)).Reload()
        losses = events.Scalars("train/loss")
        assert [(e.step, e.value) for e in losses] == [(0, 2.0), (1, 1.0)]
        assert losses[1].wall_time - losses[0].wall_time == pytest.approx(2.0)  # of 4 s, 2 epochs
        assert [(e.step, e.value) for e in events.Scalars("result/diversity")] == [(1, 0.5)]
        assert [e.value for e in events.Scalars("usage/train_seconds")] == [4.0]
        (image,) = events.Images("sheet/drawings")
        assert image.encoded_image_string.startswith(b"\x89PNG") and image.width > 100
    beta = folders[2].name.split("_")[0].removeprefix("beta=")
    assert _start(EventAccumulator(str(folders[2])).Reload())["beta"].number_value == float(beta)


def _start(events: Any) -> Any:
    """The hyperparameters of a run, as the page of hyperparameters reads them."""
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    read = plugin_data_pb2.HParamsPluginData.FromString(content)
    return read.session_start_info.hparams


def test_tensorboard_knows_which_columns_the_page_of_hyperparameters_has(logged: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    events = EventAccumulator(str(logged / "tensorboard")).Reload()
    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    columns = {info.name: info for info in experiment.hparam_infos}
    assert list(columns) == ["model", "beta", "seed"]
    assert [v.number_value for v in columns["beta"].domain_discrete.values] == [0.0, 1.0, 2.0]
    names = [info.display_name for info in experiment.metric_infos]
    assert names[0] == "human_distance" and {"diversity", "recognizability"} <= set(names)
    assert experiment.description == "Is nothing lost?"


def test_mlflow_has_a_run_a_point_and_no_run_twice(
    logged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(logged / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("made")
    assert experiment is not None and experiment.tags["mlflow.note.content"] == "Is nothing lost?"
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.params["beta"] for run in runs) == ["0.0", "1.0", "2.0"]
    for run in runs:
        assert run.info.status == "FINISHED" and run.data.tags["status"] == "done"
        assert run.info.run_name.startswith(f"beta={float(run.data.params['beta']):g} seed=44 ")
        history = client.get_metric_history(run.info.run_id, "train/loss")
        assert [(m.step, m.value) for m in history] == [(0, 2.0), (1, 1.0)]
        assert run.data.metrics["result/diversity"] == 0.5
        assert run.data.params["dataset"] == "quickdraw"
        assert [f.path for f in client.list_artifacts(run.info.run_id, "sheets")] == [
            "sheets/drawings.png"
        ]
    deleted = client.search_runs([experiment.experiment_id], run_view_type=2)
    assert [run.info.status for run in deleted] == ["FAILED"], "the point that was run again"


def test_wandb_has_the_rows_in_its_offline_files(logged: Path) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    files = sorted((logged / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 4, "three points, one of which failed first"
    found = {}
    for file in files:
        config, summary, losses = dict[str, Any](), dict[str, Any](), list[float]()
        for data in _leveldb_records(file.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            config |= {i.key: json.loads(i.value_json) for i in record.run.config.update if i.key}
            for item in record.summary.update:
                summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
            for item in record.history.item:
                if "train/loss" in (item.key, *item.nested_key):
                    losses.append(json.loads(item.value_json))
        assert losses == [2.0, 1.0]
        found[config["beta"], summary["status"]] = summary
    assert set(found) == {(0.0, "done"), (1.0, "failed"), (1.0, "done"), (2.0, "done")}
    assert found[2.0, "done"]["result/diversity"] == 0.5
    assert found[1.0, "failed"]["error_type"] == "ValueError"
    assert len(list((logged / "wandb").glob("offline-*/files/media/images/sheet/*.png"))) == 3


def _leveldb_records(data: bytes) -> Iterator[bytes]:
    """The records of a file of W&B: a header of 7 bytes, then a LevelDB log in blocks of 32 KiB."""
    assert data.startswith(b":W&B")
    place, parts = 7, b""
    while place + 7 <= len(data):
        if (rest := BLOCK - place % BLOCK) < 7:
            place += rest
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""


def test_trackio_has_the_rows_in_its_database(logged: Path) -> None:
    pytest.importorskip("trackio")
    with sqlite3.connect(logged / "trackio" / "made.db") as base:
        rows = base.execute("select run_name, step, metrics from metrics").fetchall()
    found: dict[str, dict[str, Any]] = {}
    for name, step, metrics in rows:
        for key, value in json.loads(metrics).items():
            found.setdefault(name, {}).setdefault(f"{key} {step}", []).append(value)
    assert len(found) == 3 and all(name.startswith("beta=") for name in found)
    for name, values in found.items():
        assert values["train/loss 0"] == [2.0], name  # also of the one that was run again
        assert values["train/loss 1"] == [1.0], name
        assert values["result/diversity 1"] == [0.5]
        assert values["sheet/drawings 1"][0]["_type"] == "trackio.image"
