"""Baseline for qa-gen: the sentence of the answer with 什么 in the answer's place.

    python benchmarks/qa_template.py DEV.jsonl [--limit 100]

Scored by ROUGE on characters against the gold question, as ``nlpcli evaluate qa-gen``
scores a question written to the gold answer.
"""

from __future__ import annotations

import argparse
import re
from itertools import islice
from pathlib import Path

from nlpcli.errors import DataError
from nlpcli.metrics.rouge import rouge
from nlpcli.recipes.qa_gen.form import QaExample
from nlpcli.recipes.qa_gen.options import TaskOptions
from nlpcli.records.read import read

END = re.compile("[。！？；!?;，,]")


def main() -> None:
    """Read, fill in, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    lines = read(TaskOptions().form(), options.dev)
    good = (x for x in lines if not isinstance(x, DataError))
    dev = list(islice(good, options.limit))
    scores = rouge([question(x) for x in dev], [x.question for x in dev])
    shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    print(f"{len(dev)} questions: {shown}")


def question(example: QaExample) -> str:
    """The clause around the answer, asked."""
    start, end = example.answer_start, example.answer_start + len(example.answer)
    before = END.split(example.text[:start])[-1]
    after = END.split(example.text[end:])[0]
    return f"{before}什么{after}？"


if __name__ == "__main__":
    main()
