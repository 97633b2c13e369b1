"""What is kept, what is left out and why, and that nothing of a person is in any message."""

from __future__ import annotations

import os

import pytest

from medim_forge.generator.corpus import CorpusRow
from medim_forge.generator.corpus.record import HoldingError, RowRuleError
from medim_forge.generator.corpus.reports import NAMES, NO_REPORT, SHORT
from medim_forge.generator.corpus.screen import BURNED_IN, EXCLUDED, NO_IMAGE, NO_PATIENT, NOT_THERE, STRANGE_PATIENT
from medim_forge.generator.errors import InputError, SpecError
from tests.doubles.corpora import corpus_of, reasons, rows_of
from tests.doubles.holdings import write_csv
from tests.doubles.noise import save

COLUMNS = {"image": "file", "report": "text", "patient": "who"}


def table(folder, rows):
    """A source of a table whose images are there, but for those that are called so."""
    for number, row in enumerate(rows):
        if row["file"] and "gone" not in row["file"]:
            save(folder / row["file"], 2000 + number)
    write_csv(folder / "pairs.csv", rows)
    return {"kind": "table", "path": str(folder / "pairs.csv"), "columns": COLUMNS}


def rows(*several, **given):
    usual = {"text": "Heart is normal.", "who": "p", "view": "PA"}
    return [{"file": f"{n}.png", **usual, **row, **given} for n, row in enumerate(several)]


def test_every_reason_is_counted_and_every_row_accounted_for(tmp_path):
    source = table(
        tmp_path,
        rows(
            {}, {"file": ""}, {"file": "gone.png"}, {"text": ""}, {"text": "nan"}, {"text": "Normal."}, {"who": ""},
            {"who": "x7"}, {"view": "bad"}, {"text": "See a@b.org now"},
        ),
    )  # fmt: skip
    kept, out = rows_of(
        {**source, "exclude": {"view": ["bad"]}, "patient_pattern": "^p", "phi": {"action": "skip"}},
    )
    assert [row.row for row in kept] == [0]
    assert reasons(out) == {
        NO_IMAGE: 1,
        NOT_THERE: 1,
        NO_REPORT: 2,
        SHORT: 1,
        NO_PATIENT: 1,
        STRANGE_PATIENT: 1,
        EXCLUDED: 1,
        NAMES: 1,
    }


def test_an_image_that_two_rows_name_counts_once(tmp_path):
    source = table(tmp_path, rows({}, {"file": "0.png", "text": "Another sentence."}, {}))
    kept, out = rows_of(source)
    assert [row.row for row in kept] == [0, 2]
    assert [row.reason for row in out] == ["names an image that an earlier row has"]


def test_words_that_look_like_a_name_stop_the_job_by_default_and_are_not_repeated(tmp_path):
    source = table(tmp_path, rows({}, {"text": "Discussed with Dr. Marker, marker@example.org."}))
    with pytest.raises(
        RowRuleError, match=r"row 1 of table \([0-9a-f]{16}\): .* \(1 x e-mail, 1 x title and name\)"
    ) as caught:
        list(corpus_of(source).kept())
    assert "arker" not in str(caught.value)
    assert "1.png" not in str(caught.value)


def test_burned_in_words_are_skipped_refused_or_kept_as_the_job_says(tmp_path):
    source = table(tmp_path, rows({"view": "YES"}, {"view": "NO"}))
    source["columns"] = {**COLUMNS, "burned_in": "view"}
    assert reasons(rows_of(source)[1]) == {BURNED_IN: 1}
    assert len(rows_of({**source, "burned_in": "keep"})[0]) == 2
    with pytest.raises(RowRuleError, match="burned into the image"):
        list(corpus_of({**source, "burned_in": "error"}).kept())


def test_a_patient_on_two_sides_of_a_given_split_is_refused_by_rows(tmp_path):
    source = table(
        tmp_path, rows({"view": "train", "who": "Marker"}, {"view": "test", "who": "Marker"}, {"view": "test"})
    )
    source["columns"] = {**COLUMNS, "split": "view"}
    said = r"1 patients stand on two sides .* row 0 of table \(\w{16}\) in train and row 1 of table \(\w{16}\) in test"
    with pytest.raises(InputError, match=said) as caught:
        corpus_of(source, split={"by": "column"})
    assert "Marker" not in str(caught.value)
    assert len(rows_of(source)[0]) == 3


