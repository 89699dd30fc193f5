"""The filter language of `--where`: conditions on the columns of a row, as in `beta <= 1 and status
== 'failed'`.

Grammar: names, numbers, texts, True, False, None, comparisons (also chained), `in` and `not in` a
list of literals, `and`, `or`, `not`, parentheses. Nothing else, so that a filter from a job script
or a web form can do no more than compare: it is parsed by `ast`, never evaluated as Python.

A comparison with an empty value (None, NaN) is False, whatever the operator; `x == None` and `x !=
None` ask whether it is empty.
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

# characters; longer than any filter a person writes, short enough that nesting cannot exhaust the
# stack
LONGEST = 1000
SINGLE_EQUALS = re.compile(r"(?<![=<>!:])=(?![=<>])")
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


class WhereError(ValueError):
    """A filter cannot be read or does not fit the columns; the message names the piece and its
    position.
    """


def names(text: str) -> set[str]:
    """The columns a filter reads. Raises WhereError if it is not a filter."""
    return {node.id for node in ast.walk(_parse(text)) if isinstance(node, ast.Name)}


def compile(text: str, known: Iterable[str] | None = None, absent: Iterable[str] = ()) -> Test:
    """Turn a filter into a test of one row (a mapping from column to value).

    known: the columns there are; names outside it are refused at once, with near names. Without it,
    and for rows that lack a column, the test itself raises. absent: columns that say nothing of
    these rows, as the settings of a model say nothing of people: conditions on them do not refuse a
    row, only what the rest of the filter says of it can; `x == None` still asks. Raises WhereError;
    the test raises it too, when a text is compared with a number.
    """
    tree = _granted(_parse(text), frozenset(absent), True)
    wanted = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if known is not None:
        _refuse_unknown(wanted, list(known), text)
    condition = _condition(tree, text)

    def test(row: Mapping[str, Any]) -> bool:
        if any(node.id not in row for node in wanted):
            _refuse_unknown(wanted, list(row), text)
        return condition(row)

    return test


def _granted(node: ast.expr, absent: frozenset[str], wanted: bool) -> ast.expr:
    """The condition with those on absent columns replaced by `wanted`: the truth that helps the
    row, which `not` turns round.
    """
    if isinstance(node, ast.BoolOp):
        return ast.BoolOp(node.op, [_granted(part, absent, wanted) for part in node.values])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ast.UnaryOp(node.op, _granted(node.operand, absent, not wanted))
    parts = list(ast.walk(node))
    named = any(isinstance(part, ast.Name) and part.id in absent for part in parts)
    asks_empty = any(isinstance(part, ast.Constant) and part.value is None for part in parts)
    return ast.Constant(wanted) if named and not asks_empty else node


def _parse(text: str) -> ast.expr:
    """The syntax tree of a filter, every node of it allowed."""
    if len(text) > LONGEST:
        raise WhereError(f"the filter has {len(text)} characters; at most {LONGEST} are read")
    for number, letter in enumerate(text, 1):
        if letter == "\0" or "\ud800" <= letter <= "\udfff":
            raise WhereError(
                f"cannot read {text!r} at position {number}: {letter!r} is no character of a text"
            )
    try:
        tree = ast.parse(text.strip() or "(", mode="eval").body
        _condition(tree, text)
    except SyntaxError as error:
        position, hint = _place_of(error, text), ""
        if equals := SINGLE_EQUALS.search(QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)):
            position, hint = equals.start() + 1, " (write `==` to compare)"
        raise WhereError(f"cannot read {text!r} at position {position}{hint}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, WhereError):
            raise
        raise WhereError("cannot read the filter: it is nested too deep") from None
    return tree


def _place_of(error: SyntaxError, text: str) -> int:
    """The 1-based character at which Python stopped to understand a filter; one past the end if
    something is missing there.
    """
    if "f-string" in error.msg:  # counted from somewhere inside it
        return next(
            (found.start() + 1 for found in re.finditer(r"\b[fF][rR]?['\"]|\b[rR][fF]['\"]", text)),
            1,
        )
    lines = _lines(text)
    before = sum(len(line) for line in lines[: (error.lineno or 1) - 1])
    # 0: at the end of what was given
    within = before + error.offset if error.offset else len(text.strip()) + 1
    return len(text) - len(text.lstrip()) + min(within, len(text.strip()) + 1)


def _condition(node: ast.expr, text: str) -> Test:
    """Something that is true or false of a row."""
    if isinstance(node, ast.BoolOp):
        parts, join = (
            [_condition(part, text) for part in node.values],
            (any if isinstance(node.op, ast.Or) else all),
        )
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
    if isinstance(node, ast.Name) or (
        isinstance(node, ast.Constant) and isinstance(node.value, bool)
    ):
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
        raise WhereError(
            f"cannot use {piece!r} at position {_position(left, text)} of the filter:"
            f" {HINTS[type(op)]}"
        )
    wanted, asks_empty = (
        isinstance(op, ast.Eq),
        any(isinstance(side, ast.Constant) and side.value is None for side in (left, right)),
    )
    return lambda row: _equal(value(row), other(row), wanted, asks_empty, piece)


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
        raise WhereError(f"{piece!r} compares a text with a number: {a!r} and {b!r}")


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
    """A text among numbers is a mistake; an empty value is among the items only if None is, and
    never `not in` them.
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
        raise WhereError(f"{piece!r} is {value!r}, not true or false; compare it with something")
    return value


def _piece(node: ast.AST, text: str) -> str:
    return ast.get_source_segment(text.strip(), node) or ast.unparse(node)


def _lines(text: str) -> list[str]:
    """The lines of the stripped text as Python counts them: `splitlines` knows more ends of a
    line.
    """
    return re.split(r"(?<=\n)|(?<=\r)(?!\n)", text.strip())


def _position(node: ast.expr, text: str) -> int:
    """The 1-based character at which a node starts (ast counts lines, and UTF-8 bytes within a
    line, of the stripped text).
    """
    lines = _lines(text)
    before = "".join(lines[: node.lineno - 1]) + lines[node.lineno - 1].encode()[
        : node.col_offset
    ].decode(errors="ignore")
    return len(text) - len(text.lstrip()) + len(before) + 1


def _refused(node: ast.expr, text: str, hint: str) -> WhereError:
    kinds = (type(node), type(getattr(node, "op", None)))
    hint = hint or next(
        (HINTS[kind] for kind in kinds if kind in HINTS),
        "only columns, literals, comparisons, in, and, or, not",
    )
    return WhereError(
        f"cannot use {_piece(node, text)!r} at position {_position(node, text)} of the filter:"
        f" {hint}"
    )


def _refuse_unknown(wanted: list[ast.Name], known: list[str], text: str) -> None:
    for node in wanted:
        if node.id not in known:
            near = difflib.get_close_matches(node.id, known, 3)
            meant = (
                f" Did you mean {' or '.join(near)}?"
                if near
                else f" A text needs quotes: '{node.id}'."
            )
            raise WhereError(
                f"there is no column {node.id!r} (position {_position(node, text)} of the"
                f" filter).{meant}"
            )
