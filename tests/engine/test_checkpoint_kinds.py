"""Every recipe trains from every kind of published model, and what a file has is used.

Two steps each: what is wrong between a file and a model is wrong at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.recipe import list_recipes
from nlpcli.text.tokenizers.load import load_tokenizer
from tests.engine.checkpoint_kinds import KINDS, OTHERS, POSITIONS, Kind, write_model

RECIPES = [entry.name for entry in list_recipes() if "train" in entry.verbs]
# Flags without which a task uses no part of a file, or has no room.
FLAGS: dict[str, dict[str, Any]] = {
    "math-qa": {"task.expression_length": 12},
    "qa-gen": {
        "task.passage_length": 80,
        "task.answer_length": 12,
        "task.question_length": 24,
    },
    "simbert": {"task.pooling": "pooler"},
}
# Other models of a task, from two kinds.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("ner", {"task.head": "global-pointer"}),
    ("couplet", {"task.model": "nar"}),
    ("triple-extract", {"task.model": "casrel"}),
    ("simbert", {"task.pooling": "pooler", "task.objective": "simcse"}),
]
# Parts of a file beside the backbone: one weight of each, its name in messages, a piece
# of the file's names.
PUBLISHED = {
    "mlm": (
        "mlm/transform/kernel",
        "output head",
        r"(^|[ ./])predictions|generator_predictions|lm_head",
    ),
    "pooler": ("pooler/kernel", "pooler", "pooler"),
}
QUICK = (KINDS[0], Kind("tf", ("mlm", "pooler", "nsp")))
QUICK_RECIPES = ("ner", "simbert")
SMALL = {
    "train.max_steps": 2,
    "train.batch_size": 4,
    "train.lr": 1e-5,
    "data.limit": 24,
    "data.dev_limit": 1,
    "data.max_length": POSITIONS,
    "data.stride": 8,
    "runtime.tensorboard": False,
}


def cases() -> list[Any]:
    """All kinds for all recipes; those that are no quick run are marked."""
    found = []
    for kind in KINDS:
        for recipe in RECIPES:
            if recipe == "title" and kind not in QUICK:
                continue  # to a file it is qa-gen once more
            quick = kind in QUICK and recipe in QUICK_RECIPES
            marks = () if quick else (pytest.mark.slow,)
            flags = FLAGS.get(recipe, {})
            found.append(pytest.param(kind, recipe, flags, marks=marks))
    for kind, recipes in OTHERS:
        for recipe in recipes:
            flags = FLAGS.get(recipe, {})
            found.append(pytest.param(kind, recipe, flags, marks=pytest.mark.slow))
    for kind in QUICK:
        found += [pytest.param(kind, *one, marks=pytest.mark.slow) for one in VARIANTS]
    return found


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder and its values for each kind, made when it is first asked for."""
    known: dict[Kind, tuple[Path, dict[str, np.ndarray]]] = {}

    def find(kind: Kind) -> tuple[Path, dict[str, np.ndarray]]:
        if kind not in known:
            folder = tmp_path_factory.mktemp("models") / str(kind)
            known[kind] = folder, write_model(folder, kind)
        return known[kind]

    yield find


@pytest.fixture
def untraced(kind: Kind) -> Iterator[None]:
    """BERT's blocks are traced in the tests of every recipe: not for each file too,
    which takes longer than all the rest."""
    tf.config.run_functions_eagerly(kind in KINDS)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(("kind", "recipe", "flags"), cases(), ids=str)
def test_two_steps_from_a_published_model(published, tmp_path, kind, recipe, flags):
    folder, values = published(kind)
    sets = [f"--set={key}={value}" for key, value in {**SMALL, **flags}.items()]
    words = ["train", recipe, "--model", str(folder), "--no-xla", *sets]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run/scores.json").read_text("utf-8"))
    weights = load_file(tmp_path / "run/best/model.safetensors")
    assert_table_near(tmp_path / "run/best", folder, weights, values)
    inside = "layer_1/feed_forward/output/kernel"
    if inside not in values:  # layers may share one
        inside = inside.replace("1", "0")
    if f"backbone/{inside}" in weights:  # convolutions take the token vectors alone
        assert_near(weights, values, inside, "backbone/")
    marker = "not used: "
    (told,) = [x for x in done.stderr.splitlines() if marker in x] or [marker]
    told = told.partition(marker)[2]
    assert not re.search(r"layer(?!_norm)|embeddings", told), "the backbone is used"
    for part, (path, name, theirs) in PUBLISHED.items():
        if path not in weights:
            assert f"no {name} in it" not in done.stderr, "it is not asked for"
            assert bool(re.search(theirs, told)) == (part in kind.parts)
            continue
        assert (f"no {name} in it: it starts fresh" in done.stderr) == (
            part not in kind.parts
        )
        assert not re.search(theirs, told)
        if part in kind.parts:
            assert_near(weights, values, path)


def assert_table_near(best, folder, weights, values):
    """The token vectors that a run kept are those of the same tokens in the file."""
    index = load_tokenizer(folder).vocab.index
    rows = [index[token] for token in load_tokenizer(best).vocab.tokens]
    path = "token_embedding/embeddings"
    assert_near(weights, {path: values[path][rows]}, path, "backbone/")


def assert_near(weights, values, path, prefix=""):
    """Within what two steps of Adam at such a rate can change."""
    difference = np.abs(weights[prefix + path] - values[path]).max()
    assert 0 < difference < 3 * SMALL["train.lr"]
