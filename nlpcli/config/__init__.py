"""RunConfig: every value that shapes a run, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from nlpcli.records.lines import LONGEST_LINE


def option(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    path: bool = False,
    flag: bool = False,
) -> Any:
    """A dataclass field, the sentence that ``config --schema`` shows and its bounds.

    ``minimum`` and ``maximum`` are allowed values themselves, ``above`` and ``below``
    are not; null is never compared. ``dataclasses.MISSING`` as the default makes the
    key one that has to be given. ``path``: the name of a file, which a run keeps in
    full so that it is found from any working directory. ``flag``: verbs that
    answer take this key of a recipe as --name, and a yes or no also as --no-name.
    """
    bounds = {">=": minimum, ">": above, "<=": maximum, "<": below}
    metadata = {"doc": doc, "bounds": bounds, "path": path, "flag": flag}
    return field(default=default, metadata=metadata)


Precision = Literal["float32", "bfloat16", "float16"]
AskedPrecision = Literal["float32", "bfloat16", "float16", "auto"]
Xla = Literal["auto", "on", "off"]
Quantize = Literal["int8"]
MOST_BYTES = 2**40  # that any limit may be
MOST_ROWS = 2**30  # of a file, a batch or a step: what is larger is a slip
MOST_THREADS = 1024  # a stranger's 100,000 took all memory


@dataclass(frozen=True)
class BackboneOptions:
    """Which encoder a run starts from."""

    model: str = option("tiny", "registry name or folder of the pretrained model")
    dropout: float | None = option(
        None,
        "hidden and attention dropout; null keeps the model's own",
        minimum=0,
        below=1,
    )
    hidden_size: int | None = option(
        None,
        "width of the built-in encoder; null is 128, heads are 32 wide",
        minimum=32,
    )
    num_hidden_layers: int | None = option(
        None,
        "layers of the built-in encoder (null is 2), or the lowest ones of a published "
        "encoder (null is all, as RBT3 keeps 3 of RoBERTa)",
        minimum=1,
    )
    relative_positions: bool = option(
        False, "NEZHA's clipped relative positions in the built-in encoder: no limit"
    )
    hierarchical_positions: float | None = option(
        None,
        "share of the higher digit by which a table of positions reaches its length "
        "squared (kexue.fm/archives/7947: 0.4); null ends with the table",
        above=0,
        below=1,
    )
    attention: Literal["softmax", "linear"] = option(
        "softmax",
        "linear: sums of elu + 1 of keys in place of scores of pairs, for texts of any "
        "length; other numbers than the weights were learnt with",
    )
    prune_vocab: bool = option(
        False, "keep only the embedding rows of pieces that the training data uses"
    )


@dataclass(frozen=True)
class TokenizerOptions:
    """How text becomes token ids."""

    kind: Literal["auto", "wordpiece", "word", "unigram", "bpe", "cpm"] = option(
        "auto", "auto reads it from the model folder"
    )
    pieces: Literal["whole", "characters"] = option(
        "whole", "whole: the tokenizer's own pieces; characters: one piece a character"
    )
    extra_tokens: tuple[str, ...] = option(
        (), "tokens added to the vocabulary; rows start as the mean of their pieces"
    )


@dataclass(frozen=True)
class DataOptions:
    """Which files a run reads and how lines become batches."""

    train: str | None = option(
        None, "training file; null is the shipped sample", path=True
    )
    dev: str | None = option(
        None, "development file; null holds out dev_ratio", path=True
    )
    dev_ratio: float = option(
        0.1, "share of train held out when dev is null", above=0, below=1
    )
    max_length: int = option(
        256, "longest window in tokens, special tokens included", minimum=8
    )
    stride: int = option(
        32,
        "characters shared by neighbouring windows of a long text; three times as "
        "many at most where that lets one begin with a sentence",
        minimum=0,
    )
    limit: int | None = option(
        None, "read at most this many training lines", minimum=1, maximum=MOST_ROWS
    )
    dev_limit: int | None = option(
        None,
        "score at most this many development lines in training",
        minimum=1,
        maximum=MOST_ROWS,
    )
    cache_examples: int = option(
        200_000,
        "encoded windows kept in memory; a larger file streams from disk",
        minimum=0,
    )
    shuffle_buffer: int = option(
        50_000, "windows in the streaming shuffle buffer", minimum=1
    )
    longest_line: int = option(
        LONGEST_LINE,
        "bytes a line may have; a longer one is a bad line",
        minimum=1,
        maximum=MOST_BYTES,
    )
    skip_bad: bool = option(False, "count and skip bad lines instead of stopping")


@dataclass(frozen=True)
class TrainOptions:
    """How the weights are learnt."""

    epochs: int = option(5, "passes over the training data", minimum=1)
    max_steps: int | None = option(None, "stop after this many steps", minimum=1)
    batch_size: int | None = option(
        16,
        "windows a step, over all devices; null where batch_tokens counts",
        minimum=1,
        maximum=MOST_ROWS,
    )
    batch_tokens: int | None = option(
        None,
        "tokens a step, padding included, over all devices: many short windows or few "
        "long ones, in the place of batch_size",
        minimum=1,
        maximum=MOST_ROWS,
    )
    accumulate: int = option(
        1, "micro-batches a step is cut into", minimum=1, maximum=4096
    )
    lr: float | None = option(
        None,
        "peak learning rate of the backbone; null is 5e-5 for a pretrained one, "
        "1e-3 for a fresh one",
        above=0,
    )
    head_lr: float = option(1e-3, "peak learning rate of the heads", above=0)
    layer_decay: float = option(
        1.0, "factor on the rate for each layer further down", above=0, maximum=1
    )
    schedule: Literal["linear", "cosine", "constant"] = option(
        "linear", "shape of the decay after warmup"
    )
    warmup: float = option(
        0.1, "share of all steps with a rising rate", minimum=0, maximum=1
    )
    weight_decay: float = option(
        0.01, "decoupled decay; none on biases and norms", minimum=0
    )
    beta1: float = option(0.9, "AdamW first moment decay", minimum=0, below=1)
    beta2: float = option(0.999, "AdamW second moment decay", minimum=0, below=1)
    epsilon: float = option(1e-8, "AdamW denominator term", above=0)
    clip_norm: float | None = option(
        1.0, "global gradient norm bound; null is none", above=0
    )
    ema: float | None = option(
        None, "decay of averaged weights; null is none", above=0, below=1
    )
    patience: int | None = option(
        None,
        "evaluations without a better score before stopping; null never stops",
        minimum=1,
    )
    eval_every: int | None = option(
        None, "steps between evaluations; null is an epoch", minimum=1
    )
    save_every: int = option(200, "steps between writes of last/", minimum=1)


@dataclass(frozen=True)
class RuntimeOptions:
    """What the machine does."""

    precision: Precision = option(
        "float32", "type of activations; float16 scales the loss"
    )
    xla: Xla = option(
        "auto", "on compiles the step; auto does so on a GPU, on a CPU only the blocks"
    )
    strategy: Literal["auto", "one", "mirrored", "multi-worker"] = option(
        "auto", "tf.distribute strategy; auto follows TF_CONFIG and the GPUs"
    )
    buckets: int | None = option(
        None,
        "most lengths that batches are padded to; default 8, or 20 where single blocks "
        "are compiled",
        minimum=1,
        maximum=1024,
    )
    deterministic: bool = option(True, "same seed, same weights, bit for bit")
    threads: int | None = option(
        None, "CPU threads; null is all cores", minimum=1, maximum=MOST_THREADS
    )
    tensorboard: bool = option(True, "write TensorBoard events beside metrics.jsonl")


@dataclass(frozen=True)
class RunConfig:
    """The whole truth of a run; ``task`` belongs to the recipe."""

    recipe: str
    task: Any
    seed: int = option(
        42, "seed of shuffling, dropout and fresh weights", minimum=0, maximum=2**32 - 1
    )
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    tokenizer: TokenizerOptions = field(default_factory=TokenizerOptions)
    data: DataOptions = field(default_factory=DataOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
