"""classify trained: a label, a pair, several labels; through the command line too."""

import json
import signal

import numpy as np
import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.engine.predict import Predictor
from nlpcli.engine.train import prepare, train
from nlpcli.errors import DataError
from nlpcli.metrics.classification import best_thresholds
from nlpcli.recipes.classify.form import ClassifyForm
from nlpcli.records.read import read
from nlpcli.records.row import Row
from nlpcli.text.tokenizers.load import load_tokenizer
from tests.checkpoints.tiny_bert import SPECIAL, VOCAB, write_hf

NAMES = ("小明", "老师", "妈妈", "我们", "他", "大家")
THINGS = {"天气": "下雨", "音乐": "唱歌", "饮食": "吃饭"}
FLAGS = {
    "train.lr": 2e-3,
    "train.batch_size": 12,
    "train.epochs": 400,
    "data.max_length": 32,
    "runtime.tensorboard": False,
}


def write(path, rows):
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), "utf-8")
    return path


def trained(path, steps, out="run", **flags):
    """A run that has the same file to learn and to be scored on."""
    given = {"data.train": str(path), "data.dev": str(path), "train.max_steps": steps}
    config = resolve(
        "classify", flags={**FLAGS, "train.eval_every": steps, **given, **flags}
    )
    return train(config, out=path.parent / out)


def call(*words, stdin=None):
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


def singles():
    return [
        {"text": f"{name}要{thing}", "label": label}
        for name in NAMES
        for label, thing in THINGS.items()
    ]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("single") / "a.jsonl", singles())
    return trained(path, 60)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """None, one or two labels a text; a rare one among them."""
    pairs = [(), ("天气",), ("音乐",), ("天气", "音乐"), ("饮食", "音乐")]
    rows = [
        {
            "text": f"{name}要{'、'.join(THINGS[label] for label in own) or '走'}",
            "labels": list(own),
        }
        for name in NAMES
        for own in pairs[: 5 if name == "大家" else 4]
    ]
    path = write(tmp_path_factory.mktemp("several") / "a.jsonl", rows)
    return trained(path, 60)


def told(answers):
    return [
        {k: v for k, v in x.items() if k not in ("probability", "top")} for x in answers
    ]


# --- one label


def test_labels_are_learnt(single):
    assert single.scores["accuracy"] > 0.9
    assert single.scores["macro_f1"] > 0.9
    answers = Predictor(single.run, "classify").predict(["妹妹要唱歌", "", " \t "])
    assert answers[0]["label"] == "音乐" and 0.3 < answers[0]["probability"] <= 1
    assert answers[1:] == [{"label": None}] * 2


def test_batch_equals_single(single):
    predictor = Predictor(single.run, "classify")
    texts = [row["text"] for row in singles()] + ["", "大家都要走" * 20, "他\t要唱歌"]
    together = predictor.predict(texts)
    back = predictor.predict(texts[::-1])[::-1]
    alone = [predictor.predict([text])[0] for text in texts]
    for one, other, third in zip(together, alone, back, strict=True):
        assert one["label"] == other["label"] == third["label"]
        for found in (other, third):
            assert one.get("probability") == pytest.approx(
                found.get("probability"), abs=1e-3
            )


def test_the_answers_of_the_command_line(single):
    words = ("predict", "classify", "--run", single.run)
    lines = ['{"id": 7, "text": "他要吃饭"}', "", '{"text": 3}']
    lines.insert(2, '{"text_a": "他", "text_b": "要吃饭"}')
    result = call(*words, "--top", "2", "--on-error", "skip", stdin="\n".join(lines))
    assert result.exit_code == 4
    first, blank, pair, bad = map(json.loads, result.stdout.splitlines())
    assert list(first) == ["id", "text", "label", "probability", "top"]
    assert (first["id"], first["label"]) == (7, "饮食")
    one, other = first["top"]
    assert one == {"label": "饮食", "probability": first["probability"]}
    assert one["probability"] > other["probability"]
    assert blank == {"text": "", "label": None}
    assert pair["text"] == "他\t要吃饭" and pair["label"] in THINGS
    assert bad["error"]["code"] == 4
    result = call(*words, "--format", "text", stdin="他要吃饭\n\n")
    assert result.stdout == "饮食\n\n"
    result = call(*words, "--top", "0", "他要吃饭")
    assert result.exit_code == 3 and "task.top" in result.stderr


