"""A wheel brings one top-level package, which no folder of the user's hides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPES = {
    path.parent.name.replace("_", "-")
    for path in (ROOT / "recipes").glob("*/recipe.py")
}
BOMB = "raise SystemExit('a stranger ran')\n"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this tree, as ``pip install --target`` leaves it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    own = ["--no-build-isolation"] if find_spec("hatchling") else []
    for words in (
        ["wheel", str(ROOT), "--no-deps", *own, "--wheel-dir", str(folder)],
        ["install", "--no-deps", "--no-index", "--target", str(folder / "site")],
    ):
        wheels = [str(path) for path in folder.glob("*.whl")]
        subprocess.run([*pip, *words, *wheels], check=True, timeout=300)
    return folder / "site"


@pytest.fixture
def call(installed: Path, tmp_path: Path) -> Callable[..., str]:
    """The installed command, in a folder full of packages that bear our names."""
    for name in ("recipes", "recipes/ner", "data", "tests", "form", "options"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(BOMB)
    for name in ("recipe", "options", "form"):
        (tmp_path / "recipes" / "ner" / f"{name}.py").write_text(BOMB)
    (tmp_path / "recipes" / "ner" / "config.yaml").write_text("recipe: {}\n")
    paths = os.pathsep.join([str(tmp_path), str(installed)])

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_brings_one_package(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {
        "nlpcli",
        "bin",  # the script
    }
    assert not (installed / "nlpcli" / "recipes.py").exists()


def test_it_finds_its_recipes_and_samples(
    installed: Path, call: Callable[..., str]
) -> None:
    where = call("-c", "import nlpcli; print(nlpcli.__file__)").strip()
    assert Path(where) == installed / "nlpcli" / "__init__.py"
    listed = json.loads(call("-m", "nlpcli", "recipes", "--json"))
    assert {row["recipe"] for row in listed} >= RECIPES
    code = (
        "from nlpcli.recipe import list_recipes\n"
        "from nlpcli.samples import sample, shipped_run\n"
        "for entry in list_recipes():\n"
        "    print(entry.load().__file__)\n"
        "    print(sample(entry.name, 'train') if 'train' in entry.verbs else "
        "entry.folder)\n"
        "print(shipped_run('couplet'))\n"
    )
    found = [Path(line) for line in call("-c", code).splitlines()]
    assert len(found) == 2 * len(listed) + 1
    assert all(path.is_relative_to(installed / "nlpcli") for path in found)


def test_its_recipes_work(call: Callable[..., str]) -> None:
    data = str(ROOT / "data" / "ner" / "dev.jsonl")
    report = json.loads(
        call("-m", "nlpcli", "data", "check", data, "--task", "ner", "--json")
    )
    assert report["examples"] > 0 and not report["bad_lines"]
    assert "task.head" in call("-m", "nlpcli", "train", "ner", "--help")
    assert "--tones" in call("-m", "nlpcli", "generate", "couplet", "--help")
