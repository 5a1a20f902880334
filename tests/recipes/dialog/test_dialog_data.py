"""Dialogue files: turns as text, reading, public formats, and what check tells."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.cli.data_report import report_text
from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.files.json_text import dumps
from nlpcli.recipes.dialog.form import (
    DialogExample,
    DialogForm,
    join_turns,
    split_turns,
    without_cuts,
)
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.lines import LONGEST_LINE, Lines
from nlpcli.records.read import open_items, read
from nlpcli.records.row import Row
from nlpcli.text.tokenizers.load import tiny_tokenizer

FORM = DialogForm()
turn_texts = st.text(st.sampled_from("你好|\\ a"), min_size=1).filter(str.strip)


@given(st.lists(turn_texts.map(str.strip), min_size=1, max_size=5))
def test_turns_survive_as_one_text(turns) -> None:
    assert split_turns(join_turns(turns)) == tuple(turns)


def test_many_bars_are_read_at_once() -> None:
    assert split_turns("好" + r"\|" * 100_000) == ("好" + "|" * 100_000,)
    assert split_turns("好|" * 100_000 + "\\") == ("好",) * 100_000 + ("\\",)


def test_turns_as_people_type_them() -> None:
    assert split_turns("你好|你好呀 | 去爬山吗") == ("你好", "你好呀", "去爬山吗")
    assert split_turns(r"甲\|乙|C:\new") == ("甲|乙", r"C:\new")
    assert split_turns("  ") == ()


@pytest.mark.parametrize("text", ["|", "你好|", "|你好", "你好| |在吗"])
def test_a_turn_with_nothing_in_it_is_an_error(text) -> None:
    with pytest.raises(DataError, match=r"turn \d of \d"):
        split_turns(text)


def test_the_last_turn_is_the_reply(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"turns": ["你好", " 你好呀 ", "走吧"], "topic": "x"}\n\n')
    (example,) = read(FORM, path)
    assert example == DialogExample(("你好", "你好呀"), "走吧", f"{path}:1")
    assert example.text == "你好|你好呀"
    assert json.loads(dumps(FORM.row(example))) == {"turns": ["你好", "你好呀", "走吧"]}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"text": "a"}', 'expected the key "turns"'),
        ('{"turns": "a|b"}', "expected a list of turns"),
        ('{"turns": ["a"]}', "expected two turns or more, got 1"),
        ('{"turns": []}', "got 0"),
        ('{"turns": ["a", 3]}', "turn 2: expected a string, got 3"),
        ('{"turns": ["a", " "]}', "turn 2: expected text"),
        ('["a", "b"]', "expected a JSON object"),
        ("{", "expected a JSON object"),
    ],
)
def test_a_bad_line_is_an_error_in_its_place(tmp_path, line, told) -> None:
    path = tmp_path / "a.jsonl"
    good = '{"turns": ["a", "b"]}'
    path.write_text(f"{good}\n{line}\n{good}\n")
    first, bad, last = read(FORM, path)
    assert isinstance(bad, DataError)
    assert str(bad).startswith(f"{path}:2: ") and told in str(bad)
    assert isinstance(first, DialogExample) and isinstance(last, DialogExample)


def test_files_that_are_none(tmp_path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DataError, match="empty file"):
        list(read(FORM, tmp_path / "empty"))
    with pytest.raises(DataError, match="empty file"):
        convert(FORM, tmp_path / "empty", tmp_path / "out.jsonl")
    with pytest.raises(NotFoundError):
        list(read(FORM, tmp_path / "none"))
    line = b'{"turns": ["\xff", "b"]}\n'
    (tmp_path / "bad").write_bytes(line)
    with pytest.raises(DataError, match="bad:1: expected UTF-8"):
        list(read(FORM, tmp_path / "bad"))
    (tmp_path / "bad").write_bytes(b'{"turns": ["a", "b"]}\n' + line)
    _, bad = read(FORM, tmp_path / "bad")
    assert isinstance(bad, DataError)


PUBLIC = {
    "json": '[["你 好", "在 吗 ?"], ["一", "二", "三"]]',
    "json over lines": '[\n ["你 好", "在 吗 ?"],\n ["一", "二", "三"]\n]',
    "json by split": '{"train": [["你 好", "在 吗 ?"]], "valid": [["一", "二", "三"]]}',
    "lists by line": '["你 好", "在 吗 ?"]\n["一", "二", "三"]\n',
    "objects by line": '{"dialog": ["你 好", "在 吗 ?"]}\n'
    '{"turns": ["一", "二", "三"]}\n',
    "columns": "你 好\t在 吗 ?\n一\t二\t三\n",
    "blocks": "你 好\n在 吗 ?\n\n\n一\n二\n三",
    "blocks crlf": "\ufeff你 好\r\n在 吗 ?\r\n\r\n一\r\n二\r\n三\r\n",
}


@pytest.mark.parametrize("form", PUBLIC)
def test_public_formats_become_json_lines(tmp_path, form) -> None:
    (tmp_path / "in").write_text(PUBLIC[form], encoding="utf-8", newline="")
    counts = convert(FORM, tmp_path / "in", tmp_path / "out.jsonl.gz")
    assert (counts["examples"], counts["skipped"]) == (2, 0)
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).decode()
    assert [json.loads(line)["turns"] for line in lines.splitlines()] == [
        ["你好", "在吗?"],
        ["一", "二", "三"],
    ]
    turns = [item.turns for item in read(FORM, tmp_path / "out.jsonl.gz")]
    assert turns == [("你好", "在吗?"), ("一", "二", "三")]


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("json", "json"),
        ("json by split", "json"),
        ("lists by line", "json lines"),
        ("objects by line", "json lines"),
        ("columns", "columns"),
        ("blocks", "blocks"),
    ],
)
def test_a_format_is_told_by_its_first_lines_or_named(tmp_path, form, name) -> None:
    (tmp_path / "in").write_text(PUBLIC[form], encoding="utf-8", newline="")
    assert convert(FORM, tmp_path / "in", tmp_path / "a.jsonl")["from"] == name
    given = convert(
        FORM, tmp_path / "in", tmp_path / "b.jsonl", source_format=name, skip_bad=True
    )
    assert given["from"] == name
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_list_of_dialogues_may_be_one_very_long_line(tmp_path) -> None:
    rows = [["好" * 1000, "在吗"]] * (LONGEST_LINE // 3000 + 1)
    (tmp_path / "in").write_text(dumps(rows), encoding="utf-8")
    assert (tmp_path / "in").stat().st_size > LONGEST_LINE
    counts = convert(FORM, tmp_path / "in", tmp_path / "out.jsonl")
    assert (counts["from"], counts["examples"]) == ("json", len(rows))


@pytest.mark.parametrize("text", ['[["a", "b"], ["c", NaN]]', '{"a": [], "a": []}'])
def test_json_that_is_not_json_to_us(tmp_path, text) -> None:
    (tmp_path / "in").write_text(text)
    with pytest.raises(DataError, match="expected JSON"):
        convert(FORM, tmp_path / "in", tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ("我 喜 欢 deep learning 吗", "我喜欢deep learning吗"),
        ("你好 在吗", "你好 在吗"),
        ("how are you", "how are you"),
        (" 好 ", "好"),
    ],
)
def test_only_spaces_that_cut_go(turn, expected) -> None:
    assert without_cuts(turn) == expected


@pytest.mark.parametrize(
    "text",
    ['[["a", "b"], ["c"]]', '["a", "b"]\n["c", ""]\n', "a\tb\nc\n", "a\nb\n\nc\n"],
)
def test_a_bad_dialogue_stops_the_conversion_or_is_counted(tmp_path, text) -> None:
    (tmp_path / "in").write_text(text)
    with pytest.raises(DataError):
        convert(FORM, tmp_path / "in", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    counts = convert(FORM, tmp_path / "in", tmp_path / "out.jsonl", skip_bad=True)
    assert (counts["examples"], counts["skipped"]) == (1, 1)
    with pytest.raises(UsageError):
        convert(FORM, tmp_path / "in", tmp_path / "out.jsonl")


@pytest.mark.parametrize("text", ["[[1, 2", '{"train": 3}', "[3]"])
def test_json_that_is_no_list_of_dialogues(tmp_path, text) -> None:
    (tmp_path / "in").write_text(text)
    with pytest.raises(DataError):
        convert(FORM, tmp_path / "in", tmp_path / "out.jsonl")


def test_check_counts_turns_lengths_and_repeats(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [["你好", "在吗"], ["你好", "在吗"], ["你好", "不在"], ["一"] * 12]
    lines = [json.dumps({"turns": row}) for row in rows]
    path.write_text("\n".join([*lines, '{"turns": ["a"]}']))
    report = check(FORM, path, max_length=10, tokenizer=tiny_tokenizer())
    assert (report["examples"], report["turns"]) == (4, 18)
    assert report["labels"] == [
        {"turns": 2, "dialogues": 3},
        {"turns": "10 or more", "dialogues": 1},
    ]
    assert report["duplicates"] == [{"line": f"{path}:2", "first": f"{path}:1"}]
    assert report["conflicts"] == [{"line": f"{path}:3", "first": f"{path}:1"}]
    assert (report["windows"]["longer"], report["unknown"]) == (1, 0.0)
    assert report["tokens"]["longest"] == 12
    # with special tokens twelve turns of a character are 25
    for most, longer in ((24, 1), (25, 0)):
        again = check(FORM, path, max_length=most, tokenizer=tiny_tokenizer())
        assert again["windows"]["longer"] == longer
    assert len(report["bad_lines"]) == 1
    assert "10 or more" in report_text(report)
    assert check(FORM, path, limit=1)["examples"] == 1


def test_real_dialogues_are_read(shared, tmp_path) -> None:
    for name in ("cdialgpt-toy.train.jsonl.gz", "crosswoz.train.jsonl.gz"):
        report = check(FORM, shared(f"datasets/dialog/{name}"), limit=300)
        assert (report["examples"], report["bad_lines"]) == (300, [])


def test_errors_name_the_dialogue(tmp_path) -> None:
    (tmp_path / "in").write_text('{"train": [["a", "b"], ["c"]]}')
    with Lines(tmp_path / "in") as lines:
        _, examples = open_items(FORM, lines, every=True)
        _, bad = examples
    assert "train: dialogue 2: expected two turns" in str(bad)
    with pytest.raises(DataError, match="x:1: turn 1"):
        FORM.parse(Row({"turns": [None, "b"]}, "x:1"))
