"""Engine overhead: trivial points through the whole path of run_sweep.py, against Ray Tune as it
comes.

    python benchmarks/engine.py [--quick]

Ours: `cli.main` expands a sweep, plans, starts Ray, runs every point as a trial, commits a record
each and folds the tables; only what a trial does with its points is replaced by a body that commits
a made-up record at once. All of it counts, Ray's start and end too. Each run is a process of its
own, so that memory and processor time are the driver's. Baseline: a plain `tune.Tuner` of a
function that reports one number, all settings default, on a Ray that has started already.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import Row, parser, save

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What does a point cost that costs nothing?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[i / 100 for i in range({points})]),
    references=[],
    fixed=dict(dataset="quickdraw", split="fixed", image_size=16),
)
"""


def trivial(
    points: Sequence[Any], job: Any, report: Callable[[int, int], None] = lambda *_: None
) -> dict[str, str]:
    """A made-up record for each point, committed as a trial commits its own."""
    from oneshot.store import records as rows
    from oneshot.store.tables import COST, COUNTS, METRICS
    from oneshot.trial.provenance import row_of

    made = dict.fromkeys([*METRICS, *COST], 1.0) | dict.fromkeys(COUNTS, 1)
    for point in points:
        classes = {"class_name": ["a", "b"], "diversity": [0.5, 1.5]}
        rows.commit(
            job.store,
            job.sweep,
            rows.Record(
                row_of(point, "done", job) | made, classes, {"epoch": [0], "train_loss": [1.0]}
            ),
        )
    return {p.point_id: "done" for p in points}


def measure_ours(count: int) -> dict[str, float]:
    """Run a sweep of `count` trivial points through the command, in this process."""
    from oneshot import cli
    from oneshot.engine import launch
    from oneshot.engine import tune as ray_engine

    class TrivialEngine(ray_engine.RayEngine):
        """The engine with nothing to prepare and nothing to compute."""

        body = staticmethod(trivial)

        def prepare(self, points: Sequence[Any]) -> None:
            self.state.phase = ""

    launch.engine_class = lambda local: TrivialEngine  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "trivial.py"
        sweep.write_text(SWEEP.format(points=count))
        start, cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            status = cli.main([str(sweep), "--results", folder])
        took = dict(seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu)
        records = len(list((Path(folder) / "trivial/records").glob("*.json")))
        import pandas as pd

        written = len(pd.read_parquet(Path(folder) / "trivial/points.parquet"))
    if (status, records, written) != (0, count, count):
        raise RuntimeError(
            f"status {status}, {records} records and {written} rows of {count} points"
        )
    return {**took, "memory_mb": peak_memory_mb()}


def measure_default(count: int) -> dict[str, float]:
    """Run `count` trials that report one number with Tune's defaults, in this process; Ray's start
    is not counted.
    """
    import ray
    from ray import tune

    def nothing(config: dict[str, Any]) -> None:
        tune.report({"value": config["index"]})

    ray.init(
        "local",
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        tuner = tune.Tuner(
            nothing,
            param_space={"index": tune.grid_search(list(range(count)))},
            run_config=tune.RunConfig(storage_path=folder),
        )
        start, cpu = time.perf_counter(), time.process_time()
        found = tuner.fit()
        took = dict(seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu)
    if len(found) != count or found.errors:
        raise RuntimeError(f"{len(found)} trials of {count}, {len(found.errors)} errors")
    ray.shutdown()
    return {**took, "memory_mb": peak_memory_mb()}


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


def apart(what: str, count: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", what, "--points", str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{what:<8}{count:>6,} points  {found['seconds']:.2f} s,"
        f" {1000 * found['seconds'] / count:.1f} ms a point",
        file=sys.stderr,
    )
    return found


def report(few: int, many: int, plain: int, repeats: int) -> None:
    """Measure in turn, `repeats` times the smaller sweep and the baseline, once the larger; print
    and save the rows.
    """
    ours, baseline = [], []
    for _ in range(repeats):
        ours.append(apart("ours", few))
        baseline.append(apart("default", plain))
    large = apart("ours", many)
    a, b = ([run["seconds"] / n for run in runs] for runs, n in ((ours, few), (baseline, plain)))
    ratios = sorted(y / x for x, y in zip(a, b))
    point, ratio = statistics.median(a), statistics.median(ratios)
    growth = large["seconds"] / many / point
    further = (large["seconds"] - statistics.median(r["seconds"] for r in ours)) / (many - few)
    own, theirs = (statistics.median(r["cpu_seconds"] for r in runs) for runs in (ours, baseline))
    against = f"{1000 * statistics.median(b):.0f} ms"
    rows = [
        Row(
            5,
            f"{few:,} trivial points, each",
            f"{1000 * point:.1f} ms",
            target="at most 50 ms",
            met="yes" if point <= 0.05 else "no",
            note=(
                f"{statistics.median(r['seconds'] for r in ours):.1f} s in all, Ray's start and end"
                " included"
            ),
        ),
        Row(
            5,
            "the same against Ray Tune's default",
            f"{1000 * point:.1f} ms",
            against,
            ratio,
            ratios[0],
            ratios[-1],
            "at least 20",
            "yes" if ratio >= 20 else "no",
            f"{plain} trials of the default, Ray's start not counted",
        ),
        Row(
            5,
            f"{many:,} trivial points, each",
            f"{1000 * large['seconds'] / many:.1f} ms",
            f"{1000 * point:.1f} ms",
            1 / growth,
            target="no growth",
            met="yes" if growth <= 1 else "no",
            note=f"against {few:,} points; beyond those {1000 * further:.1f} ms",
        ),
        Row(
            5,
            f"processor time of the driver, {few:,} points, each",
            f"{1000 * own / few:.1f} ms",
            f"{1000 * theirs / plain:.1f} ms",
            (theirs / plain) / (own / few),
        ),
        Row(
            5,
            f"peak memory of the driver, {few:,} and {many:,} points",
            f"{ours[0]['memory_mb']:.0f} and {large['memory_mb']:.0f} MB",
            f"{baseline[0]['memory_mb']:.0f} MB",
            note=f"baseline: {plain} trials",
        ),
    ]
    save(
        "engine",
        rows,
        ours=ours,
        large=large,
        default=baseline,
        points=dict(few=few, many=many, default=plain),
    )


def main() -> None:
    p = parser(__doc__)
    p.add_argument(
        "--measure", choices=("ours", "default"), help="one measurement in this process, as JSON"
    )
    p.add_argument("--points", type=int, default=500, help="points of that measurement [500]")
    options = p.parse_args()
    if options.measure:
        print(
            json.dumps(
                (measure_ours if options.measure == "ours" else measure_default)(options.points)
            )
        )
    elif options.quick:
        report(few=6, many=12, plain=2, repeats=1)
    else:
        report(few=500, many=2000, plain=20, repeats=2)


if __name__ == "__main__":
    main()
