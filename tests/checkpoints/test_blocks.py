"""Tensors by blocks of rows: the same numbers, whatever the file, never all at once."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from nlpcli.checkpoints import h5, safetensors, source
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rules import Rule, RuleTable, joined, load, stream
from nlpcli.checkpoints.source import Rowwise, read_blocks
from nlpcli.errors import CheckpointError
from tests.checkpoints.h5_file import write_h5

WORDS = "bert.embeddings.word_embeddings.weight"
DENSE = "bert.encoder.layer.0.output.dense.weight"
TABLE = RuleTable(
    (
        Rule("words", WORDS, vocab_axis=0),
        Rule("dense", DENSE),
        Rule("turned", DENSE, transpose=True),
        Rule("both", (DENSE, DENSE)),
    )
)
SHAPES = {"words": (41, 8), "dense": (24, 8), "turned": (8, 24), "both": (48, 8)}


@pytest.fixture
def tensors():
    random = np.random.default_rng(0)
    return {
        name: random.normal(size=shape).astype(np.float16).astype(np.float32)
        for name, shape in ((WORDS, (41, 8)), (DENSE, (24, 8)))
    }


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Five rows of eight numbers a block."""
    monkeypatch.setattr(source, "BLOCK", 5 * 8 * 4)


def safe(folder, tensors):
    save_file(tensors, folder / "model.safetensors")


def half(folder, tensors):
    halves = {name: value.astype(np.float16) for name, value in tensors.items()}
    save_file(halves, folder / "model.safetensors")


def brain(folder, tensors):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file(
        {name: torch.from_numpy(v).bfloat16() for name, v in tensors.items()},
        folder / "model.safetensors",
    )


def shards(folder, tensors):
    for name, value in tensors.items():
        save_file({name: value}, folder / f"{len(value)}.safetensors")
    places = {name: f"{len(value)}.safetensors" for name, value in tensors.items()}
    index = json.dumps({"weight_map": places})
    (folder / "model.safetensors.index.json").write_text(index)


def keras(folder, tensors):
    write_h5(folder / "tf_model.h5", tensors)


def pickled(folder, tensors):
    torch = pytest.importorskip("torch")
    made = {name: torch.from_numpy(value) for name, value in tensors.items()}
    torch.save(made, folder / "pytorch_model.bin")


KINDS = (safe, half, brain, shards, keras, pickled)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_the_tensor(kind, tmp_path, tensors):
    kind(tmp_path, tensors)
    opened = open_checkpoint(tmp_path)
    assert isinstance(opened, Rowwise)
    tolerance = 0.01 if kind is brain else 0
    blocks = list(read_blocks(opened, WORDS, (41, 8)))
    assert [(start, len(block)) for start, block in blocks] == [
        *((start, 5) for start in range(0, 40, 5)), (40, 1),
    ]  # fmt: skip
    assert all(block.dtype == np.float32 for _, block in blocks)
    np.testing.assert_allclose(joined(iter(blocks), (41, 8)), tensors[WORDS], tolerance)
    np.testing.assert_array_equal(joined(iter(blocks), (41, 8)), opened.read(WORDS))
    values = load(TABLE, SHAPES, opened)
    dense = opened.read(DENSE)
    np.testing.assert_array_equal(values["words"], opened.read(WORDS))
    np.testing.assert_array_equal(values["dense"], dense)
    np.testing.assert_array_equal(values["turned"], dense.T)
    np.testing.assert_array_equal(values["both"], np.concatenate([dense, dense]))


@pytest.mark.parametrize("kind", [safe, keras, pickled])
def test_parts_of_other_sizes_lie_one_after_another(kind, tmp_path, tensors):
    """Fewer key heads than queries, or wider ones: their rows are not as many."""
    kind(tmp_path, tensors)
    rules = RuleTable((Rule("all/qkv/kernel", (WORDS, DENSE, DENSE)),))
    shares = {"qkv": (41, 24, 24)}
    source = open_checkpoint(tmp_path)
    found = load(rules, {"all/qkv/kernel": (89, 8)}, source, shares=shares)
    parts = [tensors[name] for name in (WORDS, DENSE, DENSE)]
    np.testing.assert_array_equal(found["all/qkv/kernel"], np.concatenate(parts))


@pytest.mark.parametrize("kind", [safe, keras, pickled])
def test_chosen_rows_are_those_of_the_whole_table(kind, tmp_path, tensors):
    kind(tmp_path, tensors)
    kept, compound = [40, 3, 3, 0, 17], [[1, 40], [22], [3, 4, 5]]
    values = load(
        TABLE,
        {"words": (8, 8)},
        open_checkpoint(tmp_path),
        kept_rows=kept,
        compound_rows=compound,
    )
    table = tensors[WORDS]
    means = [table[group].mean(axis=0) for group in compound]
    np.testing.assert_array_equal(values["words"], [*table[kept], *means])


@pytest.mark.parametrize("kind", [safe, keras])
def test_a_table_is_never_read_at_once(kind, tmp_path, tensors, monkeypatch):
    kind(tmp_path, tensors)
    opened = open_checkpoint(tmp_path)
    most = []
    read = safetensors.read_tensor
    for module in (safetensors, h5):
        monkeypatch.setattr(
            module,
            "read_tensor",
            lambda name, tensor: most.append(tensor.shape) or read(name, tensor),
        )
    for kept in (None, [1, 40]):
        rows = 41 if kept is None else 2
        load(TABLE, {"words": (rows, 8)}, opened, kept_rows=kept)
    assert most and max(shape[0] for shape in most) == 5


def test_every_gap_is_told_before_anything_is_read(tmp_path, tensors, monkeypatch):
    safe(tmp_path, tensors)
    opened = open_checkpoint(tmp_path)
    monkeypatch.setattr(opened, "read", lambda name: pytest.fail("read"))
    monkeypatch.setattr(opened, "read_rows", lambda *rest: pytest.fail("read"))
    with pytest.raises(CheckpointError, match="dense: expected"):
        stream(TABLE, {**SHAPES, "dense": (3, 3)}, opened)
    stream(TABLE, SHAPES, opened)  # a plan, as long as no block is taken


@pytest.mark.parametrize("kind", [safe, keras])
def test_a_file_that_shrinks_meanwhile_is_an_error(kind, tmp_path, tensors):
    kind(tmp_path, tensors)
    opened = open_checkpoint(tmp_path)
    path = opened.files[0]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="ends before its promised end"):
        load(TABLE, SHAPES, opened)


def test_blocks_are_single_and_contiguous(tmp_path, tensors):
    half(tmp_path, tensors)
    for _, blocks in stream(TABLE, SHAPES, open_checkpoint(tmp_path)):
        for _, block in blocks:
            assert block.dtype == np.float32 and block.flags.c_contiguous
    assert joined(iter(()), (0, 3)).shape == (0, 3)
