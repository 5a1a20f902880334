"""Which layers of a model a published file may have, and what then counts as fresh."""

import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.heads.convolution import ConvolutionModel
from nlpcli.heads.crf import CrfHead
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.heads.similarity import EmbeddingModel, SimBertModel
from nlpcli.heads.task_model import TaskModel

CONFIG = TransformerConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=16,
)


def tagger(backbone):
    head = CrfHead(3, name="tags")
    head.build((None, None, CONFIG.hidden_size))
    return TaskModel(backbone, {"tags": head}, {"tags": "tags"})


def writer(backbone):
    return SequenceModel(backbone, SequenceOptions(), "unilm", (0, 1))


MODELS = {  # its published parts, and beginnings of the paths of what starts fresh
    "tagger": (tagger, [], {"tags"}),
    "writer": (writer, ["mlm"], {"mlm"}),
    "convolutions": (
        lambda backbone: ConvolutionModel(backbone, 8, 1, 0.0),
        [],
        {"entrance", "convolution_0", "scores"},
    ),
    "vectors": (lambda backbone: EmbeddingModel(backbone, "cls"), [], set()),
    "vectors with a pooler": (
        lambda backbone: EmbeddingModel(backbone, "pooler"),
        ["pooler"],
        {"pooler"},
    ),
    "simbert": (
        lambda backbone: SimBertModel(backbone, "mean", None, 1.0, (0, 1)),
        ["mlm"],
        {"mlm"},
    ),
    "simbert with a pooler": (
        lambda backbone: SimBertModel(backbone, "pooler", None, 1.0, (0, 1)),
        ["mlm", "pooler"],
        {"mlm", "pooler"},
    ),
}


@pytest.fixture(params=MODELS)
def case(request):
    make, parts, fresh = MODELS[request.param]
    return make(Transformer(CONFIG)), parts, fresh


def test_what_no_file_had_starts_fresh(case):
    model, parts, fresh = case
    assert list(model.published_parts()) == parts
    assert model.filled == set()
    assert {v.path.split("/")[0] for v in model.head_variables()} == fresh


def test_what_a_file_had_does_not(case):
    model, parts, fresh = case
    for part in parts:
        model.filled = {part}
        own = {id(v) for v in model.published_parts()[part].trainable_variables}
        heads = {id(v) for v in model.head_variables()}
        assert own and own.isdisjoint(heads)
    model.filled = set(parts)
    left = {v.path.split("/")[0] for v in model.head_variables()}
    assert left == fresh - set(parts)


def test_every_variable_belongs_to_the_backbone_a_part_or_what_starts_fresh(case):
    model, parts, _ = case
    model.filled = set(parts)
    counted = [*model.backbone.trainable_variables, *model.head_variables()]
    for layer in model.published_parts().values():
        counted += layer.trainable_variables
    expected = {id(v) for v in model.trainable_variables}
    assert len(counted) == len(expected) == len({v.path for v in counted})
    assert {id(v) for v in counted} == expected


def test_two_models_share_no_list_of_filled_parts():
    one, other = (writer(Transformer(CONFIG)) for _ in range(2))
    one.filled.add("mlm")
    assert other.filled == set()
