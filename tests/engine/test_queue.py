"""Batches of trials: nothing twice, nothing lost, short trials together, long ones alone."""

from __future__ import annotations

from oneshot.engine import queue
from oneshot.engine.queue import WorkQueue


def run_all(work_queue: WorkQueue, seconds: list[float]) -> list[list[int]]:
    """Work through everything, one batch after the other; returns the batches."""
    batches: list[list[int]] = []
    while batch := work_queue.next_batch(name := str(len(batches))):
        for index in batch:
            assert work_queue.end_trial(name, index, seconds[index])
        assert work_queue.close_batch(name) == []
        batches.append(batch)
    return batches


def with_two_in_a_batch() -> tuple[WorkQueue, list[int]]:
    """A queue that knows its trials to be short, and its first batch `a`, of two."""
    work_queue = WorkQueue([1.0] * 6, max_batch=6)
    work_queue.measured.extend([(0.1, 1.0)] * queue.MIN_MEASURED)
    first = work_queue.next_batch("a")
    assert len(first) == 2
    return work_queue, first


def test_short_trials_share_batches_and_the_last_batches_are_small() -> None:
    batches = run_all(WorkQueue([1.0] * 2000, slots=2, max_batch=2000), [0.01] * 2000)
    assert [i for batch in batches for i in batch] == list(range(2000))
    assert len(batches) < 60 and max(map(len, batches)) <= 2000 / 6 + 1 and len(batches[-1]) == 1
    first = [len(batch) for batch in batches[: queue.MIN_MEASURED]]
    assert first == [1] * queue.MIN_MEASURED, "nothing is known at the start"


def test_long_trials_are_batches_of_their_own() -> None:
    long = run_all(WorkQueue([1.0] * 40, max_batch=40), [6.0] * 40)
    not_shared = run_all(WorkQueue([1.0] * 40, max_batch=1), [0.01] * 40)
    assert all(len(batch) == 1 for batch in [*long, *not_shared])


def test_more_work_is_expected_to_take_longer_and_less_work_not_shorter() -> None:
    """Ten quick references, then trainings a million times their work, then references again."""
    work = [1e9] * 10 + [1e15] * 10 + [1e9] * 10
    batches = run_all(WorkQueue(work, max_batch=30), [0.1] * 10 + [60.0] * 10 + [0.1] * 10)
    assert all(len(batch) == 1 for batch in batches if set(batch) & set(range(10, 20)))
    assert any(len(batch) > 1 for batch in batches if max(batch) < 10)


def test_what_a_batch_did_not_start_is_handed_out_again_in_its_place() -> None:
    work_queue, first = with_two_in_a_batch()
    assert work_queue.end_trial("a", first[0], 0.1)
    assert not work_queue.end_trial("a", first[0], 0.1), "the report of a batch that runs again"
    assert work_queue.close_batch("a") == first[1:]
    assert work_queue.next_batch("b")[0] == first[1]


def test_what_killed_its_worker_waits_and_the_rest_is_handed_out_again() -> None:
    work_queue, first = with_two_in_a_batch()
    assert work_queue.close_batch("a", requeue_first=False) == first
    assert work_queue.next_batch("b")[0] == first[1]


def test_with_many_slots_batches_are_longer() -> None:
    few, many = WorkQueue([], 100), WorkQueue([], 8000)
    assert (few.batch_seconds, many.batch_seconds, many.max_seconds) == (5.0, 80.0, 320.0)


def test_a_batch_that_nobody_knows_gives_nothing_back() -> None:
    work_queue = WorkQueue([1.0])
    assert work_queue.next_batch("a") == [0] and work_queue.next_batch("b") == []
    assert work_queue.close_batch("unknown") == [] and work_queue.next_batch("b") == []
