"""What the benchmarks share: paired timing, the row of the final table, and the machine they ran
on.

A benchmark times two programs in turn on the same work, in one process or two, and reports the
median of the ratios of neighbouring runs with their quartiles: drifts of the machine hit both
alike. Each script prints its rows and writes them to benchmarks/out/NAME.json; `python
benchmarks/run.py` runs all scripts and prints one table.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

OUT = HERE / "out"
NOT_MEASURED = "not measured"


@dataclass
class Row:
    """One line of the table. ratio: baseline / ours, above 1 where ours is better; low, high: its
    quartiles.

    target: in words, as in "at least 1.5"; met: "yes", "no", "not measured", or "-" where there is
    no target.
    """

    item: int
    what: str
    ours: str
    baseline: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    target: str = ""
    met: str = "-"
    note: str = ""


@dataclass(frozen=True)
class Paired:
    """Seconds of both programs (medians), and the median and quartiles of the ratio baseline / ours
    over neighbouring runs.
    """

    ours: float
    baseline: float
    ratio: float
    low: float
    high: float

    def row(
        self,
        item: int,
        what: str,
        least: float | None = None,
        unit: str = "s",
        scale: float = 1.0,
        note: str = "",
    ) -> Row:
        """The line of the table; `least` is the ratio aimed at, scale turns seconds into the
        unit.
        """
        ours, baseline = (f"{x * scale:.3g} {unit}" for x in (self.ours, self.baseline))
        met = "-" if least is None else "yes" if self.ratio >= least else "no"
        target = "" if least is None else f"at least {least:g}"
        return Row(item, what, ours, baseline, self.ratio, self.low, self.high, target, met, note)


def seconds(program: Callable[[], Any]) -> float:
    """Seconds of one run, until the GPU is done with it."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    program()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def paired(
    ours: Callable[[], Any], baseline: Callable[[], Any], repeats: int = 7, warmup: int = 1
) -> Paired:
    """Run both in turn, `repeats` times each after `warmup` runs each that are not counted; the
    order alternates.
    """
    for _ in range(warmup):
        ours(), baseline()
    times: list[tuple[float, float]] = []
    for i in range(repeats):
        if i % 2:
            b, a = seconds(baseline), seconds(ours)
        else:
            a, b = seconds(ours), seconds(baseline)
        times.append((a, b))
    return of_pairs(times)


def of_pairs(times: list[tuple[float, float]]) -> Paired:
    """The summary of (ours, baseline) seconds of neighbouring runs."""
    ratios = [b / a for a, b in times]
    low, middle, high = (
        statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    )
    return Paired(
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        middle,
        low,
        high,
    )


def machine() -> dict[str, Any]:
    """Date, hardware and versions."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class Table:
    """The rows of one benchmark: each is printed as it is added, and out/NAME.json always holds all
    so far, so that a cut loses nothing.
    """

    def __init__(self, name: str):
        self.name, self.rows, self.more = name, list[Row](), dict[str, Any]()

    def add(self, *rows: Row) -> None:
        for row in rows:
            self.rows.append(row)
            print(line(row), flush=True)
        self._save()

    def note(self, **more: Any) -> None:
        """Keep other figures beside the rows."""
        self.more |= more
        self._save()

    def _save(self) -> None:
        OUT.mkdir(exist_ok=True)
        content = {
            "machine": machine(),
            "rows": [dataclasses.asdict(r) for r in self.rows],
            **self.more,
        }
        (OUT / f"{self.name}.json").write_text(json.dumps(content, indent=1))


def save(name: str, rows: list[Row], **more: Any) -> None:
    """Print and keep the rows, with whatever else was measured."""
    table = Table(name)
    table.add(*rows)
    table.note(**more)


def line(row: Row) -> str:
    """A row in one line of text."""
    ratio = "" if row.ratio is None else f"  ratio {row.ratio:.2f}"
    spread = "" if row.low is None or row.high is None else f" ({row.low:.2f} .. {row.high:.2f})"
    target = f"  target {row.target}: {row.met}" if row.target else ""
    baseline = f"  against {row.baseline}" if row.baseline else ""
    return f"[{row.item}] {row.what}: {row.ours}{baseline}{ratio}{spread}{target}" + (
        f"  ({row.note})" if row.note else ""
    )


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that every benchmark has."""
    p = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes, to see that it runs; the figures mean nothing",
    )
    p.add_argument(
        "--threads", type=int, default=0, help="processor threads of torch [as torch chooses]"
    )
    return p
