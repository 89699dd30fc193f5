"""slurm.sh on two nodes of one machine, with Ray's own `symmetric-run`: a program of its own.

It runs in a namespace of process ids, as `ray symmetric-run` refuses to start where any other Ray
runs, and ends all that it sees. On one machine every node looks like the head: so on the second
one `ray start` is called as symmetric-run would call it there.

    unshare --pid --fork --mount-proc python slurm_two_nodes.py FOLDER

FOLDER has the sweep q.py, and notes/ for the witness. The last line printed is a JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import clusters
import slurm
import small

RAY = """#!/bin/bash
if [ "$1" = symmetric-run ] && [ "$SLURM_NODEID" != 0 ]; then
    until (exec 3<>"/dev/tcp/${{3/://}}") 2>/dev/null; do sleep 0.2; done
    exec {ray} start --address "$3" --block --num-cpus 2
fi
exec {ray} "$@"
"""


def run(folder: Path) -> dict[str, object]:
    """Run a job, stop it in the middle, and let it go on; what came of it."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ray").write_text(RAY.format(ray=Path(sys.executable).parent / "ray"))
    (programs / "ray").chmod(0o755)
    with slurm.started(2) as cluster:
        notes = folder / "notes"
        script = slurm.script("slurm.sh", folder, notes, time="10")
        text = script.read_text()
        for old, new in {
            'export PATH="': f'export PATH="{programs}:',
            # the way to a node of this machine is the loopback, which symmetric-run refuses
            "way.connect((sys.argv[1], 9))": 'way.connect(("192.0.2.1", 9))',
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        script.write_text(text)
        job = cluster.submit(script, folder / "q.py", "--checkpoint-seconds", 0, cwd=folder)
        small.wait_until(lambda: bool(clusters.epochs(notes)) or not cluster.queue(), 180)
        # what Slurm does ahead of the time limit
        cluster.run("scancel", "--signal=TERM", "--batch", job)
        small.wait_until(lambda: "Stopping: " in _said(folder) or not cluster.queue(), 120)
        (notes / "faults.json").unlink()
        small.wait_until(lambda: not cluster.queue(), 300)
        return {"ended": cluster.ended("oneshot"), "said": _said(folder)}


def _said(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.glob("*.log"))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(json.dumps(run(Path(sys.argv[1]))))
