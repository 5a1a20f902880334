"""Tokens a second of ner, training and prediction, beside PyTorch and transformers.

    python benchmarks/train_ner.py --data FILE.jsonl --model FOLDER
        [--precision float32 bfloat16]

Both sides run the same model size, the same batches, the same threads; each side's
training and prediction have a process of their own. Tokens are real ones, padding is
not counted. Prediction is from raw text to entities. In bfloat16 PyTorch trains under
autocast and predicts with weights in bfloat16. Prints one table: each side beside
PyTorch of the same precision, and beside itself in float32.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import named_processor

SIDES = ("nlpcli", "nlpcli-xla", "torch")
PEER = "torch"
WORKS = ("train", "predict")
PRECISIONS = ("float32", "bfloat16")
PASSES = 3  # over the sentences, in prediction; the best counts


def main() -> None:
    """Run each side's work in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--sentences", type=int, default=800)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--batch-tokens", type=int, help="in place of --batch-size: padding included"
    )
    parser.add_argument("--predict-batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--xla", action="store_true", help="also nlpcli under XLA (minutes to compile)"
    )
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=["float32"]
    )
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--work", choices=WORKS)
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(measure(options)))
        return
    results: dict[tuple[str, str], dict[str, float]] = {}
    sides = SIDES if options.xla else ("nlpcli", PEER)
    sides = (options.side,) if options.side else sides
    works = (options.work,) if options.work else WORKS
    for work in works * options.rounds:
        for precision, side in itertools.product(options.precision, sides):
            words = ["--side", side, "--work", work, "--precision", precision]
            command = [sys.executable, __file__, *sys.argv[1:], *words, "--cell"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{side}, {work} failed:\n{done.stderr[-3000:]}")
            row = json.loads(done.stdout.splitlines()[-1])
            print(side, precision, row, file=sys.stderr, flush=True)
            best = results.setdefault((side, precision), row)
            best[work] = max(best.get(work, 0.0), row[work])
            for key in row.keys() - best.keys():
                best[key] = row[key]
    size = f"{options.batch_tokens} tokens" if options.batch_tokens else None
    print(named_processor())
    print(
        f"{options.sentences} sentences, batch {size or options.batch_size}, "
        f"{options.threads} threads; best of {options.rounds} rounds"
    )
    for work in works:
        show(work, results)


def show(work: str, results: dict[tuple[str, str], dict[str, float]]) -> None:
    """One table: real tokens a second of each side and precision."""
    print(
        f"{work:21}{'tokens/s':>9}{'/ torch':>9}{'/ float32':>11}{'peak MiB':>10}"
        + (f"{'first steps':>13}" if work == "train" else "")
    )
    for (side, precision), row in results.items():
        peer = results.get((PEER, precision), {}).get(work)
        wide = results.get((side, "float32"), {}).get(work)
        ratios = [f"{row[work] / x:.2f}" if x else "-" for x in (peer, wide)]
        print(
            f"{side:12}{precision:9}{row[work]:9.0f}{ratios[0]:>9}{ratios[1]:>11}"
            f"{row[f'{work}_peak']:10.0f}"
            + (f"{row['compile']:12.1f}s" if work == "train" else "")
        )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """One side's figures for one work."""
    run = measure_torch if options.side == PEER else measure_nlpcli
    figures = run(options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**figures, f"{options.work}_peak": peak}


def best_of(passes: int, work: Callable[[], Any]) -> float:
    """The least seconds that ``work`` took."""
    seconds = []
    for _ in range(passes):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def prepared(options: argparse.Namespace) -> Any:
    """Windows, batches and texts: the work that both sides do."""
    from nlpcli.config.loader import resolve
    from nlpcli.engine.train import prepare

    size = (
        {"train.batch_tokens": options.batch_tokens}
        if options.batch_tokens
        else {"train.batch_size": options.batch_size}
    )
    config = resolve(
        "ner",
        flags={
            **size,
            "backbone.model": options.model,
            "data.train": options.data,
            "data.limit": options.sentences,
            "train.epochs": 1,
            "runtime.precision": options.precision[0],
            "runtime.threads": options.threads,
            "runtime.deterministic": False,
            "runtime.xla": "on" if options.side == "nlpcli-xla" else "auto",
        },
    )
    ready = prepare(config)
    texts = [example.text for example in ready.windows.split.kept()]
    return config, ready, texts


def tokens_in(batches: Any) -> int:
    """Real tokens of unpadded batches."""
    return sum(len(item["token_ids"]) for batch in batches for item in batch)


def measure_nlpcli(options: argparse.Namespace) -> dict[str, float]:
    """Ours: the step and the answer road that the commands use."""
    from nlpcli.engine import build
    from nlpcli.engine.answers import answer_all, ask_all
    from nlpcli.engine.loop import Loop
    from nlpcli.progress import SILENT
    from nlpcli.runtime.device import open_device
    from nlpcli.runtime.forward import Forward

    config, ready, texts = prepared(options)
    answers = options.work == "predict"
    device = open_device(config.runtime, config.seed, answers)
    model = build.build_model(ready.recipe, ready.start)
    loop = Loop(config, None, device, model, ready, SILENT)
    batches = list(ready.windows.epoch(0))
    if options.work == "predict":
        examples = ask_all(ready.recipe, texts).examples
        size = options.predict_batch_size
        # as a run is loaded: its weights do not change any more
        forward = Forward(
            model, device.xla, loop.buckets, device.lanes, held=device.held
        )

        def predict() -> None:
            answer_all(ready.recipe, forward, examples, size)

        predict()
        return {"predict": tokens_in(batches) / best_of(PASSES, predict)}
    started = time.perf_counter()
    shapes = {str(compiled_shape(loop, batch)): batch for batch in batches}
    for batch in shapes.values():
        loop.train_on(batch)
    compile_seconds = time.perf_counter() - started
    started = time.perf_counter()
    for batch in batches:
        loop.train_on(batch)
    train = tokens_in(batches) / (time.perf_counter() - started)
    return {
        "train": train,
        "compile": compile_seconds,
        "padding": loop.padding,
        "steps": len(batches),
        "shapes": len(shapes),
    }


def compiled_shape(loop: Any, batch: Any) -> Any:
    """What of a batch's shape a program is compiled for."""
    from nlpcli.text.batching import sizes_of

    plan = loop.plan
    sizes = plan.shape_of([sizes_of(item, plan.fields) for item in batch])
    return sizes if plan.static is None else {axis: sizes[axis] for axis in plan.static}


def measure_torch(options: argparse.Namespace) -> dict[str, float]:
    """The peer: same batches, dynamic padding, fused AdamW, eager PyTorch."""
    from contextlib import nullcontext

    import torch
    from torch_tagger import Tagger, batches_of, to_torch
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from nlpcli.decoders.tags import TagScheme
    from nlpcli.text.batching import collate, sizes_of

    _, ready, texts = prepared(options)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    raw = json.loads((Path(options.model) / "config.json").read_text())
    scheme = TagScheme(ready.recipe.labels.names)
    model = Tagger(raw, len(scheme.tags))
    optimizer = torch.optim.AdamW(model.parameters(), 5e-5, fused=True)
    fields = ready.recipe.fields
    half = options.precision[0] == "bfloat16"

    def pad(features: list[Any]) -> dict[str, Any]:
        sizes = [sizes_of(item, fields) for item in features]
        longest = {axis: max(s[axis] for s in sizes) for axis in sizes[0]}
        return to_torch(collate(features, fields, longest))

    def step(features: list[Any]) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            loss = model.loss(pad(features))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    batches = list(ready.windows.epoch(0))
    if options.work == "train":
        model.train()
        started = time.perf_counter()
        for batch in batches[:2]:
            step(batch)
        first = time.perf_counter() - started
        started = time.perf_counter()
        for batch in batches:
            step(batch)
        train = tokens_in(batches) / (time.perf_counter() - started)
        return {"train": train, "compile": first}
    model.eval()
    if half:
        model.to(torch.bfloat16)
    whole = Path(options.model) / "tokenizer.json"
    tokenizer = (
        PreTrainedTokenizerFast(tokenizer_file=str(whole))
        if whole.is_file()
        else AutoTokenizer.from_pretrained(options.model)
    )
    vocab = tokenizer.get_vocab()
    size = options.predict_batch_size

    def predict() -> list[Any]:
        encoded = tokenizer(texts, return_offsets_mapping=True)
        order = np.argsort([len(ids) for ids in encoded["input_ids"]])
        answers: list[Any] = [None] * len(texts)
        for chosen in batches_of(order.tolist(), size):
            rows = [
                features_of(texts[i], encoded["input_ids"][i], offsets, vocab)
                for i, offsets in ((i, encoded["offset_mapping"][i]) for i in chosen)
            ]
            tags = model.decode(pad(rows))
            for i, row in zip(chosen, tags, strict=True):
                answers[i] = scheme.decode(row)
        return answers

    predict()
    return {"predict": tokens_in(batches) / best_of(PASSES, predict)}


def features_of(
    text: str, ids: Any, offsets: Any, vocab: dict[str, int]
) -> dict[str, Any]:
    """What the peer's tagger reads, from transformers' own encoding."""
    unknown = vocab.get("<unk>", vocab.get("[UNK]", 0))
    to_token = np.zeros(len(text), np.int32)
    places = np.zeros(len(text), np.int32)
    for token, (start, end) in enumerate(offsets):
        to_token[start:end] = token
        places[start:end] = np.minimum(np.arange(end - start), 7)
    return {
        "token_ids": np.array(ids, np.int32),
        "padding_mask": np.ones(len(ids), bool),
        "char_ids": np.array([vocab.get(c, unknown) for c in text], np.int32),
        "char_to_token": to_token,
        "char_places": places,
        "char_mask": np.ones(len(text), bool),
    }


if __name__ == "__main__":
    main()
