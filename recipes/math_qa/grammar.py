"""What a question lets its expression be, in tokens of the model's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nlpcli.decoders.arithmetic import EXPONENTS, MAX_DEPTH, arithmetic
from nlpcli.decoders.automaton import Automaton
from nlpcli.errors import DataError
from nlpcli.text.tokenizers.encoding import Tokenizer

from .numbers import allowed_numbers

CHARACTERS = "0123456789.%+-*/^()"  # all that expressions are spelled with


class QuestionGrammar:
    """Automata of questions; what the vocabulary cannot spell is not in them.

    A pruned vocabulary has only the characters that the training data uses, and so
    perhaps no "^".
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.size = len(tokenizer.vocab.tokens)
        self.end_id = tokenizer.vocab.end_id
        ids = tokenizer.character_ids(CHARACTERS).tolist()
        strange = tokenizer.vocab.unk_id, tokenizer.vocab.end_id
        known = [token_id not in strange for token_id in ids]
        # An id of its own beyond the vocabulary for each character it does not have.
        self._ids = {
            character: token_id if here else self.size + place
            for place, (character, token_id, here) in enumerate(
                zip(CHARACTERS, ids, known, strict=True)
            )
        }

    def automaton(self, question: str) -> Automaton:
        """Raises DataError when the vocabulary can spell no number at all."""
        numbers = [text for text in allowed_numbers(question) if self._spells(text)]
        if not numbers:
            raise DataError("expected a model that knows digits, got one of none")
        whole = arithmetic(
            numbers,
            self._encode,
            self.end_id,
            exponents=[text for text in EXPONENTS if self._spells(text)],
            max_depth=MAX_DEPTH if self._spells("()") else 0,
        )
        kept = whole.token < self.size
        edges: dict[str, Any] = {
            name: getattr(whole, name)[kept] for name in whole._fields[:-1]
        }
        return whole._replace(**edges)

    def _spells(self, text: str) -> bool:
        return all(token_id < self.size for token_id in self._encode(text))

    def _encode(self, text: str) -> Sequence[int]:
        return [self._ids[character] for character in text]
