"""ERNIE against transformers: with and without its task table, in each spelling."""

import json

import pytest
from safetensors.numpy import load_file, save_file

from nlpcli.backbones import recognise
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError
from tests.backbones.parity import (
    SIZES,
    assert_inspected,
    assert_same,
    batch,
    converted,
    google_names,
    ours,
    save,
    theirs,
    write_google,
)

transformers = pytest.importorskip("transformers")
PARTS = {"mlm": "prediction_logits", "nsp": "seq_relationship_logits"}
DIALECTS = ["hf", "hf-bert", "bare", "tf"]


def model(tasks, **more):
    config = transformers.ErnieConfig(
        **SIZES, type_vocab_size=4, use_task_id=tasks, task_type_vocab_size=5, **more
    )
    return transformers.ErnieForPreTraining(config)


def folder_of(made, dialect, path):
    """The model as a folder with names of a dialect."""
    folder = save(path, made)
    if dialect == "hf":
        return folder
    tensors = load_file(folder / "model.safetensors")
    if dialect == "tf":
        config = {**json.loads((folder / "config.json").read_text())}
        config["hidden_act"] = "relu"
        named = google_names(tensors, ("ernie.", "bert."))
        named = {k: v for k, v in named.items() if "predictions/decoder" not in k}
        return write_google(path.with_name("tf"), named, config)
    start = "bert." if dialect == "hf-bert" else ""
    renamed = {k.replace("ernie.", start, 1): v for k, v in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parity
@pytest.mark.parametrize("tasks", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_parts_equal_transformers(tmp_path, dialect, tasks):
    made = model(tasks, hidden_act="relu" if dialect == "tf" else "gelu")
    folder, data = folder_of(made, dialect, tmp_path / "model"), batch()
    found = ours(folder, data)
    expected = theirs(made, data, **PARTS)
    assert_same(found, expected, data["padding_mask"])
    assert_inspected(
        folder,
        "ernie",
        "hf" if dialect == "bare" else dialect,
        {"backbone", "pooler", "mlm", "nsp"},
        set(),
    )
    loader = transformers.ErnieForPreTraining
    again = converted(folder, tmp_path / "out", loader)
    assert_same(theirs(again, data, **PARTS), expected, data["padding_mask"])


@pytest.mark.parity
def test_a_task_table_that_is_not_used_is_left(tmp_path):
    folder = save(tmp_path / "model", model(True))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "use_task_id": False}))
    data = batch()
    plain = transformers.ErnieForPreTraining.from_pretrained(folder).eval()
    expected = theirs(plain, data, **PARTS)
    assert_same(ours(folder, data), expected, data["padding_mask"])


def test_a_configuration_that_disagrees_is_one_line(tmp_path):
    folder = save(tmp_path / "model", model(False))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "use_task_id": True}))
    with pytest.raises(CheckpointError, match="task_type_embeddings") as caught:
        open_published(folder).check_sizes()
    assert len(str(caught.value).splitlines()) == 1


def test_it_is_recognised():
    assert recognise({"model_type": "ernie"}, ()).family.name == "ernie"
    names = ["ernie.embeddings.word_embeddings.weight"]
    assert recognise({}, names).family.name == "ernie"
    names = [
        "bert.embeddings.word_embeddings.weight",
        "bert.embeddings.position_embeddings.weight",
    ]
    assert recognise({"model_type": "ernie"}, names).family.name == "ernie"
