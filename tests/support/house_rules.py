"""Rules of the code that no linter has: lengths of files and functions, and what docstrings list.

`python tests/support/house_rules.py oneshot/store` prints what breaks them there.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 400, 60
PARAMETERS = 2  # from so many on a docstring lists them, one a line
LONG = {"oneshot/trial/trial.py:run": 90}  # one trial on one page
DRAWING = "oneshot/report/figures/"  # drawing code reads from top to bottom

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function, bool]]:
    """Every function of a module and of its classes: its name, itself, whether it is public."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            name = prefix + node.name
            yield name, node, not any(part.startswith("_") for part in name.split("."))
            yield from ((n, f, False) for n, f, _ in functions(node, f"{name}."))
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from functions(node, prefix)


def parameters(node: Function) -> list[str]:
    """The names of a function's parameters, without self and cls."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    given += [a for a in (node.args.vararg, node.args.kwarg) if a]
    return [a.arg for a in given if a.arg not in ("self", "cls")]


@functools.cache
def said_elsewhere(root: Path) -> set[str]:
    """Names of methods whose meaning stands at the base class, or at a module."""
    files = sorted((root / "oneshot" / "contracts").glob("*.py"))
    bodies = (ast.parse(file.read_text(encoding="utf-8")).body for file in files)
    methods = (m for body in bodies for c in body if isinstance(c, ast.ClassDef) for m in c.body)
    names = {m.name for m in methods if isinstance(m, Function) and ast.get_docstring(m)}
    return names | {"forward", "backward"}


def problems_of_docstring(node: Function) -> Iterator[str]:
    """What a docstring lacks: a sentence on one line, its parameters, what it returns."""
    text = ast.get_docstring(node)
    if text is None:
        yield "has no docstring"
        return
    summary, _, rest = text.partition("\n")
    if not summary.rstrip("`\"')").endswith((".", "?", ":")) or (rest and rest[0] != "\n"):
        yield "its docstring does not begin with one sentence on one line"
    names = parameters(node)
    if len(names) < PARAMETERS:
        return
    listed = re.split(r"Returns:|Raises:|Yields:", text.partition("Args:")[2])[0]
    before = " ".join(line.partition(":")[0] for line in listed.splitlines())
    missing = [name for name in names if name not in re.findall(r"\w+", before)]
    if missing:
        yield f"its docstring lists no {', '.join(missing)} under Args"
    returns = ast.unparse(node.returns) if node.returns else "None"
    if returns not in ("None", "NoReturn") and not re.search(r"(Returns|Yields):", text):
        yield "its docstring has no Returns"


def problems(path: Path, root: Path) -> Iterator[str]:
    """What breaks the rules in a file, each with its place."""
    source, file = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
    if (lines := source.count("\n")) > FILE_LINES:
        yield f"{file}: {lines} lines, {FILE_LINES} at most"
    for name, node, public in functions(ast.parse(source)):
        most = LONG.get(f"{file}:{name}", FUNCTION_LINES)
        doc = len((ast.get_docstring(node) or "").splitlines())
        long = (node.end_lineno or 0) - node.lineno + 1 - doc
        if long > most and not file.startswith(DRAWING):
            yield f"{file}:{node.lineno} {name}: {long} lines, {most} at most"
        if public and name.rpartition(".")[2] not in said_elsewhere(root):
            for what in problems_of_docstring(node):
                yield f"{file}:{node.lineno} {name}: {what}"


if __name__ == "__main__":
    base = Path(__file__).parents[2]
    places = [base / given for given in sys.argv[1:] or ["oneshot"]]
    files = [f for p in places for f in ([p] if p.suffix == ".py" else sorted(p.rglob("*.py")))]
    found = [problem for file in files for problem in problems(file, base)]
    print("\n".join(found) or "keeps the rules")
    sys.exit(bool(found))
