"""A sampler of optuna, asked for the next places of a grid; it is told the rows that are there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oneshot.sweep.positions import are_numbers

DEFAULT_COUNT = 8

Values = Mapping[str, Any]


class NotInstalled(ImportError):
    """The package of a sampler is not there; `help` says how it comes."""

    def __init__(self, name: str):
        super().__init__(f"--suggest {name} needs the package {name}, which is not installed")
        self.help = f"pip install '.[{name}]' in the project, or pip install {name}"


def ask(
    name: str,
    values: Mapping[str, Sequence[Any]],
    free: Sequence[Values],
    told: Sequence[tuple[Values, float | None]],
    count: int,
) -> list[tuple[int, str]]:
    """Ask a sampler for places of a grid.

    Args:
        name: the package of the sampler.
        values: those of each axis, numbers ascending.
        free: the places that can be chosen, values by axis.
        told: the rows: values by axis, and what is minimised; None for a training that diverged.
        count: how many places are wanted.

    Returns:
        For each choice the index of the free place nearest to what was asked for, and why, in
        words. The same rows give the same choices.

    Raises:
        NotInstalled: the package is not there.
    """
    try:
        import optuna
    except ImportError as error:
        raise NotInstalled(name) from error
    kinds = optuna.distributions
    axes = {
        axis: kinds.IntDistribution(0, len(v) - 1)
        if are_numbers(v)
        else kinds.CategoricalDistribution(range(len(v)))
        for axis, v in values.items()
    }
    numbers = {axis: {repr(v): i for i, v in enumerate(vs)} for axis, vs in values.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions in which constant_liar is an experiment
        # places that were asked for and have no value yet count as poor ones
        sampler = optuna.samplers.TPESampler(seed=len(told), constant_liar=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    state = optuna.trial.TrialState
    for place, value in told:
        params = {axis: numbers[axis][repr(place[axis])] for axis in values}
        how = dict(state=state.FAIL) if value is None else dict(value=value)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=axes, **how))
    spots = np.array([[numbers[axis][repr(p[axis])] for axis in values] for p in free], float)
    chosen: list[tuple[int, str]] = []
    for _ in range(min(count, len(free))):
        params = study.ask(axes).params
        distance = _distance(spots, params, values)
        distance[[index for index, _ in chosen]] = np.inf
        index = int(np.argmin(distance))
        words = " ".join(f"{axis}={values[axis][i]}" for axis, i in params.items())
        near = f"nearest without a row to {words}, which" if distance[index] > 0 else "which"
        chosen.append((index, f"{near} {name} asked for"))
    return chosen


def _distance(
    spots: np.ndarray, params: Mapping[str, int], values: Mapping[str, Sequence[Any]]
) -> np.ndarray:
    """How far places are from one, on axes of length 1; two words are 1 apart."""
    total = np.zeros(len(spots))
    for column, (axis, listed) in enumerate(values.items()):
        step = np.abs(spots[:, column] - params[axis])
        far = step / max(len(listed) - 1, 1) if are_numbers(listed) else step > 0
        total += np.asarray(far, float) ** 2
    return total
