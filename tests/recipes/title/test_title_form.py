"""Reading, converting and checking texts with titles, in the formats of data sets."""

import json

import pytest

from nlpcli.cli.data_report import report_text
from nlpcli.errors import DataError
from nlpcli.recipes.title.form import TitleExample, TitleForm
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.form import Mark
from nlpcli.records.lines import Lines
from nlpcli.records.read import read

FORM = TitleForm()
TEXT, TITLE = "日前，青禾县下了一场大雪，多条公路封闭。", "青禾县大雪封路"
GOOD = {"text": TEXT, "title": TITLE}


def write(path, *lines):
    rows = (
        r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in lines
    )
    path.write_text("".join(row + "\n" for row in rows), "utf-8")
    return path


def pairs(items):
    return [(x.text, x.title) for x in items]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("content", "title"),  # the files of this project's data, THUCNews
        ("abst", "title"),  # csl_title_public
        ("content", "summary"),  # LCSTS_new
        ("short_text", "summary"),
        ("source", "target"),
        ("article", "headline"),
    ],
)
def test_names_of_data_sets(tmp_path, text, title):
    row = {"id": 3, title: f" {TITLE} ", text: f"{TEXT}\n"}
    assert pairs(read(FORM, write(tmp_path / "a.jsonl", row))) == [(TEXT, TITLE)]


def test_our_own_names_come_first(tmp_path):
    row = {"summary": "雪", "title": TITLE, "content": "雪。", "text": TEXT}
    assert pairs(read(FORM, write(tmp_path / "a.jsonl", row))) == [(TEXT, TITLE)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"title": TITLE}, 'expected the key "text", got the keys "title"'),
        ({"content": TEXT}, 'expected the key "title", got the keys "content"'),
        ({"content": " ", "title": TITLE}, 'expected text for "content", got none'),
        ({"text": TEXT, "title": None}, 'expected a string for "title", got null'),
        ({"text": [TEXT], "title": TITLE}, 'expected a string for "text", got ['),
        ("{", "expected a JSON object"),
    ],
)
def test_bad_rows_come_in_place(tmp_path, row, message):
    path = write(tmp_path / "a.jsonl", GOOD, row, "", GOOD)
    one, bad, other = read(FORM, path)
    assert pairs([one, other]) == [(TEXT, TITLE)] * 2
    assert isinstance(bad, DataError)
    assert str(bad).startswith(f"{path}:2: ") and message in str(bad)


LCSTS = """<doc id=0>
    <summary>
        青禾县大雪封路
    </summary>
    <short_text>
        日前，青禾县下了一场大雪，
        多条公路封闭 A&B。
    </short_text>
</doc>

<doc id=1><human_label>2</human_label><summary>雨</summary><short_text>晴。
</short_text></doc>
<doc id=2>
    <human_label>3</human_label>
    <summary>晴</summary>
    <short_text>今天晴。</short_text>
</doc>
"""


def test_documents_of_lcsts(tmp_path):
    path = tmp_path / "PART_II.txt"
    path.write_text(LCSTS, "utf-8")
    with Lines(path) as lines:
        name, items = FORM.published["lcsts"].read(lines)
        items = list(items)
    assert name == "lcsts" and items[1] == Mark("unrelated")
    text = "日前，青禾县下了一场大雪，\n        多条公路封闭 A&B。"
    assert items[0] == TitleExample(text, TITLE, f"{path}:1")
    assert items[2] == TitleExample("今天晴。", "晴", f"{path}:13")
    assert pairs(read(FORM, path)) == [(text, TITLE), ("今天晴。", "晴")]
    report = convert(FORM, path, tmp_path / "b.jsonl")
    assert report == {
        "from": "lcsts",
        "to": "jsonl",
        "examples": 2,
        "unrelated": 1,
        "skipped": 0,
    }


DOCUMENT = (
    f"<doc id=1>\n<summary>{TITLE}</summary>\n<short_text>{TEXT}</short_text>\n</doc>"
)


@pytest.mark.parametrize(
    ("piece", "place", "message"),
    [
        ("<doc id=9>", 5, 'expected "</doc>", got none'),
        ("雪\n雪", 5, "expected \"<doc id=...>\", got '雪'"),
        ("<doc>\n</doc>", 5, "expected <summary>...</summary>, got none"),
        ("<doc><summary>雪</summary></doc>", 5, "expected <short_text>..."),
        (
            "<doc><summary></summary><short_text>雪</short_text></doc>",
            *(5, 'expected text for "summary", got none'),
        ),
        ("<doc></doc> <doc></doc>", 5, "expected a line end behind"),
    ],
)
def test_bad_documents_come_in_place(tmp_path, piece, place, message):
    path = write(tmp_path / "a.txt", DOCUMENT, piece, DOCUMENT)
    one, bad, other = read(FORM, path)
    assert pairs([one, other]) == [(TEXT, TITLE)] * 2
    assert isinstance(bad, DataError)
    assert str(bad).startswith(f"{path}:{place}: ") and message in str(bad)


