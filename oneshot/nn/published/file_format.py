"""How the file of a published model is read as the state dict of ours.

Names in published files are those of another code. Where they are known, rules rewrite ours to
them. Where they are not, layers are recognised by the shapes of their tensors and their order in
the file, which is that in which the published model makes them. A file may have our own names, too.
Whatever does not fit to the last number of the last shape is refused.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from oneshot.nn import state_file
from oneshot.nn.published.layout import SAME, Layout
from oneshot.nn.state_file import COUNTER, StateFileError

State = Mapping[str, Tensor]
Signature = dict[
    str, tuple[int, ...]
]  # the shapes of a layer's tensors, by the ends of their names


@dataclass(frozen=True, kw_only=True)
class FileFormat(ABC):
    """What the file of a published model holds, and where.

    Args:
        title: of the model, for messages.
        layouts: of those of our tensors that lie in memory otherwise, by our names.
        unused: matches names of published tensors that have no place in ours.
        prefixes: that may stand before all names of a file.
        part: how those of our names begin that a file holds; the others stay as they are.
    """

    title: str
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    unused: str = "$^"
    prefixes: tuple[str, ...] = ("module.",)
    part: str = ""

    @abstractmethod
    def _names(self, state: State, shapes: State, problem: str) -> dict[str, str]:
        """Where each of our tensors is in a file.

        Args:
            state: of the file.
            shapes: tensors as the file must have them, by our names.
            problem: how a message begins.

        Returns:
            Published names by ours.

        Raises:
            StateFileError: the file does not fit.
        """

    def to_published(self, own: State) -> dict[str, Tensor]:
        """Our tensors as they lie in a published file, by our names.

        Args:
            own: our state dict, or what of it the file holds.

        Returns:
            The tensors of `part`.
        """
        kept = {name: t for name, t in own.items() if name.startswith(self.part)}
        return {name: self.layouts.get(name, SAME).to_published(t) for name, t in kept.items()}

    def read(self, path: str | Path, own: State) -> dict[str, Tensor]:
        """Read a published file.

        Args:
            path: the file.
            own: the state dict of our model, on any device; what the file lacks stays as it is.

        Returns:
            A whole state dict of our model.

        Raises:
            StateFileError: the file cannot be read, or does not fit; the message says why.
        """
        state, problem = state_file.read(path), f"{path} is not a file of {self.title}"
        if _without_counters(state) == _without_counters(own):  # our own names
            return state_file.checked(state, own, problem)
        unused = rf"({'|'.join(map(re.escape, self.prefixes))})*({self.unused})"
        state = {name: t for name, t in state.items() if not re.match(unused, name)}
        for prefix in self.prefixes:
            if all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): t for name, t in state.items()}
        shapes = self.to_published(own)
        names = self._names(state, shapes, problem)
        wanted = {names[name]: tensor for name, tensor in shapes.items()}
        whole = state_file.checked(state, wanted, problem)
        read = {n: self.layouts.get(n, SAME).to_ours(whole[names[n]]) for n in shapes}
        return {**own, **read}


def _without_counters(state: State) -> set[str]:
    return {name for name in state if not name.endswith(COUNTER)}


@dataclass(frozen=True, kw_only=True)
class OwnNames(FileFormat):
    """A file with our own names, of a model whose published names are not known."""

    def _names(self, state: State, shapes: State, problem: str) -> dict[str, str]:
        """Our own."""
        return {name: name for name in shapes}


@dataclass(frozen=True, kw_only=True)
class NamedFormat(FileFormat):
    """A file whose names are known.

    Args:
        rules: (pattern, replacement) for how our names begin; the first that fits rewrites a name.
    """

    rules: tuple[tuple[str, str], ...]

    def _names(self, state: State, shapes: State, problem: str) -> dict[str, str]:
        """By the rules."""
        return {name: self.published_name(name) for name in shapes}

    def published_name(self, name: str) -> str:
        """The published name of one of our tensors."""
        for pattern, replacement in self.rules:
            changed, count = re.subn(f"^{pattern}", replacement, name)
            if count:
                return changed
        raise KeyError(f"no rule for {name}")


@dataclass(frozen=True, kw_only=True)
class OrderedFormat(FileFormat):
    """A file whose layers are in the order of ours, by names that are not known.

    A layer of ours is the next one in the file that has tensors of its shapes. So the order counts
    only among layers of equal shapes.

    Args:
        within: how names of modules begin that are known, published by ours: their layers are
            looked for there, and no others are.
    """

    within: Mapping[str, str] = field(default_factory=dict)

    def _names(self, state: State, shapes: State, problem: str) -> dict[str, str]:
        """By shapes and order."""
        free, names = _layers(state), dict[str, str]()
        for ours, signature in _layers(shapes).items():
            place = self._place(ours, self.within)
            known = {v: v for v in self.within.values()}
            found = next(
                (
                    layer
                    for layer, theirs in free.items()
                    if theirs == signature and self._place(layer, known) == place
                ),
                None,
            )
            if found is None:
                left = state_file.listed([f"{n}: {_words(s)}" for n, s in free.items()])
                raise StateFileError(
                    f"{problem}: missing a layer{f' in {place}' if place else ''} with"
                    f" {_words(signature)} (our {ours}); left are {left or 'none'}"
                )
            del free[found]
            names |= {f"{ours}.{end}": f"{found}.{end}" for end in (*signature, COUNTER)}
        return names

    @staticmethod
    def _place(name: str, places: Mapping[str, str]) -> str:
        """The module whose names begin so, in published words; "" for all others."""
        inside = (theirs for start, theirs in places.items() if f"{name}.".startswith(start))
        return next(inside, "")


def _layers(state: State) -> dict[str, Signature]:
    """The layers of a state dict in its order: their tensors, but for counters."""
    layers: dict[str, Signature] = {}
    for name, tensor in state.items():
        layer, _, end = name.rpartition(".")
        if end != COUNTER:
            layers.setdefault(layer, {})[end] = tuple(tensor.shape)
    return layers


def _words(signature: Signature) -> str:
    return ", ".join(f"{end} {list(shape)}" for end, shape in signature.items())
