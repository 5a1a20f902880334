"""A language model as it is: against transformers, and against the whole sequence."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.engine.examples import dev_source
from nlpcli.engine.loaded import decoding, open_model, open_run
from recipes.lm.likelihood import total_of, windows_of
from recipes.lm.template import template_problem
from tests.backbones.decoder_forms import POSITIONS, SPECIAL, VOCAB, save_form
from tests.engine.checkpoint_kinds import Kind, write_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
ASK = ["generate", "lm", "天", "--model", ""]
FIRST = 0x4E00 - len(SPECIAL)  # the character of an id


def text_of(ids):
    return "".join(chr(FIRST + i) for i in ids)


def random_text(seed, length):
    ids = np.random.default_rng(seed).integers(len(SPECIAL), VOCAB, length)
    return text_of(ids), ids.tolist()


def run(*words, code=0, text=None):
    done = CliRunner().invoke(app, [str(word) for word in words], input=text)
    assert done.exit_code == code, (done.stdout, done.stderr)
    return done


def their_logp(model, ids):
    """log p of each token but the first."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    found = torch.log_softmax(logits.double(), -1)[:-1]
    return found[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()


@pytest.mark.parity
def test_it_goes_on_as_transformers_does(gpt2):
    folder, model = gpt2
    text, ids = random_text(0, 9)
    prompt = torch.tensor([[2, *ids]])  # [CLS]
    with torch.no_grad():
        out = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=12,
            do_sample=False,
            suppress_tokens=[0, 1, 2, 4],
        )
    wanted = out[0, 10:].tolist()
    words = ["generate", "lm", text, "--model", folder, "--beam", 1]
    done = run(*words, "--max-length", 12)
    answer = json.loads(done.stdout)
    (output,) = answer["outputs"]
    ended = wanted[-1] == 3
    assert output["text"] == text_of(wanted[:-1] if ended else wanted)
    assert output["finish_reason"] == ("end" if ended else "length")
    total = their_logp(model, [2, *ids, *wanted])[-len(wanted) :].sum()
    assert abs(output["score"] - total) < 1e-3


@pytest.mark.parity
def test_choices_are_compared_by_their_likelihood(gpt2, tmp_path):
    folder, model = gpt2
    (one, one_ids), (other, other_ids), (tail, tail_ids) = (
        random_text(seed, length) for seed, length in ((1, 2), (2, 3), (3, 1))
    )
    solved, solved_ids = random_text(4, 5)
    text, ids = random_text(5, 7)
    shots = tmp_path / "shots.jsonl"
    shots.write_text(json.dumps({"text": solved, "label": one}), "utf-8")
    words = ["generate", "lm", "--model", folder, text, "--shots", shots]
    words += ["--choices", f"{one},{other}", "--template", f"{{text}}{{answer}}{tail}"]
    answer = json.loads(run(*words).stdout)
    before = [2, *solved_ids, *one_ids, *tail_ids, 3, *ids]  # [SEP] for a line end
    expected = {
        name: their_logp(model, [*before, *said, *tail_ids])[len(before) - 1 :].sum()
        for name, said in ((one, one_ids), (other, other_ids))
    }
    best = max(expected, key=expected.get)
    (output,) = answer["outputs"]
    assert output["text"] == best and output["finish_reason"] == "choice"
    assert abs(output["score"] - expected[best]) < 1e-3
    chance = 1 / (1 + math.exp(min(expected.values()) - max(expected.values())))
    assert abs(answer["choices"][best] - chance) < 1e-3
    assert math.isclose(sum(answer["choices"].values()), 1.0, abs_tol=2e-4)
    data = tmp_path / "gold.jsonl"
    data.write_text(json.dumps({"text": text, "answer": best}), "utf-8")
    words = ["evaluate", "lm", "--model", folder, "--data", data, "--json", *words[5:]]
    assert json.loads(run(*words).stdout)["accuracy"] == 1.0


