"""simbert from the sample to vectors, similarities and new sentences."""

import json
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from nlpcli.backbones.families.bert import TINY
from nlpcli.config.loader import resolve
from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.embed import Embedder
from nlpcli.engine.evaluate import evaluate_run
from nlpcli.engine.generate import Generator
from nlpcli.engine.predict import Predictor
from nlpcli.engine.scoring import Gold
from nlpcli.engine.train import train
from nlpcli.errors import ConfigError, DataError, UsageError
from nlpcli.files.json_text import dumps
from nlpcli.recipes.simbert import recipe as module
from nlpcli.recipes.simbert.form import SimilarityExample, SimilarityForm
from nlpcli.recipes.simbert.recipe import build_recipe
from nlpcli.records.read import read
from nlpcli.records.row import Row
from nlpcli.samples import sample
from nlpcli.tasks.protocol import Setup
from nlpcli.text.batching import collate, round_up, sizes_of
from nlpcli.text.tokenizers.load import tiny_tokenizer

FORM = SimilarityForm()


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """A file of a few groups of the sample."""
    path = tmp_path_factory.mktemp("groups") / "train.jsonl"
    lines = sample("simbert", "train").read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:24]), "utf-8")
    return path


@pytest.fixture(scope="module")
def run(groups):
    """Trained until it knows these groups; whitened on the way."""
    flags = {
        "data.train": str(groups),
        "data.dev": str(groups),
        "train.max_steps": 160,
        "train.epochs": 160,
        "train.batch_size": 24,
        "train.eval_every": 160,
        "task.pooling": "mean",
        "task.candidates": 30,
        "runtime.tensorboard": False,
    }
    return train(resolve("simbert", flags=flags), out=groups.parent / "run")


def test_groups_are_learnt(run, groups):
    assert run.scores["mrr"] > 0.9 and run.scores["recall_at_10"] > 0.9
    pairs = groups.with_name("pairs.jsonl")
    known = list(islice(read(FORM, groups), 24))
    rows = [SimilarityExample(x.texts[:2], "pair", 1.0) for x in known]
    rows += [
        SimilarityExample((x.texts[0], y.texts[1]), "pair", 0.0)
        for x, y in pairwise(known)
    ]
    rows.append(SimilarityExample((*known[0].texts[:2], known[1].texts[0]), "triplet"))
    pairs.write_text("".join(dumps(FORM.row(row)) + "\n" for row in rows), "utf-8")
    out = groups.with_name("answers.jsonl")
    scores = evaluate_run(run.run, "simbert", Gold(pairs, out))
    assert scores["spearman"] > 0.8 and scores["accuracy"] > 0.95
    assert scores["triplet_accuracy"] == 1 and scores["examples"] == len(rows)
    assert "similarity" in json.loads(out.read_text("utf-8").splitlines()[0])


def test_answers_are_vectors_and_similarities(run, groups):
    known = next(iter(read(FORM, groups)))
    one, other = known.texts[:2]
    answers = Predictor(run.run, "simbert").predict(
        [one, f"{one}\t{other}", "", f"{one}\t", "甲\t乙\t丙", f"{one}\t{one}"]
    )
    assert np.linalg.norm(answers[0]["vector"]) == pytest.approx(1, abs=1e-4)
    assert answers[1]["similarity"] > 0.7
    assert answers[2] == {"vector": []}
    assert all(isinstance(answer, DataError) for answer in answers[3:5])
    assert answers[5]["similarity"] == pytest.approx(1, abs=1e-4)
    embedder = Embedder.open(run.run, "simbert")
    rows = embedder.rows([one, "", None, other])
    assert rows[0] == pytest.approx(np.array(answers[0]["vector"]), abs=1e-5)
    assert not rows[1].any() and np.isnan(rows[2]).all()
    assert rows[0] @ rows[3] == pytest.approx(answers[1]["similarity"], abs=1e-5)


