"""The filter language of `--where`: conditions on the columns of a row.

>>> fits = compile("beta <= 1 and status in ['failed', 'diverged']")
>>> fits(dict(beta=0.5, status="failed"))
True
>>> fits(dict(beta=0.5, status="done"))
False

Grammar: names, numbers, texts, True, False, None, comparisons (also chained), `in` and `not in` a
list of literals, `and`, `or`, `not`, parentheses. Nothing else, so that a filter from a job script
or a web form can do no more than compare: it is parsed by `ast`, never evaluated as Python.

A comparison with an empty value (None, NaN) is False, whatever the operator; `x == None` and
`x != None` ask whether it is empty.

>>> compile("loss != 3")(dict(loss=None))
False
>>> compile("loss == None")(dict(loss=None))
True
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Test = Callable[[Mapping[str, Any]], bool]
Value = Callable[[Mapping[str, Any]], Any]

# Characters of a filter: longer than any that a person writes, short enough that nesting cannot
# exhaust the stack.
LONGEST = 1000
SINGLE_EQUALS = re.compile(r"(?<![=<>!:])=(?![=<>])")
FORMATTED = re.compile(r"\b[fF][rR]?['\"]|\b[rR][fF]['\"]")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
ORDERINGS = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
HINTS = {
    ast.Call: "functions cannot be called",
    ast.Attribute: "only columns, no attributes",
    ast.Subscript: "only columns, no parts of them",
    ast.BitAnd: "write `and`",
    ast.BitOr: "write `or`",
    ast.Invert: "write `not`",
    ast.Is: "write `==`",
    ast.IsNot: "write `!=`",
}


class FilterError(ValueError):
    """A filter cannot be read or does not fit the columns; the message says which piece."""


def columns(text: str) -> set[str]:
    """The columns that a filter reads.

    >>> sorted(columns("beta <= 1 and not (z == 10 or beta in [2, 3])"))
    ['beta', 'z']

    Raises:
        FilterError: it is not a filter.
    """
    return {node.id for node in ast.walk(_parse(text)) if isinstance(node, ast.Name)}


def compile(text: str, known: Iterable[str] | None = None, absent: Iterable[str] = ()) -> Test:
    """Turn a filter into a test of one row.

    >>> compile("bta < 1", known=["beta", "z"])
    Traceback (most recent call last):
    ...
    oneshot.sweep.filter.FilterError: there is no column 'bta' (position 1 of the filter). \
