"""Small tokenizers of every published form, made here."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    processors,
    trainers,
)
from tokenizers import pre_tokenizers as pre

CORPUS = [
    "今天天气不错，我们去北京大学读书吧。",
    "王小明在北京大学读书，今天天气很好。",
    "The weather is nice today, let's read the books in the library.",
    "They're reading 1234 books; it's 2024年1月1日。",
    "北京的天气：晴，25°C。Hello, world! 你好，世界！",
    "    def read(books):\n        return books\n\n",
]
TEXTS = [
    "",
    " ",
    "今天天气不错",
    " 今天  天气",
    "Hello, 世界! It's 2024年。",
    "王小明😀读书👨‍👩‍👧，堃㙍𠮷",
    "a\tb\nc\r\n\n  d ",
    "ＡＢＣ１２３ é e\u0301 Å ﷺ ½ ㈱",
    "they'll READ  10000 books…",
    "\u3000全角　空格\u200b零宽",
    "▁下划▁线",
]
# Qwen2's splitting, near enough to GPT-4's.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}
QWEN = {
    "eos_token": "<|im_end|>",
    "bos_token": None,
    "pad_token": "<|endoftext|>",
    "unk_token": None,
}
LLAMA = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>"}
LLAMA3 = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}


def gpt2() -> dict[str, Any]:
    """Bytes; the end of a text is in the vocabulary and is added too."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    return _trained(made, ["<|endoftext|>"])


def qwen() -> dict[str, Any]:
    """Bytes of composed text, special tokens behind the vocabulary, a plain one too."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre.Sequence(
        [
            pre.Split(Regex(_SPLIT), "isolated"),
            pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    _trained(made, [])
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    made.add_tokens([AddedToken("<tool_call>", normalized=False)])
    return json.loads(made.to_str())


def llama3() -> dict[str, Any]:
    """Bytes; whole words of the vocabulary go before merges; a token begins."""
    raw = qwen()
    raw["model"]["ignore_merges"] = True
    first = "<|begin_of_text|>"
    names = {"<|endoftext|>": first, "<|im_end|>": "<|end_of_text|>"}
    for token in raw["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    number = next(t["id"] for t in raw["added_tokens"] if t["content"] == first)
    raw["post_processor"] = _template(first, number)
    return raw


def llama() -> dict[str, Any]:
    """Characters, "▁" for a space, bytes for what is unknown."""
    special = ["<unk>", "<s>", "</s>"]
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    raw = _trained(made, [*special, *(f"<0x{byte:02X}>" for byte in range(256))])
    raw["added_tokens"] = [t for t in raw["added_tokens"] if t["content"] in special]
    raw["post_processor"] = _template("<s>", 1)
    return raw


def word_piece(lowercase: bool = True) -> dict[str, Any]:
    """BERT's, without a vocab.txt."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=special, show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return json.loads(made.to_str())


def write(folder: Path, raw: dict[str, Any], settings: Any = None) -> Path:
    """A folder with a tokenizer.json, and its settings where there are some."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(raw, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _trained(made: Tokenizer, special: list[str]) -> dict[str, Any]:
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + 400,
        special_tokens=special,
        initial_alphabet=pre.ByteLevel.alphabet() if made.pre_tokenizer else [],
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    return json.loads(made.to_str())


def _template(name: str, number: int) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": name, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}},
    }


# -- SentencePiece's protocol buffers, by hand


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def field(number: int, value: int | float | bytes | str) -> bytes:
    """One field of a message, its wire type after the value's type."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def piece(text: str, score: float, kind: int = 1) -> bytes:
    """A piece; kind 1, a normal one, is not written, as in real files."""
    own = field(1, text) + field(2, score)
    return field(1, own + (field(3, kind) if kind != 1 else b""))


def piece_model(
    pieces: list[tuple[str, float, int]],
    trainer: dict[int, int],
    cleaning: dict[int, int | bytes | str],
) -> bytes:
    """A whole model, with fields that nobody asks for."""
    trainer_spec = b"".join(field(n, v) for n, v in trainer.items())
    cleaning_spec = b"".join(field(n, v) for n, v in cleaning.items())
    return (
        b"".join(piece(*one) for one in pieces)
        + field(2, field(1, "corpus.txt") + trainer_spec + field(10, 0.9995))
        + field(3, field(1, "nmt_nfkc") + cleaning_spec)
        + field(4, field(1, b"selftest"))
    )


def t5_pieces(sentinels: bool = False) -> bytes:
    """As T5's: <pad>, </s>, <unk>, Unigram, spaces squeezed."""
    pieces = [("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2)]
    words = ["▁", "今天", "天气", "▁北京", "大学", "▁the", "▁read", "ing", "er"]
    pieces += [(word, -3.0 - n / 8, 1) for n, word in enumerate(words)]
    letters = dict.fromkeys(
        "".join([*CORPUS, "йの한"]).replace(" ", "").replace("\n", "")
    )
    pieces += [(letter, -9.0 - n / 64, 1) for n, letter in enumerate(letters)]
    if sentinels:
        pieces += [(f"▁<extra_id_{n}>", 0.0, 4) for n in range(9, -1, -1)]
    return piece_model(pieces, {3: 1, 40: 2, 41: -1, 42: 1, 43: 0}, {3: 1, 4: 1})


def llama_pieces() -> bytes:
    """As LLaMA 2's: BPE with bytes, every space kept."""
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    pieces += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    merged = [
        "▁t",
        "he",
        "▁the",
        "re",
        "ad",
        "▁re",
        "▁read",
        "今天",
        "天气",
        "今天天气",
    ]
    merged += ["▁▁", "▁▁▁▁", "in", "ing", "北京", "大学"]
    pieces += [(text, -float(n), 1) for n, text in enumerate(merged)]
    letters = dict.fromkeys("▁" + "".join(CORPUS).replace(" ", "").replace("\n", ""))
    count = len(merged)
    pieces += [(c, -float(count + n), 1) for n, c in enumerate(letters)]
    return piece_model(pieces, {3: 2, 35: 1}, {3: 1, 4: 0})


def cpm_pieces() -> bytes:
    """As CPM's: its newline is called <cls>, its sign for a space is a piece."""
    names = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>"]
    pieces = [(n, 0.0, 2 if n == "<unk>" else 3) for n in names]
    pieces += [("<eop>", 0.0, 3), ("▁", -2.0, 1), ("\u2582", -3.0, 1)]
    words = ["▁今天", "▁天气", "▁北京大学", "▁读书", "▁王", "▁,"]
    pieces += [(word, -4.0 - n / 8, 1) for n, word in enumerate(words)]
    letters = dict.fromkeys("".join(CORPUS).replace(" ", "").replace("\n", ""))
    pieces += [(letter, -9.0 - n / 64, 1) for n, letter in enumerate(letters)]
    return piece_model(pieces, {3: 1}, {3: 1, 4: 1})
