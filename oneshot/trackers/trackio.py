"""Trackio: a project a sweep, a run a point, in TRACKIO_DIR or beside the results."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from oneshot.trackers.base import Entry, Target, Tracker, shown


class Trackio(Tracker):
    """Runs of one project on this machine; a point that is run again has its last run alone."""

    def __init__(self, target: Target):
        folder = os.environ.setdefault("TRACKIO_DIR", f"{target.folder}/trackio")
        os.makedirs(folder, exist_ok=True)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        self.target = target
        self._known: dict[str, Any] | None = None  # the runs that were there before
        self.where = f"TRACKIO_DIR={shown(folder)} trackio show --project {target.sweep}"

    def log(self, entry: Entry) -> None:
        """Make the run of a point.

        Args:
            entry: the point.
        """
        import trackio  # reads where its database is when it is imported

        if self._known is None:
            self._known = {}
            with contextlib.suppress(ValueError):  # there is no such project yet
                self._known = {run.name: run for run in trackio.Api().runs(self.target.sweep)}
        if entry.name in self._known:
            self._known.pop(entry.name).delete()
        config = {"model": entry.model, "status": entry.status, **entry.settings}
        run = trackio.init(
            project=self.target.sweep,
            name=entry.name,
            group=entry.model,
            config=config,
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        last = max(entry.epochs - 1, 0)
        by_epoch: dict[int, dict[str, Any]] = {**entry.by_epoch()}
        results = {f"result/{name}": value for name, value in entry.results.items()}
        usage = {f"usage/{name}": value for name, value in entry.usage.items()}
        sheets = {f"sheet/{name}": trackio.Image(image) for name, image in entry.sheets.items()}
        by_epoch[last] = by_epoch.get(last, {}) | results | usage | sheets
        for epoch, values in by_epoch.items():
            run.log(values, step=epoch)
        run.finish()


TRACKER = Trackio
