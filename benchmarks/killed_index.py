"""An index whose every command is killed and given again until it is done."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from forked import KILLED, PAUSE, command, end, finish, start
from safetensors.numpy import save_file
from soak import sentences

LINES, MORE, CHANGED, GONE = 5000, 200, 200, 20
WIDTH, ASKED, CLOSE = 64, 100, 2e-6
LATE = 1.25  # of a command's life: some kills come too late, and it is done


class Step(NamedTuple):
    """A command and what it makes of which ids; None is that they go."""

    words: list[str]
    changes: dict[str, str | None]


def kill_index(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill until ``kills`` have come; raises AssertionError for what is not kept."""
    write_model(folder / "model", rng)
    steps = write_steps(folder, rng)
    out, log = folder / "out", folder / "log"
    whole = folder / "undisturbed"
    lives = [finish(given(step, whole, False), out, log) for step in steps]
    expected = answers(whole, folder)
    finish(lambda: keep_vectors(whole, folder), out, log)
    universe = sorted({name for step in steps for name in step.changes}, key=int)
    counts: Counter[str] = Counter()
    while counts["kills"] < kills:
        address = folder / f"index-{counts['indexes']}"
        there: dict[str, str | None] = {}
        for step, life in zip(steps, lives, strict=True):
            going_on, code = False, KILLED
            while code == KILLED:
                last = counts["kills"] >= kills
                after = None if last else rng.uniform(0, LATE * life)
                number = start(given(step, address, going_on), out, log)
                code, _ = end(number, after, rng.uniform(0, PAUSE))
                # ids that an earlier try removed are not found again
                done = (0, 6) if step.words[0] == "remove" else (0,)
                assert code in (*done, KILLED), log.read_text()[-2000:]
                counts["kills"] += code == KILLED
                said = bool(out.read_text())  # which is its last word
                assert said or code == KILLED
                counts["said, then killed"] += said and code == KILLED
                found = look(address, folder, universe)
                allowed = {} if said else step.changes
                there = {**there, **step.changes} if said else there
                for name in universe:
                    wanted = {there.get(name), allowed.get(name, there.get(name))}
                    assert found.get(name) in wanted, f"{address}: {name}: {found}"
                there, code = found, 0 if said else code
                going_on = (address / "index.json").exists()
                print(dict(counts), len(there), file=sys.stderr, flush=True)
            counts["commands done"] += 1
        same(answers(address, folder), expected)
        counts["indexes"] += 1
        assert not (left := list(address.rglob(".*.partial"))), left
        shutil.rmtree(address)
    return {**counts, "texts": len(there), "lives, CPU s": [round(x, 1) for x in lives]}


def given(step: Step, address: Path, going_on: bool) -> Any:
    """The command of a step; a build goes on where one was begun."""
    verb, *words = step.words
    more = ["--resume"] if verb == "build" and going_on else []
    return command("index", verb, address, *words, *more)


def write_steps(folder: Path, rng: random.Random) -> list[Step]:
    """A build, then twice: new texts and changed ones, and some taken out."""
    texts = iter(dict.fromkeys(filter(None, islice(sentences(rng), 4 * LINES))))
    model = ["--model", str(folder / "model"), "--json"]
    steps, count = [], LINES
    built = {str(name): next(texts) for name in range(LINES)}
    words = ["build", "--input", write(folder / "build.jsonl", built), *model]
    steps.append(Step(words, dict(built)))
    for number in range(2):
        new = [str(name) for name in range(count, count + MORE)]
        old = rng.sample(sorted(built), CHANGED)
        count += MORE
        added = {name: next(texts) for name in (*new, *old)}
        path = write(folder / f"add-{number}.jsonl", added)
        steps.append(Step(["add", "--input", path, "--json"], dict(added)))
        gone = rng.sample(sorted(built), GONE)
        built = {name: text for name, text in built.items() if name not in gone}
        flags = [word for name in gone for word in ("--id", name)]
        steps.append(Step(["remove", *flags], dict.fromkeys(gone)))
    write(folder / "questions.jsonl", {str(i): next(texts) for i in range(ASKED)})
    return steps