Did you mean beta?

    Args:
        text: the filter.
        known: the columns there are; names outside it are refused at once, with near names. Without
            it, and for rows that lack a column, the test itself raises.
        absent: columns that say nothing of these rows, as the settings of a model say nothing of
            people: conditions on them do not refuse a row, only what the rest of the filter says of
            it can; `x == None` still asks.

    Returns:
        A function from a row (a mapping from column to value) to whether it fulfils the filter.

    Raises:
        FilterError: it is not a filter, or reads other columns than those known. The test raises
            it too, as where a text is compared with a number.
    """
    tree = _grant_absent(_parse(text), frozenset(absent), True)
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if known is not None:
        _refuse_unknown(named, list(known), text)
    condition = _condition(tree, text)

    def test(row: Mapping[str, Any]) -> bool:
        if any(node.id not in row for node in named):
            _refuse_unknown(named, list(row), text)
        return condition(row)

    return test


def _grant_absent(node: ast.expr, absent: frozenset[str], wanted: bool) -> ast.expr:
    """The condition with every part on absent columns replaced by `wanted`.

    That is the truth that helps the row, which `not` turns round.
    """
    if isinstance(node, ast.BoolOp):
        return ast.BoolOp(node.op, [_grant_absent(part, absent, wanted) for part in node.values])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ast.UnaryOp(node.op, _grant_absent(node.operand, absent, not wanted))
    parts = list(ast.walk(node))
    named = any(isinstance(part, ast.Name) and part.id in absent for part in parts)
    asks_empty = any(isinstance(part, ast.Constant) and part.value is None for part in parts)
    return ast.Constant(wanted) if named and not asks_empty else node


def _parse(text: str) -> ast.expr:
    """The syntax tree of a filter, every node of it allowed."""
    if len(text) > LONGEST:
        raise FilterError(f"the filter has {len(text)} characters; at most {LONGEST} are read")
    for number, letter in enumerate(text, 1):
        if letter == "\0" or "\ud800" <= letter <= "\udfff":
            raise FilterError(
                f"cannot read {text!r} at position {number}: {letter!r} is no character of a text"
            )
    try:
        tree = ast.parse(text.strip() or "(", mode="eval").body
        _condition(tree, text)
    except SyntaxError as error:
        position, hint = _place_of(error, text), ""
        if equals := SINGLE_EQUALS.search(QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)):
            position, hint = equals.start() + 1, " (write `==` to compare)"
        raise FilterError(f"cannot read {text!r} at position {position}{hint}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, FilterError):
            raise
        raise FilterError("cannot read the filter: it is nested too deep") from None
    return tree


def _place_of(error: SyntaxError, text: str) -> int:
    """The 1-based character at which Python could not read on, at most one past the end."""
    if "f-string" in error.msg:  # counted from somewhere inside it
        start = FORMATTED.search(text)
        return start.start() + 1 if start else 1
    lines = _lines(text)
    before = sum(len(line) for line in lines[: (error.lineno or 1) - 1])
    # 0: at the end of what was given
    within = before + error.offset if error.offset else len(text.strip()) + 1
    return len(text) - len(text.lstrip()) + min(within, len(text.strip()) + 1)


def _condition(node: ast.expr, text: str) -> Test:
    """Something that is true or false of a row."""
    if isinstance(node, ast.BoolOp):
        parts = [_condition(part, text) for part in node.values]
        join = any if isinstance(node.op, ast.Or) else all
        return lambda row: join(part(row) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _condition(node.operand, text)
        return lambda row: not inner(row)
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        links = [
            _comparison(left, op, right, text)
            for left, op, right in zip(sides, node.ops, sides[1:])
        ]
        return lambda row: all(link(row) for link in links)
    literal = node.value if isinstance(node, ast.Constant) else None
    if isinstance(node, ast.Name) or isinstance(literal, bool):
        value, piece = _value(node, text), _piece(node, text)
        return lambda row: _truth(value(row), piece)
    raise _refused(
        node, text, "compare it with something" if isinstance(node, ast.Constant) else ""
    )


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, text: str) -> Test:
    """One link of a comparison: two operands and the operator between them."""
    piece = ast.unparse(ast.Compare(left, [op], [right]))
    value = _value(left, text)
    if isinstance(op, (ast.In, ast.NotIn)):
        if not isinstance(right, (ast.List, ast.Tuple)):
            raise _refused(right, text, "`in` needs a list, as in `beta in [1, 2]`")
        items, wanted = [_literal(item, text) for item in right.elts], isinstance(op, ast.In)
        return lambda row: _among(value(row), items, wanted, piece)
    other, order = _value(right, text), ORDERINGS.get(type(op))
    if order is not None:
        return lambda row: _ordered(order, value(row), other(row), piece)
    if not isinstance(op, (ast.Eq, ast.NotEq)):
        raise FilterError(
            f"cannot use {piece!r} at position {_position(left, text)} of the filter:"
            f" {HINTS[type(op)]}"
        )
    equal = isinstance(op, ast.Eq)
    asks_empty = any(isinstance(s, ast.Constant) and s.value is None for s in (left, right))
    return lambda row: _equal(value(row), other(row), equal, asks_empty, piece)


def _value(node: ast.expr, text: str) -> Value:
    """A column or a literal."""
    if isinstance(node, ast.Name):
        return lambda row: row[node.id]
    literal = _literal(node, text)
    return lambda row: literal


def _literal(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and (
        node.value is None or isinstance(node.value, (bool, int, float, str))
    ):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = node.operand
        if (
            isinstance(number, ast.Constant)
            and isinstance(number.value, (int, float))
            and not isinstance(number.value, bool)
        ):
            return -number.value
    raise _refused(node, text, "")


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _check_kinds(a: Any, b: Any, piece: str) -> None:
    if isinstance(a, str) != isinstance(b, str):
        raise FilterError(f"{piece!r} compares a text with a number: {a!r} and {b!r}")


def _ordered(order: Callable[[Any, Any], bool], a: Any, b: Any, piece: str) -> bool:
    if _empty(a) or _empty(b):
        return False
    _check_kinds(a, b, piece)
    return bool(order(a, b))


def _equal(a: Any, b: Any, wanted: bool, asks_empty: bool, piece: str) -> bool:
    if asks_empty:
        return (_empty(a) and _empty(b)) == wanted
    if _empty(a) or _empty(b):
        return False
    _check_kinds(a, b, piece)
    return bool(a == b) == wanted


def _among(value: Any, items: list[Any], wanted: bool, piece: str) -> bool:
    """Whether a value is among items (`wanted`), or not.

    A text among numbers is a mistake. An empty value is among the items only if None is, and never
    `not in` them.
    """
    if _empty(value):
        return wanted and any(_empty(item) for item in items)
    for item in items:
        if item is not None:
            _check_kinds(value, item, piece)
    return (value in items) == wanted


def _truth(value: Any, piece: str) -> bool:
    if _empty(value):
        return False
    if not isinstance(value, bool):
        raise FilterError(f"{piece!r} is {value!r}, not true or false; compare it with something")
    return value


def _piece(node: ast.AST, text: str) -> str:
    return ast.get_source_segment(text.strip(), node) or ast.unparse(node)


def _lines(text: str) -> list[str]:
    """The lines of the stripped text as Python counts them; `splitlines` knows more line ends."""
    return re.split(r"(?<=\n)|(?<=\r)(?!\n)", text.strip())


def _position(node: ast.expr, text: str) -> int:
    """The 1-based character at which a node starts.

    `ast` counts lines, and UTF-8 bytes within a line, of the stripped text.
    """
    lines = _lines(text)
    within = lines[node.lineno - 1].encode()[: node.col_offset].decode(errors="ignore")
    before = sum(map(len, lines[: node.lineno - 1])) + len(within)
    return len(text) - len(text.lstrip()) + before + 1


def _refused(node: ast.expr, text: str, hint: str) -> FilterError:
    kinds = (type(node), type(getattr(node, "op", None)))
    hint = hint or next(
        (HINTS[kind] for kind in kinds if kind in HINTS),
        "only columns, literals, comparisons, in, and, or, not",
    )
    return FilterError(
        f"cannot use {_piece(node, text)!r} at position {_position(node, text)} of the filter:"
        f" {hint}"
    )


def _refuse_unknown(named: list[ast.Name], known: list[str], text: str) -> None:
    for node in named:
        if node.id in known:
            continue
        near = difflib.get_close_matches(node.id, known, 3)
        hint = (
            f"Did you mean {' or '.join(near)}?" if near else f"A text needs quotes: '{node.id}'."
        )
        place = f"position {_position(node, text)} of the filter"
        raise FilterError(f"there is no column {node.id!r} ({place}). {hint}")