@pytest.mark.parity
def test_perplexity_is_that_of_windows_with_a_stride(gpt2, tmp_path):
    folder, model = gpt2
    texts, ids = zip(*(random_text(s, n) for s, n in ((6, 30), (7, 150))), strict=True)
    data = tmp_path / "text.txt"
    data.write_text("\n".join(texts) + "\n\n", "utf-8")
    words = ["evaluate", "lm", "--model", folder, "--data", data, "--json"]
    found = json.loads(run(*words, "--set", "task.stride=40").stdout)
    total = count = 0
    for row in ids:
        row = [2, *row]
        done = 1
        for start in range(0, len(row), 40):
            part = row[start : start + POSITIONS]
            logp = their_logp(model, part)
            fresh = start + len(part) - done
            if fresh > 0:
                total -= logp[-fresh:].sum()
                count += fresh
                done += fresh
    assert count == 180 == found["tokens"] == found["characters"]
    assert (found["window"], found["stride"], found["windows"]) == (64, 40, 5)
    assert math.isclose(found["perplexity"], math.exp(total / count), rel_tol=1e-4)
    assert found["perplexity_by_character"] == found["perplexity"]


def test_windows_that_the_positions_cut_lie_half_on_another(gpt2):
    folder, _ = gpt2
    for sets, stride in (((), 32), (("task.window=64", "task.stride=64"), 64)):
        recipe = open_model(folder, "lm", sets=sets).recipe
        assert (recipe.window, recipe.stride) == (64, stride)


def test_windows_measure_each_token_once():
    ids = np.arange(23)
    for window in range(2, 26):
        for stride in range(1, window):
            found = windows_of(ids, window, stride)
            assert np.concatenate([w["target_ids"] for w in found]).tolist() == list(
                range(1, 23)
            )
            assert all(len(w["token_ids"]) <= window for w in found)


def test_too_long_a_text_is_one_line(gpt2):
    folder, _ = gpt2
    text, _ = random_text(8, 64)
    done = run("generate", "lm", text, "--model", folder, code=4)
    assert "expected fewer than 64 tokens (the positions of the model)" in done.stderr
    whole, _ = random_text(9, 62)  # [CLS] and one place more
    answer = json.loads(run("generate", "lm", whole, "--model", folder).stdout)
    assert len(answer["outputs"][0]["tokens"]) <= 1


def test_an_answer_ends_where_it_is_told(gpt2):
    folder, _ = gpt2
    text, _ = random_text(0, 9)
    words = ["generate", "lm", text, "--model", folder, "--beam", 1, "--max-length", 9]
    free = json.loads(run(*words).stdout)["outputs"][0]
    for stop in (free["text"][2], free["text"][2:4]):
        cut = json.loads(run(*words, "--until", stop).stdout)["outputs"][0]
        assert cut["text"] == free["text"].split(stop)[0]
        assert cut["finish_reason"] == "end"
    done = run(*words, "--stream", "--until", free["text"][2:4])
    assert done.stdout == free["text"].split(free["text"][2:4])[0] + "\n"


@pytest.mark.parity
def test_what_is_told_of_an_answer_is_what_is_shown(gpt2):
    """Its tokens and its likelihood end where it does, of several tokens or of one."""
    folder, model = gpt2
    text, ids = random_text(0, 9)
    words = ["generate", "lm", text, "--model", folder, "--beam", 1, "--max-length", 9]
    free = json.loads(run(*words).stdout)["outputs"][0]
    logps = their_logp(model, [2, *ids, *(ord(c) - FIRST for c in free["text"])])[9:]
    for size in (1, 2):
        stop = free["text"][3 : 3 + size]
        cut = json.loads(run(*words, "--until", stop).stdout)["outputs"][0]
        shown = free["text"].index(stop)
        assert "".join(cut["tokens"]) == cut["text"] == free["text"][:shown]
        assert abs(cut["score"] - logps[: shown + size].sum()) < 1e-3


