"""Tables are read as text, row by row, and what is wrong with them is named by its row without repeating it."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.corpus import tables
from medim_forge.generator.corpus.tables import Lookup, find_table, read_rows
from medim_forge.generator.errors import InputError, SpecError

ROWS = [{"id": "1", "text": 'Heart, "big",\nlungs.'}, {"id": "2", "text": "Röntgen; ok"}]


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", '\ufeffid,text\n1,"Heart, ""big"",\nlungs."\n\n2,Röntgen; ok\n'),
        ("t.tsv", 'id\ttext\r\n1\t"Heart, ""big"",\nlungs."\r\n2\tRöntgen; ok\r\n'),
        ("semicolon.csv", 'id;text\n1;"Heart, ""big"",\nlungs."\n2;"Röntgen; ok"\n'),
        ("t.json", json.dumps(ROWS, indent=3)),
        ("t.jsonl", "\n".join(json.dumps(row) for row in ROWS)),
        ("t.csv.gz", gzip.compress('id,text\n1,"Heart, ""big"",\nlungs."\n2,Röntgen; ok\n'.encode(), mtime=0)),
        ("t.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
    ],
)
def test_every_kind_of_table_gives_the_same_rows(tmp_path, name, content):
    assert list(read_rows(written(tmp_path / name, content), "key")) == ROWS


@given(
    rows=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=40), max_size=4), max_size=12),
    piece=st.integers(1, 60),
)
def test_json_is_read_in_pieces_of_any_size(rows, piece, tmp_path_factory):
    path = written(tmp_path_factory.mktemp("t") / "t.json", json.dumps(rows, ensure_ascii=False, indent=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_PIECE", piece)
        assert list(read_rows(path, "key")) == rows


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "id,text\n1,SECRET,more\n", "key: row 0 has 3 cells, the head 2"),
        ("t.csv", 'id,text\n1,"SECRET\n', "key: row 1 is no CSV .*quotation mark"),
        ("t.csv", "id,id\n1,SECRET\n", "two columns called id"),
        ("t.csv", b"id,text\n1,SECRET\xff\n", "no UTF-8 text"),
        ("t.json", '[{"id": "SECRET"}, {"id": ', "cut short or no JSON behind row 1"),
        ("t.json", '[{"id": "SECRET"}, nonsense]', "cut short or no JSON behind row 1"),
        ("t.json", '[{"id": "SECRET"}', "cut short or no JSON behind row 1"),
        ("t.jsonl", '"SECRET"\n', "row 0 is no object of columns"),
        ("t.csv.gz", gzip.compress(b"id,text\n1,SECRET\n" * 99, mtime=0)[:-20], "cut short or no gzip"),
        ("t.csv.gz", b"id,text\n", "cut short or no gzip"),
    ],
)
def test_a_damaged_table_is_an_error_that_names_the_row_and_repeats_nothing(tmp_path, name, content, words):
    with pytest.raises(InputError, match=words) as caught:
        list(read_rows(written(tmp_path / name, content), "key"))
    assert "SECRET" not in str(caught.value)


def test_other_files_are_no_tables(tmp_path):
    with pytest.raises(SpecError, match=r"t\.xlsx is no table that can be read; give \.csv"):
        list(read_rows(written(tmp_path / "t.xlsx", "x"), "key"))


def test_a_table_is_found_by_its_pattern_and_two_releases_are_refused(tmp_path):
    written(tmp_path / "meta-2.0.csv", "a")
    written(tmp_path / "meta-2.0.csv.gz", "a")
    assert find_table(tmp_path, "meta-*.csv*", "key").name == "meta-2.0.csv"
    written(tmp_path / "meta-2.1.csv", "a")
    with pytest.raises(SpecError, match=r"is meta-2\.0\.csv and meta-2\.0\.csv\.gz and meta-2\.1\.csv in"):
        find_table(tmp_path, "meta-*.csv*", "key")


def test_a_row_of_a_further_table_is_found_by_its_value_and_must_be_one(tmp_path):
    found = Lookup(written(tmp_path / "t.csv", "id,text\n1,one\n2,two\n"), "id", "key")
    assert found.find(" 2 ") == {"id": "2", "text": "two"}
    assert found.find("3") is None
    with pytest.raises(InputError, match="key: row 1 repeats the id of an earlier row"):
        Lookup(written(tmp_path / "u.csv", "id,text\n1,SECRET\n1,two\n"), "id", "key")
    with pytest.raises(SpecError, match="there is no column who"):
        Lookup(tmp_path / "t.csv", "who", "key")
