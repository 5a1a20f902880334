"""What modules import, by their sources alone, and the circles that this makes."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Import(NamedTuple):
    """One import: its line, the module it names, and what holds it."""

    line: int
    name: str
    deferred: bool = False  # inside a function
    for_types: bool = False  # under ``if TYPE_CHECKING``, so it never runs
    relative: bool = False  # written with dots


def imports_of(module: str, source: str, known: set[str]) -> Iterator[Import]:
    """The imports of a source, wherever they stand; relative ones made absolute."""
    tree = ast.parse(source)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    held = inside(x for x in ast.walk(tree) if isinstance(x, functions))
    unread = inside(
        child
        for x in ast.walk(tree)
        if isinstance(x, ast.If)
        and ast.unparse(x.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for child in x.body
    )
    for node in ast.walk(tree):
        dots = isinstance(node, ast.ImportFrom) and node.level > 0
        for name in names_in(node, module, known):
            yield Import(node.lineno, name, id(node) in held, id(node) in unread, dots)


def inside(nodes: Iterable[ast.AST]) -> set[int]:
    """What stands in some nodes, themselves included."""
    return {id(child) for node in nodes for child in ast.walk(node)}


def names_in(node: Any, module: str, known: set[str]) -> list[str]:
    """The modules that a node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        up = node.level
        if any(name.startswith(f"{module}.") for name in known):
            up -= 1  # a package's own dot is itself
        parts = module.split(".")
        parts = parts[: len(parts) - up] if node.level else []
        base = ".".join([*parts, *([node.module] if node.module else [])])
        full = [f"{base}.{alias.name}" for alias in node.names]
        return [name if name in known else base for name in full]
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func).split(".")[-1]
        if called in ("import_module", "__import__"):
            return ["importlib.import_module"]
    return []


def circles(sources: Mapping[str, str]) -> list[str]:
    """Circles of imports between modules, each as ``a:3 > b:7 > a``, shortest first.

    For every module in one the shortest that it is in. A deferred import closes a
    circle like any other: either side needs the other. Only those for types do not
    count. Who imports a module of a package from outside also imports the package.
    """
    lines = {name: needs(name, text, set(sources)) for name, text in sources.items()}
    found = {}
    for start in sources:
        circle = circle_from(start, lines)
        if circle:
            first = circle.index(min(circle))
            circle = circle[first:] + circle[:first]
            steps = zip(circle, circle[1:] + circle[:1], strict=True)
            told = " > ".join(f"{one}:{lines[one][other]}" for one, other in steps)
            found[f"{told} > {circle[0]}"] = len(circle)
    return sorted(found, key=lambda told: (found[told], told))


def circle_from(start: str, lines: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The shortest way back to a module, itself first; nothing where there is none."""
    ways = {start: [start]}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for there in lines[here]:
            if there == start:
                return ways[here]
            if there not in ways:
                ways[there] = [*ways[here], there]
                queue.append(there)
    return []


def needs(module: str, source: str, known: set[str]) -> dict[str, int]:
    """The modules of ours that a module imports, each with the line that does it."""
    lines: dict[str, int] = {}
    own = {*ancestors(module), module}
    for line in imports_of(module, source, known):
        if line.for_types or line.name not in known:
            continue
        packages = {*ancestors(line.name)} & known - own
        for name in (line.name, *sorted(packages)):
            lines.setdefault(name, line.line)
    return lines


def ancestors(module: str) -> list[str]:
    """The packages that a module is in."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]