@pytest.mark.parametrize("extra", [["--beam", 1], ["--beam", 3], ["--top-k", 1]])
def test_the_models_own_end_ends_an_answer_too(ends, extra):
    words = ["generate", "lm", "天", "--model", ends, "--max-length", 8, *extra]
    told = [run(*words).stdout, run(*words, "--until", "好").stdout]
    answers = [json.loads(line)["outputs"][0] for line in told]
    assert answers[0] == answers[1]
    assert (answers[1]["text"], answers[1]["finish_reason"]) == ("", "end")


def test_all_tokens_that_begin_with_a_line_end_end_an_answer(qwen, tmp_path):
    folder, _, cutter = qwen
    shots = tmp_path / "shots.jsonl"
    shots.write_text('{"text": "好", "answer": "是"}\n', "utf-8")
    recipe = open_model(folder, "lm", sets=[f"task.shots={shots}"]).recipe
    known = [cutter.decode([i]) for i in recipe.stops]
    assert "\n" in known and all(text.startswith("\n") for text in known)
    assert not recipe.apart and recipe.shots == "好是\n"


def test_solved_examples_stand_apart_where_a_line_end_is_no_token(gpt2, tmp_path):
    folder, _ = gpt2
    (one, one_ids), (other, other_ids) = (random_text(seed, 3) for seed in (1, 2))
    shots = tmp_path / "shots.jsonl"
    shots.write_text(json.dumps({"text": one, "answer": other}) + "\n", "utf-8")
    recipe = open_model(folder, "lm", sets=[f"task.shots={shots}"]).recipe
    assert recipe.ahead.tolist() == [2, *one_ids, *other_ids, 3]
    sets = [f"task.shots={shots}", 'task.between=""']
    recipe = open_model(folder, "lm", sets=sets).recipe
    assert (recipe.ahead.tolist(), recipe.shots) == ([2], one + other)
    done = run("generate", "lm", one, "--model", folder, "--until", "\n", code=3)
    assert "task.until: expected text that the model has tokens for" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["generate", "lm", "天"], 2, "expected --model NAME|DIR"),
        (["generate", "lm", "天", "--run", "x"], 2, "takes a model as it is"),
        (["generate", "couplet", "天", "--model", "x"], 2, "from what was trained"),
        (["evaluate", "lm", "--model", "tiny"], 2, "expected --data FILE"),
        (["train", "lm"], 2, "is not trained"),
        ([*ASK, "--template", "x"], 3, "once, got 0 in 'x' (from --template)"),
        ([*ASK, "--template", "是{answer}"], 3, "expected {text} or another key"),
        ([*ASK, "--template", "{text.x}{answer}"], 3, "got {text.x} in"),
        ([*ASK, "--choices", "好,坏", "--beam", "3"], 2, "--beam: expected none"),
        ([*ASK, "--choices", "好,坏", "--top-k", "3"], 2, "--top-k: expected none"),
        ([*ASK, "--choices", "好"], 3, "two answers or more, got '好' (from --choices"),
        ([*ASK, "--set", "task.choices=好"], 3, "got '好' (from --set)"),
    ],
)
def test_what_cannot_be_asked(gpt2, words, code, message):
    done = run(*(word or gpt2[0] for word in words), code=code)
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_a_model_that_reads_both_sides_is_refused(tmp_path):
    write_model(tmp_path / "bert", Kind("hf", ("mlm",)))
    done = run("generate", "lm", "天", "--model", tmp_path / "bert", code=5)
    assert "reads both sides" in done.stderr


def test_couplets_are_as_likely_as_evaluate_says():
    """The same tokens of the shipped model: by what lm measures with, and by what
    `evaluate couplet` does."""
    shipped = open_run(None, "couplet")
    recipe = shipped.recipe
    decode = decoding(recipe, shipped.forward, shipped.device, 8)
    _, source = dev_source(shipped.run.config, recipe)
    examples = list(source)[:24]
    features = [w.features for own in recipe.scored(examples) for w in own]
    known = decode.loss(features)
    found = decode.token_losses(features)
    assert [len(x) for x in found] == [count for _, count in known]
    expected = [nll for nll, _ in known]
    np.testing.assert_allclose([total_of(x) for x in found], expected, rtol=1e-5)


