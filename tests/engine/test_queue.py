"""What a worker takes in one turn: nothing twice, nothing lost, short trials together and long ones
alone.
"""

from __future__ import annotations

import pytest

from oneshot.engine import queue
from oneshot.engine.queue import Turns


def run_all(made: Turns, seconds: list[float]) -> list[list[int]]:
    """Work through everything, one turn after the other; returns the turns."""
    taken = []
    while found := made.take(str(len(taken))):
        for index in found:
            assert made.ended(str(len(taken)), index, seconds[index])
        made.close(str(len(taken)), give_back=True)
        taken.append(found)
    return taken


def test_short_trials_share_turns_and_the_last_turns_are_small() -> None:
    taken = run_all(Turns([1.0] * 2000, slots=2, most=2000), [0.01] * 2000)
    assert [i for turn in taken for i in turn] == list(range(2000))
    assert len(taken) < 60 and max(map(len, taken)) <= 2000 / 6 + 1 and len(taken[-1]) == 1
    assert [len(t) for t in taken[: queue.LEARNT_FROM]] == [1] * queue.LEARNT_FROM, (
        "nothing is known at the start"
    )


def test_long_trials_are_turns_of_their_own() -> None:
    assert all(len(t) == 1 for t in run_all(Turns([1.0] * 40, most=40), [6.0] * 40))
    assert all(len(t) == 1 for t in run_all(Turns([1.0] * 40, most=1), [0.01] * 40))


def test_more_work_is_expected_to_take_longer_and_less_work_not_shorter() -> None:
    """Ten quick references, then trainings a million times their work, then references again."""
    work = [1e9] * 10 + [1e15] * 10 + [1e9] * 10
    taken = run_all(Turns(work, most=30), [0.1] * 10 + [60.0] * 10 + [0.1] * 10)
    assert all(len(turn) == 1 for turn in taken if set(turn) & set(range(10, 20)))
    assert any(len(turn) > 1 for turn in taken if max(turn) < 10)


def test_what_a_turn_did_not_begin_is_handed_out_again_in_its_place() -> None:
    made = Turns([1.0] * 6, most=6)
    made.lately.extend([(0.1, 1.0)] * queue.LEARNT_FROM)
    first = made.take("a")
    assert len(first) == 2 and made.ended("a", first[0], 0.1)
    assert not made.ended("a", first[0], 0.1), "the report of a turn that is run again"
    assert made.close("a", give_back=True) == first[1:]
    assert made.take("b")[0] == first[1]


def test_what_took_its_worker_down_waits_and_the_rest_is_handed_out_again() -> None:
    made = Turns([1.0] * 6, most=6)
    made.lately.extend([(0.1, 1.0)] * queue.LEARNT_FROM)
    first = made.take("a")
    assert made.close("a", but_first=True) == first and made.take("b")[0] == first[1]


def test_with_many_slots_turns_are_longer() -> None:
    assert (Turns([], 100).seconds, Turns([], 8000).seconds, Turns([], 8000).longest) == (
        5.0,
        80.0,
        320.0,
    )


@pytest.mark.parametrize("give_back", [True, False])
def test_a_dead_turn_is_left_to_the_next_round(give_back: bool) -> None:
    made = Turns([1.0])
    assert made.take("a") == [0]
    made.close("a", give_back)
    assert made.take("b") == ([0] if give_back else []) and made.close("unknown", True) == []
