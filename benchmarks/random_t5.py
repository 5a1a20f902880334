"""An untrained T5 folder, to train from where no published one is at hand.

    python benchmarks/random_t5.py e5-small-zh t5-blank --hidden 256 --layers 4

T5 1.1's form (gated GELU) with its output tied to the table, random values as
transformers draws them but for the table, whose scores would be sixteen wide; the
vocabulary of another folder. Asks for transformers and PyTorch.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from nlpcli.text.tokenizers.load import load_tokenizer


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="a folder with a tokenizer.json")
    parser.add_argument("target", type=Path)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4, help="of each stack")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()

    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    vocab = load_tokenizer(options.source).vocab
    torch.manual_seed(options.seed)
    config = T5Config(
        vocab_size=len(vocab.tokens),
        d_model=options.hidden,
        d_kv=64,
        num_heads=options.hidden // 64,
        d_ff=4 * options.hidden,
        num_layers=options.layers,
        num_decoder_layers=options.layers,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
        pad_token_id=vocab.pad_id,
        eos_token_id=vocab.end_id,
        decoder_start_token_id=vocab.pad_id,
    )
    model = T5ForConditionalGeneration(config)
    model.shared.weight.data.mul_(options.hidden**-0.5)
    model.save_pretrained(options.target)
    shutil.copy(options.source / "tokenizer.json", options.target)


if __name__ == "__main__":
    main()
