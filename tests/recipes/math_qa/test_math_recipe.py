"""The recipe itself: what is learnt, what is answered, what is refused."""

import json
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.decoders.automaton import END, START, allowed, step
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.train import prepare
from nlpcli.errors import ConfigError, DataError
from nlpcli.recipes.math_qa import form
from nlpcli.recipes.math_qa.answers import outputs
from nlpcli.recipes.math_qa.form import MathExample
from nlpcli.recipes.math_qa.grammar import CHARACTERS, QuestionGrammar
from nlpcli.recipes.math_qa.numbers import allowed_numbers
from nlpcli.recipes.math_qa.recipe import MathQaRecipe
from nlpcli.records.read import read
from nlpcli.records.row import Row
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.tasks.protocol import Setup
from nlpcli.text.expression import numbers_in, parse
from nlpcli.text.rational import evaluate, value_text
from nlpcli.text.tokenizers.load import subset, tiny_tokenizer
from nlpcli.text.tokenizers.word_piece import WordPieceTokenizer
from tests.slow import first_is_quick

QUESTION = "小明有3个苹果,小红的苹果是他的2倍,两人一共有几个?"
QUESTIONS = [QUESTION, "", "绳长20米,用去(1/4),还剩几米?", "半 价 是12.5元"]
ROW = {"question": QUESTION, "equation": "x=3+3*2", "answer": "9"}


def recipe_of(characters=CHARACTERS, **flags):
    tokenizer = tiny_tokenizer()
    text = characters + "".join(QUESTIONS).replace(" ", "")
    keep = {tokenizer.vocab.index[c] for c in text if c not in CHARACTERS}
    keep |= {tokenizer.vocab.index[c] for c in characters}
    small, _ = subset(tokenizer, keep)
    sizes = TransformerConfig(
        vocab_size=len(small.vocab.tokens),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
    )
    return MathQaRecipe(Setup(resolve("math-qa", flags=flags), small, sizes))


def ready_with(**flags):
    recipe = recipe_of(**{"task.expression_length": 12}, **flags)
    model = recipe.build(Transformer(recipe.setup.backbone))
    sep = recipe.tokenizer.vocab.end_id
    forward = Forward(model, xla=False)
    return recipe, Decoding(forward, recipe.fields, sep, 4, compiled=False)


@pytest.fixture(scope="module")
def ready():
    return ready_with()


def ask(recipe, text):
    return recipe.ask(Row({"text": text}))


def answers_of(ready, texts, **options):
    recipe, decode = ready
    asked = GenerateOptions(**options).over(recipe.defaults)
    return recipe.write(decode, [ask(recipe, text) for text in texts], asked)


@pytest.mark.parametrize(
    "options",
    first_is_quick(
        [
            {"num": 3},
            {"beam": 1},
            {"top_p": 0.9, "num": 3, "seed": 5},
            {"max_length": 4},
        ]
    ),
)
def test_answers_are_expressions_over_the_numbers(ready, options):
    answers = answers_of(ready, QUESTIONS, **options)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        number = options.get("num", 1) if question else 0
        assert len(answer["outputs"]) == number
        prompt = ask(ready[0], question).text
        for output in answer["outputs"]:
            used = set(numbers_in(parse(output["text"])))
            assert used <= {*allowed_numbers(prompt), "2", "3"}
            assert len(output["tokens"]) < options.get("max_length", 13)
            assert "".join(output["tokens"]) == output["text"]
            assert (output["finish_reason"], output["satisfied"]) == ("end", True)
            if output["value"] is not None:
                assert Fraction(output["value"]) == evaluate(output["text"])


def test_batch_equals_single(ready):
    together = answers_of(ready, QUESTIONS, num=2)
    for question, answer in zip(QUESTIONS, together, strict=True):
        (alone,) = answers_of(ready, [question], num=2)
        texts = [output["text"] for output in answer["outputs"]]
        assert [output["text"] for output in alone["outputs"]] == texts