def test_a_document_without_an_end_takes_no_memory(tmp_path):
    path = write(tmp_path / "a.txt", "<doc>", *["雪"] * 500, DOCUMENT)
    bad, good = read(FORM, path, longest=1000)
    assert "expected a document of at most 1000 bytes" in str(bad)
    assert pairs([good]) == [(TEXT, TITLE)]
    (last,) = read(FORM, write(tmp_path / "b.txt", "<doc>", "雪"))
    assert str(last) == f'{tmp_path}/b.txt:1: expected "</doc>", got none'


def test_bytes_that_are_no_text_spoil_one_document(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"<doc>\n\xff\n</doc>\n" + DOCUMENT.encode())
    bad, good = read(FORM, path)
    assert f"{path}:2: expected UTF-8" in str(bad)
    assert pairs([good]) == [(TEXT, TITLE)]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("csl", f"to title\t {TEXT}\t{TITLE}"),
        ("csl", f"{TITLE}\t{TEXT}\t大雪_公路\t交通运输工程\t工学"),
        ("columns", f"{TITLE}\t{TEXT}"),
        ("columns", f"{TEXT}\t{TITLE}"),
        ("columns", f"id\tSummary\tcontent\n7\t{TITLE}\t{TEXT}"),
        ("columns", f"标题\tabstract\ttitle\n雪\t{TEXT}\t{TITLE}"),
    ],
)
def test_tables(tmp_path, name, line):
    path = write(tmp_path / "a.tsv", line)
    assert pairs(read(FORM, path)) == [(TEXT, TITLE)]
    assert convert(FORM, path, tmp_path / "b.jsonl")["from"] == name
    assert (tmp_path / "b.jsonl").read_text("utf-8") == json.dumps(
        GOOD, ensure_ascii=False
    ) + "\n"


def test_the_longer_column_is_the_text_even_where_one_row_says_otherwise(tmp_path):
    path = write(
        tmp_path / "a.tsv", "一个很长的标题\t短文", f"{TITLE}\t{TEXT}", f"雪\t{TEXT}"
    )
    assert pairs(read(FORM, path))[0] == ("短文", "一个很长的标题")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((f"{TEXT}\t{TITLE}", "雪"), "a.tsv:2: expected 2 columns between tabs"),
        ((f"{TEXT}\t{TITLE}", f"{TEXT}\t"), 'a.tsv:2: expected text for "title"'),
        (
            ("to title\t雪。\t雪", "to keywords\t雪。\t雪"),
            'a.tsv:2: expected "to title"',
        ),
        (("a\tb\tc", f"{TEXT}\t{TITLE}"), "a.tsv:1: expected two columns, or a header"),
        (("1\t2\t3\t4\t5", f"{TEXT}\t{TITLE}"), "a.tsv:1: expected two columns, or a"),
    ],
)
def test_bad_lines_of_tables(tmp_path, lines, message):
    found = list(read(FORM, write(tmp_path / "a.tsv", *lines)))
    (bad,) = [x for x in found if isinstance(x, DataError)]
    assert message in str(bad) and len(found) == 2


def test_a_format_that_is_told(tmp_path):
    """Five columns whose last is no category are CSL's only where that is said."""
    path = write(tmp_path / "a.tsv", f"{TITLE}\t{TEXT}\t雪\tx\ty")
    report = convert(FORM, path, tmp_path / "b.jsonl", source_format="csl")
    assert (report["from"], report["examples"]) == ("csl", 1)
    plain = write(tmp_path / "c.txt", TEXT)
    with pytest.raises(DataError, match="expected LCSTS documents"):
        convert(FORM, plain, tmp_path / "d.jsonl")


def test_check_counts(tmp_path):
    other = {"text": TEXT, "title": "雪"}
    path = write(tmp_path / "a.jsonl", GOOD, GOOD, other, "{}")
    report = check(FORM, path, max_length=16)
    assert (report["examples"], len(report["bad_lines"])) == (3, 1)
    assert [len(report[key]) for key in ("duplicates", "conflicts")] == [1, 1]
    assert [row["part"] for row in report["labels"]] == ["text", "title"]
    assert report["labels"][1]["longest"] == len(TITLE)
    assert report["windows"]["longer"] == 3
    assert "train cuts the ends of their texts" in report_text(report)
    json.dumps(report)
