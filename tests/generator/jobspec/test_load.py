"""Job specs: what is accepted, what is refused with which words, and what the digest covers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import KINDS, find_job, load_spec, parse_spec, to_yaml
from tests.doubles.pairs import make_spec

JOBS = sorted((Path(__file__).resolve().parents[3] / "jobs").glob("*.yaml"))


def refused(values) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(values, source="jobs/x.yaml")
    return str(caught.value)


def test_unknown_key_names_file_key_suggestion_and_known_keys(job):
    message = refused(job(sampling={"step": 64}))
    assert message == (
        "jobs/x.yaml: sampling.step is not a known key (did you mean steps?). Known: mode, method, order, text_reveal, "
        "image_reveal, steps, text_steps, guidance, text_guidance, text_temperature, image_temperature, "
        "confidence_noise, batch_size."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"promts": []}, ["promts is not a known key (did you mean prompts?)"]),
        ({"prompts": []}, ["prompts is empty", "at least one"]),
        ({"prompts": [{"domain": "chest", "pairs": 1}]}, ["prompts[0].domain = 'chest'", "did you mean chest_xray?"]),
        ({"prompts": [{"domain": "pathology", "pairs": 0}]}, ["prompts[0].pairs = 0", "give at least 1"]),
        ({"prompts": [{"domain": "pathology"}]}, ["prompts[0].pairs is missing"]),
        ({"sampling": {"steps": "many"}}, ["sampling.steps = 'many'", "give a whole number"]),
        ({"sampling": {"steps": 2.5}}, ["sampling.steps = 2.5", "give a whole number"]),
        ({"sampling": {"batch_size": True}}, ["sampling.batch_size = True"]),
        ({"sampling": {"guidance": "1e-3"}}, ["it is text: write 0.001"]),
        ({"sampling": {"guidance": float("nan")}}, ["sampling.guidance = nan", "finite"]),
        ({"sampling": {"order": "text_frist"}}, ["did you mean text_first?", "Known: text_first, joint, image_first"]),
        ({"sampling": 3}, ["sampling = 3"]),
        ({"compute": {"gpus_per_replica": 1.5}}, ["gpus_per_replica = 1.5", "whole number"]),
        ({"filters": [{"name": "agrement"}]}, ["filters[0].name = 'agrement'", "did you mean agreement?"]),
        ({"filters": [{"name": "agreement", "drop_below": 1, "drop_above": 0}]}, ["every pair would be dropped"]),
        ({"filters": [{"name": "agreement"}, {"name": "agreement"}]}, ["agreement twice"]),
        ({"output": {"dir": "out/x", "compression": "zstd"}}, ["output.compression is not a known key. Known: dir"]),
        ({"output": {"dir": "out/x", "dicom": {"sop_class": "ct"}}}, ["output.dicom.sop_class = 'ct'"]),
        ({"output": None}, ["output is missing"]),
        ({"date": None}, ["date is missing"]),
        ({"date": "2026-13-01"}, ["date = '2026-13-01'"]),
        ({"seed": -1}, ["seed = -1"]),
        ({"seed": 2**63}, [f"seed = {2**63}"]),
        ({"name": "A b"}, ["name = 'A b'"]),
        ({"kind": "generat"}, ["kind = 'generat'", "did you mean generate?"]),
        ({"kind": None}, ["kind is missing", "generate, train, augment, evaluate"]),
        ({"inputs": {"source": "phantoms", "domain": "pathology", "pairs": 1}}, ["task: joint takes prompts"]),
        ({"task": "report_to_image"}, ["task: report_to_image takes inputs"]),
        ({"task": "report_to_image", "prompts": None}, ["inputs is missing"]),
        ({"task": "image_to_report", "prompts": None, "inputs": {"source": "phantom"}}, ["inputs.source = 'phantom'"]),
        ({"task": "image_to_report", "prompts": None, "inputs": {"domain": "pathology"}}, ["inputs.source is missing"]),
        (
            {"task": "image_to_report", "prompts": None, "inputs": {"source": "phantoms", "domian": "pathology"}},
            ["inputs.domian is not a known key (did you mean domain?). Known: source, domain, pairs, seed, opening."],
        ),
    ],
)
def test_wrong_job_is_refused_saying_where_and_how_to_fix(job, changes, words):
    message = refused(job(**changes))
    assert all(line.startswith("jobs/x.yaml: ") for line in message.splitlines())
    for word in words:
        assert word in message


def test_every_mistake_is_reported_at_once(job):
    message = refused(job(seed=-1, sampling={"steps": 0, "stepz": 1}))
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\nseed: 2\n", [":2:1", "seed is given twice"]),
        ("sampling: {steps: 1, steps: 2}\n", ["steps is given twice"]),
        ("kind: [generate\n", ["is not a job file"]),
        ("- generate\n", ["holds no mapping"]),
        ("", ["is empty"]),
        ("date: 2026-02-30\n", ["is not a job file", "day"]),
    ],
)
def test_file_that_is_no_job_is_refused_with_the_place(tmp_path, text, words):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_spec(tmp_path / "b.yaml")


def test_out_replaces_the_output_folder_only(tmp_path, job):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(job()))
    plain, moved = load_spec(path), load_spec(path, out="/data/x")
    assert moved.output.dir == "/data/x"
    assert moved.output.dicom == plain.output.dicom
    assert moved.sha256 == plain.sha256


def test_spec_is_frozen(spec):
    with pytest.raises(ValueError, match="frozen"):
        spec().seed = 8


def test_written_spec_reads_back_equal(tmp_path, spec):
    path = tmp_path / "spec.yaml"
    for made in (
        spec(),
        spec(filters=[{"name": "image_stats", "options": {"min_std": 3.0}}], output={"dir": "d", "dicom": None}),
    ):
        path.write_text(to_yaml(made))
        again = load_spec(path)
        assert again.model_dump() == made.model_dump()
        assert again.sha256 == made.sha256


FREE = [
    {"compute": {"pairs_per_shard": 3, "replicas": 8}},
    {"compute": {"pairs_per_shard": 3, "gpus_per_replica": 0.5}},
    {"compute": {"pairs_per_shard": 3, "shard_deadline_s": 1}},
    {"compute": {"pairs_per_shard": 3, "max_retries": 0}},
    {"compute": {"pairs_per_shard": 3, "max_quarantined": 9}},
    {"output": {"dir": "elsewhere"}},
]
FIXED = [
    {"name": "other"},
    {"seed": 8},
    {"date": "2026-11-24"},
    {"model": {"checkpoint": "/data/medim"}},
    {"model": {"dtype": "bfloat16"}},
    {"prompts": [{"domain": "chest_xray", "pairs": 5}, {"domain": "pathology", "pairs": 4}]},
    {"compute": {"pairs_per_shard": 4}},
    {"compute": {"pairs_per_shard": 3, "threads_per_replica": 2}},
    {"sampling": {"batch_size": 8}},
    {"filters": [{"name": "agreement", "drop_below": 0.1}]},
    {"output": {"dir": "out/small", "dicom": None}},
]


@pytest.mark.parametrize("changes", FREE, ids=str)
def test_digest_ignores_what_changes_no_byte(spec, changes):
    assert spec(**changes).model_dump() != spec().model_dump()
    assert spec(**changes).sha256 == spec().sha256


@pytest.mark.parametrize("changes", FIXED, ids=str)
def test_digest_covers_what_changes_bytes(spec, changes):
    assert spec(**changes).sha256 != spec().sha256


def test_digest_does_not_depend_on_how_the_job_is_written(spec):
    assert spec(sampling={"guidance": 2, "steps": 16}).sha256 == spec(sampling={"steps": 16}).sha256
    assert (
        spec(prompts=[{"pairs": 5, "domain": "chest_xray"}, {"domain": "pathology", "pairs": 3}]).sha256
        == spec().sha256
    )


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**63 - 1),
    steps=st.integers(1, 4096),
    guidance=st.floats(0, 1e3),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40),
)
def test_any_valid_job_survives_writing_and_reading(spec, tmp_path, seed, steps, guidance, text):
    made = spec(
        seed=seed,
        sampling={"steps": steps, "guidance": guidance},
        prompts=[{"domain": "chest_xray", "text": text, "pairs": 1}],
    )
    path = tmp_path / "spec.yaml"
    path.write_text(to_yaml(made), encoding="utf-8")
    assert load_spec(path).sha256 == made.sha256


@given(
    st.dictionaries(
        st.sampled_from(sorted(GenerateSpec.model_fields)) | st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=8,
        ),
    ),
    st.sampled_from(sorted(KINDS)),
)
def test_no_content_ends_in_anything_but_a_spec_or_a_spec_error(values, kind):
    try:
        parse_spec({**values, "kind": kind}, source="x.yaml")
    except SpecError as error:
        assert str(error).startswith("x.yaml: ")  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_every_shipped_job_is_valid_and_named_after_its_file(path):
    assert load_spec(path).name == path.stem


@pytest.mark.parametrize("place", ["s3://bucket/prefix", "s3://my.bucket-1/a/b_c=2/", "/data/x", "out/x"])
def test_an_output_is_a_folder_or_a_prefix_of_a_bucket(spec, place):
    assert spec(output={"dir": place}).output.dir == place


@pytest.mark.parametrize(
    "place", ["s3://bucket", "s3://bucket/", "s3://Bucket/x", "gs://b/x", "s3://b/x", "s3://bu/x?y"]
)
def test_other_urls_are_refused_with_the_form_that_works(spec, place):
    with pytest.raises(SpecError, match=r"output\.dir.*s3://bucket/prefix"):
        spec(output={"dir": place})


def test_only_datasets_go_to_an_object_store():
    with pytest.raises(SpecError, match=r"output\.dir.*only the dataset of kind: generate"):
        parse_spec({"kind": "evaluate", "name": "x", "output": {"dir": "s3://bucket/x"}}, source="x.yaml")


def test_where_the_output_lies_is_not_part_of_the_digest(spec):
    assert spec(output={"dir": "s3://bucket/x"}).sha256 == spec(output={"dir": "out/x"}).sha256


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_a_bundled_job_is_found_by_its_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_job(path.stem).read_bytes() == path.read_bytes()
    assert load_spec(path.stem) == load_spec(path)


def test_a_file_of_that_name_goes_first_and_a_folder_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").mkdir()
    assert find_job("quickstart").name == "quickstart.yaml"
    Path("cxr_pairs").write_text("kind: generate")
    assert find_job("cxr_pairs") == Path("cxr_pairs")


@pytest.mark.parametrize("name", ["quickstart.yml", "jobs/quickstart", "./x/quickstart"])
def test_what_is_no_bare_name_is_a_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_job(name) == Path(name)
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(name)


def test_an_unknown_name_is_refused_with_the_names_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"quickstrt: is neither .*mean quickstart\?.*cxr_pairs, .*train_phantom"):
        load_spec("quickstrt")


def test_a_temperature_that_is_hardly_above_0_is_refused():
    with pytest.raises(SpecError, match=r"sampling\.text_temperature = 1e-40: .*0\.0001"):
        make_spec(sampling={"text_temperature": 1e-40})
    assert make_spec(sampling={"text_temperature": 1e-4}).sampling.text_temperature == 1e-4
