"""Rounds of the campaign: a small sweep that is killed, cut, filled, flipped and started
twice loses nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import chaos


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> chaos.Reference:
    """The run to which nothing is done, once for all engines."""
    return chaos.reference(tmp_path_factory.mktemp("reference"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine, rounds", [("local", 5), ("s3", 2), ("ray", 1)])
def test_a_sweep_survives_what_is_done_to_it(
    engine: str,
    rounds: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    prepared: chaos.Reference,
) -> None:
    played = chaos.campaign(rounds, 7, [engine], tmp_path / "rounds", prepared)
    assert len(played) == rounds and any(one.did for one in played)
    assert not [wrong for one in played for wrong in one.wrong], capsys.readouterr().out


def test_what_a_campaign_checks_it_finds(tmp_path: Path) -> None:
    """A record that changes, a number that is wrong and an exit status that lies are each said."""
    import random

    import made_runs

    from oneshot.store import records

    points = made_runs.planned(tmp_path).points
    expected = {p.point_id: made_runs.record(p, epochs_done=2).row for p in points}
    (tmp_path / "prepared/store").mkdir(parents=True)
    round = chaos.Round(
        0, "local", tmp_path / "round", tmp_path / "prepared", random.Random(0), None
    )
    folder = Path(round.results) / "chaos/records"
    folder.mkdir(parents=True)
    for point in points:
        (folder / f"{point.point_id}.json").write_bytes(
            records.encode(made_runs.record(point, epochs_done=2))
        )
    round.look()
    assert not round.wrong
    (folder / f"{points[0].point_id}.json").write_bytes(
        records.encode(made_runs.record(points[0], "failed"))
    )
    (folder / f"{points[1].point_id}.json").write_bytes(
        records.encode(made_runs.record(points[1], diversity=0.75, epochs_done=2))
    )
    round.look()
    assert sum("was done and changed" in w for w in round.wrong) == 2
    log = tmp_path / "run.txt"
    log.write_text("Finished\n")
    chaos._check_status(round, chaos.Run(0, log, None, 0), [])
    assert "exit status 0 with" in round.wrong[-1]
    chaos._check_status(round, chaos.Run(0, log, None, 130), [])
    assert "exit status 130 after nothing" in round.wrong[-1]
    made_runs.run(made_runs.planned(tmp_path))
    for kind in ("points", "classes", "curves"):
        data = (tmp_path / f"results/made/{kind}.parquet").read_bytes()
        (Path(round.results) / f"chaos/{kind}.parquet").write_bytes(data)
    chaos._check(round, expected)
    assert any(w.startswith("diversity of ") for w in round.wrong)