@pytest.mark.slow
def test_generated_sentences_are_new_distinct_and_ranked(run, groups):
    known = next(iter(read(FORM, groups)))
    generator = Generator(run.run, "simbert")
    asked = GenerateOptions(num=5)
    answer, empty, pair = generator.generate([known.text, "", "甲\t乙"], asked)
    outputs = answer["outputs"]
    texts = [output["text"] for output in outputs]
    assert 1 <= len(texts) <= 5 and known.text not in texts
    assert len({module._letters(text) for text in texts}) == len(texts)
    scores = [output["score"] for output in outputs]
    assert scores == sorted(scores, reverse=True)
    assert empty == {"outputs": []} and isinstance(pair, DataError)
    embedder = Embedder.open(run.run, "simbert")
    vectors = embedder.encode([known.text, *texts])
    assert vectors[1:] @ vectors[0] == pytest.approx(scores, abs=1e-3)


def test_what_is_written_greedily_is_what_training_rates_highest(run, groups):
    """Decoding and the training step see one model: prompt, mask and segments agree."""
    generator = Generator(run.run, "simbert")
    recipe, model = generator.recipe, generator.decode.model
    vocab = recipe.tokenizer.vocab
    for known in islice(read(FORM, groups), 3):
        prompts = [recipe.prompt(SimilarityExample((text,))) for text in known.texts]
        options = replace(GenerateOptions(beam=1), max_length=12).over(
            replace(recipe.defaults, num=1)
        )
        found = generator.decode(prompts, options, recipe.constraints())
        for text, (hypothesis,) in zip(known.texts, found, strict=True):
            written = "".join(vocab.tokens[i] for i in hypothesis.token_ids)
            [[(features, _)]] = recipe.encode(
                [SimilarityExample((text, written))], gold=True
            )
            count = len(hypothesis.token_ids)
            assert features["target_ids"][:count].tolist() == list(hypothesis.token_ids)
            sizes = round_up([sizes_of(features, recipe.fields)])
            batch = collate([features], recipe.fields, sizes)
            logits = np.array(model(batch)["targets"])[0, :count]
            logits[:, list(vocab.special_ids)] = -np.inf
            assert logits.argmax(axis=-1).tolist() == list(hypothesis.token_ids)


@pytest.mark.slow
def test_whitening_is_kept_with_the_run(groups, tmp_path):
    flags = {
        "data.train": str(groups),
        "data.dev": str(groups),
        "train.max_steps": 3,
        "task.whitening": 12,
        "task.objective": "simcse-supervised",
        "task.pooling": "mean",
        "runtime.tensorboard": False,
    }
    found = train(resolve("simbert", flags=flags), out=tmp_path / "run")
    embedder = Embedder.open(found.run, "simbert")
    assert embedder.dimension == 12
    texts = [text for x in read(FORM, groups) for text in x.texts]
    rows = embedder.reader.features(texts)
    assert len(rows) == len(texts)
    white = embedder.model.whitening
    sizes = round_up([sizes_of(row, embedder.fields) for row in rows])
    batch = collate(rows, embedder.fields, sizes)
    pooled = np.asarray(embedder.model(batch)["pooled"])
    whitened = (pooled - np.asarray(white.mean)) @ np.asarray(white.matrix)
    assert whitened.mean(axis=0) == pytest.approx(np.zeros(12), abs=1e-2)
    with pytest.raises(UsageError, match="only embeds"):
        Generator(found.run, "simbert").generate(["你好"], GenerateOptions())


def make(**flags):
    tokenizer = tiny_tokenizer()
    config = resolve("simbert", flags=flags)
    return build_recipe(Setup(config, tokenizer, replace(TINY, vocab_size=99)))


