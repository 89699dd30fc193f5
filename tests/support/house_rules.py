"""Rules of the code that no linter has: lengths of files and functions, and what docstrings list.

`python tests/support/house_rules.py oneshot/store` prints what breaks them there.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 400, 60
PARAMETERS = 2  # from so many on a docstring lists them, one a line
# Longer because they read from top to bottom: one trial on one page, and drawing code.
LONG = {"oneshot/trial/trial.py:run": 90}
DRAWING = "oneshot/report/figures/"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function, bool]]:
    """Every function of a module and of its classes: its name, itself, whether it is public."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield (
                prefix + node.name,
                node,
                "_" not in {part[:1] for part in (prefix + node.name).split(".")},
            )
            yield from ((n, f, False) for n, f, _ in functions(node, f"{prefix}{node.name}."))
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from functions(node, prefix)


def parameters(node: Function) -> list[str]:
    """The names of a function's parameters, without self and cls."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    given += [a for a in (node.args.vararg, node.args.kwarg) if a]
    return [a.arg for a in given if a.arg not in ("self", "cls")]


def inherited(node: Function) -> bool:
    """Whether the docstring of what is overridden says it all."""
    return any("override" in ast.unparse(decorator) for decorator in node.decorator_list)


def problems_of_docstring(node: Function) -> Iterator[str]:
    text = ast.get_docstring(node)
    if text is None:
        yield "has no docstring"
        return
    summary, _, rest = text.partition("\n")
    if not summary.rstrip("`\"'").endswith((".", "?", ":")) or (rest and rest[0] != "\n"):
        yield "its docstring does not begin with one sentence on one line"
    names = parameters(node)
    if len(names) >= PARAMETERS:
        listed = text.partition("Args:")[2].partition("Returns:")[0].partition("Raises:")[0]
        missing = [
            n
            for n in names
            if not any(
                n in [w.strip("`* ") for w in line.partition(":")[0].split(",")]
                for line in listed.splitlines()
            )
        ]
        if missing:
            yield f"its docstring lists no {', '.join(missing)} under Args"
        returns = node.returns is not None and ast.unparse(node.returns)
        if (
            returns not in (False, "None", "NoReturn")
            and "Returns:" not in text
            and "Yields:" not in text
        ):
            yield "its docstring has no Returns"


def problems(path: Path, root: Path) -> Iterator[str]:
    """What breaks the rules in a file, each with its place."""
    source, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
    if (lines := source.count("\n")) > FILE_LINES:
        yield f"{name}: {lines} lines, {FILE_LINES} at most"
    for function, node, public in functions(ast.parse(source)):
        most = LONG.get(f"{name}:{function}", FUNCTION_LINES)
        long = (
            (node.end_lineno or 0)
            - node.lineno
            + 1
            - len((ast.get_docstring(node) or "").splitlines())
        )
        if long > most and not name.startswith(DRAWING):
            yield f"{name}:{node.lineno} {function}: {long} lines, {most} at most"
        if public and not inherited(node):
            yield from (
                f"{name}:{node.lineno} {function}: {what}" for what in problems_of_docstring(node)
            )


if __name__ == "__main__":
    base = Path(__file__).parents[2]
    found = [
        p
        for given in sys.argv[1:] or ["oneshot"]
        for file in (
            [base / given] if given.endswith(".py") else sorted((base / given).rglob("*.py"))
        )
        for p in problems(file, base)
    ]
    print("\n".join(found) or "keeps the rules")
    sys.exit(bool(found))
