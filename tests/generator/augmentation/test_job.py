"""The augmentation experiment: what each arm is trained on, what comes out, and that it comes out the same again."""

import csv
import dataclasses
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.augmentation import arms
from medim_forge.generator.augmentation import job as augment
from medim_forge.generator.augmentation.classifier import LabelledSet
from medim_forge.generator.augmentation.tables import Comparison, markdown, verdict
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.jobspec.augment import ARMS, UNSEEN_SEEDS
from medim_forge.generator.jobspec.load import parse_spec, to_yaml
from medim_forge.generator.phantoms import FINDINGS, draw, read_findings
from tests.doubles.pairs import finish_tiny, make_spec

GENERATE = {"date": "2026-11-23", "task": "joint", "prompts": [{"domain": "chest_xray", "pairs": 4}]}
FILES = ("runs.parquet", "summary.csv", "summary.md", "summary.png")


def a_spec(out, **changes):
    values = {
        "kind": "augment",
        "name": "small",
        "seed": 3,
        "real": {"pairs": 24, "test_pairs": 40},
        "synthetic": {"dataset": "nowhere"},
        "seeds": 2,
        "bootstrap": 100,
        "classifier": {"side": 12, "components": 8},
        "output": {"dir": str(out)},
    }
    return parse_spec(values | changes, source="small.yaml")


def phantoms_as_synthetic(monkeypatch, pairs=30):
    def made(spec, folder):
        drawn = [draw(spec.domain, seed) for seed in range(pairs)]
        return arms.labelled([(phantom.image, read_findings(phantom.report)) for phantom in drawn], spec)

    monkeypatch.setattr(augment, "synthetic_set", made)
    monkeypatch.setattr(augment, "dataset_digest", lambda folder: "d" * 64)


def numbered(rows, first=0):
    features = np.arange(first, first + rows, dtype=np.float32)[:, None]
    labels = (np.arange(first, first + rows)[:, None] >> np.arange(7)) & 1
    return LabelledSet(features=features, labels=labels.astype(np.bool_))


def test_arms_have_the_sizes_that_make_them_comparable():
    real, synthetic = numbered(10), numbered(25, first=100)
    made = {arm: arms.arm_set(arm, real, synthetic, np.random.default_rng(0)) for arm in ARMS}
    sizes = {arm: len(examples) for arm, examples in made.items()}
    assert sizes == {"real": 10, "real_synthetic": 35, "real_shuffled": 35, "real_duplicated": 35}
    assert all(np.array_equal(examples.features[:10], real.features) for examples in made.values())
    assert np.array_equal(made["real_synthetic"].features[10:], synthetic.features)
    assert np.array_equal(made["real_synthetic"].labels[10:], synthetic.labels)


def test_the_duplicated_arm_repeats_every_real_pair_about_as_often():
    made = arms.arm_set("real_duplicated", numbered(10), numbered(25), np.random.default_rng(0))
    counts = np.unique(made.features, return_counts=True)[1]
    assert len(counts) == 10
    assert set(counts) == {3, 4}


def test_the_shuffled_arm_moves_labels_and_nothing_else():
    real, synthetic = numbered(10), numbered(50, first=10)
    made = arms.arm_set("real_shuffled", real, synthetic, np.random.default_rng(0))
    assert np.array_equal(made.features[10:], synthetic.features)
    moved = (made.labels[10:] != synthetic.labels).any(axis=1)
    assert moved.mean() > 0.8
    assert sorted(map(tuple, made.labels[10:].tolist())) == sorted(map(tuple, synthetic.labels.tolist()))
    assert np.array_equal(made.labels[:10], real.labels)
    assert np.array_equal(numbered(50, first=10).labels, synthetic.labels)


def test_real_sets_share_no_phantom_with_each_other_or_with_training(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        arms, "draw", lambda domain, seed, held_out: seen.append(seed) or draw(domain, seed, held_out=held_out)
    )
    spec = a_spec(tmp_path)
    arms.evaluation_set(spec)
    for repetition in range(3):
        arms.train_set(spec, repetition)
    assert len(set(seen)) == len(seen) == 40 + 3 * 24
    assert min(seen) >= UNSEEN_SEEDS


