"""gallery.parquet: a row a point with its numbers and its drawings as PNG, for other programs."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from oneshot.report.columns import EXTRA_METRICS, METRICS
from oneshot.report.page.blocks import CHUNK
from oneshot.report.page.drawings import Extent, Shown, find_drawings, shown, wanted_samples
from oneshot.report.results import Results
from oneshot.report.table import exact_types

EXTENT = Extent(classes=1, drawings=8)  # of each point
IMAGES = ("exemplar", *(f"drawing_{number}" for number in range(1, EXTENT.drawings + 1)))


def write_gallery(results: Results, parts: Sequence[Results], file: Path) -> int:
    """Write the points with their exemplars and drawings as PNG.

    Args:
        results: The results, joined and selected.
        parts: The results of each sweep, beside whose folders the drawings lie.
        file: The Parquet file; it is written in one step.

    Returns:
        How many points have drawings in it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    numbers = gallery_numbers(results)
    table = pa.Table.from_pandas(numbers, preserve_index=False)
    fields = [pa.field("class_name", pa.string()), *(pa.field(n, pa.binary()) for n in IMAGES)]
    schema = pa.schema([*table.schema, *fields])
    temporary, drawn = file.with_name(f".{file.name}.{os.getpid()}"), 0
    samples = wanted_samples(results)
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for start in range(0, max(len(table), 1), CHUNK):
                part = table.slice(start, CHUNK)
                images = list(_images(results, parts, samples[start : start + CHUNK]))
                drawn += sum(row is not None for row in images)
                for one in fields:
                    cells = [row and row.get(one.name) for row in images]
                    part = part.append_column(one, pa.array(cells, one.type))
                writer.write_table(part)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return drawn


def gallery_numbers(results: Results) -> pd.DataFrame:
    """The columns of a gallery that hold no images.

    Args:
        results: The results.

    Returns:
        Id, status, model, axes, seed, the metrics that are known, and the sweep.
    """
    points = exact_types(results, results.points)
    metrics = dict.fromkeys((*METRICS, *EXTRA_METRICS))
    known = [name for name in metrics if name in points and points[name].notna().any()]
    names = ["point_id", "status", "model", *results.axes, "seed", *known, "sweep"]
    return points[[name for name in dict.fromkeys(names) if name in points]]


def png(image: np.ndarray, bits: int) -> bytes:
    """An image as PNG: ink of bits is black on white, greys and colours are as they are.

    Args:
        image: uint8 [H, W, 1 or 3].
        bits: Bits of a pixel.

    Returns:
        The file.
    """
    buffer = io.BytesIO()
    if bits == 1:
        Image.fromarray((image[..., 0] == 0).astype(np.uint8) * 255).convert("1").save(
            buffer, "PNG"
        )
    else:
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def _images(
    results: Results, parts: Sequence[Results], samples: Sequence[str]
) -> Iterator[dict[str, Any] | None]:
    """The class and the PNG of each point; None of a point without drawings."""
    for sample_id in samples:
        drawings = find_drawings(parts, sample_id) if sample_id else None
        yield None if drawings is None else _row(shown(results, drawings, EXTENT))


def _row(part: Shown) -> dict[str, Any]:
    """The class of a sample, and its images by column."""
    row: dict[str, Any] = {"class_name": part.names[0]}
    if len(part.exemplars):
        row["exemplar"] = png(part.exemplars[0], part.bits)
    for number, image in enumerate(part.images[: EXTENT.drawings], 1):
        row[f"drawing_{number}"] = png(image, part.bits)
    return row
