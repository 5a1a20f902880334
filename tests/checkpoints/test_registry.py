"""The table of models is whole, and names are found."""

import re

import pytest

from nlpcli.backbones import family_of
from nlpcli.checkpoints.registry import MODELS, find_model
from nlpcli.errors import NotFoundError


def test_every_entry_is_complete():
    for name, model in MODELS.items():
        assert model.name == name == name.lower()
        assert model.note and model.licence and family_of(model.family) is not None
        if model.is_built_in:
            assert name == "tiny" and not model.files
            continue
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
        assert model.megabytes > 0
        assert model.files[0] == "config.json" and model.files[-1] == model.weights


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