def test_what_evaluate_prints(single):
    result = call("evaluate", "classify", "--run", single.run)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines() if line]
    assert lines[0][:4] == ["label", "f1", "precision", "recall"]
    assert {line[0] for line in lines[1:4]} == set(THINGS)
    assert lines[4][0] == "all"
    start = lines.index(["confusion"])
    assert lines[start + 1] == ["gold", *sorted(THINGS)]
    assert [line[0] for line in lines[start + 2 : start + 5]] == sorted(THINGS)
    facts = {line[0] for line in lines[start + 5 :]}
    assert {"accuracy", "macro_f1", "examples", "data"} <= facts
    scores = json.loads(
        call("evaluate", "classify", "--run", single.run, "--json").stdout
    )
    count = sum(sum(row.values()) for row in scores["confusion"].values())
    assert count == scores["examples"] == len(singles())
    assert scores["accuracy"] == pytest.approx(single.scores["accuracy"])


def test_other_files_are_scored_whatever_labels_they_have(single, tmp_path):
    rows = [
        {"text": "他要唱歌", "label": "音乐"},
        {"text": "他要睡觉", "label": "睡眠"},
        {"text": "他要走", "labels": []},
    ]
    path, out = write(tmp_path / "a.jsonl", rows), tmp_path / "answers.jsonl"
    words = ("evaluate", "classify", "--run", single.run, "--data", path, "--json")
    result = call(*words, "--predictions", out)
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["per_label"]["睡眠"]["recall"] == 0
    gold = [json.loads(line)["gold"] for line in out.read_text("utf-8").splitlines()]
    assert gold == ["音乐", "睡眠", []]


def test_a_label_of_dev_that_training_never_saw(tmp_path):
    data = write(tmp_path / "a.jsonl", singles())
    dev = write(tmp_path / "b.jsonl", [*singles()[:2], {"text": "走", "label": "出行"}])
    result = call(
        "train", "classify", "--data", data, "--dev", dev, "--out", tmp_path / "r"
    )
    assert result.exit_code == 4
    assert f"{dev}:3: expected a label of the training data" in result.stderr
    assert "got '出行'" in result.stderr and not (tmp_path / "r").exists()
    dev = write(dev, [{"text": "走", "labels": ["天气"]}])
    result = call(
        "train", "classify", "--data", data, "--dev", dev, "--out", tmp_path / "r"
    )
    assert result.exit_code == 4 and f'{dev}:1: expected "label"' in result.stderr


def test_data_check(tmp_path):
    path = write(tmp_path / "a.jsonl", [*singles(), {"text": "走"}])
    result = call("data", "check", path, "--task", "classify", "--json")
    assert result.exit_code == 4
    report = json.loads(result.stdout)
    assert (report["examples"], len(report["bad_lines"])) == (18, 1)
    result = call("data", "check", path, "--task", "classify")
    assert "1 bad lines" in result.stdout and "train cuts their ends" in result.stdout


# --- pairs


@pytest.mark.slow
def test_of_a_pair_the_order_is_learnt(tmp_path):
    """Both texts reach the model, each as itself."""
    rows = [
        {"text_a": a, "text_b": b, "label": label}
        for name in NAMES
        for a, b, label in ((name, "老虎", "前"), ("老虎", name, "后"))
    ]
    run = trained(write(tmp_path / "a.jsonl", rows), 60)
    assert run.scores["accuracy"] > 0.9
    asked = [
        Row({"text_a": a, "text_b": b}) for a, b in (("他", "老虎"), ("老虎", "他"))
    ]
    answers = Predictor(run.run, "classify").predict([*asked, "他\t老虎"])
    assert [answer["label"] for answer in answers] == ["前", "后", "前"]
    assert [answer.get("text") for answer in answers] == ["他\t老虎", "老虎\t他", None]


# --- several labels


def test_several_labels_and_their_thresholds(several):
    data = several.run.parent / "a.jsonl"
    assert several.scores["f1"] > 0.9
    assert "confusion" not in several.scores
    state = json.loads((several.run / "best" / "task.json").read_text("utf-8"))["task"]
    predictor = Predictor(several.run, "classify")
    assert predictor.recipe.thresholds == state["thresholds"]
    assert list(state["thresholds"]) == state["labels"] == sorted(THINGS)
    # they are those of the stored weights, whatever other steps had
    examples = list(read(ClassifyForm(), data))
    answers = predictor.predict([example.text for example in examples])
    names = predictor.recipe.labels.names
    predictor.recipe.options = resolve("classify", flags={"task.top": 9}).task
    tops = predictor.predict([example.text for example in examples])
    rounded = [
        [{x["label"]: x["probability"] for x in top["top"]}[name] for name in names]
        for top in tops
    ]
    chosen = best_thresholds(names, [x.labels for x in examples], np.array(rounded))
    assert state["thresholds"] == pytest.approx(chosen, abs=2e-3)
    assert told(tops) == told(answers)