def test_without_the_grammar_or_without_room_nothing_breaks(ready):
    for writer, options in (
        (ready_with(**{"task.grammar": False}), {}),
        (ready, {"max_length": 1}),
    ):
        (answer,) = answers_of(writer, [QUESTION], **options)
        (output,) = answer["outputs"]
        json.dumps(output)
    assert not output["satisfied"], "one token is no expression and its end"


def hypotheses(recipe, *found):
    ids = recipe.tokenizer.character_ids
    return [Hypothesis(ids(text), score, "end", True) for text, score in found]


def test_the_first_beam_with_a_value_wins():
    recipe = recipe_of()
    beams = [("3/(2-2)", 0.75), ("3*2", 0.1), ("9", 0.05), ("2*3", 0.08), ("3+", 0.02)]
    found = hypotheses(recipe, *((text, math.log(share)) for text, share in beams))
    answers = outputs(recipe.tokenizer.vocab, found)
    assert [output["text"] for output in answers] == [
        "3*2",
        "9",
        "2*3",
        "3/(2-2)",
        "3+",
    ]
    assert [output["value"] for output in answers] == ["6", "9", "6", None, None]
    sure = [output["probability"] for output in answers]
    assert sure == [pytest.approx(0.18), pytest.approx(0.05), sure[0], None, None]
    assert outputs(recipe.tokenizer.vocab, found[1:2])[0]["probability"] is None
    sampled = outputs(recipe.tokenizer.vocab, found[1:4], sampled=True)
    assert sampled[0]["probability"] == pytest.approx(2 / 3, abs=1e-4)


def test_scores_far_below_zero_still_say_how_sure():
    recipe = recipe_of()
    found = hypotheses(recipe, ("3*2", -5000.0), ("9", -5000.0))
    assert [o["probability"] for o in outputs(recipe.tokenizer.vocab, found)] == [
        0.5,
        0.5,
    ]


def test_layout():
    recipe = recipe_of()
    example = MathExample("共 3个", "3*2", Fraction(6))
    ((window,),) = recipe.encode([example], gold=True)
    vocab = recipe.tokenizer.vocab
    cls, sep = vocab.tokens[vocab.begin_id], vocab.tokens[vocab.end_id]
    tokens = [vocab.tokens[i] for i in window.features["token_ids"]]
    assert tokens == [cls, *"共3个", sep, *"3*2", sep]
    assert window.features["segment_ids"].tolist() == [0] * 5 + [1] * 4
    assert window.features["target_ids"].tolist() == [
        *recipe.tokenizer.character_ids("3*2"),
        vocab.end_id,
    ]


@pytest.mark.parametrize("characters", ["0123456789", "12+(", "7*/", "123^()."])
def test_the_grammar_is_what_the_vocabulary_can_spell(characters):
    """A walk always ends, though the vocabulary lacks operators or digits."""
    recipe = recipe_of(characters)
    grammar = QuestionGrammar(recipe.tokenizer)
    automaton = grammar.automaton(QUESTION)
    tokens = recipe.tokenizer.vocab.tokens
    rng = np.random.default_rng(0)
    for _ in range(30):
        state, depth, text = START, 0, ""
        for remaining in range(12, 0, -1):
            open_ = np.flatnonzero(allowed(automaton, state, depth, remaining))
            token = automaton.token[rng.choice(open_)]
            state, depth = map(int, step(automaton, state, depth, token))
            if state == END:
                break
            text += tokens[token]
        assert state == END
        parse(text)
        assert set(text) <= set(characters)


def test_what_cannot_be_asked():
    recipe = recipe_of(**{"data.max_length": 80})
    assert ask(recipe, "他有一个苹果").text
    with pytest.raises(DataError, match=r"at most 13 characters .* got 14"):
        ask(recipe, "3" + "天" * 13)
    assert ask(recipe, "3 " + "天 " * 12).text
    assert ask(recipe, " \n").text == ""
    with pytest.raises(ConfigError, match=r"data\.max_length: expected 68"):
        recipe_of(**{"data.max_length": 67})


