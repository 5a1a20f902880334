"""How text is generated: the values behind the flags of ``generate``."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class GenerateOptions:
    """None is "not said": ``over`` takes a recipe's default in its place.

    With top_k, top_p or temperature the answers are sampled, else they are found by
    beam search, which with one beam is greedy. Lengths are in tokens and count the
    one that ends an answer. Past ``expected_length`` the end grows likelier with
    each token, so an answer ends by itself.
    """

    beam: int | None = None
    num: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram: int | None = None
    length_penalty: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    expected_length: int | None = None
    seed: int | None = None

    @property
    def samples(self) -> bool:
        """Whether answers are drawn instead of searched for."""
        return any(v is not None for v in (self.top_k, self.top_p, self.temperature))

    def over(self, defaults: GenerateOptions) -> GenerateOptions:
        """These values, and the defaults' where nothing was said.

        Asking for beams, if only for one, drops a default of sampling and the other
        way round; asking for more answers widens a default beam.
        """
        if self.beam is not None and not self.samples:
            defaults = replace(defaults, top_k=None, top_p=None, temperature=None)
        if self.samples:
            defaults = replace(defaults, beam=None)
        known = {
            item.name: own
            for item in fields(self)
            if (own := getattr(self, item.name)) is not None
        }
        merged = replace(defaults, **known)
        if self.beam is None and not merged.samples and merged.num is not None:
            merged = replace(merged, beam=max(merged.beam or 1, merged.num))
        if self.max_length is not None and self.expected_length is None:
            merged = replace(merged, expected_length=None)
        return merged

    def problems(self) -> list[str]:
        """What is wrong with the values or does not go together, as flags name it."""
        found = []
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                found.append(f"{_flag(name)}: expected {least} or more, got {value}")
            most = _MOST.get(name, _LARGEST)
            if value is not None and name != "seed" and value > most:
                found.append(f"{_flag(name)}: expected at most {most}, got {value}")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            found.append(f"--top-p: expected above 0 and at most 1, got {self.top_p}")
        for name in ("temperature", "repetition_penalty"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < float("inf"):
                found.append(f"{_flag(name)}: expected a number above 0, got {value}")
        if self.beam is not None and self.beam > 1 and self.samples:
            found.append(
                f"--beam: {self.beam} beams do not go together with --top-k, --top-p "
                "or --temperature, which sample"
            )
        elif self.beam and self.num and self.num > self.beam and not self.samples:
            found.append(
                f"--num: expected at most --beam ({self.beam}), got {self.num}"
            )
        low, high = self.min_length, self.max_length
        if low is not None and high is not None and low > high:
            found.append(f"--min-length: expected at most {high}, got {low}")
        return found


_LEAST = {
    "beam": 1,
    "num": 1,
    "top_k": 1,
    "no_repeat_ngram": 0,
    "min_length": 0,
    "max_length": 1,
    "expected_length": 1,
    "length_penalty": 0,
    "seed": 0,
}

_LARGEST = 2**31 - 1  # of a number in a compiled program
_MOST = {"beam": 4096, "num": 4096}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