def test_a_model_without_its_output_is_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    save_form("llama", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["lm_head.weight"]
    save_file(tensors, path)
    with pytest.raises(Exception, match="expected an output head, found none"):
        open_model(tmp_path, "lm")


@pytest.mark.parity
def test_bytes_that_are_no_characters_yet(qwen, tmp_path):
    """What a model of bytes writes and how it weighs a text, as transformers has it."""
    folder, model, cutter = qwen
    text = "今天天气很好，去公园𠮷吗？"
    ids = cutter(text)["input_ids"]
    added = sorted({*cutter.all_special_ids} - {cutter.eos_token_id})
    with torch.no_grad():
        out = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones((1, len(ids)), dtype=torch.long),
            max_new_tokens=16,
            do_sample=False,
            suppress_tokens=added,
        )
    wanted = out[0, len(ids) :].tolist()
    words = ["generate", "lm", text, "--model", folder, "--beam", 1]
    (output,) = json.loads(run(*words, "--max-length", 16).stdout)["outputs"]
    assert output["text"] == cutter.decode(wanted, skip_special_tokens=True)
    total = their_logp(model, [*ids, *wanted])[-len(wanted) :].sum()
    assert abs(output["score"] - total) < 1e-3
    (tmp_path / "text").write_text(f"{text}\n", "utf-8")
    words = ["evaluate", "lm", "--model", folder, "--data", tmp_path / "text"]
    scores = json.loads(run(*words, "--json").stdout)
    assert scores["perplexity"] == pytest.approx(
        math.exp(-their_logp(model, ids).mean()), rel=1e-4
    )


@pytest.mark.parametrize(
    ("line", "words", "message"),
    [
        ({"txt": "好看"}, [], ':1: expected the key "text", got the keys "txt"'),
        ({"text": ""}, ["--no-begin"], ": expected text to measure, got none"),
        ({"text": "好"}, ["--choices", "好,坏"], ':1: expected the key "answer"'),
        (
            {"text": "好", "label": "差"},
            ["--choices", "好,坏"],
            ":1: expected an answer among task.choices (好, 坏), got '差'",
        ),
    ],
)
def test_what_measures_nothing_is_an_error(gpt2, tmp_path, line, words, message):
    data = tmp_path / "a.jsonl"
    data.write_text(json.dumps(line) + "\n", "utf-8")
    words = ["evaluate", "lm", "--model", gpt2[0], "--data", data, *words]
    done = run(*words, code=4)
    assert f"{data}{message}" in done.stderr and done.stderr.count("\n") == 1


def test_a_template_may_hold_braces_and_keys_of_any_script():
    assert template_problem('{"问": {问题}, "答": {answer}} {1,2} {0}') is None
    assert "got {} in" in template_problem("{text}{}{answer}")


@pytest.mark.parametrize(
    ("recipe", "words", "keys"),
    [
        ("couplet", [], ["backbone.prune_vocab", "tokenizer.pieces"]),
        ("math-qa", [], ["backbone.prune_vocab", "backbone.model"]),
        (
            "math-qa",
            ["--set", "backbone.prune_vocab=false", "--set", "tokenizer.pieces=whole"],
            ["backbone.model"],
        ),
    ],
)
def test_training_on_bytes_tells_all_that_must_change(qwen, recipe, words, keys):
    words = ["--set", "data.max_length=64", "--set", "train.batch_size=2", *words]
    done = run("train", recipe, "--model", qwen[0], *words, code=5)
    lines = done.stderr.splitlines()
    assert all(key in line for key, line in zip(keys, lines, strict=True))
    assert all("expected" in line for line in lines)
