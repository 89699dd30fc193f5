"""A cluster file that is checked: its values, the lines they stand on, and the problems found."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

# where something stands in the file: keys and indices from the top
Place = tuple[Any, ...]

PLACEHOLDER = re.compile(r"\bYOUR[-_/][A-Z0-9_/-]*")


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing to change.

    Attributes:
        message: what is wrong.
        help: what to do.
        place: where, in dots; "" for the whole file.
        line: its line.
        hint: whether everything works all the same.
    """

    message: str
    help: str
    place: str = ""
    line: int | None = None
    hint: bool = False


class ClusterFile:
    """One pass over a file; each rule notes here what it finds.

    Attributes:
        config: the file as Python values.
        lines: the line of each place.
        problems: what the rules found.
        placeholders: values that people have to fill in, beside which all else can be checked.
        provider: the part of that name, {} if it is none.
        kind: the type of the provider.
    """

    def __init__(self, config: dict[str, Any], lines: dict[Place, int]):
        self.config, self.lines = config, lines
        self.problems: list[Problem] = []
        self.placeholders: list[Problem] = []
        provider = config.get("provider")
        self.provider: dict[str, Any] = provider if isinstance(provider, dict) else {}
        self.kind = self.provider.get("type")

    def error(self, place: Place, message: str, help: str, hint: bool = False) -> None:
        """Note a problem at a place, or at the nearest place above it that is in the file.

        Args:
            place: where.
            message: what is wrong.
            help: what to do.
            hint: whether everything works all the same.
        """
        at = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in self.lines), ())
        self.problems.append(Problem(message, help, dotted(place), self.lines.get(at), hint))

    def hint(self, place: Place, message: str, help: str) -> None:
        """Note what works but is hardly meant.

        Args:
            place: where.
            message: what is odd.
            help: what to do.
        """
        self.error(place, message, help, hint=True)

    def has_errors(self) -> bool:
        """Whether an error was found, placeholders aside."""
        return any(not p.hint for p in self.problems)

    def is_head_alone(self) -> bool:
        """Whether these are machines of one's own, and the head is the only one."""
        given = self.provider
        return self.kind == "local" and "head_ip" in given and given.get("worker_ips") == []

    def node_types(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Each node type: its name, what the file says of it, and its node_config."""
        for name, given in self.config.get("available_node_types", {}).items():
            yield name, given, given["node_config"]


def dotted(place: Place) -> str:
    """A place as text, as in `provider.worker_ips[1]`."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
    return text.removeprefix(".")


def kind_of(value: Any) -> str:
    """The type of a value in words."""
    if value is None:
        return "nothing"
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a fraction",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def shown_value(value: Any) -> str:
    """A value as a short text."""
    text = (
        json.dumps(value, default=str)
        if isinstance(value, (dict, list, bool)) or value is None
        else str(value)
    )
    return text if len(text) <= 40 else f"{text[:37]}..."


def strings_in(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """All texts in a value, with their places.

    Args:
        value: a value of the file.
        place: where it stands.

    Yields:
        The place of each text, and the text.
    """
    if isinstance(value, str):
        yield place, value
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from strings_in(inner, (*place, key))
