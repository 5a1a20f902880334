"""Values into variables, piece by piece, and initial values that come late."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.backbones.described import described
from nlpcli.backbones.transformer import Transformer, TransformerConfig
from nlpcli.checkpoints import source
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.errors import CheckpointError
from nlpcli.heads.crf import CrfHead
from nlpcli.layers.dense import Dense
from nlpcli.runtime import weights

VALUE = np.arange(40, dtype=np.float32).reshape(10, 4)


def in_pieces(value, step):
    return ((start, value[start : start + step]) for start in range(0, 10, step))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("step", [3, 10])
def test_a_value_comes_in_pieces(dtype, step):
    variable = keras.Variable(np.ones((10, 4)), dtype=dtype)
    weights.fill(variable, in_pieces(VALUE, step))
    np.testing.assert_array_equal(np.asarray(variable).astype(np.float32), VALUE)
    assert keras.backend.standardize_dtype(variable.dtype) == dtype


def test_pieces_reach_every_replica():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        variable = keras.Variable(np.ones((10, 4), np.float32))
        weights.fill(variable, in_pieces(VALUE, 3))
    np.testing.assert_array_equal(np.asarray(variable), VALUE)


def test_what_is_put_in_is_no_view_of_what_was_given():
    """Training writes into a variable's memory."""
    variable = keras.Variable(np.zeros((10, 4), np.float32))
    given = VALUE.copy()
    weights.fill(variable, in_pieces(given, 3))
    variable.assign_add(np.ones((10, 4), np.float32))
    np.testing.assert_array_equal(given, VALUE)


def test_a_variable_is_read_without_a_copy_afterwards():
    """TensorFlow copies it at every step once a part of it was written."""
    variable = keras.Variable(np.zeros((10, 4), np.float32))
    weights.fill(variable, in_pieces(VALUE, 3))
    read = [variable.value.read_value() for _ in range(2)]
    places = {np.frombuffer(memoryview(x), np.float32).ctypes.data for x in read}
    assert len(places) == 1


def test_a_run_is_filled_by_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 3 * 16)
    weights.save_arrays(tmp_path / "x.safetensors", {"a": VALUE, "b": VALUE[0]})
    read = []
    rows = SafetensorsSource.read_rows
    monkeypatch.setattr(
        SafetensorsSource,
        "read_rows",
        lambda self, *rest: read.append(rest) or rows(self, *rest),
    )
    variables = {
        "a": keras.Variable(np.zeros((10, 4), np.float32)),
        "b": keras.Variable(np.zeros(4, np.float32)),
    }
    weights.assign(variables, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(np.asarray(variables["a"]), VALUE)
    np.testing.assert_array_equal(np.asarray(variables["b"]), VALUE[0])
    assert read == [("a", 0, 3), ("a", 3, 6), ("a", 6, 9), ("a", 9, 10)]


# -- initial values that come late

CONFIG = TransformerConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=12,
)


def built():
    """A backbone, a head of ours, one of Keras, and what is drawn after them."""
    keras.utils.set_random_seed(7)
    backbone = Transformer(CONFIG)
    head = Dense(16, 3, name="head")
    head.build()
    other = keras.layers.Dense(5, name="other")
    other.build((None, 16))
    crf = CrfHead(3, name="crf")
    crf.build((None, None, 3))
    return [backbone, head, other, crf]


def values(layers):
    made = {
        v.path if "seed_generator" not in v.path else f"state {number}": np.asarray(v)
        for number, v in enumerate(v for layer in layers for v in layer.variables)
    }
    made["drawn next"] = np.asarray(keras.random.normal((3,)))
    made["dropout"] = np.asarray(keras.layers.Dropout(0.5)(np.ones(64), training=True))
    return made


def test_late_values_are_those_drawn_at_once():
    expected = values(built())
    with weights.values_later():
        layers = built()
        kernel = layers[1].variables[0]
        assert not np.asarray(kernel).any(), "zero until the end"
    found = values(layers)
    assert found.keys() == expected.keys() and len(found) > 30
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


def test_what_was_filled_stays_filled_and_the_rest_is_drawn():
    expected = [np.asarray(v) for v in built()[0].variables]
    with weights.values_later():
        backbone, *_ = built()
        table = backbone.variables[0]
        zeros = np.zeros(table.shape, np.float32)
        weights.fill(table, iter([(0, zeros)]))
    for variable, drawn in zip(backbone.variables, expected, strict=True):
        wanted = zeros if variable is table else drawn
        np.testing.assert_array_equal(np.asarray(variable), wanted)


def test_an_error_leaves_keras_as_it_was():
    add_weight = keras.layers.Layer.add_weight
    with pytest.raises(CheckpointError), weights.values_later():
        Transformer(CONFIG)
        raise CheckpointError("no")
    assert keras.layers.Layer.add_weight is add_weight
    dense = Dense(4, 4, name="after")
    dense.build()
    assert np.asarray(dense.variables[0]).any()


def test_a_single_number_is_put_in_whole():
    variable = keras.Variable(np.float32(1))
    weights.fill(variable, iter([(0, np.asarray(2, np.float32))]))
    assert float(variable) == 2


def test_what_is_described_meanwhile_gets_no_values():
    with weights.values_later():
        shapes = described(lambda: Transformer(TransformerConfig(9, 8, 1, 2, 12)))
        layer = Dense(3, 2, 0.5)
        layer.build()
    assert shapes["backbone/token_embedding/embeddings"] == (9, 8)
    assert np.asarray(layer.kernel).std() > 0
