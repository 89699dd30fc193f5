"""Requests and seconds of what a run does with an object store, on a local S3 server.

    python benchmarks/store_requests.py [--count N] [--rounds N] [--package PATH ...]

Each package is the folder of a checkout, of any revision; without one it is this checkout. Packages
are measured in turn, each in a process of its own against a server of its own, and the fastest of
all rounds counts, as the machine has other work, too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What does a look cost?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[i / 100 for i in range({count})]),
    fixed=dict(dataset="quickdraw", split="fixed", image_size=16, epochs=1),
)
"""


def steps(uri: str, count: int) -> dict[str, Callable[[], Any]]:
    """What is measured, in this order, by the package that this process imports."""
    from oneshot import cli
    from oneshot.store import lease
    from oneshot.store.store import Store

    store, content = Store(uri), b"x" * 3000
    made: list[Any] = []
    folder = Path(tempfile.mkdtemp())
    (folder / "look.py").write_text(SWEEP.format(count=count))

    def check() -> None:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            cli.main([str(folder / "look.py"), "--check", "--results", uri])

    def enter() -> None:
        made.append(lease.Lease(store, "entered"))
        made[0].__enter__()

    return {
        "connect": lambda: store.exists("nothing"),
        f"{count} commits": lambda: [store.write(f"k/{i}.json", content) for i in range(count)],
        f"{count} reads": lambda: [store.read(f"k/{i}.json") for i in range(count)],
        f"list {count}": lambda: sorted(store.names("k")),
        f"{count} deletes": lambda: [store.delete(f"k/{i}.json") for i in range(count)],
        "enter a lease": enter,
        "leave it": lambda: made[0].__exit__(None, None, None),
        f"--check of {count} points": check,
    }


def child(uri: str, count: int, package: Path) -> None:
    """Run one step for each line of standard input, and tell its seconds."""
    import oneshot

    where = Path(str(oneshot.__file__)).resolve()
    assert package.resolve() in where.parents, f"{where} is not of {package}"
    out = sys.stdout
    sys.stdout = sys.stderr
    for name, action in steps(uri, count).items():
        print(name, file=out, flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        action()
        print(time.perf_counter() - began, file=out, flush=True)


def measured(package: Path, count: int) -> dict[str, tuple[float, Counter[str]]]:
    """Seconds and requests of each step of a package."""
    import s3

    server, found = s3.Server(), {}
    try:
        command = [sys.executable, __file__, "--count", str(count), "--package", str(package)]
        environment = {**os.environ, **s3.CREDENTIALS, "PYTHONPATH": str(package)}
        process = subprocess.Popen(
            [*command, "--child", server.uri],
            cwd=package,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        while name := process.stdout.readline().strip():
            server.log()
            process.stdin.write("\n")
            process.stdin.flush()
            if seconds := process.stdout.readline():
                found[name] = (float(seconds), server.count())
        if process.wait():
            raise SystemExit(f"{package}: ended with {process.returncode}")
    finally:
        server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--package", type=Path, action="append")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    packages = [path.resolve() for path in options.package or [ROOT]]
    if options.child:
        child(options.child, options.count, packages[0])
        return
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    results: dict[Path, list[dict[str, tuple[float, Counter[str]]]]] = {p: [] for p in packages}
    for _ in range(options.rounds):
        for package in packages:
            results[package].append(measured(package, options.count))
    print("| step | " + " | ".join(f"{p.name} requests | {p.name} s" for p in packages) + " |")
    print("|---|" + "---|---:|" * len(packages))
    for name in results[packages[0]][0]:
        cells = []
        for package in packages:
            seconds, requests = min((r[name] for r in results[package]), key=lambda found: found[0])
            cells += [" ".join(f"{n} {m}" for m, n in sorted(requests.items())), f"{seconds:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
