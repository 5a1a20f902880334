"""Keys that change a published encoder's positions or attention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.engine import build
from nlpcli.errors import ConfigError
from tests.engine.checkpoint_kinds import NEZHA, POSITIONS, ROFORMER, Kind, write_model

BERT = Kind("hf", ("mlm",))
RELATIVE = Kind("tf", ("mlm",), "nezha", told=NEZHA)
ROTARY = Kind("hf", ("mlm",), "roformer", told=ROFORMER)
LONGER = 2 * POSITIONS
QUICK = {
    "train.max_steps": 2,
    "train.batch_size": 2,
    "data.limit": 12,
    "data.dev_limit": 1,
    "runtime.tensorboard": False,
}


def start_of(folder: Path | str, length: int = LONGER, **backbone: Any) -> build.Start:
    flags = {f"backbone.{name}": value for name, value in backbone.items()}
    flags |= {"backbone.model": str(folder), "data.max_length": length}
    return build.open_start(resolve("dialog", flags=flags))


def test_a_table_reaches_its_length_squared(tmp_path: Path) -> None:
    write_model(tmp_path / "bert", BERT)
    with pytest.raises(ConfigError, match=r"hierarchical_positions: 0\.4"):
        start_of(tmp_path / "bert")
    config = start_of(tmp_path / "bert", hierarchical_positions=0.4).config
    assert config.hierarchical_positions == 0.4
    assert config.longest == POSITIONS**2
    with pytest.raises(ConfigError, match=f"at most {POSITIONS**2} ") as caught:
        start_of(tmp_path / "bert", POSITIONS**2 + 1, hierarchical_positions=0.4)
    assert "makes more" not in str(caught.value)


def test_what_has_no_end_needs_none(tmp_path: Path) -> None:
    for name, kind in (("nezha", RELATIVE), ("roformer", ROTARY)):
        write_model(tmp_path / name, kind)
        assert start_of(tmp_path / name, 40 * POSITIONS).config.longest is None
        with pytest.raises(ConfigError, match=r"has no table of positions, got 0\.4"):
            start_of(tmp_path / name, hierarchical_positions=0.4)


def test_linear_attention_and_scores_of_pairs(tmp_path: Path) -> None:
    write_model(tmp_path / "nezha", RELATIVE)
    with pytest.raises(ConfigError, match=r"backbone\.attention: expected softmax"):
        start_of(tmp_path / "nezha", attention="linear")
    assert start_of("tiny", attention="linear").config.attention == "linear"
    with pytest.raises(ConfigError, match=r"backbone\.attention"):
        start_of("tiny", attention="linear", relative_positions=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "kind", "sets"),
    [
        ("dialog", BERT, {"backbone.hierarchical_positions": 0.4}),
        ("ner", BERT, {"backbone.hierarchical_positions": 0.4, "data.stride": 8}),
        ("dialog", ROTARY, {"backbone.attention": "linear"}),
        ("couplet", None, {"backbone.attention": "linear"}),
        ("ner", None, {"backbone.attention": "linear", "data.stride": 8}),
    ],
)
def test_two_steps_and_answers(
    tmp_path: Path, recipe: str, kind: Kind | None, sets: dict[str, Any]
) -> None:
    model = "tiny"
    if kind is not None:
        write_model(tmp_path / "model", kind)
        model = str(tmp_path / "model")
    values = {**QUICK, "data.max_length": LONGER, **sets}
    words = [f"--set={key}={value}" for key, value in values.items()]
    run = tmp_path / "run"
    done = CliRunner().invoke(
        app, ["train", recipe, "--model", model, "--no-xla", *words, "--out", str(run)]
    )
    assert done.exit_code == 0, done.output
    scores = json.loads((run / "scores.json").read_text("utf-8"))
    assert all(np.isfinite(x) for x in scores.values() if isinstance(x, float))
    kept = json.loads((run / "best" / "config.json").read_text("utf-8"))
    for key, value in sets.items():
        if key.startswith("backbone."):
            assert kept[key.removeprefix("backbone.")] == value
    verb = "predict" if recipe == "ner" else "generate"
    done = CliRunner().invoke(app, [verb, recipe, "春风", "--run", str(run)])
    assert done.exit_code == 0, done.output
    if "backbone.attention" in sets:
        out = ["export", recipe, str(tmp_path / "out"), "--run", str(run)]
        done = CliRunner().invoke(app, out)
        assert done.exit_code != 0
        assert "linear attention" in done.output
