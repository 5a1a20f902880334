"""Tables, curves and bracketed text, and the progress of a log file."""

import json
import logging
from collections.abc import Callable

import pytest

from nlpcli.cli import console
from nlpcli.cli.console import PlainLines, Settings, duration, error_lines
from nlpcli.cli.curves import curve
from nlpcli.cli.render import render
from nlpcli.cli.scores import score_table
from nlpcli.cli.table import cell, pairs, table, width
from nlpcli.errors import CheckpointError, ConfigError


def entity(start: int, end: int, label: str) -> dict:
    return {"start": start, "end": end, "label": label}


def test_entities_are_bracketed() -> None:
    answer = {"entities": [entity(0, 3, "PER"), entity(4, 8, "ORG")]}
    assert render("王小明在北京大学读书", answer) == "[王小明/PER]在[北京大学/ORG]读书"


def test_nested_entities_close_from_the_inside() -> None:
    answer = {"entities": [entity(0, 4, "ORG"), entity(0, 2, "LOC")]}
    assert render("北京大学", answer) == "[[北京/LOC]大学/ORG]"
    answer = {"entities": [entity(2, 4, "X"), entity(0, 4, "ORG")]}
    assert render("北京大学", answer) == "[北京[大学/X]/ORG]"


def test_neighbours_close_before_they_open() -> None:
    answer = {"entities": [entity(0, 1, "A"), entity(1, 2, "B")]}
    assert render("一二", answer) == "[一/A][二/B]"


def test_an_answer_is_one_line_whatever_the_text() -> None:
    assert render("a\nb", {"entities": []}) == "a\\nb"
    assert render("", {"entities": []}) == ""
    assert render("x", {"vector": [1]}) == '{"vector": [1]}'


def test_labels_are_told_by_their_names() -> None:
    assert render("x", {"label": "正面", "probability": 0.9}) == "正面"
    told = [{"label": "甲", "probability": 0.9}, {"label": "乙", "probability": 0.8}]
    assert render("x", {"labels": told, "top": told}) == "甲, 乙"
    assert render("", {"label": None}) == render("", {"labels": []}) == ""


def test_a_matrix_keeps_the_names_of_its_labels() -> None:
    """One of them may be called as the first column is."""
    rows = {
        "gold": {"gold": 3, "news_tech": 1},
        "news_tech": {"gold": 0, "news_tech": 2},
    }
    scores = {"accuracy": 0.8, "confusion": rows, "examples": 6}
    lines = [line.split() for line in score_table(scores).splitlines()]
    assert lines[:4] == [
        ["confusion"],
        ["gold", "gold", "news_tech"],
        ["gold", "3", "1"],
        ["news_tech", "0", "2"],
    ]
    assert ["accuracy", "0.8000"] in lines and ["examples", "6"] in lines


def test_of_a_wide_matrix_the_commonest_errors() -> None:
    names = [f"l{n:02}" for n in range(13)]
    rows = {a: {b: 9 * (a == b) for b in names} for a in names}
    rows["l03"]["l05"], rows["l07"]["l01"] = 2, 4
    lines = score_table({"confusion": rows}).splitlines()
    assert lines[0] == "confusion: the most frequent errors (--json has all)"
    assert [line.split() for line in lines[1:4]] == [
        ["gold", "predicted", "count"],
        ["l07", "l01", "4"],
        ["l03", "l05", "2"],
    ]


def test_other_scores_inside_scores_stay_counts() -> None:
    lines = score_table({"f1": 0.5, "unfit": {"too long": 3}, "more": {}}).splitlines()
    assert [line.split() for line in lines] == [
        ["f1", "0.5000"],
        ["unfit"],
        ["too", "long", "3"],
        ["more", "-"],
    ]


def test_columns_align_by_terminal_width() -> None:
    lines = table(
        [{"名": "北京大学", "n": 1}, {"名": "a", "n": None}], ["名", "n"]
    ).splitlines()
    assert [width(line) for line in lines] == [width(lines[0])] * 3
    assert lines[2].endswith("-")


