"""Columns between tabs."""

import pytest

from nlpcli.records.lines import Lines
from nlpcli.records.table import read_table


@pytest.mark.parametrize(
    ("first", "keys"),
    [
        ("id\tquery\tlabel", ["id", "query", "label"]),
        ("text\ttext\tlabel", ["text_a", "text_b", "label"]),
    ],
)
def test_a_header_names_the_columns_when_it_tells_them_apart(tmp_path, first, keys):
    path = tmp_path / "data.tsv"
    path.write_text(f"{first}\n甲\t乙\t1\n", "utf-8")
    with Lines(path) as lines:
        (row,) = read_table(lines, {"label"})
    assert dict(row.values) == dict(zip(keys, ["甲", "乙", "1"], strict=True))
    assert row.origin == f"{path}:2"