@pytest.mark.slow
@pytest.mark.parametrize("domain", FINDINGS)
def test_a_run_writes_tables_plot_and_verdict_and_the_same_bytes_again(tmp_path, monkeypatch, domain):
    phantoms_as_synthetic(monkeypatch)
    events = []
    one = augment.run(a_spec(tmp_path / "one", domain=domain), on_event=events.append)
    other = augment.run(a_spec(tmp_path / "other", domain=domain))
    assert (one / "_SUCCESS").exists()
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)
    rows = pq.read_table(one / "runs.parquet").to_pylist()
    assert [(row["arm"], row["repetition"]) for row in rows] == [(arm, at) for arm in ARMS for at in range(2)]
    assert {row["train_pairs"] for row in rows} == {24, 54}
    assert all(f"f1_{name}" in rows[0] for name in FINDINGS[domain])
    with (one / "summary.csv").open() as file:
        table = list(csv.DictReader(file))
    macro = next(row for row in table if (row["arm"], row["measure"], row["versus"]) == ("real", "macro", ""))
    assert float(macro["value"]) == pytest.approx(
        np.mean([row["macro_f1"] for row in rows if row["arm"] == "real"]), abs=1e-4
    )
    assert events[-1].message.startswith("Synthetic pairs")
    assert events[-1].message in (one / "summary.md").read_text()
    assert events[-1].steps == (8, 8)


def test_a_finished_experiment_is_left_as_it_is(tmp_path, monkeypatch):
    phantoms_as_synthetic(monkeypatch)
    monkeypatch.setattr(augment, "shared", lambda synthetic, test: 5)
    spec = a_spec(tmp_path / "out")
    events = []
    out = augment.run(spec, on_event=events.append)
    assert any(event.message.startswith("warning: 5 synthetic pairs show test images") for event in events)
    assert "**5 synthetic pairs show test images" in (out / "summary.md").read_text()
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    monkeypatch.setattr(augment, "synthetic_set", None)
    assert augment.run(spec) == out
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_an_interrupted_experiment_is_finished_by_running_it_again(tmp_path, monkeypatch):
    spec = a_spec(tmp_path / "out")
    with pytest.raises(StoreError, match="no finished dataset"):
        augment.run(spec)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    phantoms_as_synthetic(monkeypatch)
    assert (augment.run(spec) / "_SUCCESS").exists()


def test_a_folder_of_another_experiment_is_refused_naming_what_differs(tmp_path, monkeypatch):
    phantoms_as_synthetic(monkeypatch)
    augment.run(a_spec(tmp_path / "out"))
    with pytest.raises(StoreError, match=r"real\.pairs: 24 -> 25"):
        augment.run(a_spec(tmp_path / "out", real={"pairs": 25, "test_pairs": 40}))


def test_synthetic_pairs_are_read_from_a_dataset_and_labelled_by_their_reports(tmp_path):
    finish_tiny(tmp_path / "data")
    spec = a_spec(tmp_path, synthetic={"dataset": str(tmp_path / "data")})
    found = arms.synthetic_set(spec, tmp_path / "data")
    # Of the 6 chest pairs one is an exact copy, which data/ leaves out; reports are those of phantoms 0, 2, 4, ...
    expected = [draw("chest_xray", index).findings for index in (0, 2, 4, 6, 10)]
    names = FINDINGS["chest_xray"]
    assert [{name for name, has in zip(names, row, strict=True) if has} for row in found.labels] == expected
    limited = a_spec(tmp_path, synthetic={"dataset": str(tmp_path / "data"), "pairs": 3})
    assert len(arms.synthetic_set(limited, tmp_path / "data")) == 3


def test_a_dataset_without_the_domain_is_refused(tmp_path):
    finish_tiny(tmp_path / "data", make_spec(prompts=[{"domain": "chest_xray", "pairs": 12}]))
    spec = a_spec(tmp_path, domain="pathology")
    monkey = arms.open_dataset(tmp_path / "data")
    assert len(monkey)
    with pytest.raises(StoreError, match="holds no"):
        arms.synthetic_set(spec.model_copy(update={"domain": "mammography"}), tmp_path / "data")


def test_the_embedded_job_runs_first_into_the_output_folder(tmp_path, monkeypatch):
    jobs = []

    def run_job(job, *, local, on_event):
        jobs.append((job, local))
        finish_tiny(tmp_path / "out" / "synthetic")

    monkeypatch.setattr("medim_forge.generator.augmentation.job.run_job", run_job)
    spec = a_spec(tmp_path / "out", synthetic={"generate": GENERATE})
    out = augment.run(spec, local=True)
    assert (out / "_SUCCESS").exists()
    assert [(job.output.dir, local) for job, local in jobs] == [(str(out / "synthetic"), True)]
    assert jobs[0][0].seed == spec.seed
    assert jobs[0][0].output.dicom is None


def test_the_digest_covers_the_embedded_job_but_not_where_it_runs(tmp_path):
    spec = a_spec(tmp_path, synthetic={"generate": GENERATE})
    elsewhere = a_spec(tmp_path / "b", synthetic={"generate": {**GENERATE, "compute": {"replicas": 5}}})
    other = a_spec(tmp_path, synthetic={"generate": {**GENERATE, "sampling": {"steps": 3}}})
    assert spec.sha256 == elsewhere.sha256
    assert spec.sha256 != other.sha256


