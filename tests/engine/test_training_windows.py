"""Training data: in memory or streamed, split, skipped, pruned."""

import json
import os
import threading
from collections import Counter

import numpy as np
import pytest

from nlpcli.config.loader import resolve
from nlpcli.engine.examples import ExampleFile
from nlpcli.engine.train import prepare
from nlpcli.errors import ConfigError
from nlpcli.records import lines
from nlpcli.samples import sample


def windows(**flags):
    config = resolve("ner", flags=flags)
    return prepare(config).windows


def contents(windows, epoch):
    return Counter(
        item["token_ids"].tobytes() for batch in windows.epoch(epoch) for item in batch
    )


def test_a_streamed_epoch_holds_the_same_windows_seeded():
    memory = windows()
    flags = {"data.cache_examples": 50, "data.shuffle_buffer": 200}
    streamed, again = windows(**flags), windows(**flags)
    assert memory.cached is not None and streamed.cached is None
    assert contents(memory, 0) == contents(streamed, 0)
    first = [[i["token_ids"].tolist() for i in batch] for batch in streamed.epoch(1)]
    second = [[i["token_ids"].tolist() for i in batch] for batch in again.epoch(1)]
    other = [[i["token_ids"].tolist() for i in batch] for batch in again.epoch(2)]
    assert first == second != other


def test_the_held_out_share_and_the_rest_make_the_file(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(sample("ner", "train").read_text(encoding="utf-8"), "utf-8")
    flags = {"data.train": str(path), "data.dev_ratio": 0.2}
    ready = prepare(resolve("ner", flags=flags))
    count = sum(1 for _ in path.open(encoding="utf-8"))
    assert ready.windows.example_count + len(ready.dev) == count
    assert len(ready.dev) == pytest.approx(count * 0.2, rel=0.3)
    trained = {example.text for example in ready.windows.split.kept()}
    assert not trained & {example.text for example in ready.dev}


def test_long_texts_become_windows_that_cover_every_entity(tmp_path):
    text = "王小明在北京大学读书。" * 30
    entities = [{"start": 11 * i, "end": 11 * i + 3, "label": "PER"} for i in range(30)]
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"text": text, "entities": entities}) + "\n")
    flags = {"data.train": str(path), "data.dev": str(path), "data.max_length": 64}
    ready = prepare(resolve("ner", flags=flags))
    assert ready.windows.windowed == 1 and ready.windows.count > 5
    assert all(len(item["token_ids"]) <= 64 for item in ready.windows.cached)
    tags = np.concatenate([item["tags"] for item in ready.windows.cached])
    assert (tags == 1).sum() >= 30


def test_pruning_keeps_what_training_uses(tmp_path):
    config = resolve("ner", flags={"backbone.prune_vocab": True})
    pruned, whole = prepare(config), prepare(resolve("ner"))
    size = len(pruned.start.tokenizer.vocab.tokens)
    assert size == pruned.start.config.vocab_size < whole.start.config.vocab_size / 3
    old, new = whole.start.tokenizer.vocab.tokens, pruned.start.tokenizer.vocab.tokens
    for a, b in zip(whole.windows.cached, pruned.windows.cached, strict=True):
        ids = zip(a["token_ids"], b["token_ids"], strict=True)
        assert all(old[i] == new[j] for i, j in ids)
    assert [old[row] for row in pruned.start.rows.kept] == list(new)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("cache", [50_000, 50])
@pytest.mark.parametrize("dev", [True, False])
def test_a_pipe_trains_as_its_file_does(tmp_path, cache, dev):
    """What can be read once is kept where epochs, or the held-out share, need it."""
    content = sample("ner", "train").read_bytes()
    (tmp_path / "file").write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[content])
    flags = {"data.cache_examples": cache, "data.shuffle_buffer": 200}
    flags |= {"data.dev": str(sample("ner", "dev"))} if dev else {}
    found = []
    writer.start()
    for name in ("pipe", "file"):
        path = {"data.train": str(tmp_path / name)}
        ready = prepare(resolve("ner", flags={**flags, **path}))
        epochs = [contents(ready.windows, epoch) for epoch in (0, 1)]
        assert epochs[0] == epochs[1]
        dev_texts = [example.text for example in ready.dev]
        found.append((ready.windows.example_count, dev_texts, epochs))
    writer.join()
    assert found[0] == found[1]


def test_a_training_file_is_read_once_where_its_windows_fit(monkeypatch):
    opened = []
    whole = lines.explained_open

    def counted(source):
        opened.append(str(source))
        return whole(source)

    monkeypatch.setattr(lines, "explained_open", counted)
    ready = windows()
    list(ready.epoch(0))
    assert sorted(opened) == [str(sample("ner", s)) for s in ("dev", "train")]
    opened.clear()
    ready = windows(**{"data.cache_examples": 50})
    for epoch in range(2):
        list(ready.epoch(epoch))
    assert opened.count(str(sample("ner", "train"))) == 1 + 2


def test_limit_counts_lines():
    config = resolve("ner", flags={"data.limit": 60})
    ready = prepare(config)
    assert ready.windows.example_count == 60
    source = ExampleFile(ready.recipe, sample("ner", "dev"))
    assert len(list(source)) == len(ready.dev) and source.skipped == 0


BY_TOKENS = {"train.batch_tokens": 400, "train.epochs": 3}
STREAMED = {"data.cache_examples": 50, "data.shuffle_buffer": 60}


@pytest.mark.parametrize("more", [{}, STREAMED])
def test_batches_by_tokens_are_counted_before_they_are_made(more):
    ready = prepare(resolve("ner", flags={**BY_TOKENS, **more}))
    own = ready.windows
    assert (own.cached is None) == bool(more)
    every = Counter(own.lengths)
    steps = 0
    for epoch in range(3):
        batches = list(own.epoch(epoch))
        lengths = [[len(item["token_ids"]) for item in batch] for batch in batches]
        assert [found.tolist() for found in own.epoch_lengths(epoch)] == lengths
        assert Counter(n for batch in lengths for n in batch) == every
        for batch in lengths:
            (padded,) = own.bound.padded([max(batch)])
            assert len(batch) * padded <= 400
        steps += len(batches)
    assert ready.steps == steps
    assert len({len(batch) for batch in lengths}) > 2, "many short or few long"
    most = {**BY_TOKENS, **more, "train.max_steps": 5}
    assert prepare(resolve("ner", flags=most)).steps == 5


def test_batches_by_tokens_do_not_know_into_how_many_pieces_they_go():
    whole = prepare(resolve("ner", flags=BY_TOKENS))
    flags = {**BY_TOKENS, "train.accumulate": 3}
    dealt = prepare(resolve("ner", flags=flags))
    assert whole.steps == dealt.steps
    for one, other in zip(whole.windows.epoch(1), dealt.windows.epoch(1), strict=True):
        assert [x["token_ids"].tolist() for x in one] == [
            x["token_ids"].tolist() for x in other
        ]


def test_a_window_longer_than_a_batch_may_be_is_told_before_training():
    longest = max(windows().lengths)
    flags = {"train.batch_tokens": 20}
    with pytest.raises(ConfigError) as caught:
        prepare(resolve("ner", flags=flags))
    (problem,) = caught.value.problems
    assert problem.startswith("train.batch_tokens: expected at least ")
    assert f"longest window ({longest} tokens)" in problem
    assert problem.endswith("got 20; raise it or lower data.max_length")
