"""The recipe: what is learnt, and what is asked of the decoder and made of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nlpcli.config.loader import resolve
from nlpcli.decoders.copy import SpanOfSource
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError
from nlpcli.recipes.qa_gen.form import QaExample
from nlpcli.recipes.qa_gen.pairs import answer_options, question_options
from nlpcli.recipes.qa_gen.recipe import QaGenRecipe
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Setup
from nlpcli.text.tokenizers.load import tiny_tokenizer
from nlpcli.text.tokenizers.vocab import text_of

TOKENIZER = tiny_tokenizer()
VOCAB = TOKENIZER.vocab
SIZES = SimpleNamespace(
    vocab_size=len(VOCAB.tokens) + 3,
    hidden_size=8,
    longest=512,
    max_position_embeddings=512,
    num_decoder_layers=0,
)
PASSAGE = "北京是中国的首都。上海 是中国最大的城市！"


def recipe(**flags):
    config = resolve("qa-gen", flags={f"task.{k}": v for k, v in flags.items()})
    return QaGenRecipe(Setup(config, TOKENIZER, SIZES))


def example(answer="北京", question="中国的首都是哪里？", passage=PASSAGE):
    return QaExample(passage, question, answer, passage.index(answer), "f:1")


def ids(text):
    return TOKENIZER.encode_characters(text).token_ids


def tokens(values):
    return [VOCAB.tokens[i] for i in values]


def encoded(made, one):
    ((window,),) = made.encode([one], gold=True)
    return window.features


def test_layout_segments_and_targets():
    features = encoded(recipe(), example("上海 是"))
    cls, sep = VOCAB.tokens[VOCAB.begin_id], VOCAB.tokens[VOCAB.end_id]
    source = [cls, *PASSAGE.replace(" ", ""), sep]
    target = [*"上海是", sep, *"中国的首都是哪里？", sep]
    assert tokens(features["token_ids"]) == source + target
    assert features["segment_ids"].tolist() == [0] * len(source) + [1] * len(target)
    assert tokens(features["target_ids"]) == target
    assert features["predict_at"].tolist() == list(
        range(len(source) - 1, len(source) + len(target) - 1)
    )


def test_long_answers_are_given_and_long_questions_cut():
    made = recipe(answer_length=1, question_length=4)
    features = encoded(made, example())
    assert tokens(features["target_ids"]) == [*"中国的首"]
    assert tokens(features["token_ids"])[-4:] == [*"中国的首"]


def test_unknown_characters_are_no_targets_of_questions():
    strange = "\U0001f600"
    features = encoded(
        recipe(), example(strange, f"谁{strange}？", f"{PASSAGE}{strange}")
    )
    sep, unk = VOCAB.tokens[VOCAB.end_id], VOCAB.tokens[VOCAB.unk_id]
    assert tokens(features["target_ids"]) == [unk, sep, "谁", "？", sep]


@pytest.mark.parametrize("size", [5, 30, 90, 150])
def test_every_window_fits_and_has_its_answer(size):
    made = recipe(passage_length=100, answer_length=20)
    passage = "春天来了。" * 60 + "北" * size + "。" + "春天来了。" * 60
    features = encoded(made, example("北" * size, "？" * 99, passage))
    assert len(features["token_ids"]) <= 100 + 20 + 48 + 4
    where = features["segment_ids"]
    source, target = (
        text_of(VOCAB, features["token_ids"][where == part]) for part in (0, 1)
    )
    assert "北" * min(size, 60) in source
    assert target.startswith("北" * min(size, 60))


def test_lengths_must_fit_into_the_window_of_the_data():
    with pytest.raises(ConfigError, match=r"data.max_length: expected 576 or more"):
        recipe(passage_length=500)
    with pytest.raises(ConfigError, match=r"task.answer_length: expected at most"):
        recipe(passage_length=8, answer_length=9)


class FakeDecode:
    """Draws given answers, and asks a question made from the answer."""

    def __init__(self, answers, question=lambda answer: f"{answer}？"):
        self.answers = answers
        self.question = question
        self.calls = []

    def __call__(self, prompts, options, constraints=(), keys=None):
        self.calls.append((prompts, options, constraints, keys))
        if isinstance(constraints[0], SpanOfSource):
            drawn = [
                Hypothesis(ids(text), score, reason, True)
                for text, score, reason in self.answers
            ]
            return [list(drawn) for _ in prompts]
        return [[self._asked(prompt)] for prompt in prompts]

    def _asked(self, prompt):
        answer = text_of(VOCAB, prompt["token_ids"][prompt["segment_ids"] == 1])
        return Hypothesis(ids(self.question(answer)), -1.0, "end", True)


def drawn(*texts, reason="end"):
    return [(text, -0.1 * (i + 1), reason) for i, text in enumerate(texts)]


def generate(made, decode, passages, **asked):
    options = GenerateOptions(**asked).over(made.defaults)
    return made.write(decode, [made.ask(Row({"text": p})) for p in passages], options)


def test_pairs_are_spans_with_their_offsets_scored_and_different():
    made = recipe()
    decode = FakeDecode(
        [*drawn("上海是", "首都", "上海是", "，。", "。上海"), ("", -1, "end")]
    )
    ((answer),) = generate(made, decode, [PASSAGE], num=3)
    outputs = answer["outputs"]
    assert [(o["answer"], o["start"]) for o in outputs] == [("上海 是", 9), ("首都", 6)]
    for output in outputs:
        assert PASSAGE[output["start"] :].startswith(output["answer"])
        assert output["text"] == output["answer"].replace(" ", "") + "？"
        assert output["tokens"] == [*output["text"]]
        assert output["finish_reason"] == "end"
    # (log p(answer) + log p(question)) / tokens, both ends counted
    assert outputs[0]["score"] == pytest.approx((-0.1 - 1) / (4 + 5), abs=1e-4)
    assert outputs[0]["score"] >= outputs[1]["score"]


def test_punctuation_and_unfinished_answers_only_where_there_is_nothing_else():
    made = recipe()
    ((answer),) = generate(made, FakeDecode(drawn("。上海")), [PASSAGE])
    assert answer["outputs"][0]["answer"] == "。上海"
    cut = [*drawn("北京是", reason="length"), *drawn("上海")]
    ((answer),) = generate(made, FakeDecode(cut), [PASSAGE], num=2)
    assert [o["answer"] for o in answer["outputs"]] == ["上海"]
    titles = "他写了《春》，占50%。"
    good = FakeDecode(drawn("《春》", "50%", "《春", "。"))
    ((answer),) = generate(made, good, [titles], num=4)
    assert {o["answer"] for o in answer["outputs"]} == {"《春》", "50%"}


def test_equal_questions_count_once_and_more_answers_are_asked_for():
    made = recipe()
    texts = [*PASSAGE.replace(" ", "")[:8]]
    decode = FakeDecode(drawn(*texts), lambda a: "哪里？" if a in "北京是中" else a)
    ((answer),) = generate(made, decode, [PASSAGE], num=2)
    assert [o["text"] for o in answer["outputs"]] == ["哪里？", "国"]
    assert [len(call[0]) for call in decode.calls if call[0]] == [1, 4, 4]


def test_windows_share_a_seed_and_take_turns():
    made = recipe(passage_length=10, answer_length=5)
    decode = FakeDecode(drawn("北京", "上海", "首都", "城市"))
    first, empty, blank, second = generate(
        made, decode, [PASSAGE, "", " \u3000", "北京！"], num=2
    )
    assert (empty, blank) == ({"outputs": []}, {"outputs": []})
    prompts, _, _, keys = decode.calls[0]
    assert keys == [0, 0, 3]
    # the third window of the first passage is "！": nothing to ask for
    assert ["".join(tokens(prompt["source_ids"])) for prompt in prompts] == [
        "北京是中国的首都。",
        "上海是中国最大的城市",
        "北京！",
    ]
    assert {o["answer"] for o in first["outputs"]} == {"北京", "上海"}
    assert [o["answer"] for o in second["outputs"]] == ["北京"]


def test_nothing_but_punctuation_is_an_error_in_its_place():
    made = recipe()
    bad, good = generate(made, FakeDecode(drawn("北京")), ["。。！", PASSAGE])
    assert isinstance(bad, DataError)
    assert "letters or digits, got '。。！'" in str(bad)
    assert len(good["outputs"]) == 1


def test_examples_with_gold_get_their_question_and_a_free_pair():
    made = recipe()
    golds = [example(), replace(example("上海"), question="上海？")]
    found = made.write(FakeDecode(drawn("首都")), golds, made.defaults)
    first, second = found
    assert (first["outputs"][0]["text"], first["outputs"][0]["answer"]) == (
        "北京？",
        "北京",
    )
    assert first["pairs"][0]["answer"] == "首都"
    answers = [{**a, "nll": 2.0, "target_tokens": 8} for a in found]
    scores = made.score(golds, answers)
    assert scores["answers_inside"] == 1.0
    assert scores["log_likelihood"] == -0.25
    assert scores["perplexity"] == pytest.approx(np.exp(0.25))
    assert 0 < scores["rougeL"] < 1
    assert made.main_score in scores
    second["pairs"][0]["start"] += 1
    assert made.score(golds, answers)["answers_inside"] == 0.5
    nothing = [{"outputs": [], "nll": 1.0, "target_tokens": 1}]
    assert made.score(golds[:1], nothing)["answers_inside"] is None


def test_flags_reach_the_step_they_are_for():
    made = recipe()
    sampled = GenerateOptions(top_k=4, num=2, seed=9, max_length=7).over(made.defaults)
    assert sampled.problems() == []
    answers, questions = answer_options(sampled, 24), question_options(sampled)
    assert (answers.top_k, answers.top_p, answers.seed) == (4, 0.95, 9)
    assert (answers.num, answers.max_length, answers.beam) == (6, 25, None)
    assert (questions.beam, questions.num, questions.max_length) == (3, 1, 7)
    assert not questions.samples
    searched = GenerateOptions(beam=4, num=2).over(made.defaults)
    assert searched.problems() == []
    assert answer_options(searched, 24).beam == 6
    assert question_options(searched).beam == 4
    assert answer_options(searched, 24).problems() == []


def test_constraints_are_the_same_objects_and_forbid_what_is_never_learnt():
    made = recipe()
    decode = FakeDecode(drawn("北京"))
    for _ in range(2):
        generate(made, decode, [PASSAGE])
    assert {call[2] for call in decode.calls} == {(made.spans,), (made.words,)}
    assert made.spans.vocab_size == SIZES.vocab_size
    never = made.never(SIZES.vocab_size)
    assert {VOCAB.unk_id, VOCAB.begin_id, SIZES.vocab_size - 1} <= never
    assert VOCAB.end_id not in never
