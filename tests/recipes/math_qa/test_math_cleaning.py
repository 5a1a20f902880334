"""Cleaning rules one by one, and properties of what they leave."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.recipes.math_qa import cleaning
from nlpcli.recipes.math_qa.cleaning import clean_question, clean_row, read_answer
from nlpcli.records.form import Unfit
from nlpcli.text import numerals
from nlpcli.text.rational import evaluate

APPLES = "篮子里有6个苹果和4个梨，一共有几个水果？"


@pytest.mark.parametrize(
    ("question", "equation", "answer", "expression"),
    [
        (APPLES, "x=6+4", "10", "6+4"),
        (APPLES, "6+4=x", "10个", "6+4"),
        (APPLES, "6+4", "x=10", "6+4"),
        (APPLES, "x=[(6)+(4)]", "10.0000001", "6+4"),
        ("绳子长3(1/2)米，剪去(1/4)，剪去多少米？", "x=3(1/2)*(1/4)", "((7)/(8))", ""),
        ("180元的25%是多少？", "x=180*25%", "45元", "180*25%"),
        ("180元的25%是多少？", "x=180*0.25", "45", "180*25%"),
        ("180的(1/4)是多少？", "x=180*0.25", "45", "180*0.25"),
        ("60棵树活了57棵，成活率是多少？", "x=(57/60)*100%", "95%", "57/60"),
        ("原来5元，涨了1元，涨了多少？", "x=(6-5)*100%/5", "20%", "(6-5)/5"),
        ("盐和水的比是1:4，求含盐率．", "x=1:(1+4)", "20%", "1/(1+4)"),
        ("2.50元的笔买4支要多少元？", "x=2.5*4", "10元", "2.50*4"),
        ("每小时行80千米，3小时行多远？", "x=80千米/小时*3小时", "240千米", "80*3"),
        ("底4cm，高5cm，面积多少？", "x=4cm*5cm", "20cm^2", "4*5"),
        ("半径2米的圆有多大？", "x=3.14*2**2", "12.56(平方米)", "3.14*2^2"),
        ("2加3的和是多少？", "x=2(1+2)", "5", "2+1+2"),
        ("零下3度又降了4度，是几度？", "x=-3-4", "-7℃", "-3-4"),
    ],
)
def test_rules(question: str, equation: str, answer: str, expression: str) -> None:
    cleaned = clean_row(question, equation, answer)
    assert cleaned.expression == (expression or "(3+1/2)*1/4")
    assert cleaned.value == evaluate(cleaned.expression)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (" 有３０％的水，２．５升 ", "有30%的水，2.5升"),
        ("长(3/4)米．宽((1)/(2))米", "长3/4米．宽1/2米"),
        ("3(1/2)小时和12((1)/(3))天", "(3+1/2)小时和(12+1/3)天"),
        ("时速60千米/时，走了１／２小时．", "时速60千米/时，走了1/2小时．"),
        ("增加(1/10)．3.3升，占(4/7)．8月", "增加1/10．3.3升，占4/7．8月"),
        ("比是5:4．3个组", "比是5:4．3个组"),
        ("第(1)题和f(2)", "第(1)题和f(2)"),
    ],
)
def test_questions(text: str, cleaned: str) -> None:
    assert clean_question(text) == cleaned
    assert clean_question(cleaned) == cleaned


@pytest.mark.parametrize(
    ("question", "equation", "answer", "reason"),
    [
        (" ", "x=1", "1", "no question"),
        (APPLES, "x+y=10;x-y=2", "6;4", "several unknowns"),
        (APPLES, "x=6+4", "6;4", "several unknowns"),
        (APPLES, "2*x+4=10", "3", "not solved for x"),
        (APPLES, "x=y+4", "3", "not solved for x"),
        (APPLES, "x=6+4=10", "10", "not solved for x"),
        (APPLES, "", "10", "unreadable equation"),
        (APPLES, "x=6+4)", "10", "unreadable equation"),
        (APPLES, "x=6/(4-4)", "10", "equation without a value"),
        (APPLES, "x=6^(1/4)", "10", "equation without a value"),
        (APPLES, "x=2**99999999", "10", "equation without a value"),
        (APPLES, "x=6+4", "许多", "unreadable answer"),
        (APPLES, "x=6+4", "1/0", "unreadable answer"),
        (APPLES, "x=6-4", "10", "another answer"),
        (APPLES, "x=6+4", "10.00001", "another answer"),
    ],
)
def test_reasons(question: str, equation: str, answer: str, reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        clean_row(question, equation, answer)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_another_answer_says_both_values() -> None:
    with pytest.raises(Unfit, match='"6-4" gives 2, but the answer is 10'):
        clean_row(APPLES, "x=6-4", "10")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12厘米", "12"),
        ("约5.2", "26/5"),
        ("74%", "37/50"),
        ("23(1/3)", "70/3"),
        ("((1200)/(11))", "1200/11"),
        ("160/(1-20%)", "200"),
        ("80千米/时", "80"),
        ("3.5（千克）", "7/2"),
        ("6m2", "6"),
        ("15平方米", "15"),
        ("￥9.90", "99/10"),
    ],
)
def test_answers(text: str, value: str) -> None:
    assert read_answer(text) == evaluate(value)


EVIL = (
    *("1(" + "a" * 5000, "1(" + "a/" * 5000, "1(" + "米" * 5000, "1(" + "m²" * 5000),
    *("1" + "a^2" * 5000 + "(", "(" * 5000, "1(" * 5000, "1((" * 3000 + "1)/(1"),
    *("9" * 5000, "9." * 5000, "9" * 5000 + "(", "1(1/" + "9" * 5000, "1(1/" * 3000),
    *("一" * 5000, "九" * 5000 + "折", "千" * 5000 + "克", "一千百万亿" * 2000),
    *("百分之" * 3000, "1" + " " * 5000 + "(", "=" * 5000, "x" * 5000, "-" * 5000),
)
PATTERNS = {
    f"{module.__name__}.{name}": value
    for module in (cleaning, numerals)
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}


@pytest.mark.timeout(30)  # a thousand times what it needs
@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_every_regular_expression_is_quick(name: str) -> None:
    assert len(PATTERNS) >= 9
    for text in EVIL:
        PATTERNS[name].sub("", text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", EVIL, ids=lambda text: text[:8])
def test_evil_rows_are_unfit_quickly(text: str) -> None:
    for row in ((APPLES, "x=6+4", text), (APPLES, text, "10"), (text, "x=6+4", text)):
        with pytest.raises(Unfit):
            clean_row(*row)
    clean_question(text)


def test_units_are_what_their_definition_says() -> None:
    """Against the plain definition, whose time doubles with each letter."""
    letters = r"(?:[A-Za-z]+\^?[23²³]?|[^\W\dA-Za-z_]+|[°℃㎡㎝㎏²³])"
    units = rf"{letters}+(?:/{letters}+)*"
    plain = re.compile(rf"(?<=[0-9)）\]%])\s*(?:[(（]{units}[)）]|{units})")
    for size in range(1, 6):
        for characters in product("2m²/(^)米°", repeat=size):
            text = "1" + "".join(characters)
            assert cleaning._UNIT.findall(text) == plain.findall(text), text


NUMBERS = st.sampled_from(["2", "0.25", "25%", "3(1/2)", "4.0", "100%", "(1/3)", "7"])


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.data())
def test_cleaning_twice_is_cleaning_once(
    numbers: list[str], data: st.DataObject
) -> None:
    equation = numbers[0]
    for number in numbers[1:]:
        left = data.draw(st.sampled_from([equation, f"({equation})"]))
        equation = f"{left}{data.draw(st.sampled_from('+-*:'))}{number}"
    question = "有" + "和".join(data.draw(st.permutations(numbers))) + "，求得数"
    cleaned = clean_row(question, f"x={equation}", equation)
    again = clean_row(cleaned.question, f"x={cleaned.expression}", equation)
    assert again == cleaned
    assert cleaned.value == evaluate(equation)
