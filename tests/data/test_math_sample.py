"""The word problems of the sample: made again byte for byte, and each equation true."""

import ast
import importlib.util
import re
from fractions import Fraction

import pytest

from nlpcli.recipes.math_qa.form import MathExample, MathForm
from nlpcli.recipes.math_qa.numbers import CONSTANTS
from nlpcli.records.read import read, read_rows
from nlpcli.samples import sample
from nlpcli.text.numerals import written_numbers

SPLITS = ("train", "dev")
OPERATIONS = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


@pytest.fixture(scope="module")
def maker():
    path = sample("math-qa", "train").with_name("make.py")
    spec = importlib.util.spec_from_file_location("math_qa_make", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(split):
    return list(read_rows(sample("math-qa", split)))


def exact(text):
    """The value of an expression, its numbers read as they are written."""
    text = re.sub(r"(\d+)\((\d+)/(\d+)\)", r"(\1+\2/\3)", text)
    text = re.sub(r"(\d+(?:\.\d+)?)%", r"(\1/100)", text).replace("^", "**")

    def value(node):
        if isinstance(node, ast.Constant):
            return Fraction(ast.get_source_segment(text, node))
        return OPERATIONS[type(node.op)](value(node.left), value(node.right))

    return value(ast.parse(text, mode="eval").body)


def test_the_evaluator_is_exact():
    assert exact("3(1/2)*4-0.1") == Fraction(139, 10)
    assert exact("120*(1-20%)/3^2") == Fraction(32, 3)


def test_the_files_are_what_the_script_writes(maker):
    for name, content in maker.build().items():
        assert sample("math-qa", name.partition(".")[0]).read_bytes() == content


def test_another_seed_makes_other_problems(maker):
    assert maker.build(seed=1) != maker.build()


@pytest.mark.parametrize("split", SPLITS)
def test_each_equation_gives_its_answer(split):
    for row in rows_of(split):
        assert list(row) == ["question", "equation", "answer"]
        assert row["equation"].startswith("x="), row
        value = exact(row["equation"].removeprefix("x="))
        assert value == exact(row["answer"]) > 0, row


@pytest.mark.parametrize("split", SPLITS)
def test_the_recipe_reads_each_and_knows_its_numbers(split):
    for example in read(MathForm(), sample("math-qa", split)):
        assert isinstance(example, MathExample), example
        known = {*written_numbers(example.text), *CONSTANTS}
        assert set(re.findall(r"[\d.]+%?", example.expression)) <= known, example


def test_sizes_templates_and_no_question_twice(maker):
    train, dev = (rows_of(split) for split in SPLITS)
    questions = [row["question"] for row in train + dev]
    assert (len(train), len(dev)) == (1000, 120)
    assert len(set(questions)) == len(questions)
    text = sample("math-qa", "train").with_name("templates.txt").read_text("utf-8")
    assert len(maker.read_templates(text)) >= 40


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("7/2", "fraction", "3(1/2)"),
        ("2", "fraction", "2"),
        ("3/2", "share", None),
        ("1/8", "amount", None),
        ("5/4", "amount", "1.25"),
        ("10", "count", "10"),
        ("5/2", "count", None),
        ("1/8", "percent", "12.5%"),
        ("-1", "count", None),
    ],
)
def test_answers_are_written_as_their_kind_says(maker, value, kind, text):
    assert maker.answer_text(Fraction(value), kind) == text


def test_a_template_that_nothing_answers_is_an_error(maker):
    text = (
        "{name}有{a}元，借给{other}{b}元，还剩多少元？\ncount: {a}-{b}\na=1..3 b=5..9"
    )
    (template,) = maker.read_templates(text)
    with pytest.raises(ValueError, match="no count answers it"):
        maker.problem(template, maker.random.Random(0))
