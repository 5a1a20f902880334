"""Models of each kind that tests of lm ask; nothing is compiled for them."""

from dataclasses import replace

import pytest

from nlpcli.engine import loaded
from nlpcli.runtime.device import open_device
from tests.backbones.decoder_forms import POSITIONS, SPECIAL, save_form
from tests.text import made_tokenizers as made


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A folder, and transformers' model of it."""
    folder = tmp_path_factory.mktemp("lm") / "gpt2"
    return folder, save_form("gpt2", folder)


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """Nothing here is long enough to be worth XLA."""
    monkeypatch.setattr(
        loaded,
        "open_device",
        lambda options, *more: open_device(replace(options, xla="off"), *more),
    )


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """Qwen2 on a vocabulary of bytes: a folder, transformers' model and cutter."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("lm") / "qwen"
    made.write(folder, made.qwen(), made.QWEN)
    cutter = transformers.AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(7)
    config = transformers.Qwen2Config(
        vocab_size=len(cutter),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        initializer_range=0.2,
        eos_token_id=cutter.eos_token_id,
        pad_token_id=cutter.pad_token_id,
    )
    model = transformers.Qwen2ForCausalLM(config).eval()
    model.save_pretrained(folder)
    return folder, model, cutter


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """A GPT-2 that is certain of its end after whatever it reads."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("lm") / "ends"
    vocab = [*SPECIAL, *"今天好"]
    config = transformers.GPT2Config(
        vocab_size=len(vocab), n_positions=32, n_embd=16, n_layer=1, n_head=2
    )
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        table = model.transformer.wte.weight
        table[:, 0] = 0.0
        table[vocab.index("[SEP]"), 0] = 3.0
        model.transformer.ln_f.bias[0] = 6.0
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", "utf-8")
    return folder
