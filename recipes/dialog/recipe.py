"""Dialogue: a causal language model over the turns, which writes the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.constraints import Forbid
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import DataError
from nlpcli.heads.sequence_model import sequence_model
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.perplexity import perplexity
from nlpcli.recipe import EncodedWindow
from nlpcli.text.batching import Features
from nlpcli.text.sequences import sequence_fields
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.load import text_of
from nlpcli.text.windows import Window
from recipes.dialog.examples import DialogExample, read_examples
from recipes.dialog.layout import BACKWARD, pair_of, prompt_of, windows_of
from recipes.dialog.ranking import Candidate, rank
from recipes.dialog.turns import join_turns, split_turns


class DialogRecipe:
    """See nlpcli.recipe.Recipe for what each method promises."""

    main_score = "log_likelihood"
    generation = GenerateOptions(
        num=1,
        top_k=8,
        top_p=0.9,
        temperature=1.0,
        repetition_penalty=1.1,
        no_repeat_ngram=4,
        min_length=2,
        max_length=64,
        expected_length=28,
        seed=0,
    )

    def __init__(self, config: RunConfig, tokenizer: Tokenizer) -> None:
        self.options = config.task
        self.tokenizer = tokenizer
        self.characters = config.tokenizer.pieces == "characters"
        self.longest = config.data.max_length
        self.fields = sequence_fields(tokenizer.vocab.pad_id)
        self._constraints: tuple[Forbid, ...] = ()

    def read(self, path: str | Path) -> Iterator[DialogExample | DataError]:
        return read_examples(path)

    def prompt(self, text: str) -> DialogExample:
        return DialogExample(split_turns(text))

    def turn(self, history: Sequence[str], line: str) -> str:
        """The text to reply to in a conversation; a line is one turn, bars and all."""
        return join_turns([*history, line])

    def learn(self, example: DialogExample) -> None:
        """Nothing: the labels are tokens."""

    def check(self, example: DialogExample) -> None:
        """Any dialogue can be scored."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept."""

    def encode(
        self, examples: Sequence[DialogExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        return [
            [
                EncodedWindow(features, Window(0, size, 0, size, 0, size))
                for features in self._windows(turns)
            ]
            for example, turns in self._with_ids(examples)
            for size in (len(example.text),)
        ]

    def _windows(self, turns: Sequence[np.ndarray]) -> list[Features]:
        windows = self._forward(turns)
        if self.options.backward:
            # Backwards, what a reply answers is the target; the last turn is none.
            learn = [False, *self._learnt(len(turns))[:0:-1]]
            windows += windows_of(
                turns[::-1], learn, self.tokenizer.vocab, self.longest, BACKWARD
            )
        return windows

    def _forward(self, turns: Sequence[np.ndarray]) -> list[Features]:
        learn = self._learnt(len(turns))
        return windows_of(turns, learn, self.tokenizer.vocab, self.longest)

    def _learnt(self, count: int) -> list[bool]:
        return [self.options.loss_on == "all" or i % 2 == 1 for i in range(count)]

    def _with_ids(
        self, examples: Sequence[DialogExample]
    ) -> Iterator[tuple[DialogExample, list[np.ndarray]]]:
        for example in examples:
            yield example, [self._ids(turn) for turn in example.turns]

    def _ids(self, turn: str) -> np.ndarray:
        encode = self.tokenizer.encode
        if self.characters:
            encode = self.tokenizer.encode_characters
        return encode(turn).token_ids

    def build(self, backbone: Any) -> Any:
        vocab = self.tokenizer.vocab
        self.longest = min(self.longest, backbone.config.max_position_embeddings)
        self._constraints = (Forbid(self._forbidden(), backbone.config.vocab_size),)
        return sequence_model(backbone, self.options, "causal", vocab)

    def _forbidden(self) -> list[int]:
        """Ids that no reply holds: special ones, and pieces where characters learn."""
        vocab = self.tokenizer.vocab
        special = set(vocab.special_ids)
        return [
            i
            for i, token in enumerate(vocab.tokens)
            if i != vocab.sep_id
            and (i in special or (self.characters and len(token) > 1))
        ]

    def generate(
        self,
        decode: Any,
        examples: Sequence[DialogExample],
        options: GenerateOptions,
    ) -> list[dict[str, Any]]:
        asked = [i for i, example in enumerate(examples) if example.context]
        contexts = [[self._ids(t) for t in examples[i].context] for i in asked]
        vocab = self.tokenizer.vocab
        # Room for the reply inside the lengths that were learnt.
        room = max(self.longest - (options.max_length or 0), self.longest // 2)
        prompts = [prompt_of(turns, vocab, room) for turns in contexts]
        if self.options.mmi:
            wanted = max(options.num or 1, self.options.candidates)
            beam = options.beam and max(options.beam, wanted)
            more = replace(options, num=wanted, beam=beam)
            found = decode(prompts, more, self._constraints, asked)
            ranked = self._ranked(decode, contexts, found)
        else:
            found = decode(prompts, options, self._constraints, asked)
            ranked = [[Candidate(h) for h in hypotheses] for hypotheses in found]
        answers: list[dict[str, Any]] = [{"outputs": []} for _ in examples]
        for i, candidates in zip(asked, ranked, strict=True):
            best = candidates[: options.num or 1]
            answers[i]["outputs"] = [self._output(candidate) for candidate in best]
        if self.options.backward and all(e.reply is not None for e in examples):
            self._tell_forward_loss(decode, examples, answers)
        return answers

    def _ranked(
        self,
        decode: Any,
        contexts: Sequence[Sequence[np.ndarray]],
        found: Sequence[Sequence[Hypothesis]],
    ) -> list[list[Candidate]]:
        """Candidates by mutual information with the turn that they answer."""
        pairs = [
            pair_of(hypothesis.token_ids, turns[-1], self.tokenizer.vocab, self.longest)
            for turns, hypotheses in zip(contexts, found, strict=True)
            for hypothesis in hypotheses
        ]
        losses = iter(decode.loss(pairs))
        return [
            rank(hypotheses, [next(losses) for _ in hypotheses], self.options.mmi)
            for hypotheses in found
        ]

    def _output(self, candidate: Candidate) -> dict[str, Any]:
        vocab, hypothesis = self.tokenizer.vocab, candidate.hypothesis
        output = {
            "text": text_of(vocab, hypothesis.token_ids),
            "score": round(hypothesis.score, 4),
            "finish_reason": hypothesis.finish_reason,
            "tokens": [vocab.tokens[i] for i in hypothesis.token_ids],
        }
        if candidate.backward is not None:
            output["backward"] = round(candidate.backward, 4)
        return output

    def _tell_forward_loss(
        self,
        decode: Any,
        examples: Sequence[DialogExample],
        answers: list[dict[str, Any]],
    ) -> None:
        """Perplexity is of the dialogues as they are, not of the backward windows."""
        windows = [self._forward(turns) for _, turns in self._with_ids(examples)]
        losses = iter(decode.loss([features for own in windows for features in own]))
        for answer, own in zip(answers, windows, strict=True):
            parts = [next(losses) for _ in own]
            answer["forward_nll"] = sum(part[0] for part in parts)
            answer["forward_tokens"] = sum(part[1] for part in parts)

    def gold(self, example: DialogExample) -> str | None:
        return example.reply

    def score(
        self, examples: Sequence[DialogExample], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """``perplexity`` is by token of the turns that are learnt (task.loss_on).

        Ends count. The other scores are of the first reply to all turns but the last:
        ``unfinished``, the share that ran out of room, and ``mean_length`` in tokens.
        """
        nll = sum(answer.get("forward_nll", answer["nll"]) for answer in answers)
        tokens = sum(
            answer.get("forward_tokens", answer["target_tokens"]) for answer in answers
        )
        best = [answer["outputs"][0] for answer in answers if answer["outputs"]]
        texts = [a["outputs"][0]["text"] if a["outputs"] else "" for a in answers]
        cut = sum(output["finish_reason"] == "length" for output in best)
        length = sum(len(output["tokens"]) for output in best)
        return {
            "perplexity": perplexity(nll, tokens),
            "log_likelihood": -nll / tokens if tokens else None,
            "distinct_1": distinct(texts, 1),
            "distinct_2": distinct(texts, 2),
            "unfinished": cut / len(best) if best else None,
            "mean_length": length / len(best) if best else None,
            "bleu": bleu(texts, [[example.reply or ""] for example in examples]),
        }


def build_recipe(config: RunConfig, tokenizer: Tokenizer) -> DialogRecipe:
    """The recipe for a run."""
    return DialogRecipe(config, tokenizer)
