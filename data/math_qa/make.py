"""Writes train.jsonl and dev.jsonl of this folder: ``python data/math_qa/make.py``.

The templates of templates.txt are filled by turns with drawn words and numbers; what
has no fitting answer is drawn again. One seed gives the same bytes with every Python.

A template has three lines: the question, with names of values in braces; what kind of
answer the equation has (see ``answer_text``), below what it must lie, and the equation;
its numbers as ``low..high/step``, or the name of a list.
"""

from __future__ import annotations

import ast
import json
import operator
import random
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

FOLDER = Path(__file__).resolve().parent
SEED = 20261
SIZES = {"train": 1000, "dev": 120}
_TRIES = 10_000  # draws before a template counts as impossible
T = TypeVar("T")

NAMES = (
    "小林 小雨 晓燕 阿杰 佳佳 明明 丽丽 东东 小军 思思 "
    "大勇 小梅 文文 子轩 小芳 乐乐 安安 小刚 婷婷 浩浩"
)
# Words of every question, "/" between those that belong together.
WORDS = {
    "thing": "铅笔/支 练习本/本 橡皮/块 水杯/个 毛巾/条 牙刷/支 跳绳/根 彩笔/盒",
    "goods": "外套 衬衫 毛衣 羽绒服 风衣 大衣 背心 雨衣 校服",
    "food": "苹果 香蕉 橘子 葡萄 西红柿 土豆",
    "grain": "大米 面粉 黄豆 花生 玉米 小米",
    "car": "汽车 客车 货车 面包车 摩托车",
    "place": "甲地/乙地 县城/省城 东城/西城 矿山/码头 农场/港口",
    "factory": "机械厂/零件 服装厂/口罩 玩具厂/积木 家具厂/书架 电器厂/灯泡",
    "field": "菜地 花坛 操场 果园 草坪 停车场",
    "tree": "苹果树/梨树 杨树/柳树 桃树/杏树",
    "liquid": "盐/盐水 糖/糖水 药粉/药水",
    "pool": "水池 水箱 蓄水池 游泳池",
}
_PROPER = (
    "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 2/7 3/7 1/8 3/8 5/8 7/8 2/9 4/9 3/10"
)
LISTS: dict[str, Sequence[Any]] = {
    "proper": _PROPER.split(),
    "mixed": [f"{whole}({part})" for whole in range(1, 10) for part in _PROPER.split()],
    "fold": [("九", "90%"), ("八", "80%"), ("七", "70%"), ("八五", "85%")],
    "ratio": [("2", "3"), ("3", "2"), ("3", "4"), ("5", "4"), ("5", "7"), ("4", "9")],
    "scale": ["200000", "500000", "1000000", "2500000", "4000000"],
}


class Template(NamedTuple):
    """A question, its equation, what the answer may be, and where numbers come from."""

    question: str
    equation: str
    kind: str
    bound: str
    sources: dict[str, Sequence[Any]]


def main() -> None:
    """Write both files."""
    for name, content in build().items():
        (FOLDER / name).write_bytes(content)


def build(seed: int = SEED) -> dict[str, bytes]:
    """The content of each file by its name; no question stands in it twice."""
    rng = random.Random(seed)
    templates = read_templates((FOLDER / "templates.txt").read_text("utf-8"))
    rows: dict[str, dict[str, str]] = {}
    total = sum(SIZES.values())
    while len(rows) < total:
        for template in templates:
            row = problem(template, rng)
            rows.setdefault(row["question"], row)
    mixed = _shuffled(list(rows.values())[:total], rng)
    files = {}
    for split, size in SIZES.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in mixed[:size]]
        files[f"{split}.jsonl"] = "".join(lines).encode("utf-8")
        mixed = mixed[size:]
    return files


def read_templates(text: str) -> list[Template]:
    """The templates of a text, blank lines between them."""
    templates = []
    for block in text.strip().split("\n\n"):
        question, solution, numbers = block.split("\n")
        head, _, equation = solution.partition(": ")
        kind, _, bound = head.partition("<")
        pairs = [item.partition("=") for item in numbers.split()]
        sources = {key: LISTS.get(spec) or _range(spec) for key, _, spec in pairs}
        templates.append(Template(question, equation, kind, bound, sources))
    return templates


