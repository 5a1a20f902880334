"""Every regular expression of the tree: those of modules, and those in calls of re."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from nlpcli import backbones
from nlpcli.checkpoints.table import RuleTable

ROOT = Path(__file__).resolve().parents[2]
# (module, argument) of a call that makes its pattern when it runs -> such patterns
MADE: dict[tuple[str, str], Callable[[], Iterable[str]]] = {
    ("nlpcli.backbones.family", "pattern"): lambda: [
        pattern for family in backbones.all_families() for pattern, _ in family.marks
    ],
    ("nlpcli.backbones", "pattern"): lambda: [x[1] for x in backbones._OTHERS],
    ("nlpcli.checkpoints.names", "pattern"): lambda: (),  # of tables that modules hold
    ("nlpcli.checkpoints.table", "first + "): lambda: [
        r"layer_(?P<i>0|[1-9][0-9]*)/dense_(?P=i)/kernel"
    ],
    ("nlpcli.tasks.masked", "re.escape, names"): lambda: [r"\[MASK\]|<mask>"],
}
_AT_START = {"match", "fullmatch"}
_ANYWHERE = {"search", "split", "findall", "finditer", "sub", "subn"}
_BY_YAML = {"Loader", "Dumper", "_whole"}  # asked by PyYAML, which matches at the start


class Pattern(NamedTuple):
    """``anchored``: it is only asked what stands at the beginning of a text."""

    text: str
    flags: int
    anchored: bool


def patterns() -> dict[Pattern, str]:
    """Each of the tree, and the first module that has it."""
    found: dict[Pattern, str] = {}
    for name, path in modules().items():
        tree = ast.parse(path.read_text("utf-8"))
        for item in (*held_by(import_module(name), tree), *called(name, tree)):
            found.setdefault(item, name)
    return found


def modules() -> dict[str, Path]:
    """Every module of the tree, by the name that it is imported under."""
    found = {}
    for package in ("nlpcli", "recipes"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            name = name.removesuffix(".__init__")
            found[name if package == "nlpcli" else f"nlpcli.{name}"] = path
    return {name: path for name, path in found.items() if name != "nlpcli.__main__"}


def held_by(module: Any, tree: ast.AST) -> Iterator[Pattern]:
    """The patterns that a module's names are or hold."""
    methods: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            methods.setdefault(node.value.id, set()).add(node.attr)
    for name, value in vars(module).items():
        used = methods.get(name, set())
        anchored = bool(used & _AT_START) and not used & _ANYWHERE
        for text, flags in held(value):
            yield Pattern(text, flags, anchored or name in _BY_YAML)


def held(value: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Patterns in a value, those of tensors' names included."""
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value.pattern, value.flags
    elif isinstance(value, RuleTable):
        yield from ((text, 0) for text in value.ignorable)
    elif depth < 5:
        inside: Iterable[Any] = ()
        if isinstance(value, dict):
            inside = value.values()
        elif isinstance(value, (tuple, list, set, frozenset)):
            inside = value
        elif isinstance(value, type) and value.__module__.startswith("nlpcli"):
            inside = vars(value).values()
        for item in inside:
            yield from held(item, depth + 1)


def called(module: str, tree: ast.AST) -> Iterator[Pattern]:
    """The patterns of calls of re inside functions; what runs at import leaves its own
    in the module. A pattern that is made needs its entry above, else KeyError."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, functions)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if ast.unparse(node.func.value) != "re" or id(node) not in inside:
            continue
        if node.func.attr not in {"compile", *_AT_START, *_ANYWHERE}:
            continue
        anchored = node.func.attr in _AT_START
        pattern = node.args[0]
        if isinstance(pattern, ast.Constant):
            names = [ast.unparse(argument) for argument in node.args[1:]]
            flags = [n.removeprefix("re.") for n in names if n.startswith("re.")]
            yield Pattern(
                pattern.value, sum(int(getattr(re, flag)) for flag in flags), anchored
            )
            continue
        text = ast.unparse(pattern)
        keys = [key for key in MADE if key[0] == module and key[1] in text]
        if not keys:
            raise KeyError(f"{module}:{node.lineno}: what patterns are {text}?")
        yield from (Pattern(made, 0, anchored) for made in MADE[keys[0]]())
