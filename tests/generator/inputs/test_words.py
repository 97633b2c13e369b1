"""Word lists of the user's own: what they say, what is refused, and that a changed one does not pass unseen."""

from pathlib import Path

import pytest

from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.filters import build_decide, build_filters, score_names
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.inputs.words import LARGEST, build_judge
from medim_forge.generator.plan.plan import make_plan, plan_record
from tests.doubles.bare_pairs import Job, Rule, a_pair
from tests.doubles.toy_jobs import made
from tests.doubles.toy_replica import PARTS, toy_job

SCORES = score_names(Job())
KEY = "filters.nonwords.options.lexicon"


def nonwords(path, report):
    rule = Rule(name="nonwords", options={"lexicon": str(path)})
    return build_judge(Job(filters=(rule,)))(a_pair(report=report)).scores["nonwords"]


def job(folder, lexicon, **changes):
    rule = {"name": "nonwords", "options": {"lexicon": str(lexicon)}}
    return toy_job(folder, folder / "weights", filters=[rule], **changes)


@pytest.mark.parametrize(
    "content",
    ["swoled\n", "# our words\n\n  SWOLED  # as they say\n", "cardiac swoled state\n", "\ufeffswoled's\r\nÖdem\r\n"],
)
def test_a_file_adds_the_words_of_its_terms_one_by_one_whatever_their_case(tmp_path, content):
    path = tmp_path / "words.txt"
    path.write_text(content, encoding="utf-8", newline="")
    assert nonwords(path, "A swoled heart.") == 0
    assert nonwords(path, "A detrused Swoled's heart.") == pytest.approx(1 / 3)


def test_a_comment_adds_no_words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("isive # swoled\n")
    assert nonwords(path, "A swoled heart.") == 0.5


def test_inline_words_and_a_file_add_up_and_inline_terms_count_word_by_word(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("swoled")
    rule = Rule(name="nonwords", options={"lexicon": str(path), "words": ["Isive's detrused"]})
    assert build_judge(Job(filters=(rule,)))(a_pair(report="swoled isive detrused")).scores["nonwords"] == 0


def test_judging_reads_no_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("swoled")
    judge = build_judge(Job(filters=(Rule(name="nonwords", options={"lexicon": str(path)}),)))
    path.unlink()
    assert judge(a_pair(report="A swoled heart.")).scores["nonwords"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty but for comments"),
        (b"# nothing\n", "is empty but for comments"),
        (b"\x89PNG\r\n", r"no UTF-8 text \(byte 0\)"),
        ("swoled".encode("utf-16-le"), r"is no text \(byte 1 is 0\)"),
        (b"1; 2; 3.", "holds no word"),
        (b"word\n" * (LARGEST // 5 + 1), "is larger than 16 MiB"),
    ],
)
def test_what_is_no_list_of_words_is_refused_naming_job_key_and_file(tmp_path, content, message):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=rf"toy\.yaml: {KEY} = .*words\.txt.*{message}"):
        make_plan(job(tmp_path, path))


def test_a_missing_file_and_a_folder_are_refused_before_anything_starts(tmp_path):
    with pytest.raises(SpecError, match=rf"toy\.yaml: {KEY} = .* names no file; a relative path starts in /"):
        make_plan(job(tmp_path, "absent.txt"))
    with pytest.raises(SpecError, match="is a folder"):
        make_plan(job(tmp_path, tmp_path))


@pytest.mark.parametrize("value", [3, "", ["a.txt"]])
def test_a_lexicon_that_is_no_path_is_refused(value):
    with pytest.raises(SpecError, match="give the path of a text file"):
        build_judge(Job(filters=(Rule(name="nonwords", options={"lexicon": value}),)))


def test_a_file_that_nobody_read_is_not_taken_for_no_words():
    with pytest.raises(SpecError, match="has not been read"):
        build_filters(Job(filters=(Rule(name="nonwords", options={"lexicon": "words.txt"}),)))


def test_a_relative_path_starts_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "words.txt").write_text("swoled")
    monkeypatch.chdir(tmp_path)
    assert nonwords("words.txt", "A swoled heart.") == 0


def test_a_job_resumes_with_the_same_words_and_not_with_others(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("swoled")
    spec = made(job(tmp_path, path))
    record = plan_record(make_plan(spec), model_sha256="", versions={})
    assert list(record["words_sha256"]) == [KEY]
    run_job(spec, local=True, on_event=lambda _: None, parts=PARTS)
    path.write_text("isive")
    with pytest.raises(StoreError, match=rf"words_sha256\.{KEY}: '\w+' -> '\w+'"):
        run_job(spec, local=True, on_event=lambda _: None, parts=PARTS)
    assert (Path(spec.output.dir) / "_SUCCESS").exists()


def test_stored_scores_are_decided_without_the_file_and_cannot_be_given_another(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("swoled")
    spec = made(job(tmp_path, path))
    path.unlink()
    rule = {"name": "nonwords", "drop_above": 0.0, "options": {"lexicon": str(path)}}
    assert refilter(spec.output.dir, toy_job(tmp_path, tmp_path / "weights", filters=[rule])).before == 8
    (tmp_path / "other.txt").write_text("isive")
    with pytest.raises(SpecError, match="nonwords: its options cannot be applied to stored scores"):
        refilter(spec.output.dir, job(tmp_path, tmp_path / "other.txt"))


def test_the_rule_on_stored_scores_needs_no_words():
    rule = Rule(name="nonwords", drop_above=0.1, options={"lexicon": "absent.txt"})
    scores = dict.fromkeys(SCORES, 0.0)
    job = Job(filters=(Rule(name="report_form"), rule))
    found = build_decide(job)(scores | {"image_stats": 1.0, "std": 9.0, "nonwords": 0.2})
    assert found == ("nonwords>0.1",)
