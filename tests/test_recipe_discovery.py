"""Recipes are found by name, in the tree and in other packages, without their code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nlpcli.config.loader import resolve
from nlpcli.errors import ConfigError, NotFoundError
from nlpcli.recipe import find_recipe, list_recipes
from nlpcli.samples import sample

ROOT = Path(__file__).resolve().parents[1]

CONFIG = """\
recipe:
  summary: opinions of films
  verbs: [train, predict]
train:
  epochs: 3
task:
  labels: [好, 差]
"""
OPTIONS = """\
from dataclasses import MISSING, dataclass
from nlpcli.config import option

@dataclass(frozen=True)
class TaskOptions:
    labels: tuple[str, ...] = option(MISSING, "the labels")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path that holds installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, package: str, name: str, config: str | None = CONFIG) -> Path:
    """Another package with a recipe, as pip would leave it."""
    folder = site / package
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "recipe.py").write_text("raise RuntimeError('imported too early')")
    (folder / "options.py").write_text(OPTIONS, encoding="utf-8")
    if config is not None:
        (folder / "config.yaml").write_text(config, encoding="utf-8")
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n")
    (info / "entry_points.txt").write_text(f"[nlpcli.recipes]\n{name} = {package}\n")
    return folder


def test_every_shipped_recipe_is_found_and_told() -> None:
    folders = {p.parent.name for p in (ROOT / "recipes").glob("*/recipe.py")}
    entries = {entry.name: entry for entry in list_recipes()}
    assert {name.replace("-", "_") for name in entries} >= folders
    for entry in entries.values():
        assert entry.summary and entry.verbs, entry.name
        assert find_recipe(entry.name) == entry


def test_a_recipe_of_another_package(site: Path) -> None:
    folder = install(site, "film_opinions", "film-opinion")
    for name in ("film-opinion", "film_opinion"):
        entry = find_recipe(name)
        assert entry.name == "film-opinion"
        assert entry.summary == "opinions of films"
        assert entry.verbs == ("train", "predict")
        assert entry.folder == folder
    assert "film-opinion" in [entry.name for entry in list_recipes()]
    config = resolve("film_opinion", sets=["train.lr=1e-4"])
    assert config.recipe == "film-opinion"
    assert config.train.epochs == 3
    assert config.task.labels == ("好", "差")
    with pytest.raises(ConfigError, match=r"task\.label: unknown key, did you mean"):
        resolve("film-opinion", sets=["task.label=x"])
    with pytest.raises(RuntimeError, match="imported too early"):
        entry.load()


def test_underscores_in_the_entry_point(site: Path) -> None:
    install(site, "two_words_package", "two_words")
    assert find_recipe("two-words").name == "two-words"


@pytest.mark.parametrize("broken", [None, "a: [", "recipe: {summary: 3}", ""])
def test_a_broken_package_takes_nothing_else_down(
    broken: str | None, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "broken_package", "broken", broken)
    names = [entry.name for entry in list_recipes()]
    assert "ner" in names
    assert "broken" not in names
    assert "recipe broken left out" in caplog.text
    with pytest.raises((NotFoundError, ConfigError)):
        find_recipe("broken")


def test_a_package_that_is_gone(site: Path) -> None:
    folder = install(site, "gone_package", "gone")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(NotFoundError, match="gone_package"):
        find_recipe("gone")


def test_a_shipped_recipe_comes_first(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "rival_package", "ner")
    assert find_recipe("ner").folder == ROOT / "recipes" / "ner"
    assert [entry.name for entry in list_recipes()].count("ner") == 1
    assert "recipe ner of rival_package is hidden" in caplog.text


@pytest.mark.parametrize("name", ["nre", "NER", "../ner", "", "ner.recipe"])
def test_an_unknown_recipe(name: str) -> None:
    with pytest.raises(NotFoundError, match=f"recipe {name}: unknown"):
        find_recipe(name)
    with pytest.raises(NotFoundError, match="did you mean ner"):
        find_recipe("nre")


def test_listing_imports_no_recipe() -> None:
    code = (
        "import sys; from nlpcli.recipe import list_recipes; list_recipes();"
        "print([m for m in sys.modules if m.startswith('recipes.')],"
        "sorted({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[] []", done.stderr


def test_samples_ship() -> None:
    for split in ("train", "dev"):
        assert sample("ner", split).is_file()
    with pytest.raises(NotFoundError, match="no test sample ships"):
        sample("ner", "test")
