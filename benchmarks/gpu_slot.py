"""A short slot on a GPU: ten stages that measure what decides how fast the grid can be trained.

    python benchmarks/gpu_slot.py [--minutes 25] [--stages 1,2,3] [--device cuda] [--again]
    [--quick]

Each stage prints every result as it comes and writes it to benchmarks/out/gpu_slot/NN.json at once,
so that a cut loses nothing. A stage has a share of the time; what no longer fits is skipped, and
that is said. A later run on the same machine with the same code keeps what is there and measures
the rest. Under 15 minutes the plan is cut to stages 1, 2, 3, 4 and 8 with fewer configurations.
Images are made; nothing is downloaded. Ends with status 1 if a check of stage 2 failed. Needs
torch, numpy, pandas and pyarrow alone.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import gpu_grid, gpu_more, gpu_stages, harness
from benchmarks.gpu_measure import Bench, gpu
from benchmarks.gpu_stage import Stage, read

ROOT = Path(__file__).parent.parent
Work = Callable[[Stage, Bench], None]
# title, what it does, minutes of 25, minutes of 8
PLAN: dict[int, tuple[str, Work, float, float]] = {
    1: ("ceilings", gpu_stages.ceilings, 1, 0.5),
    2: ("correctness", gpu_stages.correctness, 2, 2),
    3: ("one model, z 60, T 40", gpu_stages.solo, 3, 1.5),
    4: ("stacks, z 60, T 40", gpu_stages.stacks, 4, 2.5),
    5: ("scaling with T and z", gpu_stages.scaling, 2, 0),
    6: ("sampler", gpu_more.sampler, 2, 0),
    7: ("precision and bytes", gpu_more.precision, 2, 0),
    8: ("whole epochs", gpu_more.truth, 4, 1.5),
    9: ("drawing", gpu_more.drawing, 2, 0),
    10: ("several processes", gpu_more.processes, 3, 0),
}
CUT = 15  # minutes under which the plan is cut


def arguments(argv: list[str] | None) -> argparse.Namespace:
    p = harness.parser(__doc__)
    p.add_argument(
        "--minutes",
        type=float,
        help="the time there is [25, or what the plan gives the chosen stages]",
    )
    p.add_argument(
        "--stages", default="", help="only these, as in 1,2,3 [all that the time allows]"
    )
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--out", type=Path, default=harness.OUT, help="folder of the results")
    p.add_argument("--again", action="store_true", help="measure anew what is there already")
    p.add_argument("--worker", default="", help=argparse.SUPPRESS)
    return p.parse_args(argv)


def code() -> str:
    """What identifies the code that is measured."""
    files = sorted(
        [
            *ROOT.glob("oneshot/**/*.py"),
            *ROOT.glob("benchmarks/gpu_*.py"),
            ROOT / "benchmarks/baseline.py",
        ]
    )
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]


def plan(minutes: float | None, chosen: str) -> tuple[dict[int, float], bool]:
    """The stages to do with the seconds that each has, and whether they are cut."""
    cut = minutes is not None and minutes < CUT and not chosen
    numbers = sorted({int(n) for n in chosen.split(",")}) if chosen else list(PLAN)
    shares = {n: PLAN[n][3] if cut else PLAN[n][2] for n in numbers}
    total = sum(shares.values())
    return {n: 60 * share * (minutes or total) / total for n, share in shares.items() if share}, cut


def run(bench: Bench, shares: dict[int, float], folder: Path, head: dict[str, Any]) -> None:
    """All stages; what one does not need, the next ones have."""
    end = time.monotonic()
    for number, seconds in shares.items():
        end += seconds
        title, work, *_ = PLAN[number]
        stage = Stage(
            number,
            title,
            end - time.monotonic(),
            folder,
            head,
            predict=bench.cuda and not bench.quick,
        )
        try:
            work(stage, bench)
        except Exception as error:  # of the stage's own preparations; the others are worth having
            stage.say(f"broken off: {type(error).__name__}: {error}"[:600])
        stage.save(complete=all("value" in r for r in stage.results.values()))


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    shares, cut = plan(options.minutes, options.stages)
    bench = Bench(torch.device(options.device), options.quick, cut)
    if options.worker:
        gpu_more.work(bench, options.worker)
        return 0
    name = "gpu_slot_quick" if options.quick else "gpu_slot"
    folder, begun = options.out / name, time.monotonic()
    if options.again:
        for file in folder.glob("*.json"):
            file.unlink()
    machine = {k: v for k, v in harness.machine().items() if k != "date"}
    head = {"machine": machine, "device": options.device, "code": code()}
    print(
        f"{machine['gpu'] if bench.cuda else machine['processor']}, torch {machine['torch']},"
        f" {gpu(bench)}",
        flush=True,
    )
    if not bench.cuda:
        print(
            "no GPU: every way of training runs plain and eager, whatever its name says; operators"
            " are counted instead of kernels"
        )
    run(bench, shares, folder, head)
    found = {
        n: content for n in PLAN if (content := read(folder / f"{n:02d}.json")).get("head") == head
    }
    harness.OUT = options.out
    minutes = (time.monotonic() - begun) / 60
    rows, extrapolated = gpu_grid.rows({n: c["results"] for n, c in found.items()}, bench, minutes)
    harness.save(name, rows, gpu=gpu(bench), extrapolated=extrapolated)
    failed = [
        name
        for name, r in found.get(2, {}).get("results", {}).items()
        if "failed" in r or r.get("passed") is False
    ]
    for name in failed:
        print(f"NO GO: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