def problem(template: Template, rng: random.Random) -> dict[str, str]:
    """One problem; ValueError when no draw gives an answer that fits."""
    for _ in range(_TRIES):
        values = _values(template, rng)
        equation = template.equation.format(**values)
        value = value_of(equation)
        bound = value_of(template.bound.format(**values) or "0")
        if value is None or bound is None or (template.bound and value >= bound):
            continue
        answer = answer_text(value, template.kind)
        if answer is not None:
            question = template.question.format(**values)
            return {"question": question, "equation": f"x={equation}", "answer": answer}
    raise ValueError(f"no {template.kind} answers it: {template.question}")


def answer_text(value: Fraction, kind: str) -> str | None:
    """A value as a kind writes it; None when it does not fit.

    ``count`` is a whole number, ``amount`` has at most two decimals, ``percent`` lies
    below 100% and has at most one, ``fraction`` is a proper or mixed one, and ``share``
    a proper one.
    """
    if value <= 0:
        return None
    if kind == "count":
        return _decimal(value, 0)
    if kind == "amount":
        return _decimal(value, 2)
    if kind == "percent":
        text = _decimal(value * 100, 1)
        return f"{text}%" if text is not None and value < 1 else None
    if value.denominator > 40 or (kind == "share" and value >= 1):
        return None
    whole, rest = divmod(value, 1)
    if not rest:
        return str(whole)
    return f"{whole}({rest})" if whole else str(rest)


def value_of(expression: str) -> Fraction | None:
    """The exact value of an equation's right side; None for a division by zero."""
    text = re.sub(r"([0-9]+)\(([0-9]+/[0-9]+)\)", r"(\1+\2)", expression)
    text = re.sub(r"([0-9.]+)%", r"(\1/100)", text).replace("^", "**")
    try:
        return _value(ast.parse(text, mode="eval").body)
    except ZeroDivisionError:
        return None


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: lambda base, power: Fraction(base ** int(power)),
}


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant):
        return Fraction(str(node.value))  # "3.14", not the float that is near it
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError(f"expected arithmetic, got {ast.dump(node)}")


def _values(template: Template, rng: random.Random) -> dict[str, Any]:
    """Two names, all words and the template's numbers, no two of them the same."""
    names = NAMES.split()
    name = names.pop(int(rng.random() * len(names)))
    values: dict[str, Any] = {"name": name, "other": _pick(names, rng)}
    for key, words in WORDS.items():
        word = _pick(words.split(), rng)
        values[key] = word.split("/") if "/" in word else word
    drawn: list[Any] = []
    for key, source in template.sources.items():
        values[key] = _pick([one for one in source if one not in drawn], rng)
        drawn.append(values[key])
    return values


def _range(spec: str) -> list[str]:
    """``1.5..4.5%/0.25`` as the texts 1.5%, 1.75% ... 4.5%."""
    bounds, _, step = spec.partition("/")
    low, high = bounds.removesuffix("%").split("..")
    width = Fraction(step or 1)
    steps = (Fraction(high) - Fraction(low)) // width
    unit = "%" if bounds.endswith("%") else ""
    texts = (_decimal(Fraction(low) + n * width, 2) for n in range(int(steps) + 1))
    return [f"{text}{unit}" for text in texts]


def _decimal(value: Fraction, places: int) -> str | None:
    """Digits without needless zeros; None when ``places`` of them are too few."""
    scaled = value * 10**places
    if scaled.denominator != 1:
        return None
    whole, rest = divmod(scaled.numerator, 10**places)
    digits = str(rest).zfill(places).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def _pick(choices: Sequence[T], rng: random.Random) -> T:
    # Of a Random only random() promises the same numbers in every Python.
    return choices[int(rng.random() * len(choices))]


def _shuffled(rows: list[T], rng: random.Random) -> list[T]:
    keyed = [(rng.random(), place) for place in range(len(rows))]
    return [rows[place] for _, place in sorted(keyed)]


if __name__ == "__main__":
    main()
