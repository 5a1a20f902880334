"""Configurations and run folders that ask for more than their weights have.

Sizes are compared with the shapes in the file before a model is built.
"""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keras.src.backend.common.stateless_scope import in_stateless_scope

from nlpcli.backbones import family_of
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.config.loader import load_config, resolve, with_task_sets
from nlpcli.engine import build, embed, fill
from nlpcli.engine.convert import convert_model
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError
from nlpcli.samples import shipped_run
from nlpcli.text.tokenizers.load import tiny_tokenizer
from tests.backbones.opened import write_google
from tests.checkpoints.tiny_bert import CONFIG, write_hf
from tests.engine.checkpoint_kinds import DECODERS, OTHERS, Kind, write_model
from tests.t5_family import write_t5

SIZES = {
    "hidden_size": 10_000_000,
    "intermediate_size": 10_000_000,
    "vocab_size": 10_000_000,
    "max_position_embeddings": 10_000_000,
    "type_vocab_size": 10_000_000,
    "num_hidden_layers": 1000,
}
SHORT = {"data.max_length": 8, "data.stride": 2}


def refused(act: Callable[[], Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test in which a model is built."""

    build_one = Transformer.build

    def refuse(self: Transformer, *given: Any) -> None:
        assert in_stateless_scope(), "a model was built"  # else only described
        build_one(self, *given)

    monkeypatch.setattr(Transformer, "build", refuse)


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("verb", ["train", "fill", "embed", "convert"])
def test_sizes_are_compared_before_a_model_is_built(
    verb: str, key: str, tmp_path: Path, unbuilt: None
) -> None:
    folder = write_hf(tmp_path / "model", config={**CONFIG, key: SIZES[key]})
    acts: dict[str, Callable[[], Any]] = {
        "train": lambda: build.open_start(
            resolve("ner", flags={"backbone.model": str(folder), **SHORT})
        ),
        "fill": lambda: fill.Filler(folder),
        "embed": lambda: embed.Embedder.open(folder),
        "convert": lambda: convert_model(folder, tmp_path / "out"),
    }
    with pytest.raises(CheckpointError) as caught:
        acts[verb]()
    lines = str(caught.value).splitlines()
    assert 0 < len(lines) <= 101
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 10**6),
        ("hidden_size", 10**30),
        ("max_relative_position", 10**7),
        ("hidden_dropout_prob", 7),
        ("layer_norm_eps", -1.0),
        ("initializer_range", 1e300),
        ("hidden_act", "x" * 100_000),
        ("vocab_size", True),
    ],
)
def test_values_that_cannot_be(key: str, value: Any) -> None:
    values = {**CONFIG, key: value}
    refused(lambda: TransformerConfig.from_dict(values, "config.json"), key)


@pytest.mark.parametrize(
    "kind", [kind for kind, _ in OTHERS if kind not in DECODERS], ids=str
)
@pytest.mark.parametrize(
    "key",
    ["vocab_size", "hidden_size", "embedding_size", "attention_key_size"],
)
def test_absurd_sizes_of_other_families_are_told(
    kind: Kind, key: str, tmp_path: Path, unbuilt: None
) -> None:
    write_model(tmp_path / "model", kind)
    names = ("config.json", "bert_config.json")
    path = next(p for n in names if (p := tmp_path / "model" / n).exists())
    raw = json.loads(path.read_text())
    if key not in {**raw, "vocab_size": 0}:
        pytest.skip(f"{kind} has no {key}")
    for value in (10_000_000, 10**30, -1, "x"):
        path.write_text(json.dumps({**raw, key: value}))
        with pytest.raises(CheckpointError) as caught:
            embed.Embedder.open(tmp_path / "model")
        assert 0 < len(str(caught.value).splitlines()) <= 101


@pytest.mark.parametrize("kind", DECODERS, ids=str)
def test_sizes_of_those_that_write_are_compared_as_well(
    kind: Kind, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    write_model(folder, kind)
    path = folder / ("config.json" if kind.dialect == "hf" else "bert_config.json")
    raw = json.loads(path.read_text())
    sizes = [key for key, value in raw.items() if type(value) is int]
    if "n_embd" in raw:
        sizes = ["vocab_size", *(key for key in sizes if key.startswith("n_"))]
    for key in sizes:
        for size, named in ((10_000_000, ""), (10**30, key), (-1, key), ("7", key)):
            path.write_text(json.dumps({**raw, key: size}))
            if key == "type_vocab_size":
                continue  # a decoder has none
            if "position" in key and kind.family == "llama" and size == 10_000_000:
                continue  # angles have no table
            with pytest.raises(CheckpointError) as caught:
                open_published(folder).check_sizes()
            assert len(str(caught.value).splitlines()) <= 101
            assert named in str(caught.value)


@pytest.mark.parametrize("form", ["t5-1.0", "mt5", "pegasus"])
def test_sizes_of_an_encoder_and_a_decoder_as_well(
    form: str, tmp_path: Path, unbuilt: None
) -> None:
    folder = tmp_path / "model"
    write_t5(folder, form, "tf" if form == "pegasus" else "hf", 0.05, tiny_tokenizer())
    path = folder / "config.json"
    raw = json.loads(path.read_text())
    for key in [key for key, value in raw.items() if type(value) is int]:
        for size in (10_000_000, 10**30, -2, "7"):
            path.write_text(json.dumps({**raw, key: size}))
            with pytest.raises(CheckpointError) as caught:
                open_published(folder).check_sizes()
            assert len(str(caught.value).splitlines()) <= 101, (key, size)


def test_dropout_may_be_a_whole_zero() -> None:
    values = {**CONFIG, "hidden_dropout_prob": 0}
    assert TransformerConfig.from_dict(values, "x").hidden_dropout_prob == 0


@pytest.mark.parametrize("name", ["roformer", "roformer_v2", "nezha"])
@pytest.mark.parametrize("key", SIZES)
def test_sizes_of_other_families_are_compared_with_their_tensors(
    name: str, key: str, tmp_path: Path
) -> None:
    family = family_of(name)
    assert family is not None
    told = {"model_type": name.removesuffix("_v2")}
    config = {k: v for k, v in CONFIG.items() if k != "model_type"}
    write_google(tmp_path / "model", family, config, ["backbone"], **told)
    path = tmp_path / "model" / "bert_config.json"
    path.write_text(json.dumps({**config, **told, key: SIZES[key]}))
    out = tmp_path / "out"
    if key == "max_position_embeddings":  # no table of theirs is as long
        convert_model(tmp_path / "model", out)
        assert (out / "model.safetensors").stat().st_size < 10**6
        return
    with pytest.raises(CheckpointError) as caught:
        convert_model(tmp_path / "model", out)
    assert 0 < len(str(caught.value).splitlines()) <= 101
    assert not out.exists()


# -- run folders


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shipped = shipped_run("couplet")
    assert shipped is not None
    return Path(shutil.copytree(shipped, tmp_path / "run"))


def open_it(run: Path, *sets: str) -> Any:
    config = with_task_sets(load_config(run / "config.yaml"), sets)
    return build.load_run(config, run / "best")


@pytest.mark.parametrize("key", [key for key in SIZES if key != "type_vocab_size"])
def test_sizes_of_a_run_are_compared_before_its_model_is_built(
    key: str, run: Path, unbuilt: None
) -> None:
    path = run / "best" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: SIZES[key]}))
    with pytest.raises(CheckpointError) as caught:
        open_it(run)
    assert len(str(caught.value).splitlines()) <= 101


@pytest.mark.parametrize(
    "sets", [["task.nar.width=10000000"], ["task.nar.layers=10000000"]]
)
def test_options_of_a_run_make_no_model_larger_than_its_file(
    sets: list[str], run: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: open_it(run, "task.model=nar", *sets), "options ask for more")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1000 * 1024
    Transformer(TransformerConfig.from_dict(CONFIG, "x"))  # others are built as ever


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"task": 5, "buckets": 5},
        {"task": {}, "buckets": [5]},
        {"task": {}, "buckets": [{"tokens": "many"}]},
        {"task": {}, "buckets": [{"tokens": 10**12}]},
        {"task": {}, "buckets": [{"tokens": -1}]},
    ],
)
def test_what_a_recipe_keeps_has_its_types(state: dict[str, Any], run: Path) -> None:
    (run / "best" / "task.json").write_text(json.dumps(state))
    refused(lambda: open_it(run), "task.json: not what this recipe keeps of a run")
