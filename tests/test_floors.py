"""Imports point down, never up; this reads the import lines and keeps it so."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

CLI, RECIPES, ENGINE, HEADS, LAYERS, GROUND = 6, 5, 4, 3, 2, 1
FLOORS = {
    "nlpcli.cli": CLI,
    "nlpcli.__main__": CLI,
    "recipes": RECIPES,
    "nlpcli.engine": ENGINE,
    "nlpcli.runtime": ENGINE,
    "nlpcli.backbones": HEADS,
    "nlpcli.heads": HEADS,
    "nlpcli.layers": LAYERS,
    "nlpcli.decoders": LAYERS,
    "nlpcli.checkpoints": LAYERS,
    "nlpcli": GROUND,
}
GROUND_PACKAGES = {
    "numpy",
    "yaml",
    "jieba",
    "tokenizers",
    "sacrebleu",
    "pypinyin",
    "filelock",
}
MIDDLE_PACKAGES = GROUND_PACKAGES | {"keras", "safetensors", "huggingface_hub", "torch"}
CLI_PACKAGES = {"typer", "click", "rich"}

# (module, what it imports) -> why that is right all the same
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("nlpcli.cli.main", "importlib.import_module"): (
        "imports one of its own commands when it is called, so help stays instant"
    ),
}


class Import(NamedTuple):
    """One import: its line, the module it names, and whether a function holds it."""

    line: int
    name: str
    deferred: bool


def modules() -> dict[str, Path]:
    """Every module of the tree by dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for package in ("nlpcli", "recipes")
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imports_of(module: str, source: str, known: set[str]) -> Iterator[Import]:
    """The imports of a source, wherever they stand; relative ones made absolute."""
    tree = ast.parse(source)
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        deferred = id(node) in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, deferred)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(node.lineno, full if full in known else base, deferred)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.split(".")[-1] in ("import_module", "__import__"):
                yield Import(node.lineno, "importlib.import_module", deferred)


def complaint(module: str, line: Import) -> str | None:
    """Why a module must not import something; None when it may."""
    target, here = line.name, floor(module)
    package = target.split(".")[0]
    if package not in ("nlpcli", "recipes"):
        return package_complaint(module, here, line)
    there = floor(target)
    if package == "recipes":
        if module.split(".")[:2] != target.split(".")[:2]:
            return "only nlpcli/recipe.py reaches for a recipe, by importlib"
        return None
    if here == RECIPES and there >= ENGINE:
        return "a recipe does not know the engine, the runtime or the command line"
    if there > here:
        return f"floor {here} imports floor {there}"
    if {part_of(module), part_of(target)} == {"nlpcli.backbones", "nlpcli.heads"}:
        return "backbones and heads do not know each other"
    if here == CLI and LAYERS <= there < CLI and not line.deferred:
        return "a command imports what it starts inside its function (instant --help)"
    return None


def package_complaint(module: str, here: int, line: Import) -> str | None:
    """Why a module must not import a foreign package; None when it may."""
    package = line.name.split(".")[0]
    if line.name == "importlib.import_module":
        return None if module == "nlpcli.recipe" else "only nlpcli/recipe.py does this"
    if package in sys.stdlib_module_names:
        return None
    if package == "tensorflow":
        inside = part_of(module) == "nlpcli.runtime"
        return None if inside else "only nlpcli/runtime says import tensorflow"
    if here == GROUND and package not in GROUND_PACKAGES:
        return f"floor 1 is Python and {', '.join(sorted(GROUND_PACKAGES))}"
    if here in (LAYERS, HEADS, RECIPES) and package not in MIDDLE_PACKAGES:
        return f"this floor has {', '.join(sorted(MIDDLE_PACKAGES))} and no more"
    if here == CLI and package not in CLI_PACKAGES:
        return "the command line has no logic, so no library, of its own"
    return None


def part_of(module: str) -> str:
    """The longest named part of the house that a module is in."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next(name for name in names if name in FLOORS)


def floor(module: str) -> int:
    """The floor of a module."""
    return FLOORS[part_of(module)]


def test_imports_point_down() -> None:
    found = modules()
    complaints = []
    for module, path in found.items():
        for line in imports_of(module, path.read_text("utf-8"), set(found)):
            why = complaint(module, line)
            if why and (module, line.name) not in EXCEPTIONS:
                place = path.relative_to(ROOT)
                complaints.append(f"{place}:{line.line}: {line.name}: {why}")
    assert not complaints, "\n" + "\n".join(complaints)


def test_exceptions_are_still_needed() -> None:
    found = modules()
    for (module, name), reason in EXCEPTIONS.items():
        assert reason
        source = found[module].read_text("utf-8")
        lines = [x for x in imports_of(module, source, set(found)) if x.name == name]
        assert any(complaint(module, line) for line in lines), (module, name)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nlpcli.text.tokenizers.vocab", "import keras"),
        ("nlpcli.config", "from nlpcli.layers.masks import causal"),
        ("nlpcli.config", "def f():\n    import recipes.ner.recipe"),
        ("nlpcli.layers.masks", "import tensorflow as tf"),
        ("nlpcli.layers.masks", "from ..backbones import bert"),
        ("nlpcli.layers.masks", "from .. import engine"),
        ("nlpcli.heads.crf", "from nlpcli.backbones.bert import build"),
        ("nlpcli.backbones.bert", "import nlpcli.heads.crf"),
        ("nlpcli.engine.train", "from tensorflow import data"),
        ("nlpcli.engine.train", "from recipes.ner import recipe"),
        ("nlpcli.engine.train", "import importlib\nimportlib.import_module('x')"),
        ("nlpcli.runtime.step", "from nlpcli.cli.main import app"),
        ("recipes.ner.recipe", "from nlpcli.engine import build"),
        ("recipes.ner.recipe", "from recipes.sentiment.recipe import read"),
        ("recipes.ner.recipe", "def f():\n    import tensorflow"),
        ("nlpcli.cli.train", "from nlpcli.engine.train import train"),
        ("nlpcli.cli.train", "def f():\n    import keras"),
    ],
)
def test_what_is_forbidden(module: str, source: str) -> None:
    known = {*modules(), "nlpcli.engine", "nlpcli.backbones.bert"}
    assert any(complaint(module, x) for x in imports_of(module, source, known))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nlpcli.text.tokenizers.vocab", "import re, numpy"),
        ("nlpcli.text.tokenizers.vocab", "from nlpcli.errors import DataError"),
        ("nlpcli.recipe", "from importlib import import_module\nimport_module('x')"),
        ("nlpcli.heads.crf", "import keras\nfrom nlpcli.decoders import viterbi"),
        ("nlpcli.runtime.step", "import tensorflow as tf\nimport nlpcli.engine.loop"),
        ("recipes.ner.recipe", "from recipes.ner.tags import TagScheme"),
        ("recipes.ner.recipe", "import nlpcli.heads.crf, nlpcli.backbones.bert"),
        ("nlpcli.cli.train", "def f():\n    from nlpcli.engine import train"),
        ("nlpcli.cli.train", "import typer\nfrom nlpcli.errors import UsageError"),
    ],
)
def test_what_is_allowed(module: str, source: str) -> None:
    known = set(modules())
    assert not any(complaint(module, x) for x in imports_of(module, source, known))
