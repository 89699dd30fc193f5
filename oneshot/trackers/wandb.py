"""Weights & Biases: a run a point, in one group a sweep; offline where no key is known."""

from __future__ import annotations

import os
from typing import Any

import wandb

from oneshot.trackers.base import Entry, Target, Tracker, shown


class WeightsAndBiases(Tracker):
    """Runs of the project of WANDB_PROJECT, else `oneshot`."""

    def __init__(self, target: Target):
        self.target, self.folder = target, os.environ.get("WANDB_DIR") or target.folder
        self.project = os.environ.get("WANDB_PROJECT") or "oneshot"
        os.makedirs(self.folder, exist_ok=True)
        # nobody can answer a question here
        self.mode: Any = os.environ.get("WANDB_MODE") or (
            "online" if wandb.api.api_key else "offline"
        )
        self.where = f"project {self.project}, group {target.sweep}"
        if self.mode == "offline":
            self.where += f"; wandb sync {shown(self.folder)}/wandb/offline-run-*"

    def log(self, entry: Entry) -> None:
        """Make the run of a point.

        Args:
            entry: the point.
        """
        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        run: Any = wandb.init(
            project=self.project,
            group=self.target.sweep,
            job_type=entry.model,
            name=entry.name,
            # a point that has another result is another run; one that is sent twice is not
            id=f"{entry.point_id}-{entry.version}",
            resume="allow",
            config={"model": entry.model, **entry.settings},
            notes=self.target.question,
            tags=[entry.model, entry.status],
            dir=self.folder,
            mode=self.mode,
            reinit="create_new",
            settings=settings,
        )
        last = max(entry.epochs - 1, 0)
        by_epoch: dict[int, dict[str, Any]] = {**entry.by_epoch()}
        images = {f"sheet/{name}": wandb.Image(image) for name, image in entry.sheets.items()}
        by_epoch[last] = by_epoch.get(last, {}) | images
        for epoch, values in by_epoch.items():
            run.log(values, step=epoch)
        for kind, columns in (("result", entry.results), ("usage", entry.usage)):
            run.summary.update({f"{kind}/{name}": value for name, value in columns.items()})
        run.summary.update({"status": entry.status, **entry.texts})
        run.finish(exit_code=0 if entry.status == "done" else 1)


TRACKER = WeightsAndBiases
