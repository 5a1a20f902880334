"""The model that ships answers at once, with no training and no network."""

import pytest

from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.generate import Generator
from nlpcli.recipes.couplet.verse import broken_rules
from nlpcli.samples import shipped_run

LINES = ["海内存知己", "春风又绿江南岸", "山", "年年岁岁花相似", "一去二三里"]


def test_it_is_small_and_names_no_path():
    folder = shipped_run("couplet")
    weights = folder / "best/model.safetensors"
    assert weights.stat().st_size <= 8_000_000
    assert "/" not in (folder / "config.yaml").read_text("utf-8")


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_every_answer_keeps_the_form(quantize):
    generator = Generator(shipped_run("couplet"), "couplet", quantize=quantize)
    answers = generator.generate(LINES, GenerateOptions(num=3))
    for line, answer in zip(LINES, answers, strict=True):
        assert len(answer["outputs"]) == 3
        for output in answer["outputs"]:
            assert output["satisfied"] and not broken_rules(line, output["text"])
            assert output["finish_reason"] == "end"


def test_a_run_of_the_user_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Generator(None, "couplet").run.path == shipped_run("couplet")