def test_rows_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    long = {**ROW, "question": QUESTION + "天" * 50}
    path.write_text("\n".join(map(json.dumps, [ROW, long])), encoding="utf-8")
    recipe = recipe_of(**{"data.max_length": 80})
    good, bad = read(recipe.form, path)
    assert good.text == QUESTION
    for learning in (True, False):
        recipe.admit(good, learning)
        with pytest.raises(
            DataError,
            match=r"a\.jsonl:2: expected a question and an expression of at most 80 "
            r"tokens \(data\.max_length\), special ones included, got 85",
        ):
            recipe.admit(bad, learning)


def test_only_a_users_problem_needs_numbers(ready):
    without = "有几个苹果?"
    (answer,) = answers_of(ready, [without])
    assert isinstance(answer, DataError)
    assert "at least one number, got none" in str(answer)
    gold = MathExample(without, "1+1", Fraction(2))
    recipe, decode = ready
    (answer,) = recipe.write(decode, [gold], recipe.defaults)
    assert answer["outputs"][0]["satisfied"]
    free, decode = ready_with(**{"task.grammar": False})
    (answer,) = free.write(decode, [ask(free, without)], free.defaults)
    assert answer["outputs"]


def test_a_row_is_cleaned_and_tokenised_once_on_the_way_to_training(
    tmp_path, monkeypatch
):
    counts = Counter()

    def count(owner, name):
        function = getattr(owner, name)

        def call(*arguments):
            counts[name] += 1
            return function(*arguments)

        monkeypatch.setattr(owner, name, call)

    count(form, "clean_row")
    count(WordPieceTokenizer, "encode_characters")
    train, dev = tmp_path / "train.jsonl", tmp_path / "dev.jsonl"
    rows = [{**ROW, "question": f"{QUESTION}{n}号"} for n in range(1, 6)]
    train.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    dev.write_text(json.dumps(ROW), "utf-8")
    given = {"data.train": str(train), "data.dev": str(dev)}
    prepared = prepare(resolve("math-qa", flags=given))
    assert prepared.windows.count == 5
    assert counts["clean_row"] == 5 + 1, "each row of either file once"
    assert counts["encode_characters"] == 2 * 5, "a question and an expression a row"


def test_scores():
    recipe = recipe_of()
    examples = [MathExample("问", text, evaluate(text)) for text in ("3*2", "1/3")] * 2
    texts = ["2*3", "0.3333333", "3+"]
    answers = []
    for text in texts:
        (found,) = hypotheses(recipe, (text, -1.0))
        own = outputs(recipe.tokenizer.vocab, [found])
        answers.append({"outputs": own, "nll": 2.0, "target_tokens": 4})
    answers.append({"outputs": [], "nll": 2.0, "target_tokens": 4})
    scores = recipe.score(examples, answers)
    assert scores["accuracy"] == 0.5
    assert scores["wellformed"] == 0.5
    assert scores["evaluates"] == 0.5
    assert scores["exact_match"] == 0.0
    assert scores["log_likelihood"] == pytest.approx(-0.5)
    assert scores["perplexity"] == pytest.approx(math.exp(0.5))
    gold = recipe.gold(examples[1])
    assert gold == {"expression": "1/3", "value": value_text(Fraction(1, 3))}


def call(*words):
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


def test_data_takes_the_options_that_the_recipe_has(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "answer": "8"}))
    words = ("data", "check", str(path), "--task", "math-qa")
    checked = call(*words)
    assert checked.exit_code == 4, "one row has another answer"
    assert "another answer  1" in checked.stdout
    assert "exceed 256" in checked.stdout
    assert "in windows" not in checked.stdout
    assert "exceed 64" in call(*words, "--max-length", "64").stdout
    refused = call(*words, "--nested")
    assert refused.exit_code == 2
    assert "--nested: recipe math-qa has no such option" in refused.output
    out = str(tmp_path / "b.jsonl")
    words = ("data", "convert", str(path), out, "--task", "math-qa")
    refused = call(*words, "--scheme", "BIO", "--from-scheme", "BIO")
    assert refused.exit_code == 2
    assert "--from-scheme: recipe math-qa" in refused.output
    assert call(*words).exit_code == 4
    assert call(*words, "--skip-bad").exit_code == 0