def test_cells() -> None:
    assert [cell(value) for value in (None, True, 0.5, 1e-5, 3, [1, "a"])] == [
        "-",
        "yes",
        "0.5000",
        "1e-05",
        "3",
        "1, a",
    ]
    assert pairs({"a": {"b": 1}, "long": 2}) == "a\n  b  1\nlong  2"


def test_scores_show_null_and_the_whole_last() -> None:
    scores = {
        "f1": 0.5,
        "precision": None,
        "macro_f1": 0.25,
        "per_label": {"PER": {"precision": None, "f1": 0.5}},
        "examples": 3,
    }
    lines = score_table(scores).splitlines()
    assert lines[0].split() == ["label", "precision", "f1"]
    assert lines[1].split() == ["PER", "-", "0.5000"]
    assert lines[2].split() == ["all", "-", "0.5000"]
    assert lines[-2].split() == ["macro_f1", "0.2500"]


def test_a_curve_falls_from_the_top_left_to_the_bottom_right() -> None:
    drawn = curve("loss", [(0, 1.0), (10, 0.5), (20, 0.0)], 40, rows=4, unicode=False)
    lines = drawn.splitlines()
    assert lines[0] == "loss"
    starts = [line.index("*") for line in lines[1:5]]
    assert starts == sorted(starts) and starts[0] < starts[3]
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].split()[0] == "1" and lines[4].split()[0] == "0"
    assert lines[5].split() == ["0", "20"]


@pytest.mark.parametrize(
    "points",
    [[], [(1, 0.5)], [(1, float("nan"))], [(1, 2.0), (1, 2.0)], [(1, 1), (2, 1e30)]],
)
def test_any_points_can_be_drawn(points: list) -> None:
    assert curve("f1", points, 30).startswith("f1")


def test_errors_are_one_line_each() -> None:
    assert error_lines(ConfigError(["a: bad", "b: bad"])) == [
        "nlpcli: error: a: bad",
        "nlpcli: error: b: bad",
    ]
    assert error_lines(CheckpointError("no fit\n  x: missing")) == [
        "nlpcli: error: no fit",
        "  x: missing",
    ]


def test_durations() -> None:
    assert [duration(s) for s in (5, 59.6, 185, 8041)] == [
        "5s",
        "1m00s",
        "3m05s",
        "2h14m",
    ]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]):
    yield lambda: capsys.readouterr().err
    console.configure(Settings())


def test_progress_off_a_terminal_is_one_plain_line(stderr: Callable[[], str]) -> None:
    console.configure(Settings())
    progress = PlainLines(seconds=0)
    progress.start("train ner", 200)
    progress.update(50, loss=0.123456, tokens_per_second=1234.5)
    progress.finish()
    (line,) = stderr().splitlines()
    assert line.startswith("train ner: 50/200 (25%), loss 0.1235, 1,234 tokens/s, ")
    assert line.endswith(" left")


def test_progress_is_seldom(stderr: Callable[[], str]) -> None:
    console.configure(Settings())
    progress = PlainLines()
    progress.start("train ner", 200)
    for step in range(200):
        progress.update(step)
    assert stderr() == ""


def test_json_log_lines_carry_the_figures(stderr: Callable[[], str]) -> None:
    console.configure(Settings(json_logs=True))
    progress = PlainLines(seconds=0)
    progress.start("train ner", 200)
    progress.update(50, loss=0.5)
    row = json.loads(stderr())
    assert (row["level"], row["done"], row["total"], row["loss"]) == (
        "info",
        50,
        200,
        0.5,
    )


def test_levels(stderr: Callable[[], str]) -> None:
    logger = logging.getLogger("nlpcli")
    for chosen in (Settings(quiet=True), Settings(), Settings(verbose=True)):
        console.configure(chosen)
        logger.debug("detail")
        logger.info("message")
        logger.warning("beware")
    assert stderr().splitlines() == [
        "nlpcli: warning: beware",
        "message",
        "nlpcli: warning: beware",
        "detail",
        "message",
        "nlpcli: warning: beware",
    ]


def test_a_message_cannot_move_the_cursor(stderr: Callable[[], str]) -> None:
    console.configure(Settings())
    console.show_error(["nlpcli: error: got \x1b[2J"], 4)
    assert stderr() == "nlpcli: error: got \\x1b[2J\n"
