"""Programs for engines say what the model says; bad folders are refused."""

import json
import os
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.engine.export_engine import export_engine, write_programs
from nlpcli.engine.exported import ExportDir, ExportedRun
from nlpcli.engine.predict import Predictor
from nlpcli.errors import CheckpointError, NotFoundError, UsageError
from nlpcli.heads.similarity import EmbeddingModel
from nlpcli.runtime.forward import Forward
from nlpcli.runtime.programs import ProgramForward
from tests.untrained_run import untrained
from tests.without_tensorflow import answered

ENGINES = ("onnx", "openvino")
KINDS = [
    ("ner", {"task.head": "crf"}),
    ("ner", {"task.head": "global-pointer"}),
    ("ner", {"task.head": "softmax"}),
    ("triple-extract", {"task.model": "gplinker"}),
    ("triple-extract", {"task.model": "casrel"}),
    ("classify", {"task.pooling": "pooler"}),
    ("simbert", {"task.objective": "simcse", "task.whitening": 8}),
]
CASES = [
    ("openvino", KINDS[0]),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            *(("openvino", KINDS[i]) for i in (1, 4, 6)),
            *(("onnx", kind) for kind in KINDS),
        )
    ),
]
TEXTS = ["王小明在北京大学读书。", "", "好", "《平凡的世界》的作者是路遥," * 9, "x1 y2"]
MORE = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
FORMS = [
    {"max_relative_position": 8},
    {"positions": "rotary"},
    {"positions": "rotary_halves", "norm": "rms", "norm_place": "pre", "gated": True},
    {"positions": "buckets", "causal": True, "num_key_value_heads": 1},
    {"num_hidden_groups": 1, "embedding_size": 16, "hidden_act": "gelu_new"},
    {"attention": "linear"},
]


@pytest.fixture(scope="module")
def ner(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("ner") / "run", "ner")


@pytest.fixture(scope="module")
def export(ner, tmp_path_factory):
    """A small export, and what it was told of it; OpenVINO's, the quicker to write."""
    pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("export") / "out"
    return folder, export_engine(ner, folder, "openvino")


def needed(engine):
    """What an engine needs, or a skip with the reason."""
    for module in {"onnx": ("onnxruntime", "tf2onnx"), "openvino": ("openvino",)}[
        engine
    ]:
        pytest.importorskip(module, reason=f"needs {module} (nlpcli[{engine}])")


