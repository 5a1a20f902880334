"""The table of models is whole, and names are found."""

import math
import re

import pytest

from nlpcli.backbones import family_of
from nlpcli.backbones.families.bert import TINY
from nlpcli.checkpoints.registry import MODELS, find_model
from nlpcli.engine.shapes import part_shapes
from nlpcli.errors import NotFoundError
from nlpcli.text.tokenizers.load import tiny_tokenizer

# What the configurations of some have beside the sizes, and other than four times.
MORE = {
    "gpt2-chinese": {"n_positions": 1024},
    "cdial-gpt": {"n_positions": 513},
    "electra-base-zh": {"embedding_size": 768},
    "ernie-3.0-base": {
        "max_position_embeddings": 2048,
        "type_vocab_size": 4,
        "task_type_vocab_size": 3,
        "use_task_id": True,
    },
    "mt5-small": {
        "model_type": "mt5",
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 8,
        "num_heads": 6,
        "feed_forward_proj": "gated-gelu",
    },
    "qwen2.5-0.5b": {
        "model_type": "qwen2",
        "intermediate_size": 4864,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
    },
}


def test_every_entry_is_complete():
    for name, model in MODELS.items():
        assert model.name == name == name.lower()
        assert model.note and model.licence and family_of(model.family) is not None
        assert min(model.size) > 0
        assert model.size.hidden % model.size.heads == 0 or model.family == "t5"
        if model.is_built_in:
            assert name == "tiny" and not model.files
            continue
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
        assert model.megabytes > 0
        assert model.files[0] == "config.json" and model.files[-1] == model.weights


def test_which_need_torch():
    """The others have a file that is read with what nlpcli brings."""
    needing = [model.name for model in MODELS.values() if model.needs_torch]
    rotary = ["roformer", "roformer-char", "roformer-sim", "roformer-v2"]
    rotary += ["roformer-v2-large", "nezha-base-wwm", "ernie-3.0-base"]
    assert needing == ["wobert", "wobert-plus", *rotary, "bge-base-zh", "cdial-gpt"]


def test_sizes_are_those_of_the_form():
    """The millions are what the other sizes and the family's form make."""
    for model in MODELS.values():
        size, family = model.size, family_of(model.family)
        config = {
            "vocab_size": size.vocabulary,
            "hidden_size": size.hidden,
            "intermediate_size": 4 * size.hidden,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            **{"n_embd": size.hidden, "n_layer": size.layers, "n_head": size.heads},
            **MORE.get(model.name, {}),
        }
        sizes = family.read(config, model.name, "hf")
        numbers = sum(
            math.prod(shape)
            for part in ("backbone", "pooler")
            if part in family.tables
            for shape in part_shapes(family, sizes, part).values()
        )
        assert size.millions == round(numbers / 1e6), model.name
    tiny = MODELS["tiny"].size
    assert tiny.vocabulary == len(tiny_tokenizer().vocab.tokens)
    assert (tiny.layers, tiny.hidden, tiny.heads) == (
        TINY.num_hidden_layers, TINY.hidden_size, TINY.num_attention_heads,
    )  # fmt: skip


def test_no_name_means_two_models():
    names = [n for m in MODELS.values() for n in {m.name, *m.aliases, m.repository}]
    folded = [name.lower() for name in names if name]
    assert len(folded) == len(set(folded))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("wobert", "wobert"),
        ("WoBERT", "wobert"),
        ("hfl/chinese-roberta-wwm-ext", "roberta-wwm-ext"),
        ("google-bert/bert-base-chinese", "bert-base-chinese"),
        (" e5-small ", "e5-small"),
    ],
)
def test_names_aliases_and_repositories(name, found):
    assert find_model(name).name == found


def test_the_nearest_names_are_told():
    with pytest.raises(NotFoundError, match=r"did you mean .*wobert"):
        find_model("wobret")
    with pytest.raises(NotFoundError) as caught:
        find_model("q" * 40)
    assert "did you mean" not in str(caught.value)
