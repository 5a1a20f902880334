"""Listing recipes runs nobody's code, and no stranger's folder or package ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlpcli.errors import ConfigError, NotFoundError
from nlpcli.recipe import find_recipe, list_recipes

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(
    path.parent.name.replace("_", "-")
    for path in (ROOT / "recipes").glob("*/recipe.py")
)
CONFIG = "recipe: {summary: opinions, verbs: [train]}\n"
BOMB = "raise SystemExit('a stranger ran')\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path that holds installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, package: str, name: str = "opinion") -> Path:
    """A package that ends the process when it is imported, with a recipe inside."""
    folder = site / Path(*package.split("."))
    folder.mkdir(parents=True)
    for parent in (folder, *folder.relative_to(site).parents):
        if parent != Path():
            (site / parent / "__init__.py").write_text(BOMB)
    (folder / "recipe.py").write_text(BOMB)
    (folder / "config.yaml").write_text(CONFIG)
    return named(site, package, f"[nlpcli.recipes]\n{name} = {package}\n".encode())


def named(site: Path, package: str, points: bytes) -> Path:
    info = site / f"{package.replace('.', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n")
    (info / "entry_points.txt").write_bytes(points)
    return info


def names() -> list[str]:
    return [entry.name for entry in list_recipes()]


@pytest.mark.parametrize("package", ["films", "films.opinions", "films.of.opinions"])
def test_no_package_above_a_recipe_is_imported(package: str, site: Path) -> None:
    """``find_spec("films.opinions")`` would import ``films``."""
    install(site, package)
    assert "opinion" in names()
    assert find_recipe("opinion").folder == site / Path(*package.split("."))
    with pytest.raises(SystemExit):
        find_recipe("opinion").load()


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "films.",
        ".films",
        "films..x",
        "/etc",
        "films:app",
        "films [x]",
        "__main__",
        "films.gone",
        "films/../films",
        "电影.评论",
        "os.path",
        "a" * 300,
    ],
)
def test_an_odd_entry_point_is_left_out(
    value: str, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "films", "good")
    named(site, "odd", f"[nlpcli.recipes]\nodd = {value}\n".encode())
    found = names()
    assert set(SHIPPED) < set(found) and "good" in found and "odd" not in found
    assert len(caplog.records) == 1
    with pytest.raises((ConfigError, NotFoundError)):
        find_recipe("odd")


@pytest.mark.parametrize(
    "points",
    [
        b"[nlpcli.recipes]\nno equals sign\n",
        b"[nlpcli.recipes]\n\xff\xfe = films\n",
        b"\0\x1b[31m[[[\n=\n",
        b"no section = films\n",
    ],
)
def test_broken_metadata_does_not_end_the_list(
    points: bytes, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "films", "good")
    named(site, "broken", points)
    found = names()
    assert set(SHIPPED) < set(found) and "good" in found
    assert len(caplog.records) <= 1
    assert find_recipe("ner").name == "ner" and find_recipe("good").name == "good"


@pytest.mark.parametrize(
    "config",
    [
        b"recipe: [\n",
        b"\xff\xfe",
        b"",
        b"- 1\n",
        b"recipe: {summary: 1, verbs: [1]}\n",
        b"recipe: {summary: a, verbs: {train: 1}}\n",
        b"? [a, b]\n: 1\n",
        b"recipe: !!python/object/apply:os.abort []\n",
        b"recipe: &a [*a]\n",
        b"a: " + b"[" * 5000,
        b"a: !!timestamp 2024-13-45\n",
        b"recipe: " + b"9" * 5000,
    ],
)
def test_a_broken_configuration_does_not_end_the_list(
    config: bytes, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "films", "good")
    install(site, "broken", "broken")
    (site / "broken" / "config.yaml").write_bytes(config)
    found = names()
    assert set(SHIPPED) < set(found) and "good" in found and "broken" not in found
    assert len(caplog.records) == 1
    with pytest.raises((ConfigError, NotFoundError)):
        find_recipe("broken")


def test_a_configuration_that_never_ends(site: Path) -> None:
    """A FIFO with no writer: whoever opens it waits for ever."""
    install(site, "films", "good")
    (site / "films" / "config.yaml").unlink()
    os.mkfifo(site / "films" / "config.yaml")
    assert names() == SHIPPED


def test_a_package_found_twice_is_told_once(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    info = install(site, "films")
    info.rename(site / "films-0.9.dist-info")
    named(site, "films", b"[nlpcli.recipes]\nopinion = films\n")
    assert names().count("opinion") == 1
    assert not caplog.records


@pytest.mark.parametrize("on_path", [False, True], ids=["beside", "on-path"])
def test_a_folder_of_the_name_recipes_hides_none_of_ours(
    on_path: bool, tmp_path: Path
) -> None:
    """A user's own package ``recipes``, in the working directory or on PYTHONPATH."""
    for folder in ("recipes", "recipes/ner"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(BOMB)
    for part in ("recipe", "options", "form"):
        (tmp_path / "recipes/ner" / f"{part}.py").write_text(BOMB)
    (tmp_path / "recipes/ner/config.yaml").write_text(CONFIG)
    (tmp_path / "work").mkdir()
    paths = [str(tmp_path)] * on_path + [str(ROOT)]
    where = tmp_path / "work" if on_path else tmp_path

    def call(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nlpcli", *words],
            cwd=where,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = call("recipes")
    assert all(f"\n{name} " in listed for name in SHIPPED)
    assert "opinions" not in listed
    assert "head" in call("config", "ner", "--schema", "task.head")
    data = ROOT / "data" / "ner" / "dev.jsonl"
    assert "entities" in call("data", "check", str(data), "--task", "ner")