def alike(one, other):
    """The same answer, but for what rounding moves."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            alike(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            alike(*pair)
    elif isinstance(one, float):
        assert other == pytest.approx(one, abs=2e-4)
    else:
        assert one == other


@pytest.mark.parametrize(("engine", "kind"), CASES, ids=str)
def test_an_export_answers_as_the_run_does(tmp_path, engine, kind):
    needed(engine)
    recipe, flags = kind
    run = untrained(tmp_path / "run", recipe, flags)
    report = export_engine(run, tmp_path / "out", engine)
    assert report["max_difference"] < 1e-4
    assert report["answers_alike"] == "8 of 8"
    opened = ExportedRun(ExportDir.open(tmp_path / "out", recipe), batch_size=3)
    expected = Predictor(run).predict(TEXTS)
    alike(expected, opened.predict(TEXTS))
    assert any(value for answer in expected for value in answer.values())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_int8_is_near_and_says_so(tmp_path, ner, engine):
    needed(engine)
    whole = export_engine(ner, tmp_path / "whole", engine)
    small = export_engine(ner, tmp_path / "small", engine, quantize="int8")
    assert whole["max_difference"] < 1e-4 < small["max_difference"] < 5.0
    sizes = [
        sum(f.stat().st_size for f in (tmp_path / name).glob("model.*"))
        for name in ("whole", "small")
    ]
    assert sizes[1] < sizes[0] - 200_000
    state = json.loads((tmp_path / "small" / "export.json").read_text())
    assert state["quantize"] == "int8"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_form_of_a_stack(tmp_path, engine, form):
    needed(engine)
    sizes = {"intermediate_size": 64, "max_position_embeddings": 40, **form}
    model = EmbeddingModel(Transformer(TransformerConfig(**MORE, **sizes)), "mean")
    rng = np.random.default_rng(1)

    def batch(rows, length):
        mask = np.arange(length) < rng.integers(1, length + 1, rows)[:, None]
        ids = rng.integers(1, 50, (rows, length)).astype(np.int32) * mask
        return {"token_ids": ids, "padding_mask": mask}

    ours = Forward(model, xla=False)
    write_programs(tmp_path, model, (batch(2, 3), batch(3, 5)), ours, engine, False)
    config = resolve("simbert")
    programs = ExportDir(tmp_path, config, engine, 1, None).programs()
    theirs = ProgramForward(programs, {}, "here")
    for rows, length in ((1, 1), (4, 17), (7, 30)):
        asked = batch(rows, length)
        expected, found = ours(asked)["vectors"], theirs(asked)["vectors"]
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.slow
def test_openvino_runs_what_is_for_onnx(tmp_path, ner):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    export_engine(ner, tmp_path / "out", "onnx")
    opened = ExportDir.open(tmp_path / "out")
    expected = ExportedRun(opened).predict(TEXTS)
    alike(expected, ExportedRun(opened, "openvino").predict(TEXTS))


@pytest.mark.slow
def test_a_saved_model_is_served_and_not_run(tmp_path, ner):
    import tensorflow as tf

    report = export_engine(ner, tmp_path / "out", "savedmodel")
    assert report["max_difference"] < 1e-4
    served = tf.saved_model.load(str(tmp_path / "out" / "1"))
    assert set(served.signatures) == {"serving_default"}
    with pytest.raises(UsageError, match="TensorFlow Serving"):
        ExportedRun(ExportDir.open(tmp_path / "out"))
    again = export_engine(ner, tmp_path / "out", "savedmodel", force=True)
    assert again["files"] == report["files"]


def test_the_command_line_exports_and_predicts(tmp_path, ner, export):
    folder, report = export
    assert {"export.json", "model.xml"} <= set(report["files"])
    command = ["predict", "ner", "--run", str(folder), *TEXTS[:3]]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    answers = [json.loads(line) for line in found.stdout.splitlines()]
    expected = Predictor(ner).predict(TEXTS[:3])
    alike(
        [{"text": t, **answer} for t, answer in zip(TEXTS, expected, strict=False)],
        answers,
    )


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (["ner", "--engine", "onnx"], "holds programs of OpenVINO", 2),
        (["ner", "--precision", "float16"], "float32 or bfloat16", 2),
        (["ner", "--xla"], "without TensorFlow", 2),
        (["classify"], "expected an export of classify, found one of ner", 6),
        (["ner", "--output", "vectors.npy"], "makes no sentence vectors", 6),
    ],
)
def test_what_an_export_cannot_do_is_one_line(export, words, told, code, tmp_path):
    words = [str(tmp_path / w) if w.endswith(".npy") else w for w in words]
    command = ["predict", *words, "--run", str(export[0]), "文"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == code, found.output
    assert told in " ".join(found.stderr.split())


def test_an_engine_needs_an_export(ner):
    command = ["predict", "ner", "--engine", "onnx", "--run", str(ner.path), "文"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 2
    assert "nlpcli export ner DST --to onnx" in " ".join(found.stderr.split())


def test_an_answer_needs_neither_tensorflow_nor_keras(export):
    found = answered("predict", "ner", "--run", export[0], "王小明")
    assert "entities" in found


def copied(export, folder):
    folder.mkdir()
    for file in export[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.xml", b"no program"),
        ("model.bin", b""),
        ("export.json", b"[]"),
        ("export.json", b'{"nlpcli": "1", "recipe": "ner", "to": "exe"}'),
        ("export.json", b'{"nlpcli": "1", "to": ["openvino"], "stages": 1}'),
        ("export.json", b'{"nlpcli": "1", "to": "openvino", "stages": 1e9}'),
        ("export.json", b'{"nlpcli": "1", "to": "openvino", "stages": true}'),
        ("task.json", b'{"task": {"labels": 3}, "buckets": []}'),
        ("task.json", b'{"task": {"labels": ["a","b","c"]}, "buckets": []}'),
        ("task.json", b'{"task": {"labels": ["LOC","LOC"]}, "buckets": []}'),
        ("task.json", b'{"task": {"labels": "LP"}, "buckets": []}'),
        ("decoder.safetensors", b"\xff" * 9),
    ],
)
def test_a_bad_folder_is_one_line(export, tmp_path, name, content):
    folder = copied(export, tmp_path / "bad")
    (folder / name).write_bytes(content)
    found = CliRunner().invoke(app, ["predict", "ner", "--run", str(folder), "文"])
    assert found.exit_code == 5, found.output
    assert name in found.stderr or "bad" in found.stderr
    assert "Traceback" not in found.stderr


def test_windows_longer_than_the_positions_are_refused(export, tmp_path):
    folder = copied(export, tmp_path / "bad")
    config = (folder / "config.yaml").read_text()
    assert "max_length: 64" in config
    longer = config.replace("max_length: 64", "max_length: 100000")
    (folder / "config.yaml").write_text(longer)
    found = CliRunner().invoke(app, ["predict", "ner", "--run", str(folder), "文"])
    assert found.exit_code == 3, found.output
    assert "data.max_length: expected at most" in found.stderr


def test_links_are_not_followed(export, tmp_path):
    folder = copied(export, tmp_path / "bad")
    (folder / "model.bin").rename(tmp_path / "elsewhere")
    (folder / "model.bin").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="no link"):
        ExportDir.open(folder)


@pytest.mark.parametrize("place", ["../secret", "absolute", "link"])
def test_weights_of_onnx_come_from_its_own_folder(tmp_path, place):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from nlpcli.runtime.onnx_engine import OnnxProgram

    folder = tmp_path / "export"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    where = str(tmp_path / "secret") if place == "absolute" else place
    if place == "link":
        (folder / "link").symlink_to(tmp_path / "secret")
    tensor = onnx.TensorProto(
        name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL
    )
    for key, value in (("location", where), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    ports = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in ("x", "y")]
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ports[:1], ports[1:], [tensor])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError):
        OnnxProgram(folder / "model.onnx")


def test_errors_and_threads_of_onnx_are_bounded(tmp_path, capfd, monkeypatch):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from nlpcli.runtime.onnx_engine import OnnxProgram

    options = runtime.SessionOptions()
    monkeypatch.setattr(runtime, "SessionOptions", lambda: options)
    x = onnx.helper.make_tensor_value_info("x", 7, [None])
    y = onnx.helper.make_tensor_value_info("y", 1, None)
    node = onnx.helper.make_node("ConstantOfShape", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    version = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[version], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    program = OnnxProgram(tmp_path / "model.onnx", threads=1024)
    assert options.intra_op_num_threads <= (os.cpu_count() or 1)
    with pytest.raises(Exception, match="ConstantOfShape"):
        program({"x": np.array([-5], np.int64)})
    assert capfd.readouterr().err == "", "it is told once, by who asked"


def test_only_an_export_is_replaced(export, ner, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds more than"):
        export_engine(ner, mine, "openvino", force=True)
    with pytest.raises(UsageError, match="--force replaces it"):
        export_engine(ner, export[0], "openvino")
    folder = copied(export, tmp_path / "linked")
    (folder / "model.bin").unlink()
    (folder / "model.bin").symlink_to(mine / "notes.txt")
    with pytest.raises(UsageError, match="holds more than"):
        export_engine(ner, folder, "openvino", force=True)
    assert (mine / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("to", ["hf", "openvino"])
@pytest.mark.parametrize("place", ["best/out", "last/a/b"])
def test_nothing_is_put_where_training_replaces_all(ner, to, place):
    command = ["export", "ner", str(ner.path / place), "--run", str(ner.path)]
    found = CliRunner().invoke(app, [*command, "--to", to])
    assert found.exit_code == 2, found.output
    assert "which training replaces as a whole" in " ".join(found.stderr.split())
    assert not (ner.path / place).exists()


def test_what_differs_is_not_handed_over(ner, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr("nlpcli.engine.export_engine.TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match="expected logits within"):
        export_engine(ner, tmp_path / "out", "openvino")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_named(ner, tmp_path, monkeypatch):
    for engine, module in (("onnx", "tf2onnx"), ("openvino", "openvino")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(NotFoundError, match=rf"pip install 'nlpcli\[{engine}\]'"):
            export_engine(ner, tmp_path / "out", engine)


def test_what_writes_is_not_for_an_engine(tmp_path):
    command = ["export", "couplet", str(tmp_path / "out"), "--to", "onnx"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 2
    assert "couplet writes" in " ".join(found.stderr.split())
    command = ["export", "couplet", str(tmp_path / "out"), "--quantize", "int8"]
    assert CliRunner().invoke(app, command).exit_code == 2
