"""What Ray Tune calls: thin adapters, each of which passes on to the dispatcher.

Tune is used as an executor. What it calls a trial is a batch of ours. It writes its searchers and
callbacks to disk for a restore that is never made, so ours leave everything out.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.search import Searcher

from oneshot.engine.tune_dispatch import Dispatcher


class _Unsaved:
    """Is pickled as an empty object."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return (object, ())


class NoReport(tune.ProgressReporter):
    """Reports nothing: in a notebook Tune's own would wipe what the run shows in the cell."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never.

        Args:
            trials: of Tune.
            done: whether they are at their end.

        Returns:
            False.
        """
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Do nothing.

        Args:
            trials: of Tune.
            done: whether they are at their end.
            sys_info: more text.
        """


class BatchSearcher(_Unsaved, Searcher):
    """Gives batches to Tune, and passes on what their workers report."""

    def __init__(self, dispatcher: Dispatcher):
        super().__init__()
        self.dispatcher = dispatcher

    def suggest(self, trial_id: str) -> Any:
        """The next batch; None while there may be one later; FINISHED at the end."""
        batch = self.dispatcher.next_batch(trial_id)
        if batch is None and self.dispatcher.done():
            return Searcher.FINISHED
        return batch

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on a report.

        Args:
            trial_id: the batch.
            result: what its worker reported.
        """
        self.dispatcher.process_report(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on the end of a batch.

        Args:
            trial_id: the batch.
            result: its last report.
            error: whether its worker did not return; Tune calls `on_trial_error` next.
        """
        self.dispatcher.process_report(trial_id, result or {})
        if not error:
            self.dispatcher.finish(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: a resume is a new run over the points without a record."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save nothing.

        Args:
            checkpoint_dir: unused.
            session_str: unused.
        """

    def restore(self, checkpoint_path: str) -> None:
        """Refuse, as an interrupted run is made anew."""
        raise NotImplementedError("an interrupted run is made anew, never restored")


class BatchCallback(_Unsaved, tune.Callback):
    """Passes on that a worker starts, and the error of one that did not return."""

    def __init__(self, dispatcher: Dispatcher):
        self.dispatcher = dispatcher

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass on that a worker starts.

        Args:
            iteration: of Tune's loop.
            trials: all batches.
            trial: the batch.
            info: unused.
        """
        self.dispatcher.start(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass on an error, which Tune has written to a file.

        Args:
            iteration: of Tune's loop.
            trials: all batches.
            trial: the batch.
            info: unused.
        """
        error = None
        with contextlib.suppress(Exception):  # no file, or an error that cannot be unpickled
            error = pickle.loads(Path(trial.pickled_error_file).read_bytes())
        self.dispatcher.fail(trial.trial_id, error)


class StopWhenRequested(_Unsaved, tune.Stopper):
    """Ends Tune once the dispatcher says so; no single batch."""

    def __init__(self, dispatcher: Dispatcher):
        self.dispatcher = dispatcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Whether Tune is to end."""
        return self.dispatcher.should_stop()


def _as_actor_error(handle_failure: Callable[..., None]) -> Callable[..., None]:
    """Make an error of Ray's memory monitor one of an actor.

    Tune ends altogether at an error that is none of an actor.
    """

    @functools.wraps(handle_failure)
    def handle(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, ray.exceptions.OutOfMemoryError):
            exception = ray.exceptions.RayActorError(error_msg=str(exception))
        handle_failure(manager, tracked_actor_task, exception)

    return handle


RayActorManager._actor_task_failed = _as_actor_error(RayActorManager._actor_task_failed)  # type: ignore[method-assign]
