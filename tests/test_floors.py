"""Imports point down, never up nor in a circle; this reads the import lines."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.import_lines import Import, circles, imports_of

ROOT = Path(__file__).resolve().parents[1]

CLI, TOP, TASKS, HEADS, LAYERS, GROUND = 6, 5, 4, 3, 2, 1
FLOORS = {
    "nlpcli.cli": CLI,
    "nlpcli.__main__": CLI,
    "recipes": TOP,
    "nlpcli.engine": TOP,
    "nlpcli.runtime": TOP,
    "nlpcli.tasks": TASKS,
    "nlpcli.backbones": HEADS,
    "nlpcli.heads": HEADS,
    "nlpcli.layers": LAYERS,
    "nlpcli.decoders": LAYERS,
    "nlpcli.checkpoints": LAYERS,
    "nlpcli.records": GROUND,
    "nlpcli.text": GROUND,
    "nlpcli.metrics": GROUND,
    "nlpcli.config": GROUND,
    "nlpcli.files": GROUND,
    "nlpcli.errors": GROUND,
    "nlpcli.progress": GROUND,
    "nlpcli.recipe": GROUND,
    "nlpcli.recipes": GROUND,  # the door to the recipes of a checkout
    "nlpcli.samples": GROUND,
    "nlpcli": GROUND,
}
# within a floor: (room, a room that it must not import) -> why
APART = {
    ("recipes", "nlpcli.engine"): "a recipe does not know the engine",
    ("recipes", "nlpcli.runtime"): "a recipe does not know the runtime",
    ("nlpcli.runtime", "nlpcli.engine"): "the engine stands on the runtime",
    ("nlpcli.backbones", "nlpcli.heads"): "backbones and heads do not know each other",
    ("nlpcli.heads", "nlpcli.backbones"): "backbones and heads do not know each other",
}
# who imports by name: recipes and families of backbones are found, not listed
FINDERS = {"nlpcli.recipe", "nlpcli.backbones"}
GROUND_PACKAGES = {
    "numpy",
    "yaml",
    "jieba",
    "tokenizers",
    "sacrebleu",
    "pypinyin",
    "filelock",
}
MIDDLE_PACKAGES = GROUND_PACKAGES | {
    "keras",
    "h5py",
    "safetensors",
    "huggingface_hub",
    "torch",
}
CLI_PACKAGES = {"typer", "click", "rich"}

# (module, what it imports) -> why that is right all the same
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("nlpcli.cli.main", "importlib.import_module"): (
        "imports one of its own commands when it is called, so help stays instant"
    ),
    ("nlpcli.recipe", "nlpcli.recipes"): "where they lie; nothing of one is imported",
}


def modules() -> dict[str, Path]:
    """Every module of the tree by dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for package in ("nlpcli", "recipes")
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def complaint(module: str, line: Import) -> str | None:
    """Why a module must not import something; None when it may."""
    target, here = re.sub(r"^nlpcli\.recipes\b", "recipes", line.name), floor(module)
    package = target.split(".")[0]
    if package not in ("nlpcli", "recipes"):
        return package_complaint(module, here, line)
    there = floor(target)
    if there > here:
        return f"floor {here} imports floor {there}"
    if package == "recipes":
        if module.split(".")[:2] != target.split(".")[:2]:
            return "only nlpcli/recipe.py reaches for a recipe, by importlib"
        if not line.relative:
            return "a recipe lies inside nlpcli when installed: from .form import"
        return None
    why = APART.get((part_of(module), part_of(target)))
    if why is not None:
        return why
    if here == CLI and LAYERS <= there < CLI and not (line.deferred or line.for_types):
        return "a command imports what it starts inside its function (instant --help)"
    return None


def package_complaint(module: str, here: int, line: Import) -> str | None:
    """Why a module must not import a foreign package; None when it may."""
    package = line.name.split(".")[0]
    if line.name == "importlib.import_module":
        return None if module in FINDERS else f"only {sorted(FINDERS)} do this"
    if package in sys.stdlib_module_names:
        return None
    if package == "tensorflow":
        inside = part_of(module) == "nlpcli.runtime"
        return None if inside else "only nlpcli/runtime says import tensorflow"
    if here == GROUND and package not in GROUND_PACKAGES:
        return f"floor 1 is Python and {', '.join(sorted(GROUND_PACKAGES))}"
    middle = here in (LAYERS, HEADS, TASKS) or part_of(module) == "recipes"
    if middle and package not in MIDDLE_PACKAGES:
        return f"this floor has {', '.join(sorted(MIDDLE_PACKAGES))} and no more"
    if here == CLI and package not in CLI_PACKAGES:
        return "the command line has no logic, so no library, of its own"
    return None