def test_a_word_that_is_no_side_is_refused_and_an_empty_one_left_out(tmp_path):
    source = table(tmp_path, rows({"view": "train"}, {"view": ""}))
    source["columns"] = {**COLUMNS, "split": "view"}
    assert reasons(rows_of(source, split={"by": "column"})[1]) == {"does not say its split": 1}
    source = table(tmp_path, rows({"view": "train"}, {"view": "Marker"}))
    source["columns"] = {**COLUMNS, "split": "view"}
    with pytest.raises(RowRuleError, match=r"row 1 of table .* says none of train, validation and test") as caught:
        corpus_of(source, split={"by": "column"})
    assert "Marker" not in str(caught.value)
    with pytest.raises(SpecError, match=r"split\.by: column needs columns\.split of every source"):
        corpus_of({**source, "columns": COLUMNS}, split={"by": "column"})


def test_two_sources_that_call_a_patient_the_same_mean_the_same(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    sources = [
        {**table(folder, rows(*[{"who": f"p{n}"} for n in range(40)])), "name": folder.name} for folder in (one, other)
    ]
    kept = rows_of(*sources, split={"test": 0.4})[0]
    sides = {row.row: row.split for row in kept if row.source == "one"}
    assert {row.row: row.split for row in kept if row.source == "other"} == sides
    assert len(set(sides.values())) > 1


def test_a_source_that_changes_while_it_is_read_is_noticed(tmp_path):
    source = table(tmp_path, rows({}, {}, {}))
    corpus = corpus_of(source)
    table(tmp_path, rows({"file": "new.png"}, {}, {}))
    with pytest.raises(InputError, match="changed while it was read, at row 0"):
        list(corpus.rows())
    corpus = corpus_of(source)
    table(tmp_path, rows({"file": "new.png"}, {}, {}, {}))
    with pytest.raises(InputError, match="grew while it was read"):
        list(corpus.rows())


def test_the_opening_is_not_said_twice_and_may_be_none(tmp_path):
    source = table(tmp_path, rows({}, {"text": "An opening. Heart is normal."}))
    opened = rows_of({**source, "report": {"opening": "An  opening."}})[0]
    assert [row.text for row in opened] == ["An opening. Heart is normal."] * 2
    assert rows_of({**source, "report": {"opening": ""}})[0][0].text == "Heart is normal."
    assert rows_of(source)[0][0].text.startswith("The image is a radiograph of the chest")
    assert rows_of({**source, "domain": "mammogram"})[0][0].text == "Heart is normal."


def test_labels_are_taken_along_and_the_first_rows_only_if_asked(tmp_path):
    source = table(tmp_path, rows({"view": "PA"}, {"view": "AP"}))
    source["columns"] = {**COLUMNS, "labels": ["view"]}
    assert [row.labels for row in rows_of(source)[0]] == [{"view": "PA"}, {"view": "AP"}]
    assert len(rows_of({**source, "limit": 1})[0]) == 1


def test_a_table_of_which_no_image_is_there_is_refused_and_a_part_of_it_is_not(tmp_path):
    source = table(tmp_path, rows({"file": "gone1.png"}, {"file": "gone2.png"}))
    with pytest.raises(SpecError, match=r"of 2 image files that its table names none is there\. Is the share mounted"):
        corpus_of(source)
    source = table(tmp_path, rows({"file": "gone1.png"}, {}))
    assert len(rows_of(source)[0]) == 1


@pytest.mark.parametrize("values", [True, "TRUE", ["other", "true"]])
def test_one_value_or_several_are_excluded_whatever_their_case(tmp_path, values):
    source = table(tmp_path, rows({"view": "True"}, {"view": "False"}, {"view": "3"}))
    kept = rows_of({**source, "exclude": {"view": values}})[0]
    assert [row.row for row in kept] == [1, 2]


@pytest.mark.skipif(os.geteuid() == 0, reason="no file is closed to root")
def test_a_file_that_is_closed_stops_the_job_and_leaves_nothing_out(tmp_path):
    source = table(tmp_path, rows({}))
    (tmp_path / "pairs.csv").chmod(0)
    with pytest.raises(HoldingError, match="cannot be read"):
        corpus_of(source)


def test_an_outage_in_a_row_stops_the_job_and_names_no_file(tmp_path, monkeypatch):
    from medim_forge.generator.corpus import texts

    save(tmp_path / "Marker" / "scan.png", 1).with_suffix(".txt").write_text("Heart is normal.")
    corpus = corpus_of({"kind": "images", "path": str(tmp_path), "patients": "unknown"})
    assert isinstance(next(corpus.rows()), CorpusRow)

    def away(path):
        raise OSError(116, "Stale file handle", str(path))

    monkeypatch.setattr(texts, "read_file", away)
    with pytest.raises(
        HoldingError, match=r"data\.sources\[0\] \(images\) cannot be read \(Stale file handle\)"
    ) as caught:
        list(corpus.rows())
    assert "Marker" not in str(caught.value)
    assert caught.value.__cause__ is None
