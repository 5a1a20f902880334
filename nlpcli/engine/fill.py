"""Masked places of texts, filled by a published model as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nlpcli.config import Precision, RuntimeOptions
from nlpcli.engine.answers import ask_all
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError, NlpcliError
from nlpcli.heads.sequence_model import sequence_model
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.records.row import Row
from nlpcli.runtime import weights
from nlpcli.runtime.batches import in_batches
from nlpcli.runtime.device import open_device
from nlpcli.runtime.forward import Forward
from nlpcli.tasks.masked import MaskedReader
from nlpcli.tasks.protocol import Answer
from nlpcli.text.sequences import sequence_fields
from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.vocab import check_rows


class Filler:
    """A model with its output head; ``fill`` may be called again and again."""

    @weights.values_later()
    def __init__(
        self, folder: Path, batch_size: int = 32, precision: Precision | None = None
    ) -> None:
        """Load a model folder; CheckpointError when it has no masked-token head."""
        options = RuntimeOptions(precision=precision or "float32", strategy="one")
        device = open_device(options, seed=0)
        published = open_published(folder)
        config = published.config
        tokenizer = load_tokenizer(folder)
        check_rows(tokenizer.vocab, config.vocab_size, str(folder))
        if config.causal or config.num_decoder_layers:
            raise _unfit(folder, "a model that writes")
        published.check_sizes()
        backbone = published.family.build(replace(config, hidden_dropout_prob=0.0))
        vocab = tokenizer.vocab
        model = sequence_model(backbone, SequenceOptions(), "masked", vocab)
        head = published.fill_part("mlm", model.head)
        published.fill_backbone(backbone, others=head or ())
        if head is None:
            raise _unfit(folder, "none")
        self.reader = MaskedReader(tokenizer, config.longest)
        self.fields = sequence_fields(vocab.pad_id)
        self.forward = Forward(model, device.xla, (), device.lanes)
        self.batch_size = batch_size

    def fill(self, rows: Sequence[Row], top: int) -> list[Answer | NlpcliError]:
        """The likeliest tokens of each line's masks; an error in a bad one's place."""
        asked = ask_all(self.reader, rows)
        found = in_batches(
            [example.features for example in asked.examples],
            self.forward.plan(self.fields, self.batch_size),
            lambda batch: self.forward(batch)["targets"],
        )
        pairs = zip(asked.examples, found, strict=True)
        return asked.answers([self.reader.answer(x.text, y, top) for x, y in pairs])


def _unfit(folder: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"{folder}: expected a masked-token head (an encoder for masked language "
        f"modelling), found {found}"
    )
