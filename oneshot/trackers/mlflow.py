"""MLflow: an experiment a sweep, a run a point, at MLFLOW_TRACKING_URI or in files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# nothing is asked over the network that is not asked for, and files need the user's word
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from oneshot.trackers.base import Entry, Target, Tracker, shown

BATCH = 1000  # metrics of a request, the most that servers take
MOST_TAGS, LONGEST = 100, 500
ID, VERSION = "oneshot.point_id", "oneshot.version"
STATUS = {"done": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}


class MLflow(Tracker):
    """Runs of one experiment; the experiment itself knows which points it has."""

    def __init__(self, target: Target):
        folder = Path(target.folder) / "mlruns"
        given = os.environ.get("MLFLOW_TRACKING_URI")
        self.client = MlflowClient(tracking_uri=given or folder.as_uri())
        opened = f"mlflow ui --backend-store-uri {shown(str(folder))}"
        self.where = f"{given or opened}, experiment {target.sweep}"
        found = self.client.get_experiment_by_name(target.sweep)
        if found is None:
            self.experiment = self.client.create_experiment(
                target.sweep, tags={"mlflow.note.content": target.question}
            )
        else:
            self.experiment = found.experiment_id
        self.known = {
            run.data.tags[ID]: (run.info.run_id, run.data.tags.get(VERSION, ""))
            for run in self._runs()
            if ID in run.data.tags
        }

    def log(self, entry: Entry) -> None:
        """Make the run of a point, unless the experiment has it; an older one is deleted.

        Args:
            entry: the point.
        """
        run_id, version = self.known.get(entry.point_id, ("", ""))
        if version == entry.version:
            return
        if run_id:
            self.client.delete_run(run_id)
        started, ended = (int(1000 * at) for at in (entry.epoch_time(-1), entry.ended_at))
        tags = {ID: entry.point_id, "mlflow.runName": entry.name}
        run = self.client.create_run(self.experiment, started, tags, entry.name).info.run_id
        params = [Param(k, str(v)[:LONGEST]) for k, v in _params(entry).items()]
        metrics = [
            Metric(name, value, int(1000 * entry.epoch_time(epoch)), epoch)
            for name, values in entry.curves.items()
            for epoch, value in values
        ]
        last = max(entry.epochs - 1, 0)
        for kind, columns in (("result", entry.results), ("usage", entry.usage)):
            metrics += [Metric(f"{kind}/{n}", v, ended, last) for n, v in columns.items()]
        for some in _batches(params, MOST_TAGS):
            self.client.log_batch(run, params=some)
        for some in _batches(metrics, BATCH):
            self.client.log_batch(run, metrics=some)
        for name, image in entry.sheets.items():
            self.client.log_image(run, image, artifact_file=f"sheets/{name}.png")
        texts = {"status": entry.status, **entry.texts, VERSION: entry.version}  # that one last
        self.client.log_batch(run, tags=[RunTag(k, v[:LONGEST]) for k, v in texts.items()])
        self.client.set_terminated(run, STATUS[entry.status], ended)
        self.known[entry.point_id] = run, entry.version

    def _runs(self) -> Iterator[Any]:
        """All runs of the experiment."""
        token = None
        while True:
            page = self.client.search_runs([self.experiment], page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _params(entry: Entry) -> dict[str, Any]:
    """Settings by name, those that vary first."""
    return {"model": entry.model, **entry.axes, **entry.settings}


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Items in lists of at most so many."""
    return (items[i : i + size] for i in range(0, len(items), size))


TRACKER = MLflow
