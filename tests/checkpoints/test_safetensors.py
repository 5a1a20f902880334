"""Our reading against the library's, and headers that lie."""

import json
import math

import numpy as np
import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.errors import CheckpointError, NotFoundError

RANDOM = np.random.default_rng(0)
TENSORS = {
    "b": RANDOM.normal(size=(3, 4)).astype(np.float32),
    "a": RANDOM.normal(size=(5,)).astype(np.float16),
    "c": np.arange(6).reshape(2, 3),
    "d": np.zeros((0, 3), np.float32),
    "e": np.array(2.5, np.float64),
    "f": np.array([True, False]),
    "g": np.array([2**32 - 1], np.uint32),
}
WHOLE = save(TENSORS, {"format": "pt"})


def packed(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def entry(dtype="F32", shape=(1,), places=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(places)}


def test_values_are_those_of_the_library(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(WHOLE)
    source = SafetensorsSource(tmp_path)
    assert source.describe() == {name: v.shape for name, v in TENSORS.items()}
    for name, expected in load(WHOLE).items():
        value = source.read(name)
        np.testing.assert_array_equal(value, expected)
        half = expected.dtype == np.float16
        assert value.dtype == (np.float32 if half else expected.dtype)
        assert source.dtype(name) == expected.dtype.name


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    exact = np.array([1.0, -2.5, 0.0, 3.0e38, np.inf], np.float32)
    upper = (exact.view(np.uint32) >> 16).astype("<u2")
    path = tmp_path / "model.safetensors"
    path.write_bytes(packed({"x": entry("BF16", (5,), (0, 10))}, upper.tobytes()))
    source = SafetensorsSource(path)
    assert source.dtype("x") == "bfloat16"
    rounded = (upper.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(source.read("x"), rounded)
    np.testing.assert_allclose(source.read("x")[:4], exact[:4], rtol=1e-2)


def shards(folder, weight_map=None):
    for number, names in ((1, ("a", "b")), (2, ("c", "e"))):
        part = {name: TENSORS[name] for name in names}
        (folder / f"model-0000{number}-of-00002.safetensors").write_bytes(save(part))
    found = {"a": 1, "b": 1, "c": 2, "e": 2}
    weight_map = weight_map or {
        name: f"model-0000{n}-of-00002.safetensors" for name, n in found.items()
    }
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return weight_map


def test_shards_are_one_source(tmp_path):
    shards(tmp_path)
    source = SafetensorsSource(tmp_path)
    assert sorted(source.describe()) == ["a", "b", "c", "e"]
    np.testing.assert_array_equal(source.read("c"), TENSORS["c"])
    assert len(source.files) == 2


def test_a_missing_shard_and_a_missing_tensor_are_told(tmp_path):
    weight_map = shards(tmp_path)
    shards(tmp_path, {**weight_map, "z": weight_map["a"]})
    with pytest.raises(CheckpointError, match="expected z in model-00001"):
        SafetensorsSource(tmp_path)
    (tmp_path / weight_map["c"]).unlink()
    with pytest.raises(NotFoundError, match="not there: model-00002-of-00002"):
        SafetensorsSource(tmp_path)


@pytest.mark.parametrize("shard", ["../x.safetensors", "/etc/passwd", "", 3, ".."])
def test_an_index_reaches_no_other_folder(tmp_path, shard):
    shards(tmp_path, {"a": shard})
    with pytest.raises(CheckpointError, match="file beside it"):
        SafetensorsSource(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', "[" * 99_999])
def test_a_broken_index_is_told(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"index.json: expected"):
        SafetensorsSource(tmp_path)


HOSTILE = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "huge header": (2**63).to_bytes(8, "little") + b"{}",
    "header over the limit": (100_000_001).to_bytes(8, "little") + b"{}",
    "header longer than the file": (50).to_bytes(8, "little") + b"{}",
    "no JSON": packed(b"\xff\xfe"),
    "deep JSON": packed(b"[" * 200_000),
    "long number": packed(b'{"x": ' + b"9" * 5000 + b"}"),
    "no object": packed([]),
    "twice the same name": packed(b'{"x": 1, "x": 2}'),
    "no entry": packed({"x": 3}),
    "unknown type": packed({"x": entry("F8_E4M3", (4,))}, b"0000"),
    "type is a list": packed({"x": {**entry(), "dtype": []}}, b"0000"),
    "negative size": packed({"x": entry(shape=(-1,))}, b"0000"),
    "float size": packed({"x": entry(shape=(1.0,))}, b"0000"),
    "bool size": packed({"x": entry(shape=(True,))}, b"0000"),
    "overflowing shape": packed({"x": entry(shape=(2**62, 4), places=(0, 0))}),
    "empty but enormous": packed({"x": entry(shape=(2**62, 2**62, 0), places=(0, 0))}),
    "forty axes": packed({"x": entry(shape=(1,) * 40)}, b"0000"),
    "offsets backwards": packed({"x": entry(places=(4, 0))}, b"0000"),
    "three offsets": packed({"x": entry(places=(0, 2, 4))}, b"0000"),
    "size of another type": packed({"x": entry("F64")}, b"0000"),
    "beyond the end": packed({"x": entry(places=(0, 4))}, b"000"),
    "overlap": packed({"x": entry(), "y": entry(places=(2, 6))}, b"000000"),
    "a hole": packed({"x": entry(places=(4, 8))}, b"00000000"),
    "bytes left over": packed({"x": entry()}, b"00000"),
    "truncated": WHOLE[:-1],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_absurd_headers_are_one_line(tmp_path, case):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[case])
    with pytest.raises(CheckpointError) as caught:
        SafetensorsSource(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a whole safetensors file: ")
    assert "\n" not in message and len(message) < len(str(path)) + 300


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_what_we_accept_after_damage_the_library_accepts(tmp_path, data):
    """Differential fuzz: bytes changed, cut or added anywhere in a whole file."""
    raw = bytearray(WHOLE)
    end = len(WHOLE) - sum(math.prod(v.shape) * v.itemsize for v in TENSORS.values())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, end))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3)
        )
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(raw))
    try:
        source = SafetensorsSource(path)
        values = {name: source.read(name) for name in source.describe()}
    except CheckpointError:
        return
    theirs = dict(safetensors.deserialize(bytes(raw)))
    assert values.keys() == theirs.keys()


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="expected safetensors"):
        SafetensorsSource(tmp_path)


def test_a_file_cut_after_opening_is_told(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(WHOLE)
    source = SafetensorsSource(path)
    path.write_bytes(WHOLE[:-100])
    with pytest.raises(CheckpointError, match="ends before its promised end"):
        for name in source.describe():
            source.read(name)