def test_rows_of_the_objectives():
    vocab = tiny_tokenizer().vocab
    group = SimilarityExample(("你好", "您好啊"))
    [[(features, _)]] = make().encode([group], gold=True)
    ids = [vocab.index[c] for c in ("[CLS]", *"你好", "[SEP]", *"您好啊", "[SEP]")]
    assert features["token_ids"].tolist() == ids
    assert features["segment_ids"].tolist() == [0] * 4 + [1] * 4
    assert features["target_ids_back"].tolist() == [*ids[1:3], vocab.end_id]
    negative = SimilarityExample(("你好", "再见"), "pair", 0.0)
    supervised = make(**{"task.objective": "simcse-supervised"})
    [[(features, _)], [(other, _)]] = supervised.encode([negative, group], gold=True)
    assert features["token_ids"].tolist() == features["token_ids_positive"].tolist()
    assert len(features["token_ids_negative"]) == 4
    assert not any(name.endswith("_negative") for name in other)
    assert supervised.targets(group, None) == {}, "no line has a negative"
    supervised.learn(negative)
    assert supervised.targets(negative, None) == {}
    filler = supervised.targets(group, None)
    assert {*other, *filler} == set(features)
    assert all(len(array) == 0 for array in filler.values())
    alone = make(**{"task.objective": "simcse", "task.prefix": "问："})
    [windows] = alone.encode([group], gold=True)
    assert (
        len(windows) == 2 and windows[0].features["token_ids"][1] == vocab.index["问"]
    )
    assert make().encode([negative], gold=True) == [[]]


def test_a_line_is_a_text_or_a_pair():
    def texts(**row):
        asked = make().ask(Row(row))
        return asked.kind, asked.texts

    assert texts(text=" 一句 ") == ("group", ("一句",))
    assert texts(text=" \t ") == texts(text_a="", text_b=" ") == ("group", ("",))
    assert texts(text="甲\t 乙") == ("pair", ("甲", "乙"))
    keyed = texts(text_a="甲\t乙", text_b="丙")
    assert keyed == ("pair", ("甲 乙", "丙")), "the tab inside is no border"
    assert make().ask(Row({"text_a": "甲\t乙", "text_b": "丙"})).text == "甲 乙\t丙"
    for row in (
        {"text": "甲\t"},
        {"text": "甲\t乙\t丙"},
        {"text_a": "甲", "text_b": ""},
    ):
        with pytest.raises(DataError, match="or two with a tab between"):
            make().ask(Row(row))
    with pytest.raises(DataError, match='expected the key "text"'):
        make().ask(Row({"text_a": "甲"}))


def test_long_texts_share_the_room_of_a_pair():
    recipe = make(**{"data.max_length": 21})
    group = SimilarityExample(("甲" * 30, "乙" * 30))
    [[(features, _)]] = recipe.encode([group], gold=True)
    assert len(features["token_ids"]) == 21
    [[one, _]] = recipe.encode([group], gold=False)
    assert len(one.features["token_ids"]) == 21


def test_a_grade_is_for_scoring_only():
    graded = SimilarityExample(("甲", "乙"), "pair", 4.0, "a:3")
    with pytest.raises(DataError, match="a:3: expected label 0 or 1"):
        make().admit(graded, learning=True)
    make().admit(graded, learning=False)
    make(**{"task.objective": "simcse"}).admit(graded, learning=True)


def test_the_main_score_is_of_what_dev_has():
    recipe = make()
    assert recipe.main_score == "spearman"
    recipe.meet(SimilarityExample(("甲", "乙")))
    assert recipe.main_score == "mrr"
    recipe.meet(SimilarityExample(("甲", "乙"), "pair", 1.0))
    assert recipe.main_score == "spearman"
    other = make()
    other.restore(recipe.state())
    assert other.main_score == "spearman"


def test_a_whitening_wider_than_the_encoder_is_refused(groups, tmp_path):
    config = resolve("simbert", flags={"task.whitening": 999})
    with pytest.raises(ConfigError, match="at most 128"):
        train(config, out=tmp_path / "run")


@pytest.mark.slow
def test_beams_give_as_many_candidates(run):
    generator = Generator(run.run, "simbert")
    options = replace(GenerateOptions(), beam=4, num=2)
    (answer,) = generator.generate(["会员卡丢了怎么办"], options)
    assert len(answer["outputs"]) <= 2
