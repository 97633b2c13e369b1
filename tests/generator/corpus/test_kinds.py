"""Every kind of holding gives its twelve pairs, and docs/data.md shows jobs that run."""

from __future__ import annotations

import pickle
import re

import pytest
import yaml

from medim_forge.generator.corpus import CorpusRow, open_corpus
from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec import find_data
from medim_forge.generator.phantoms import draw
from tests.doubles.corpora import REAL, corpus_of, rows_of, section

TABLE = {"kind": "table", "columns": {"image": "file", "report": "text", "patient": "who"}}
KINDS = {
    "csv": {**TABLE, "path": "own/pairs.csv"},
    "json": {**TABLE, "path": "own/pairs.json"},
    "jsonl": {**TABLE, "table": "own/pairs.jsonl", "images": "own"},
    "images": {"kind": "images", "path": "folder", "columns": {"patient": "folder"}},
    "parquet": {"kind": "parquet", "path": "hf/data/*.parquet", "columns": {"patient": "patient_id"}},
    "huggingface": {"kind": "huggingface", "path": "hf", "columns": {"patient": "patient_id"}},
    "saved": {"kind": "huggingface", "path": "saved", "columns": {"patient": "patient_id"}},
    "webdataset": {"kind": "webdataset", "path": "tars", "columns": {"patient": "patient", "view": "view"}},
    "dataset": {"kind": "dataset", "path": "out/cxr_pairs", "allow_synthetic": True},
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", KINDS)
def test_a_holding_gives_its_pairs_and_any_row_can_be_sent_to_another_process(kind):
    kept, out = rows_of(KINDS[kind])
    assert (len(kept), out) == (12, [])
    assert len({row.patient for row in kept}) == len({row.key for row in kept}) == 12
    assert sorted("".join(re.findall(r"\d", row.report)) for row in kept) == sorted(str(n) for n in range(12))
    again = pickle.loads(pickle.dumps(kept[5]))  # noqa: S301 - our own row
    assert again == kept[5]
    assert (again.picture.pixels() == kept[5].picture.pixels()).all()
    assert again.picture.pixels().shape == (28, 24)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["huggingface", "saved"])
def test_splits_of_hugging_face_are_what_files_and_folders_are_called(kind):
    kept = rows_of(KINDS[kind], split={"by": "column"})[0]
    sides = [row.split for row in kept]
    assert (sides.count("train"), sides.count("test")) == ((8, 2) if kind == "huggingface" else (9, 3))


def test_phantoms_are_a_source_with_the_pixels_and_reports_that_are_drawn():
    drawn = {"kind": "phantoms", "domain": "chest_xray", "pairs": 3, "first_seed": 40}
    rows = list(open_corpus(section(drawn), "own.yaml").kept())
    for row, seed in zip(rows, (40, 41, 42), strict=True):
        phantom = draw("chest_xray", seed)
        assert (row.picture.pixels() == phantom.image).all()
        assert row.text == phantom.report


@pytest.mark.usefixtures("here")
def test_docs_show_jobs_that_run(repository):
    page = (repository / "docs" / "data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    named = set()
    for block in blocks:
        for job, _ in find_data(yaml.safe_load(block), "docs/data.md").values():
            rows = list(open_corpus(job, "docs/data.md").rows())
            assert {row.source for row in rows if isinstance(row, CorpusRow)} == {one.called for one in job.sources}
            named |= {source.preset or source.kind for source in job.sources}
    assert named >= {"table", "images", "huggingface", "webdataset", "dataset", "phantoms", "mimic_cxr", "pathgen"}
    assert len(blocks) >= 9


@pytest.mark.usefixtures("here")
def test_a_column_that_is_not_there_is_named_with_those_that_are():
    said = r"columns\.patient: there is no column whom \(did you mean who\?\)\. The table has: file, text, who"
    with pytest.raises(SpecError, match=said):
        corpus_of({**KINDS["csv"], "columns": {"image": "file", "report": "text", "patient": "whom"}})
    with pytest.raises(SpecError, match=r"columns\.image: there is no column scan"):
        corpus_of({**KINDS["parquet"], "columns": {"image": "scan", "patient": "patient_id"}})


@pytest.mark.usefixtures("here")
def test_without_a_patient_the_job_must_say_that_nothing_tells_them_apart():
    source = {**KINDS["csv"], "columns": {"image": "file", "report": "text"}}
    with pytest.raises(SpecError, match=r"nothing tells the patients apart.*or write patients: unknown"):
        corpus_of(source)
    kept = rows_of({**source, "patients": "unknown"})[0]
    assert len({row.patient for row in kept}) == 12


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["images", "webdataset", "parquet"])
def test_a_place_without_what_it_should_hold_is_refused(kind, tmp_path):
    with pytest.raises(SpecError, match=r"there is no image|there is no \*\.tar|names no Parquet"):
        corpus_of({**KINDS[kind], "path": str(tmp_path)})


def test_a_place_that_is_not_there_is_refused():
    with pytest.raises(SpecError, match=r"own\.yaml: data\.sources\[0\] \(images\)\.path = 'nowhere' does not exist"):
        corpus_of({"kind": "images", "path": "nowhere", "patients": "unknown", **REAL})
