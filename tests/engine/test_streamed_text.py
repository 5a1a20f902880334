"""What is streamed: whole characters only, also where one is several tokens."""

from itertools import pairwise
from types import SimpleNamespace

from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.generate import _Streaming
from nlpcli.text.tokenizers.byte_pair import BytePairTokenizer
from tests.text import made_tokenizers as made


def test_a_character_is_told_when_it_is_whole():
    tokenizer = BytePairTokenizer(made.gpt2(), "tokenizer.json", {})
    ids = tokenizer.encode("好😀了").token_ids.tolist()

    def stream(prompt, options, constraints, key):
        for length in range(1, len(ids) + 1):
            yield [SimpleNamespace(token_ids=ids[:length])]

    told = []
    recipe = SimpleNamespace(tokenizer=tokenizer, shown=str)
    decode = _Streaming(SimpleNamespace(stream=stream), told.append, recipe)
    decode([{}], GenerateOptions())
    assert told[-1] == "好😀了" and "好😀" in told and "好" in told
    assert not any("\ufffd" in text for text in told)
    assert all(later.startswith(now) for now, later in pairwise(told))
