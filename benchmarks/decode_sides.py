"""The sides of decode.py: our decoder and the peers', each in its own process."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LAYERS, HIDDEN, HEADS, INNER, VOCAB, POSITIONS = 12, 768, 12, 3072, 21128, 512
PROMPT, NEW = 64, 64
CASES = {"greedy-1": (1, 1), "greedy-8": (1, 8), "beam-1": (4, 1), "beam-8": (4, 8)}
END = 102
KEY_HEADS = 4  # of LLaMA
TINY = {"LAYERS": 2, "HIDDEN": 96, "HEADS": 12, "INNER": 128, "VOCAB": 1000}


def make_tiny() -> None:
    """Sizes at which everything runs in seconds."""
    globals().update(TINY)


def measure_nlpcli(options: argparse.Namespace) -> dict[str, Any]:
    """Ours: the call that recipes make."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    from nlpcli.decoders.options import GenerateOptions
    from nlpcli.runtime.decoding import Decoding
    from nlpcli.runtime.forward import Forward
    from nlpcli.runtime.quantize import to_int8
    from nlpcli.text.layouts import Apart
    from nlpcli.text.sequences import prompt_features, sequence_fields
    from nlpcli.text.tokenizers.vocab import Vocab

    model = our_model(options)
    if is_int8(options):
        to_int8(model)
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
            for v in part.variables
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
    """CTranslate2's generator over the same model."""
    import ctranslate2

    t5 = options.family == "t5"
    kind = ctranslate2.Translator if t5 else ctranslate2.Generator
    generator = kind(
        str(Path(options.folder) / "converted"),
        compute_type="int8" if is_int8(options) else "float32",
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


def is_int8(options: argparse.Namespace) -> bool:
    """Whether this side multiplies in int8."""
    return str(options.side).endswith("int8")


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
    held = memory_held()
    return {"speed": speed, "first": first, "peak": peak, "held": held}


def memory_held() -> float:
    """MiB that this process has in memory now, on Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * resource.getpagesize() / 2**20


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
    if any(side.startswith("ctranslate2") for side in options.sides):
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
    "nlpcli-int8": measure_nlpcli,
    "transformers": measure_transformers,
    "ctranslate2": measure_ctranslate2,
    "ctranslate2-int8": measure_ctranslate2,
    "convert": convert,
}
