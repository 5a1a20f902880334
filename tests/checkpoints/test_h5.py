"""tf_model.h5: PyTorch's names and values, and nothing but what transformers writes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.h5 import SIGNATURE, H5Source, torch_name
from nlpcli.checkpoints.rules import load
from nlpcli.engine.inspect import inspect
from nlpcli.errors import CheckpointError
from tests.bert_family import BERT, expected_shapes
from tests.checkpoints.h5_file import write_h5, write_layers
from tests.checkpoints.tiny_bert import CONFIG, HIDDEN, VOCAB, hf_tensors, write_hf


@pytest.fixture
def folder(tmp_path):
    folder = write_hf(tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    write_h5(folder / "tf_model.h5")
    return folder


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            "tf_bert_model/bert/encoder/layer_._11/attention/self/query/kernel:0",
            "bert.encoder.layer.11.attention.self.query.weight",
        ),
        (
            "tf_bert_for_pre_training/mlm___cls/predictions/transform/LayerNorm/beta:0",
            "cls.predictions.transform.LayerNorm.bias",
        ),
        (
            "tf_bert_for_pre_training/mlm___cls/predictions/bias:0",
            "cls.predictions.bias",
        ),
        (
            "tf_bert_for_pre_training/nsp___cls/seq_relationship/kernel:0",
            "cls.seq_relationship.weight",
        ),
        (
            "tf_bert_model/bert/embeddings/token_type_embeddings/embeddings:0",
            "bert.embeddings.token_type_embeddings.weight",
        ),
        (
            "tf_albert_model/albert/encoder/albert_layer_groups_._0/albert_layers_._0"
            "/ffn/kernel:0",
            "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight",
        ),
        (
            "tf_gpt2lm_head_model/transformer/h_._3/attn/c_attn/weight:0",
            "transformer.h.3.attn.c_attn.weight",
        ),
        ("shared/shared/weight:0", "shared.weight"),
        ("final_logits_bias:0", "final_logits_bias"),
    ],
)
def test_names_become_those_of_pytorch(theirs, ours):
    assert torch_name(theirs) == ours


def test_names_are_those_that_transformers_makes_of_them():
    """Read from files and conversions of transformers 4.55.4 (with tf_keras 2.21).

    Class -> place in the file -> PyTorch's name; null: PyTorch has none.
    """
    known = json.loads(Path(__file__).with_name("h5_names.json").read_text())
    assert len(known) == 6
    for places in known.values():
        for place, theirs in places.items():
            ours = torch_name(place.partition("/")[2])
            assert theirs in (ours, None)


def test_every_tensor_has_its_name_shape_and_numbers(folder):
    source = open_checkpoint(folder)
    assert (source.container, source.dialect) == ("h5", "hf")
    expected = hf_tensors()
    assert source.describe() == {n: v.shape for n, v in expected.items()}
    for name, value in expected.items():
        np.testing.assert_array_equal(source.read(name), value)
        assert source.dtype(name) == "float32"
    rows = source.read_rows("bert.embeddings.word_embeddings.weight", 3, 9)
    np.testing.assert_array_equal(
        rows, expected["bert.embeddings.word_embeddings.weight"][3:9]
    )


def test_it_is_inspected_as_any_other(folder):
    report = inspect(folder)
    assert (report.container, report.dialect, report.family) == ("h5", "hf", "bert")
    assert report.loads and set(report.parts.values()) == {"complete"}
    assert not report.missing_files and not report.unused
    (folder / "tf_model.h5").unlink()
    encoder = {n: v for n, v in hf_tensors().items() if n.startswith("bert.")}
    write_h5(folder / "tf_model.h5", encoder, model="tf_bert_model")
    report = inspect(folder)
    assert report.loads and report.parts["mlm"] == "absent"


def test_both_files_load_the_same_for_every_part(folder, tmp_path):
    safe = open_checkpoint(write_hf(tmp_path / "safe"))
    shapes = expected_shapes(CONFIG)
    for part, dialects in BERT.tables.items():
        one = load(dialects["hf"], shapes[part], open_checkpoint(folder))
        other = load(dialects["hf"], shapes[part], safe)
        assert one.keys() == other.keys() == shapes[part].keys()
        for path, value in other.items():
            np.testing.assert_array_equal(one[path], value)


def test_it_is_read_before_a_torch_file(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert open_checkpoint(folder).container == "h5"
    assert open_checkpoint(folder / "tf_model.h5").container == "h5"


def test_half_precision_and_flat_biases(tmp_path):
    numbers = np.linspace(0, 1, 6, dtype=np.float16)
    layer = {
        "m/transformer/h_._0/attn/c_attn/bias:0": numbers[None],
        "m/transformer/h_._0/attn/c_attn/weight:0": numbers.reshape(2, 3),
    }
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_layers(file, {"transformer": layer})
    source = H5Source(tmp_path / "x.h5")
    attention = "transformer.h.0.attn.c_attn"
    assert source.describe() == {
        f"{attention}.bias": (6,),
        f"{attention}.weight": (2, 3),
    }
    assert source.dtype(f"{attention}.bias") == "float16"
    read = source.read(f"{attention}.bias")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, numbers.astype(np.float32))


def test_long_lists_of_names_stand_in_pieces(folder):
    path = folder / "tf_model.h5"
    with h5py.File(path, "a") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:1], names[1:]
    assert H5Source(path).describe().keys() == hf_tensors().keys()


def test_a_shared_table_that_differs_is_told(folder):
    name = "tf_bert_for_pre_training/bert/embeddings/word_embeddings/weight:0"
    with h5py.File(folder / "tf_model.h5", "a") as file:
        file["mlm___cls"][name][4, 2] += 1
    source = open_checkpoint(folder)
    with pytest.raises(CheckpointError, match="stands twice, with different numbers"):
        source.read("bert.embeddings.word_embeddings.weight")
    with pytest.raises(CheckpointError, match="stands twice, with different numbers"):
        source.read_rows("bert.embeddings.word_embeddings.weight", 0, VOCAB)
    with h5py.File(folder / "tf_model.h5", "a") as file:
        del file["mlm___cls"][name]
        file["mlm___cls"][name] = np.zeros((2, HIDDEN), np.float32)
    with pytest.raises(CheckpointError, match="stands twice, in different shapes"):
        open_checkpoint(folder)


# -- what is none, or leads elsewhere

WORD = "tf_bert_for_pre_training/bert/embeddings/word_embeddings/weight:0"


def changed(change):
    """The whole file with one thing changed through h5py."""

    def make(path):
        other = path.with_name("other.h5")
        shutil.copy(path, other)
        with h5py.File(path, "a") as file:
            change(file, other)

    return make


def replaced(**options):
    """The word table stored in another way."""

    def change(file, other):
        value = file["bert"][WORD][...]
        del file["bert"][WORD]
        file["bert"].create_dataset(WORD, data=value, **options)

    return changed(change)


def written(make):
    """Another file in the place of the whole one."""

    def replace(path):
        with h5py.File(path, "w") as file:
            make(file)

    return replace


def raw(make):
    return lambda path: path.write_bytes(make(path.read_bytes()))


def link(target):
    def change(file, other):
        del file["bert"][WORD]
        file["bert"][WORD] = target(other)

    return changed(change)


def virtual(file, other):
    layout = h5py.VirtualLayout((VOCAB, HIDDEN), "f4")
    layout[:] = h5py.VirtualSource(str(other), f"bert/{WORD}", (VOCAB, HIDDEN))
    del file["bert"][WORD]
    file["bert"].create_virtual_dataset(WORD, layout)


def endless(file, other):
    """A virtual dataset whose shape is asked of its sources."""
    layout = h5py.VirtualLayout((VOCAB, HIDDEN), "f4", maxshape=(None, HIDDEN))
    source = h5py.VirtualSource(
        str(other), f"bert/{WORD}", (VOCAB, HIDDEN), maxshape=(None, HIDDEN)
    )
    space = source[0 : h5py.h5s.UNLIMITED, :]
    layout[0 : h5py.h5s.UNLIMITED, :] = space
    del file["bert"][WORD]
    file["bert"].create_virtual_dataset(WORD, layout)


def external(file, other):
    del file["bert"][WORD]
    size = VOCAB * HIDDEN * 4
    file["bert"].create_dataset(
        WORD, (VOCAB, HIDDEN), "f4", external=[(str(other), 0, size)]
    )


def huge(file, other):
    """Ten to the fourteenth numbers, of which none is there."""
    del file["bert"][WORD]
    space = h5py.h5s.create_simple((10**7, 10**7))
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    group = file["bert"][WORD.rsplit("/", 1)[0]]
    h5py.h5d.create(group.id, b"weight:0", h5py.h5t.IEEE_F32LE, space, plan)


def twice(file, other):
    """Another name of the same numbers."""
    file["bert"][WORD.replace("word", "extra")] = file["bert"][WORD]


def objects(file, other):
    del file["bert"][WORD]
    kind = h5py.string_dtype()
    file["bert"].create_dataset(WORD, (2,), kind)[...] = ["os.system", "cos"]


def plug_in(file, other):
    """Packed by a filter that HDF5 would look for among its plug-ins."""
    del file["bert"][WORD]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((VOCAB, HIDDEN))
    plan.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
    space = h5py.h5s.create_simple((VOCAB, HIDDEN))
    group = file["bert"][WORD.rsplit("/", 1)[0]]
    h5py.h5d.create(group.id, b"weight:0", h5py.h5t.IEEE_F32LE, space, plan)


def circle(file, other):
    file["bert"]["again"] = file["bert"]


def long_name(file, other):
    file["bert"].create_group("x" * 5000)


def no_text(file, other):
    h5py.h5g.create(file["bert"].id, b"\xff\xfe")


def a_type(file, other):
    file["bert"]["kind"] = np.dtype("f4")


def keras_model(file):
    file.attrs["model_config"] = '{"class_name": "Lambda", "config": {}}'
    file.create_group("model_weights")


WRONG = {
    "empty": (raw(lambda old: b""), "not an HDF5 file"),
    "a text": (raw(lambda old: "这是一段文字\n".encode()), "not an HDF5 file"),
    "a pointer of git": (raw(lambda old: b"version https://git"), "not an HDF5 file"),
    "a zip": (raw(lambda old: b"PK\3\4" + bytes(99)), "not an HDF5 file"),
    "the signature alone": (raw(lambda old: SIGNATURE), "not a whole HDF5 file"),
    "cut in half": (raw(lambda old: old[: len(old) // 2]), "not a whole HDF5 file"),
    "cut at its end": (raw(lambda old: old[:-1]), "not a whole HDF5 file"),
    "noise": (raw(lambda old: SIGNATURE + bytes(range(256)) * 9), "not a whole HDF5"),
    "a Keras model": (written(keras_model), "a whole Keras model"),
    "Keras 3": (written(lambda f: f.create_group("layers")), "of Keras 3"),
    "nothing": (written(lambda f: None), "expected an attribute layer_names"),
    "a circle": (changed(circle), "more than 100000 groups, or 32 in each other"),
    "a long name": (changed(long_name), "is a name of 5000 bytes"),
    "no text": (changed(no_text), "not a whole HDF5 file"),
    "a type among the layers": (changed(a_type), "is neither group nor dataset"),
    "a soft link": (link(lambda o: h5py.SoftLink("/bert/x")), "is a link elsewhere"),
    "a link to itself": (
        link(lambda o: h5py.SoftLink(f"/bert/{WORD}")), "is a link elsewhere",
    ),
    "a link to another file": (
        link(lambda o: h5py.ExternalLink(str(o), "bert")), "is a link elsewhere",
    ),
    "a virtual dataset": (changed(virtual), "made of other files"),
    "a virtual dataset of any size": (changed(endless), "made of other files"),
    "kept in another file": (changed(external), "kept in other files"),
    "10^14 numbers": (changed(huge), "which are not there"),
    "numbers shared": (changed(twice), "overlaps"),
    "strings": (changed(objects), "not of numbers that transformers writes"),
    "packed": (replaced(compression="gzip"), "stored in chunks"),
    "in chunks": (replaced(chunks=(2, 2)), "stored in chunks"),
    "a plug-in": (changed(plug_in), "stored in chunks"),
    "big-endian": (replaced(dtype=">f4"), "not of numbers that transformers writes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_none_is_one_line(kind, folder):
    make, told = WRONG[kind]
    make(folder / "tf_model.h5")
    with pytest.raises(CheckpointError, match=told) as caught:
        inspect(folder)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400
    assert str(folder / "tf_model.h5") in line and caught.value.exit_code == 5


def test_no_other_file_is_opened(folder):
    """Seen from outside: what the process opens while it looks."""
    script = (
        "import os, sys, h5py\n"
        "from nlpcli.checkpoints.h5 import H5Source\n"
        "from nlpcli.errors import CheckpointError\n"
        "try:\n    H5Source(sys.argv[1])\n"
        "except CheckpointError as error:\n    print(error)\n"
        "print(sorted(os.path.realpath(f'/proc/self/fd/{n}') "
        "for n in os.listdir('/proc/self/fd')))\n"
    )
    for kind in ("a link to another file", "a virtual dataset of any size"):
        write_h5(folder / "tf_model.h5")
        WRONG[kind][0](folder / "tf_model.h5")
        other = folder / "other.h5"
        other.unlink()
        os.mkfifo(other)  # whoever opens it waits for ever
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder / "tf_model.h5")],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        said, left = done.stdout.splitlines()
        assert "elsewhere" in said or "other files" in said
        assert "tf_model.h5" not in left
        other.unlink()


def test_a_broken_byte_is_an_error_or_is_not_noticed(folder):
    """Whatever byte of the structure is another one: no crash, no other exception."""
    path = folder / "tf_model.h5"
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(0, len(whole), 300):
        broken = bytearray(whole)
        broken[place] ^= int(random.integers(1, 256))
        path.write_bytes(broken)
        try:
            source = H5Source(path)
            for name in source.describe():
                source.read(name)
        except CheckpointError as error:
            assert "\n" not in str(error)


def test_the_command_says_so(folder):
    done = subprocess.run(
        [sys.executable, "-m", "nlpcli", "models", "inspect", str(folder), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["container"] == "h5"
    WRONG["a text"][0](folder / "tf_model.h5")
    done = subprocess.run(
        [sys.executable, "-m", "nlpcli", "models", "inspect", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "not an HDF5 file" in done.stderr
