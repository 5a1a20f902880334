"""Rules against a fabricated checkpoint and ten lines of numpy."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.checkpoints.rows import Rows, take_rows
from nlpcli.checkpoints.rules import Rule, RuleTable, dump, load, resolve
from nlpcli.errors import CheckpointError

LAYER = "net.layer.{i}"
TABLE = RuleTable(
    (
        Rule("token/embeddings", "net.token.weight", vocab_axis=0),
        Rule(
            "layer_{i}/qkv/kernel",
            (f"{LAYER}.q.weight", f"{LAYER}.k.weight", f"{LAYER}.v.weight"),
        ),
        Rule(
            "layer_{i}/qkv/bias",
            (f"{LAYER}.q.bias", f"{LAYER}.k.bias", f"{LAYER}.v.bias"),
        ),
        Rule("layer_{i}/norm/gamma", f"{LAYER}.norm.weight"),
        Rule("extra/kernel", "head.weight", transpose=True, optional=True),
    ),
    prefix="net.",
    spellings=(("norm.gamma", "norm.weight"),),
    ignorable=(r"position_ids$",),
    foreign={"other.": "another family"},
)
SIZES = {"token/embeddings": (7, 4), "extra/kernel": (4, 2)} | {
    f"layer_{i}/{name}": shape
    for i in range(11)
    for name, shape in (
        ("qkv/kernel", (12, 4)), ("qkv/bias", (12,)), ("norm/gamma", (4,)),
    )
}  # fmt: skip


class Fabricated:
    """A source made of a dict."""

    label, container, dialect, files = "fab.bin", "fabricated", "hf", []

    def __init__(self, tensors):
        self.tensors = tensors

    def describe(self):
        return {name: value.shape for name, value in self.tensors.items()}

    def dtype(self, name):
        return self.tensors[name].dtype.name

    def read(self, name):
        return self.tensors[name]


@pytest.fixture
def tensors():
    random = np.random.default_rng(0)
    made = {
        "net.token.weight": random.normal(size=(7, 4)),
        "head.weight": random.normal(size=(2, 4)),
    }
    for i in range(11):
        for part in "qkv":
            made[f"net.layer.{i}.{part}.weight"] = random.normal(size=(4, 4))
            made[f"net.layer.{i}.{part}.bias"] = random.normal(size=(4,))
        made[f"net.layer.{i}.norm.weight"] = random.normal(size=(4,))
    return {name: value.astype(np.float32) for name, value in made.items()}


def test_every_variable_gets_its_tensor(tensors):
    values = load(TABLE, SIZES, Fabricated(tensors))
    assert values.keys() == SIZES.keys()
    x = np.arange(4, dtype=np.float32)
    for i in range(11):
        q, k, v = (tensors[f"net.layer.{i}.{p}.weight"] @ x for p in "qkv")
        np.testing.assert_allclose(
            values[f"layer_{i}/qkv/kernel"] @ x, np.concatenate([q, k, v]), rtol=1e-5
        )
        np.testing.assert_array_equal(
            values[f"layer_{i}/qkv/bias"][4:8], tensors[f"net.layer.{i}.k.bias"]
        )
    np.testing.assert_array_equal(values["extra/kernel"], tensors["head.weight"].T)


def test_what_loads_is_written_back_the_same(tensors):
    written = dump(TABLE, load(TABLE, SIZES, Fabricated(tensors)))
    assert written.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(written[name], value)
        assert written[name].flags.c_contiguous


@given(st.data())
def test_dump_then_load_is_the_identity(data):
    hidden = data.draw(st.integers(1, 5))
    layers = data.draw(st.integers(0, 3))
    shapes = {"token/embeddings": (data.draw(st.integers(1, 5)), hidden)}
    for i in range(layers):
        shapes[f"layer_{i}/qkv/kernel"] = (3 * hidden, hidden)
        shapes[f"layer_{i}/qkv/bias"] = (3 * hidden,)
        shapes[f"layer_{i}/norm/gamma"] = (hidden,)
    random = np.random.default_rng(1)
    values = {p: random.normal(size=s).astype(np.float32) for p, s in shapes.items()}
    again = load(TABLE, shapes, Fabricated(dump(TABLE, values)))
    assert all(np.array_equal(values[path], again[path]) for path in shapes)


def test_every_gap_is_listed_and_nothing_is_loaded(tensors):
    del tensors["net.layer.3.k.weight"]
    del tensors["net.layer.10.norm.weight"]
    tensors["net.layer.5.q.bias"] = np.zeros(3, np.float32)
    tensors["net.token.weight"] = np.zeros((6, 4), np.float32)
    with pytest.raises(CheckpointError) as caught:
        load(TABLE, {**SIZES, "pooler/kernel": (4, 4)}, Fabricated(tensors))
    assert sorted(str(caught.value).splitlines()) == [
        "layer_10/norm/gamma: expected net.layer.10.norm.weight (4,), fab.bin has none",
        "layer_3/qkv/kernel: expected net.layer.3.k.weight (4, 4), fab.bin has none",
        "layer_5/qkv/bias: expected (4,), net.layer.5.q.bias in fab.bin is (3,)",
        "pooler/kernel: no rule says where it comes from",
        "token/embeddings: expected 7 rows (the vocabulary), got 6 "
        "(net.token.weight in fab.bin)",
    ]


def test_expected_shape_is_that_of_the_file(tensors):
    plan = resolve(TABLE, {"extra/kernel": (4, 3)}, Fabricated(tensors))
    assert plan.gaps == [
        "extra/kernel: expected (3, 4), head.weight in fab.bin is (2, 4)"
    ]


def test_an_optional_variable_may_be_missing(tensors):
    del tensors["head.weight"]
    assert "extra/kernel" not in load(TABLE, SIZES, Fabricated(tensors))


def test_unused_names_are_reported_folded(tensors, caplog):
    tensors["pool.0.weight"] = tensors["pool.1.weight"] = np.zeros(1)
    tensors["net.position_ids"] = np.zeros(1)
    source = Fabricated(tensors)
    assert resolve(TABLE, SIZES, source).unused == ["pool.0.weight", "pool.1.weight"]
    with caplog.at_level(logging.INFO, "nlpcli"):
        load(TABLE, SIZES, source)
    assert caplog.messages == ["fab.bin: not used: pool.*.weight (2)"]


def test_names_without_prefix_and_old_spellings_are_accepted_and_told(tensors):
    bare = {
        name.removeprefix("net.").replace("norm.weight", "norm.gamma"): value
        for name, value in tensors.items()
    }
    plan = resolve(TABLE, SIZES, Fabricated(bare))
    assert not plan.gaps and not plan.unused
    assert plan.notes == [
        "names have no 'net.' in front",
        "names end in 'norm.gamma' instead of 'norm.weight'",
    ]


def test_half_of_the_names_without_prefix_is_a_gap(tensors):
    mixed = {
        name.removeprefix("net.") if ".layer.7." in name else name: value
        for name, value in tensors.items()
    }
    (gap,) = resolve(TABLE, SIZES, Fabricated(mixed)).gaps
    assert "may be two models in one file" in gap


def test_a_tensor_under_both_names_is_a_gap(tensors):
    tensors["token.weight"] = tensors["net.token.weight"]
    gaps = resolve(TABLE, SIZES, Fabricated(tensors)).gaps
    assert (
        "token/embeddings: expected one tensor, fab.bin has net.token.weight and "
        "token.weight" in gaps
    )


def test_another_family_is_explained_first():
    source = Fabricated({"other.token.weight": np.zeros((7, 4))})
    gaps = resolve(TABLE, SIZES, source).gaps
    assert gaps[0] == "fab.bin: its names begin with 'other.': another family"
    gaps = resolve(TABLE, SIZES, Fabricated({"x.0.w": np.zeros(1)})).gaps
    assert gaps[0] == "fab.bin: has none of the expected names, only x.*.w ..."
    assert resolve(TABLE, SIZES, Fabricated({})).gaps[0].endswith("no tensors at all")


def test_a_number_with_a_leading_zero_is_no_layer(tensors):
    gaps = resolve(TABLE, {"layer_01/norm/gamma": (4,)}, Fabricated(tensors)).gaps
    assert "layer_01/norm/gamma: no rule says where it comes from" in gaps


def test_dump_lists_what_does_not_fit(tensors):
    values = load(TABLE, SIZES, Fabricated(tensors))
    del values["layer_4/qkv/bias"]
    values["crf/transitions"] = np.zeros((2, 2))
    with pytest.raises(CheckpointError) as caught:
        dump(TABLE, values)
    assert str(caught.value).splitlines() == [
        "crf/transitions: no rule says what the file calls it",
        "layer_4/qkv/bias: the file needs it, the model has none",
    ]


def test_take_rows_keeps_then_means():
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    taken = take_rows(matrix, [3, 0], [[0, 2], [1]])
    np.testing.assert_array_equal(taken, [[9, 10, 11], [0, 1, 2], [3, 4, 5], [3, 4, 5]])
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(take_rows(matrix, None), matrix)
    np.testing.assert_array_equal(take_rows(matrix[:, 0], [2], [[0, 3]]), [6, 4.5])


def test_a_sub_vocabulary_of_a_table_that_lies_in_columns():
    """As T5's table of scores in TensorFlow."""
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    rules = [Rule("head/kernel", "logits", transpose=True, vocab_axis=0)]
    source = Fabricated({"logits": table})
    whole = load(rules, {"head/kernel": (4, 3)}, source)["head/kernel"]
    np.testing.assert_array_equal(whole, table.T)
    some = load(rules, {"head/kernel": (2, 3)}, source, kept_rows=[3, 1])
    np.testing.assert_array_equal(some["head/kernel"], table.T[[3, 1]])
    with pytest.raises(CheckpointError, match="row 4 is asked for"):
        load(rules, {"head/kernel": (2, 3)}, source, kept_rows=[4, 1])