def part_of(module: str) -> str:
    """The longest named part of the house that a module is in."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    found = next(name for name in names if name in FLOORS)
    assert found != "nlpcli" or module == found, f"{module}: which floor is it on?"
    return found


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


def test_imports_make_no_circle() -> None:
    found = circles({name: path.read_text("utf-8") for name, path in modules().items()})
    assert not found, "\n" + "\n".join(found)


def test_every_room_is_there() -> None:
    rooms = {part_of(module) for module in modules()}
    assert rooms == set(FLOORS)


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
        ("nlpcli.runtime.step", "def f():\n    import nlpcli.engine.loop"),
        ("nlpcli.records.lines", "from nlpcli.layers.masks import causal"),
        ("nlpcli.tasks.characters", "import nlpcli.runtime.step"),
        ("nlpcli.tasks.characters", "from nlpcli.engine import build"),
        ("nlpcli.tasks.characters", "from recipes.ner.tags import TagScheme"),
        ("nlpcli.tasks.characters", "import tensorflow"),
        ("nlpcli.tasks.characters", "import lancedb"),
        ("nlpcli.heads.crf", "from nlpcli.tasks import characters"),
        ("nlpcli.decoders.tags", "import nlpcli.heads.crf"),
        ("recipes.ner.recipe", "from nlpcli.engine import build"),
        ("recipes.ner.recipe", "import nlpcli.runtime.step"),
        ("recipes.ner.recipe", "import nlpcli.cli.main"),
        ("nlpcli.cli.train", "from nlpcli.tasks import characters"),
        ("nlpcli.cli.train", "from nlpcli.checkpoints import registry"),
        ("recipes.ner.recipe", "from recipes.sentiment.recipe import read"),
        ("recipes.ner.recipe", "from ..sentiment.recipe import read"),
        ("recipes.ner.recipe", "from recipes.ner.form import NerForm"),
        ("recipes.ner.recipe", "from nlpcli.recipes.ner.form import NerForm"),
        ("nlpcli.engine.train", "from nlpcli.recipes.ner import recipe"),
        ("nlpcli.engine.train", "from nlpcli.recipes import ner"),
        ("nlpcli.config", "def f():\n    import nlpcli.recipes.ner.form"),
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
        ("nlpcli.backbones", "import importlib\nimportlib.import_module('x')"),
        ("nlpcli.tasks.characters", "import keras, numpy\nimport nlpcli.heads.crf"),
        ("nlpcli.tasks.characters", "from nlpcli.records.lines import lines_of"),
        ("nlpcli.runtime.step", "import tensorflow as tf\nimport nlpcli.tasks"),
        ("nlpcli.engine.loop", "import nlpcli.runtime.step\nimport lancedb"),
        ("recipes.ner.recipe", "from nlpcli.tasks.characters import Characters"),
        ("recipes.ner.recipe", "from .tags import TagScheme"),
        ("recipes.ner.recipe", "import nlpcli.heads.crf, nlpcli.backbones.bert"),
        ("nlpcli.cli.train", "def f():\n    from nlpcli.engine import train"),
        ("nlpcli.cli.train", "import typer\nfrom nlpcli.errors import UsageError"),
    ],
)
def test_what_is_allowed(module: str, source: str) -> None:
    known = set(modules())
    assert not any(complaint(module, x) for x in imports_of(module, source, known))


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"n.a": "import n.b", "n.b": "import n.c", "n.c": ""}, []),
        ({"n.a": "import n.b", "n.b": "import n.a"}, ["n.a:1 > n.b:1 > n.a"]),
        (
            {"n.a": "import n.b", "n.b": "\n\ndef f():\n    from n.a import x"},
            ["n.a:1 > n.b:4 > n.a"],
        ),
        (
            {
                "n.a": "import n.b",
                "n.b": "from typing import TYPE_CHECKING\n"
                "if TYPE_CHECKING:\n    from n.a import x\n",
            },
            [],
        ),
        (
            {
                "n.a": "import n.b",
                "n.b": "import typing\n"
                "if typing.TYPE_CHECKING:\n    import m\n"
                "else:\n    import n.a\n",
            },
            ["n.a:1 > n.b:5 > n.a"],
        ),
        (
            {"n.c": "import n.a", "n.a": "import n.b", "n.b": "import n.c"},
            ["n.a:1 > n.b:1 > n.c:1 > n.a"],
        ),
        ({"n": "from . import a", "n.a": "from . import b", "n.b": ""}, []),
        (
            {"n": "", "n.a": "from .b import x", "n.b": "from . import a"},
            ["n.a:1 > n.b:1 > n.a"],
        ),
        # m.x brings m along, which needs n.a; but a module may need its own package
        (
            {"n.a": "import m.x", "m": "import m.y", "m.x": "", "m.y": "import n.a"},
            ["m:1 > m.y:1 > n.a:1 > m"],
        ),
        ({"m": "import m.y", "m.x": "", "m.y": "import m.x"}, []),
        ({"m": "import m.y", "m.y": "from m import z"}, ["m:1 > m.y:1 > m"]),
        (
            {
                "n.a": "import n.b, n.c",
                "n.b": "import n.a",
                "n.c": "import n.d",
                "n.d": "import n.a",
            },
            ["n.a:1 > n.b:1 > n.a", "n.a:1 > n.c:1 > n.d:1 > n.a"],
        ),
    ],
)
def test_what_a_circle_is(sources: dict[str, str], expected: list[str]) -> None:
    assert circles(sources) == expected
