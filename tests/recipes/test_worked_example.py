"""The recipe that docs/house.md shows: found, trained, evaluated and asked as it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {"text": f"{city}今天{thing}，市民出行请注意安全。", "title": f"{city}{thing}"}
    for city in ("北京", "上海", "广州", "成都", "西安", "苏州")
    for thing in ("大雨", "降温", "大风", "起雾")
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page, as pip would leave it, and its data."""
    folder = tmp_path_factory.mktemp("site")
    page = (ROOT / "docs" / "house.md").read_text("utf-8")
    blocks = re.findall(r"`(nlpcli_headline/\S+)`\n\n```\w+\n(.*?)```", page, re.S)
    assert [Path(name).name for name, _ in blocks] == [
        "options.py",
        "recipe.py",
        "config.yaml",
    ]
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    (folder / "nlpcli_headline" / "__init__.py").touch()
    info = folder / "nlpcli_headline-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nlpcli_headline\n")
    point = re.search(r"```toml\n\[project.entry-points.*?\]\n(.*?)```", page, re.S)
    assert point is not None
    text = point[1].replace('"', "")
    (info / "entry_points.txt").write_text(f"[nlpcli.recipes]\n{text}")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS]
    (folder / "news.jsonl").write_text("".join(lines), "utf-8")
    return folder


def call(site: Path, *words: str) -> str:
    """Run a command line as a process of its own; what it says on stdout."""
    paths = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "nlpcli", *words],
        cwd=site,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_data_is_checked_and_converted(site: Path) -> None:
    report = json.loads(
        call(site, "data", "check", "news.jsonl", "--task", "headline", "--json")
    )
    assert (report["examples"], report["bad_lines"]) == (len(ROWS), [])
    table = "title\ttext\n" + "".join(f"{r['title']}\t{r['text']}\n" for r in ROWS)
    (site / "news.tsv").write_text(table, "utf-8")
    call(site, "data", "convert", "--task", "headline", "news.tsv", "again.jsonl")
    assert (site / "again.jsonl").read_bytes() == (site / "news.jsonl").read_bytes()


@pytest.mark.slow
def test_it_is_found_trained_evaluated_and_asked(site: Path) -> None:
    found = {row["recipe"]: row for row in json.loads(call(site, "recipes", "--json"))}
    assert found["headline"]["summary"] == "headlines for texts"
    call(
        site,
        *("train", "headline", "--data", "news.jsonl", "--dev", "news.jsonl"),
        *("--max-steps", "2", "--batch-size", "8", "--out", "run"),
    )
    scores = json.loads(call(site, "evaluate", "headline", "--run", "run", "--json"))
    assert scores["perplexity"] > 1 and "rouge1" in scores
    line = call(
        site,
        "generate",
        "headline",
        "--run",
        "run",
        ROWS[0]["text"],
        "--max-length",
        "8",
    )
    answer = json.loads(line)
    assert answer["text"] == ROWS[0]["text"] and len(answer["outputs"]) == 1