def test_layers_of_one_stack_are_not_those_of_another():
    rules = [Rule(f"{x}/layer_{{i}}/k", f"{x}.{{iii}}.k") for x in ("one", "other")]
    values = {"one/layer_0/k": np.ones(2), "other/layer_0/k": np.ones(2)}
    values["other/layer_1/k"] = np.zeros(2)
    assert sorted(dump(rules, values)) == ["one.000.k", "other.000.k", "other.001.k"]


def test_a_sub_vocabulary_is_taken_while_loading(tensors):
    targets = {**SIZES, "token/embeddings": (4, 4)}
    table = tensors["net.token.weight"]
    values = load(
        TABLE,
        targets,
        Fabricated(tensors),
        kept_rows=[6, 1],
        compound_rows=[[0, 2], [5]],
    )
    np.testing.assert_allclose(
        values["token/embeddings"],
        [table[6], table[1], (table[0] + table[2]) / 2, table[5]],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("rows", "size", "found", "gap"),
    [
        (Rows(), 7, 6, "expected 7 rows (the vocabulary), got 6"),
        (Rows(compound=[[0]]), 7, 7, "expected 6 rows (the vocabulary), got 7"),
        (Rows(np.array([1, 9])), 2, 7, "row 9 is asked for, the file has 7 rows"),
        (Rows(np.array([-1])), 1, 7, "row -1 is asked for, the file has 7 rows"),
        (Rows(np.array([1])), 2, 7, "1 rows are chosen for a vocabulary of 2"),
        (
            Rows(np.array([1]), [[]]),
            2,
            7,
            "a new row has no old rows to be the mean of",
        ),
        (Rows(np.array([1]), table=8), 1, 7, "expected 8 rows (the vocabulary), got 7"),
    ],
)
def test_rows_that_do_not_fit(rows, size, found, gap):
    assert gap in rows.gaps(size, found)
