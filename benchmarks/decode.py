"""Tokens a second of decoding, beside transformers' generate and CTranslate2.

    python benchmarks/decode.py [--family gpt2] [--rounds 2] [--cache FOLDER] [--tiny]

Every side has a random causal decoder of the same sizes (12 layers of 768, vocabulary
21,128). --family gpt2 or llama (12 query and 4 key heads): all sides have the same
weights. t5: 1.1, 12 layers on each side, of which the encoder reads the prompts. bert,
the default: the peers share one GPT-2, ours is a BERT under the causal
mask, which has one 768 x 768 product more. All get the same prompts of 64 tokens and
write 64 that do not end early, float32, the same threads, each in a process of its own.
Prints tokens a second of the answers with ratios, the seconds of our first calls, and
how far all this is from what the machine allows. With --cache: the first calls of a
process that fills TensorFlow's folder of compiled programs, and of one that finds it
full. --tiny is only to see that it works.
Needs torch, transformers, ctranslate2.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIDES = ("nlpcli", "transformers", "ctranslate2")
LAYERS, HIDDEN, HEADS, INNER, VOCAB, POSITIONS = 12, 768, 12, 3072, 21128, 512
PROMPT, NEW = 64, 64
CASES = {"greedy-1": (1, 1), "greedy-8": (1, 8), "beam-1": (4, 1), "beam-8": (4, 8)}
END = 102
KEY_HEADS = 4  # of LLaMA
TINY = {"LAYERS": 2, "HIDDEN": 96, "HEADS": 12, "INNER": 128, "VOCAB": 1000}


def main() -> None:
    """Run each side in a process of its own and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="processes of each side")
    parser.add_argument("--repeats", type=int, default=2, help="runs in a process")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--family", choices=("bert", *PEERS), default="bert")
    parser.add_argument("--tiny", action="store_true", help="only to see that it works")
    parser.add_argument("--cache", help="folder of compiled programs, to be filled")
    parser.add_argument("--side", choices=(*SIDES, "convert"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tiny:
        globals().update(TINY)
    if options.side:
        print(json.dumps(MEASURES[options.side](options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = compare(options, folder)
    report(options, results)
    if options.cache:
        report_cache(options)


def compare(options: argparse.Namespace, folder: str) -> dict[str, dict[str, Any]]:
    """Best speed, least first call, and peak of each side over the rounds."""
    if set(options.sides) != {"nlpcli"} or options.family != "bert":
        run_side("convert", ["--folder", folder])
    results: dict[str, dict[str, Any]] = {}
    for _ in range(options.rounds):
        for side in options.sides:
            row = run_side(side, ["--folder", folder])
            best = results.setdefault(side, row)
            for case in options.cases:
                best["speed"][case] = max(best["speed"][case], row["speed"][case])
                best["first"][case] = min(best["first"][case], row["first"][case])
            best["peak"] = max(best["peak"], row["peak"])
    return results


def run_side(
    side: str, extra: list[str], environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """What one side prints, in a new process."""
    command = [sys.executable, __file__, *sys.argv[1:], *extra, "--side", side]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | (environment or {}),
    )
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def report(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> None:
    """The speeds, ours beside each peer, and the bounds."""
    print(
        f"{options.family}: {LAYERS} layers of {HIDDEN}, vocabulary {VOCAB:,}, prompt "
        f"{PROMPT}, {NEW} new tokens, float32, {options.threads} threads; best of "
        f"{options.rounds} processes x {options.repeats} runs, tokens/s"
    )
    print(f"{'':26}" + "".join(f"{case:>10}" for case in options.cases) + "  peak MiB")
    for side, row in results.items():
        speeds = "".join(f"{row['speed'][case]:10.1f}" for case in options.cases)
        print(f"{side:26}{speeds}{row['peak']:10.0f}")
    ours = results.get("nlpcli")
    if ours is None:
        return
    for side, row in results.items():
        if side != "nlpcli":
            ratios = [ours["speed"][c] / row["speed"][c] for c in options.cases]
            cells = "".join(f"{ratio:10.2f}" for ratio in ratios)
            print(f"{'nlpcli / ' + side:26}{cells}")
    cells = "".join(f"{ours['first'][case]:10.1f}" for case in options.cases)
    print(f"{'nlpcli, first call (s)':26}{cells}")
    machine = measure_machine(options.threads)
    weights = ours["weights"]
    reading = {case: reading_bound(case, weights, machine) for case in options.cases}
    both = {
        case: min(reading[case], arithmetic_bound(case, weights, machine))
        for case in options.cases
    }
    for name, bound in (("reading weights", reading), ("reading, arithmetic", both)):
        cells = "".join(f"{bound[case]:10.1f}" for case in options.cases)
        shares = [ours["speed"][case] / bound[case] for case in options.cases]
        print(f"{'bound: ' + name:26}{cells}")
        print(f"{'  nlpcli reaches':26}" + "".join(f"{x:10.0%}" for x in shares))
    print(
        f"the machine: reads {machine['read'] / 1e9:.1f} GB/s, copies "
        f"{machine['copy'] / 1e9:.1f} GB/s (numpy, 400 MB), multiplies "
        f"{machine['flops'] / 1e9:.0f} GFLOP/s; weights of a step "
        f"{4 * weights / 1e6:.0f} MB"
    )


def report_cache(options: argparse.Namespace) -> None:
    """First calls of two processes over one folder of compiled programs."""
    folder = Path(options.cache).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.environ.get("TF_XLA_FLAGS", "").split()
    flags += [
        f"--tf_xla_persistent_cache_directory={folder}",
        "--tf_xla_persistent_cache_prefix=nlpcli",
    ]
    for name in ("filling the cache", "finding it full"):
        row = run_side("nlpcli", ["--repeats", "0"], {"TF_XLA_FLAGS": " ".join(flags)})
        cells = "".join(f"{row['first'][case]:10.1f}" for case in options.cases)
        print(f"{'first call, ' + name:30}{cells}  seconds")
    files = [item for item in folder.rglob("*") if item.is_file()]
    size = sum(item.stat().st_size for item in files)
    print(f"{len(files)} compiled programs, {size / 2**20:.1f} MiB")


def measure_nlpcli(options: argparse.Namespace) -> dict[str, Any]:
    """Ours: the call that recipes make."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    from nlpcli.decoders.options import GenerateOptions
    from nlpcli.runtime.decoding import Decoding
    from nlpcli.runtime.forward import Forward
    from nlpcli.text.layouts import Apart
    from nlpcli.text.sequences import prompt_features, sequence_fields
    from nlpcli.text.tokenizers.vocab import Vocab

    model = our_model(options)
    apart = Apart(Vocab(("<pad>", "</s>")), 0)
    fields = apart.fields if options.family == "t5" else sequence_fields(0)
    forward = Forward(model, xla=False)
    # One for each batch size, since a call pads its rows to the batch size.
    decoders = {
        rows: Decoding(forward, fields, END, batch_size=rows)
        for _, rows in CASES.values()
    }

    def generate(beam: int, prompts: np.ndarray) -> list[int]:
        features = [
            apart.asked(row[:-1])
            if options.family == "t5"
            else prompt_features(row, np.zeros(PROMPT, np.int32), 1)
            for row in prompts
        ]
        answers = decoders[len(prompts)](
            features,
            GenerateOptions(beam=beam, num=1, min_length=NEW, max_length=NEW),
        )
        return [
            len(found[0].token_ids) + (found[0].finish_reason == "end")
            for found in answers
        ]

    parts = [*model.stacks[-1].blocks, model.head]
    weights = VOCAB * HIDDEN * (model.backbone.config.output != "own")
    for part in parts:
        weights += sum(
            int(np.prod(v.shape))
            for v in part.trainable_variables
            if "key_value" not in v.path  # of the prompt, read once
        )
    return {**timed(options, generate), "weights": weights}


def our_model(options: argparse.Namespace) -> Any:
    """A BERT of random weights, or the peers' model through our door."""
    from nlpcli.backbones.config import TransformerConfig
    from nlpcli.backbones.encoder_decoder import EncoderDecoder
    from nlpcli.backbones.transformer import Transformer
    from nlpcli.engine.published import open_published
    from nlpcli.heads.seq2seq_model import Seq2SeqModel
    from nlpcli.heads.sequence_model import SequenceModel
    from nlpcli.heads.sequence_options import SequenceOptions

    published = None
    config = TransformerConfig(VOCAB, HIDDEN, LAYERS, HEADS, INNER, POSITIONS)
    if options.family != "bert":
        published = open_published(Path(options.folder))
        config = published.config
    model: Any
    if options.family == "t5":
        model = Seq2SeqModel(EncoderDecoder(config), SequenceOptions(), (0, END))
    else:
        stack = Transformer(config)
        model = SequenceModel(stack, SequenceOptions(), "causal", (0, END))
    if published is not None:
        published.fill_part("mlm", model.head)
        published.fill_backbone(model.backbone)
    return model


def measure_transformers(options: argparse.Namespace) -> dict[str, Any]:
    """transformers' generate with its cache, under no_grad."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.set_num_threads(options.threads)
    t5 = options.family == "t5"
    kind = AutoModelForSeq2SeqLM if t5 else AutoModelForCausalLM
    model = kind.from_pretrained(options.folder, dtype=torch.float32).eval()

    def generate(beam: int, prompts: np.ndarray) -> list[int]:
        ids = torch.tensor(prompts, dtype=torch.long)
        with torch.no_grad():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                num_beams=beam,
                do_sample=False,
                max_new_tokens=NEW,
                eos_token_id=None,
                pad_token_id=0,
            )
        return [out.shape[1] - (1 if t5 else PROMPT)] * len(out)

    return timed(options, generate)


def measure_ctranslate2(options: argparse.Namespace) -> dict[str, Any]:
    """CTranslate2's generator over the same model, float32."""
    import ctranslate2

    t5 = options.family == "t5"
    kind = ctranslate2.Translator if t5 else ctranslate2.Generator
    generator = kind(
        str(Path(options.folder) / "converted"),
        compute_type="float32",
        inter_threads=1,
        intra_threads=options.threads,
    )

    def translate(beam: int, prompts: np.ndarray) -> list[int]:
        found = generator.translate_batch(
            [[f"t{token}" for token in row] for row in prompts.tolist()],
            beam_size=beam,
            min_decoding_length=NEW,
            max_decoding_length=NEW,
        )
        return [len(item.hypotheses[0]) for item in found]

    def generate(beam: int, prompts: np.ndarray) -> list[int]:
        found = generator.generate_batch(
            [[f"t{token}" for token in row] for row in prompts.tolist()],
            beam_size=beam,
            min_length=NEW,
            max_length=NEW,
            include_prompt_in_result=False,
        )
        return [len(item.sequences_ids[0]) for item in found]

    return timed(options, translate if t5 else generate)


def timed(
    options: argparse.Namespace, generate: Callable[[int, np.ndarray], list[int]]
) -> dict[str, Any]:
    """Tokens/s of each case after a first call, which is timed for itself."""
    rng = np.random.default_rng(0)
    speed, first = {}, {}
    for case in options.cases:
        beam, rows = CASES[case]
        prompts = rng.integers(END + 1, VOCAB, (rows, PROMPT)).astype(np.int32)
        started = time.perf_counter()
        lengths = generate(beam, prompts)
        first[case] = time.perf_counter() - started
        if lengths != [NEW] * rows:
            sys.exit(f"{case}: expected answers of {NEW} tokens, got {lengths}")
        best = float("inf")
        for _ in range(options.repeats):
            started = time.perf_counter()
            generate(beam, prompts)
            best = min(best, time.perf_counter() - started)
        speed[case] = rows * NEW / best
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"speed": speed, "first": first, "peak": peak}


def convert(options: argparse.Namespace) -> dict[str, Any]:
    """The peers' model, of random weights, and its conversion."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    torch.manual_seed(0)
    PEERS["gpt2" if options.family == "bert" else options.family]().save_pretrained(
        options.folder
    )
    vocab = {f"t{number}": number for number in range(VOCAB)}
    special = {
        "bos_token": "t0",
        "pad_token": "t0",
        "eos_token": f"t{END}",
        "unk_token": "t100",
    }
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocab, unk_token="t100")), **special
    ).save_pretrained(options.folder)
    if "ctranslate2" in options.sides:
        from ctranslate2.converters import TransformersConverter

        converter = TransformersConverter(options.folder)
        converter.convert(str(Path(options.folder) / "converted"))
    return {}


def random_gpt2() -> Any:
    """GPT-2 of our sizes."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB,
            n_positions=POSITIONS,
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            n_inner=INNER,
            bos_token_id=0,
            eos_token_id=END,
        )
    )


def random_llama() -> Any:
    """LLaMA of our sizes, its output the token table."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=KEY_HEADS,
            intermediate_size=INNER,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=END,
        )
    )


def random_t5() -> Any:
    """T5 1.1 of our sizes, with a table of scores of its own."""
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=VOCAB,
            d_model=HIDDEN,
            d_kv=HIDDEN // HEADS,
            d_ff=INNER,
            num_layers=LAYERS,
            num_heads=HEADS,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            decoder_start_token_id=0,
            eos_token_id=END,
        )
    )


PEERS: dict[str, Callable[[], Any]] = {
    "gpt2": random_gpt2,
    "llama": random_llama,
    "t5": random_t5,
}

MEASURES = {
    "nlpcli": measure_nlpcli,
    "transformers": measure_transformers,
    "ctranslate2": measure_ctranslate2,
    "convert": convert,
}


def reading_bound(case: str, weights: int, machine: dict[str, float]) -> float:
    """Tokens/s if a step took the time to read all weights once."""
    return CASES[case][1] * machine["read"] / (4 * weights)


def arithmetic_bound(case: str, weights: int, machine: dict[str, float]) -> float:
    """Tokens/s if a step took the time of its products, without attention."""
    return machine["flops"] / (2 * weights * CASES[case][0])


def measure_machine(threads: int) -> dict[str, float]:
    """Bytes/s read and copied over 400 MB, and float32 operations/s, all threads."""
    source = np.ones((threads, 400_000_000 // 4 // threads), np.float32)
    target = np.empty_like(source)
    square = np.ones((2048, 2048), np.float32)

    def together(work: Callable[[int], Any]) -> float:
        best = float("inf")
        for _ in range(4):
            workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
            started = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            best = min(best, time.perf_counter() - started)
        return best

    def multiply() -> float:
        started = time.perf_counter()
        square @ square
        return time.perf_counter() - started

    return {
        "read": source.nbytes / together(lambda i: source[i].max()),
        "copy": source.nbytes / together(lambda i: np.copyto(target[i], source[i])),
        "flops": 2 * len(square) ** 3 / min(multiply() for _ in range(4)),
    }


if __name__ == "__main__":
    main()
