"""The sections of a page that are computed before it is written: effects, sheets, critics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet

from oneshot.report.analysis.effects import effect_p, is_numeric_axis, main_effect, main_effects
from oneshot.report.analysis.sheets import sheets_to_show
from oneshot.report.page.blocks import compressed, inline, short
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced, varying_axes
from oneshot.report.text import setting_text, value_text
from oneshot.store.tables import TABLES

METRICS = ("human_distance", "diversity", "recognizability")
MOST_POINTS = 10_000  # of which effects are computed
MOST_VALUES = 60  # of an axis that are shown
SHEETS = 3  # points whose sheets are shown
SHEET_BYTES = 400_000  # of the pixels of one sheet


def effects(results: Results) -> dict[str, Any]:
    """What each axis does to distance, diversity and recognizability.

    Args:
        results: The results.

    Returns:
        `axes` (each with its share of the variance and its means with intervals by metric), or a
        `reason` why there are none.
    """
    if len(results.models) > MOST_POINTS:
        return {"reason": f"Effects are computed of at most {MOST_POINTS:,} points."}
    if results.models.empty or not varying_axes(results):
        return {"reason": "No axis varies among points with a place on the plane."}
    metrics = [name for name in METRICS if results.models[name].notna().any()]
    try:
        rows = [_effect(results, row, metrics) for _, row in main_effects(results).iterrows()]
    except (ValueError, KeyError, np.linalg.LinAlgError, FloatingPointError) as error:
        return {"reason": f"Effects could not be computed: {type(error).__name__}."}
    return {"axes": rows, "metrics": metrics}


def _effect(results: Results, row: pd.Series, metrics: Sequence[str]) -> dict[str, Any]:
    """One axis: how much it acts, and the mean of each metric at each of its values."""
    axis = str(row["axis"])
    by_metric = {}
    for metric in metrics:
        means = main_effect(results, axis, metric)
        kept = means.iloc[evenly_spaced(np.arange(len(means)).tolist(), MOST_VALUES)]
        by_metric[metric] = [
            [
                value_text(one[axis]),
                *(short(float(one[name]), 5) for name in (metric, f"{metric}_low")),
                short(float(one[f"{metric}_high"]), 5),
                int(one["n"]),
            ]
            for _, one in kept.iterrows()
        ]
    return {
        "axis": axis,
        "ordered": is_numeric_axis(results, axis),
        "share": short(float(row["share"]), 4),
        "joint": short(float(row["joint_share"]), 4),
        "confounded": str(row["confounded_with"]),
        "p": short(effect_p(results, axis, "human_distance"), 3),
        "means": by_metric,
    }


def sheets(parts: Sequence[Results], room: int) -> tuple[list[dict[str, Any]], int]:
    """The diagnostic sheets of a few points, each as one image.

    Args:
        parts: The results, each of one sweep.
        room: The bytes that all may take.

    Returns:
        Title, rows and columns and pixels of each sheet, and how many did not fit.
    """
    out: list[dict[str, Any]] = []
    taken, left_out = 0, 0
    for results in parts:
        for row, images in sheets_to_show(results, SHEETS):
            for name, sheet in images.items():
                image = _sheet_image(sheet)
                if taken + len(image["pixels"]) > room:
                    left_out += 1
                    continue
                taken += len(image["pixels"])
                about = {"name": name, "point": str(row["point_id"])}
                out.append({**about, "setting": setting_text(results, row), **image})
    return out, left_out


def _sheet_image(sheet: np.ndarray) -> dict[str, Any]:
    """A sheet as one image, cut to SHEET_BYTES: lines and columns evenly spaced."""
    rows, columns, height, width, channels = sheet.shape
    most = max(int((SHEET_BYTES / (height * width * channels)) ** 0.5), 1)
    kept_rows = evenly_spaced(np.arange(rows).tolist(), max(most, SHEET_BYTES // sheet[0].nbytes))
    kept_columns = np.arange(columns).tolist()
    if sheet[0].nbytes > SHEET_BYTES:
        kept_columns = evenly_spaced(kept_columns, most)
    cut = sheet[kept_rows][:, kept_columns]
    framed = np.pad(cut, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=128)
    image = framed.transpose(0, 2, 1, 3, 4).reshape(
        len(kept_rows) * (height + 1), len(kept_columns) * (width + 1), channels
    )
    return {
        "rows": rows,
        "columns": columns,
        "shownRows": len(kept_rows),
        "shownColumns": len(kept_columns),
        "height": image.shape[0],
        "width": image.shape[1],
        "channels": channels,
        "pixels": inline(compressed(image.tobytes())),
    }


def critics(parts: Sequence[Results]) -> list[dict[str, Any]]:
    """The critics that scored the points, each with its quality as it was measured.

    Args:
        parts: The results, each of one sweep.

    Returns:
        One dict a critic: its columns that hold something; none where the table is not whole.
    """
    known = {column.name: column.text for column in TABLES["critics"].columns}
    out: dict[str, dict[str, Any]] = {}
    for results in parts:
        try:
            table = pyarrow.parquet.read_table(results.folder / "critics.parquet").to_pylist()
        except (OSError, ValueError, pyarrow.ArrowException):
            continue
        for row in table:
            held = {k: v for k, v in row.items() if v is not None and k in known}
            out[str(row.get("critic_id"))] = held
    return list(out.values())


def definitions() -> dict[str, str]:
    """What each column of the points and of the critics holds."""
    return {
        column.name: column.text
        for name in ("critics", "points")
        for column in TABLES[name].columns
    }
