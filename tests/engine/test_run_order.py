"""Engines get points in the order of the sweep, and those alone that rows chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_runs
import pytest

from oneshot.store import choices, plan, records
from oneshot.store.store import Store
from oneshot.sweep.files import load_sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Any:
    """A sweep of nine sizes of z, which are nine shapes, in the spread order."""
    file = made_runs.write_sweep(tmp_path)
    text = file.read_text().replace("beta=[0.0, 1.0, 2.0]", "z=[2, 3, 4, 5, 6, 7, 8, 9, 10]")
    file.write_text(text.replace("references=(),", 'references=(), order="spread",'))
    return load_sweep(str(file))


def test_a_run_goes_by_the_order_and_what_is_refined_is_run_alone(
    sweep: Any, tmp_path: Path
) -> None:
    store, ran = Store(tmp_path / "results"), list[int]()

    def work(point: Any, job: Any, sweep_run: Any) -> None:
        ran.append(point.settings["z"])
        place = dict(diversity_ratio=1.0, recognizability=30.0 + 40.0 * (ran[-1] > 4))
        records.commit(job.store, job.sweep, made_runs.record(point, **place))

    made_runs.run(plan.make(sweep, store, limit=5), work)
    assert ran == [6, 2, 10, 4, 8]
    made = plan.make(sweep, store)
    choices.narrow(made, 2, "")
    outcome = made_runs.run(made, work)
    assert len(ran) == 7 and ran[5] == 5 and outcome.missing == 0
    made_runs.run(plan.make(sweep, store), work)
    assert sorted(ran) == list(range(2, 11))
    # the table keeps the order of the sweep file
    rows = [r.row["z"] for r in plan.make(sweep, store).current_records()]
    assert rows == list(range(2, 11))