def write(path: Path, texts: dict[str, str]) -> str:
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def write_model(folder: Path, rng: random.Random) -> None:
    """A BERT of one layer with random weights, which knows the sample's characters."""
    folder.mkdir()
    characters = sorted(set("".join(islice(sentences(rng), 5000))))
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    rows = {"word": len(tokens), "position": 512, "token_type": 2}
    dense = ("attention.self.query", "attention.self.key", "attention.self.value")
    dense += ("attention.output.dense", "intermediate.dense", "output.dense")
    norms = ("attention.output.LayerNorm", "output.LayerNorm")
    shapes: dict[str, tuple[int, ...]] = {}
    for name, count in rows.items():
        shapes[f"embeddings.{name}_embeddings.weight"] = (count, WIDTH)
    for name in ("embeddings.LayerNorm", *(f"encoder.layer.0.{x}" for x in norms)):
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    for name in (f"encoder.layer.0.{x}" for x in dense):
        shapes |= {f"{name}.weight": (WIDTH, WIDTH), f"{name}.bias": (WIDTH,)}
    numbers = np.random.default_rng(rng.randrange(2**32))
    tensors = {}
    for name, shape in shapes.items():
        spread = 1.0 if "embeddings.weight" in name else 0.1
        middle = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        tensors[name] = numbers.normal(middle, spread, shape).astype(np.float32)
    save_file(tensors, folder / "model.safetensors")
    sizes = {
        "model_type": "bert",
        "vocab_size": len(tokens),
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": WIDTH,
        "max_position_embeddings": 512,
    }
    (folder / "config.json").write_text(json.dumps(sizes))
    (folder / "vocab.txt").write_text("".join(f"{x}\n" for x in tokens), "utf-8")


def keep_vectors(address: Path, folder: Path) -> None:
    """Keep each text of an index with its vector."""
    from nlpcli.engine.index.store import open_store

    with open_store(str(address)) as store:
        rows = store.table.table.to_arrow()  # type: ignore[attr-defined]
        (folder / "texts.json").write_text(json.dumps(rows["text"].to_pylist()))
        np.save(folder / "vectors.npy", np.array(rows["vector"].to_pylist(), "f4"))


def look(address: Path, folder: Path, universe: list[str]) -> dict[str, str | None]:
    """The texts of a killed index by id; it opens, and finds some of them."""
    if not (address / "index.json").exists():
        return {}

    def work() -> None:
        from nlpcli.engine.index.store import open_store

        with open_store(str(address)) as store:
            found = store.texts_of(universe)
            assert store.count() == len(found), (store.count(), len(found))
            known = json.loads((folder / "texts.json").read_text())
            there = set(found.values())
            rows = [i for i, text in enumerate(known) if text in there][::300]
            if rows:
                vectors = np.load(folder / "vectors.npy")[rows]
                for row, hits in zip(rows, store.search(vectors, 3), strict=True):
                    assert hits[0].text == known[row], (known[row], hits)
                    assert abs(hits[0].score - 1) < CLOSE, hits
        (folder / "found.json").write_text(json.dumps(found))

    finish(work, folder / "looked", folder / "log")
    found: dict[str, str | None] = json.loads((folder / "found.json").read_text())
    return found


def answers(address: Path, folder: Path) -> list[list[tuple[str, float]]]:
    """The hits of the questions, as `index search` tells them."""
    words = ["--input", folder / "questions.jsonl", "--top", "5"]
    finish(command("index", "search", address, *words), folder / "hits", folder / "log")
    rows = map(json.loads, (folder / "hits").read_text().splitlines())
    return [[(hit["id"], hit["score"]) for hit in row["hits"]] for row in rows]


def same(found: list[Any], expected: list[Any]) -> None:
    """The same hits but for rounding; ids may change places where scores are equal."""
    assert len(found) == len(expected) == ASKED
    for hits, others in zip(found, expected, strict=True):
        for (name, score), (other, wanted) in zip(hits, others, strict=True):
            assert abs(score - wanted) <= CLOSE, (hits, others)
            near = sum(abs(wanted - value) <= CLOSE for _, value in others)
            assert name == other or near > 1, (hits, others)
