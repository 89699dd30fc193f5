"""TensorBoard: a folder of event files for each point, and one that names the hyperparameters."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Value
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from torch.utils.tensorboard import SummaryWriter

from oneshot.trackers.base import Entry, Target, Tracker, file_name, shown

ROOT = "hparams.json"  # what the event file of the whole sweep names


class TensorBoard(Tracker):
    """Event files below one folder; what is logged twice of a point is there once."""

    def __init__(self, target: Target):
        self.target, self.folder = target, Path(target.folder) / "tensorboard"
        self.where = f"tensorboard --logdir {shown(str(self.folder))}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def log(self, entry: Entry) -> None:
        """Write the event file of a point; one that is there already goes.

        Args:
            entry: the point.
        """
        self._name_columns(entry)
        folder = self.folder / file_name(entry.name)
        shutil.rmtree(folder, ignore_errors=True)
        with SummaryWriter(str(folder)) as writer:
            events: Any = writer.file_writer
            start = plugin_data_pb2.SessionStartInfo(start_time_secs=entry.epoch_time(-1))
            for name, value in _hyperparameters(entry).items():
                start.hparams[name].CopyFrom(_value(value))
            tag = metadata.SESSION_START_INFO_TAG
            events.add_summary(_note(tag, session_start_info=start), 0)
            for name, values in entry.curves.items():
                for epoch, value in values:
                    writer.add_scalar(name, value, epoch, entry.epoch_time(epoch))
            last = max(entry.epochs - 1, 0)
            for kind, columns in (("result", entry.results), ("usage", entry.usage)):
                for name, value in columns.items():
                    writer.add_scalar(f"{kind}/{name}", value, last, entry.ended_at)
            for name, image in entry.sheets.items():
                writer.add_image(f"sheet/{name}", image, last, entry.ended_at, dataformats="HWC")
            writer.add_text("point", _markdown(entry), last, entry.ended_at)
            done = entry.status == "done"
            status = api_pb2.STATUS_SUCCESS if done else api_pb2.STATUS_FAILURE
            end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=entry.ended_at)
            tag = metadata.SESSION_END_INFO_TAG
            events.add_summary(_note(tag, session_end_info=end), last)

    def _name_columns(self, entry: Entry) -> None:
        """Name hyperparameters and results in the folder of the sweep, again where some are new.

        Without it, TensorBoard makes a column of each curve.
        """
        note = self.folder / ROOT
        known = json.loads(note.read_text()) if note.is_file() else {"settings": [], "results": []}
        settings = list(dict.fromkeys([*known["settings"], *_hyperparameters(entry)]))
        results = list(dict.fromkeys([*known["results"], *_compared(entry, self.target)]))
        now = {"settings": settings, "results": results}
        if now == known:
            return
        for old in self.folder.glob("events.out.tfevents.*"):
            old.unlink()
        names = [api_pb2.MetricName(tag=f"result/{name}") for name in results]
        experiment = api_pb2.Experiment(
            description=self.target.question,
            time_created_secs=time.time(),
            hparam_infos=[_column(name, entry, self.target) for name in settings],
            metric_infos=[
                api_pb2.MetricInfo(name=tag, display_name=name) for tag, name in zip(names, results)
            ],
        )
        with SummaryWriter(str(self.folder)) as writer:
            events: Any = writer.file_writer
            events.add_summary(_note(metadata.EXPERIMENT_TAG, experiment=experiment), 0)
        note.write_text(json.dumps(now))


def _hyperparameters(entry: Entry) -> dict[str, Any]:
    """The columns of a point on the page of hyperparameters: what differs between points."""
    return {"model": entry.model, **entry.axes, "seed": entry.settings.get("seed", 0)}


def _compared(entry: Entry, target: Target) -> list[str]:
    """The results that are columns there, without standard errors: first that by which points are
    compared, last those of people, which are the same for all points.
    """
    names = [name for name in entry.results if not name.endswith("_se")]
    of_people = {name: name.startswith("human_") and name != target.compared_by for name in names}
    return sorted(names, key=lambda name: (name != target.compared_by, of_people[name]))


def _column(name: str, entry: Entry, target: Target) -> Any:
    """The description of a hyperparameter; swept ones have a list of values to choose from."""
    values = [_value(value) for value in target.axes.get(name, [])]
    examples = values or [_value(_hyperparameters(entry).get(name, ""))]
    kinds = {value.WhichOneof("kind") for value in examples}
    kind: dict[str | None, Any] = {
        "number_value": api_pb2.DATA_TYPE_FLOAT64,
        "bool_value": api_pb2.DATA_TYPE_BOOL,
    }
    info = api_pb2.HParamInfo(name=name, type=kind.get(kinds.pop(), api_pb2.DATA_TYPE_STRING))
    if values:
        info.domain_discrete.CopyFrom(ListValue(values=values))
    return info


def _value(value: Any) -> Any:
    """A value as hyperparameters have it."""
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, (int, float)):
        return Value(number_value=value)
    return Value(string_value=str(value))


def _note(tag: str, **content: Any) -> Any:
    """What the page of hyperparameters reads: content of its own, under one of its tags."""
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])


def _markdown(entry: Entry) -> str:
    """All that a row says in words: how it ended, settings, then ids and machines."""
    errors = {name: entry.texts[name] for name in ("error_type", "error") if name in entry.texts}
    settings: dict[str, Any] = entry.settings
    rows = {"status": entry.status} | errors | settings | entry.texts
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join(["| column | value |", "|---|---|", *lines])


def _cell(value: Any) -> str:
    """A value in a table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


TRACKER = TensorBoard