def test_answers_of_several_labels(several):
    words = ("predict", "classify", "--run", several.run, "--top", "1")
    both, none, blank = map(
        json.loads, call(*words, stdin="他要下雨、唱歌\n他要走\n\n").stdout.splitlines()
    )
    assert {item["label"] for item in both["labels"]} == {"天气", "音乐"}
    assert none["labels"] == [] and len(none["top"]) == 1
    assert blank == {"text": "", "labels": []}
    result = call(*words[:-2], "--format", "text", stdin="他要下雨\n他要走\n")
    assert result.stdout == "天气\n\n"


def test_evaluating_again_gives_the_stored_scores(several):
    words = ("evaluate", "classify", "--run", several.run, "--json")
    scores = json.loads(call(*words).stdout)
    stored = json.loads((several.run / "scores.json").read_text("utf-8"))
    assert {k: scores[k] for k in ("f1", "accuracy", "macro_f1")} == {
        k: stored[k] for k in ("f1", "accuracy", "macro_f1")
    }


def test_lines_of_one_label_are_scored_by_a_run_of_several(several, tmp_path):
    path = write(tmp_path / "a.jsonl", singles()[:2])
    result = call(
        "evaluate", "classify", "--run", several.run, "--data", path, "--json"
    )
    assert result.exit_code == 0, result.output


# --- words, resume


@pytest.mark.slow
def test_a_vocabulary_of_words(tmp_path):
    """As WoBERT's: a word of the vocabulary is one token."""
    folder = write_hf(tmp_path / "words")
    words = ["北京", "北京大学", "读书", "天气", *"我在北京大学读书的天气唱歌好"]
    tokens = list(dict.fromkeys([*SPECIAL, *words]))
    tokens += [f"[unused{n}]" for n in range(VOCAB - len(tokens))]
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in tokens), "utf-8"
    )
    rows = [
        {"text": "我在北京大学读书", "label": "学"},
        {"text": "北京的天气好", "label": "天"},
    ]
    path = write(tmp_path / "a.jsonl", rows * 4)
    flags = {"backbone.model": str(folder), "tokenizer.kind": "word"}
    run = trained(path, 3, **flags, **{"data.max_length": 12})
    predictor = Predictor(run.run, "classify")
    asked = predictor.recipe.ask(Row({"text": rows[0]["text"]}))
    [[window]] = predictor.recipe.encode([asked], gold=False)
    ids = window.features["token_ids"]
    found = [predictor.recipe.tokenizer.vocab.tokens[i] for i in ids]
    assert found == ["[CLS]", "我", "在", "北京大学", "读书", "[SEP]"]
    kept = load_tokenizer(run.run / "best")
    assert type(kept) is type(predictor.recipe.tokenizer)
    texts = [row["text"] for row in rows]
    together = predictor.predict(texts)
    assert together == [predictor.predict([text])[0] for text in texts]


class Interrupting:
    """Sends one Ctrl-C from inside a training."""

    def __init__(self, step):
        self.step = step

    def start(self, task, total):
        pass

    def update(self, done, **values):
        if done == self.step:
            self.step = -1
            signal.raise_signal(signal.SIGINT)

    def finish(self):
        pass


def files_of(run):
    names = ("model.safetensors", "task.json")
    return {
        f"{part}/{name}": (run / part / name).read_bytes()
        for part in ("best", "last")
        for name in names
    }


@pytest.mark.slow
def test_a_resumed_training_gives_the_same_bytes(several, tmp_path):
    """Labels are counted again for their weights, thresholds are chosen again."""
    data = several.run.parent / "a.jsonl"
    flags = {
        **FLAGS,
        "data.train": str(data),
        "data.dev": str(data),
        "train.max_steps": 24,
        "train.eval_every": 8,
        "task.class_weights": "balanced",
    }
    config = resolve("classify", flags=flags)
    whole = train(config, out=tmp_path / "whole")
    cut = train(config, out=tmp_path / "cut", progress=Interrupting(10))
    assert (whole.status, cut.status, cut.steps) == ("finished", "interrupted", 10)
    again = train(config, resume=cut.run)
    assert again.status == "finished"
    assert files_of(again.run) == files_of(whole.run)


def test_bad_lines_stop_or_are_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", [*singles(), {"text": "走"}])
    flags = {"data.train": str(path), "data.dev": str(path)}
    with pytest.raises(DataError, match=r"a\.jsonl:19: expected the key"):
        prepare(resolve("classify", flags=flags))
    found = prepare(resolve("classify", flags={**flags, "data.skip_bad": True}))
    assert (found.windows.example_count, len(found.dev)) == (18, 18)