def test_a_spec_survives_the_way_through_yaml(tmp_path):
    import yaml

    spec = a_spec(tmp_path, synthetic={"generate": GENERATE})
    assert parse_spec(yaml.safe_load(to_yaml(spec)), source="again").sha256 == spec.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthetic": {}}, "either dataset"),
        ({"synthetic": {"dataset": "a", "generate": GENERATE}}, "either dataset"),
        ({"synthetic": {"generate": {**GENERATE, "output": {"dir": "x"}}}}, "leave out output"),
        ({"synthetic": {"generate": {**GENERATE, "sampling": {"step": 1}}}}, "synthetic.generate: sampling.step"),
        ({"arms": ["real_synthetic"]}, "`real` among them"),
        ({"arms": ["real", "real"]}, "name each arm once"),
        ({"arms": ["real", "synth"]}, "arms"),
        ({"real": {"pairs": 1}}, "real.pairs"),
        ({"real": {"shift": {"contrast": 0}}}, "real.shift.contrast"),
        ({"seeds": 1}, "seeds"),
    ],
)
def test_a_wrong_spec_is_refused_with_its_key(tmp_path, changes, message):
    with pytest.raises(SpecError, match=message) as raised:
        a_spec(tmp_path, **changes)
    assert "small.yaml" in str(raised.value)


def comparison(**error_by_arm):
    random = np.random.default_rng(0)
    true = random.random((400, 3)) < 0.4
    noise = random.random((4, 400, 3))
    predicted = {arm: (100, true ^ (noise < error)) for arm, error in error_by_arm.items()}
    return Comparison.of(("a", "b", "c"), true, predicted, draws=200, seed=0)


@pytest.mark.parametrize(
    ("synthetic", "duplicated", "said"),
    [
        (0.1, 0.2, "help"),
        (0.3, 0.2, "hurt"),
        (0.2, 0.2, "make no clear difference"),
        (0.15, 0.15, "make no clear difference"),
        (0.2, 0.15, "make no clear difference"),
    ],
)
def test_the_verdict_follows_the_intervals(synthetic, duplicated, said):
    made = comparison(real=0.2, real_synthetic=synthetic, real_duplicated=duplicated, real_shuffled=0.4)
    assert verdict(made).startswith(f"Synthetic pairs {said}: macro F1 ")
    assert "their pairing of image and report matters" in verdict(made)


def test_shuffled_reports_that_do_as_well_are_said_so():
    made = comparison(real=0.2, real_synthetic=0.1, real_shuffled=0.1)
    assert "their pairing cannot be shown to matter" in verdict(made)
    assert verdict(made).startswith("Synthetic pairs make no difference that their pairing explains")
    assert "not images of patients" in verdict(made)
    made = comparison(real=0.1, real_synthetic=0.3, real_shuffled=0.3)
    assert verdict(made).startswith("Synthetic pairs make no difference that their pairing explains")


@pytest.mark.parametrize(("repetitions", "items"), [(2, 400), (4, 60)])
def test_few_repetitions_or_test_pairs_are_not_judged(repetitions, items):
    random = np.random.default_rng(0)
    true = random.random((items, 3)) < 0.4
    noise = random.random((repetitions, items, 3))
    predicted = {arm: (100, true ^ (noise < error)) for arm, error in (("real", 0.4), ("real_synthetic", 0.0))}
    made = Comparison.of(("a", "b", "c"), true, predicted, draws=200, seed=0)
    said = f"Synthetic pairs are not judged, because {repetitions} repetitions and {items} test pairs are too few"
    assert verdict(made).startswith(said)


def test_synthetic_pairs_that_are_test_images_are_counted():
    test = numbered(40)
    assert augment.shared(numbered(30, first=100), test) == 0
    assert augment.shared(numbered(30, first=35), test) == 5


def test_without_synthetic_pairs_the_verdict_says_so():
    assert verdict(comparison(real=0.2)).startswith("No arm holds synthetic pairs")
    assert "| real only | 100 |" in markdown(comparison(real=0.2), "title", ["a fact"])


def test_given_images_do_not_stand_for_synthetic_ones(tmp_path, monkeypatch):
    finish_tiny(tmp_path / "data")
    given = [dataclasses.replace(row, image_origin="given") for row in open_dataset(tmp_path / "data").rows()]
    monkeypatch.setattr(arms, "open_dataset", lambda folder: SimpleNamespace(rows=lambda domain: iter(given)))
    with pytest.raises(StoreError, match="its images were given to the job that made it, so they are not synthetic"):
        arms.synthetic_set(a_spec(tmp_path / "out"), tmp_path / "data")
