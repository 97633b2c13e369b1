"""What users do with a finished dataset, with their own tools; it has a dropped pair, a copy and a quarantined row."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pydicom
import pytest

from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.finalise import read_manifest
from medim_forge.generator.store import store_at
from tests.doubles.pairs import finish_tiny, make_pair

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEPT = [0, 1, 2, 3, 4, 6, 7, 9, 10]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("consumption") / "out"
    finish_tiny(out)
    counts = read_manifest(store_at(out))["counts"]
    assert (counts["dropped"], counts["duplicates"], counts["quarantined"]) == (1, 1, 1)
    return out


def run(repository: Path, tmp_path: Path, script: str, **environment: str) -> str:
    """Runs a user's script in a process of its own: these libraries leave threads and settings behind."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=repository,
        env={**os.environ, "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_hugging_face_datasets_loads_the_folder_as_images_and_reports(repository, folder, tmp_path):
    script = f"""
        import datasets
        train = datasets.load_dataset({str(folder)!r}, split="train")
        assert train["pair_index"][:] == {KEPT}, train["pair_index"][:]
        assert isinstance(train.features["image"], datasets.Image)
        assert train.features["score_agreement"] == datasets.Value("float32")
        assert train[0]["image"].size == (96, 96) and train[0]["image"].mode == "L"
        assert train[1]["image"].mode == "RGB"
        assert train[0]["report"] and all(train["synthetic"])
        assert len(train.filter(lambda row: row["domain"] == "pathology")) == 4
        print("done")
    """
    offline = {"HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    assert run(repository, tmp_path, script, **offline) == "done\n"


def test_ray_data_reads_the_data_folder(repository, folder, tmp_path):
    script = f"""
        import tempfile
        import ray
        with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as short:
            ray.init("local", num_cpus=1, include_dashboard=False, _temp_dir=short, log_to_driver=False)
            rows = ray.data.read_parquet({str(folder / "data")!r}).take_all()
            ray.shutdown()
        assert sorted(row["pair_index"] for row in rows) == {KEPT}
        assert all(row["image"]["bytes"].startswith(b"\\x89PNG") for row in rows)
        print("done")
    """
    assert run(repository, tmp_path, script, RAY_USAGE_STATS_ENABLED="0").endswith("done\n")


def test_torch_takes_the_dataset_by_position_and_by_row_group_with_workers(repository, folder, tmp_path):
    script = f"""
        import torch
        from torch.utils.data import DataLoader, IterableDataset, get_worker_info
        from generator.dataset import open_dataset

        dataset = open_dataset({str(folder)!r})

        class Pairs(IterableDataset):
            def __iter__(self):
                worker = get_worker_info()
                return dataset.rows(part=worker.id if worker else 0, parts=worker.num_workers if worker else 1)

        def tensors(rows):
            return [(row.pair_index, torch.from_numpy(row.pixels().copy()), row.report) for row in rows]

        shuffled = DataLoader(dataset, batch_size=4, shuffle=True, num_workers=1, collate_fn=tensors)
        found = [item for batch in shuffled for item in batch]
        assert sorted(index for index, _, _ in found) == {KEPT}
        assert all(image.dtype == torch.uint8 and image.shape[:2] == (96, 96) for _, image, _ in found)
        for workers in (0, 2):
            loader = DataLoader(Pairs(), batch_size=4, num_workers=workers, collate_fn=tensors)
            assert sorted(index for batch in loader for index, _, _ in batch) == {KEPT}
        print("done")
    """
    assert run(repository, tmp_path, script, OMP_NUM_THREADS="1") == "done\n"


def test_pydicom_reads_every_object_and_every_kept_row_has_its_two(folder):
    paths = sorted(folder.rglob("*.dcm"))
    assert len(paths) == 20
    objects = {path.relative_to(folder).as_posix(): pydicom.dcmread(path) for path in paths}
    assert all(dataset.SyntheticData == "YES" for dataset in objects.values())
    assert len({dataset.SOPInstanceUID for dataset in objects.values()}) == 20
    for row in open_dataset(folder).rows():
        image = objects[row.dicom_path]
        assert image.SOPInstanceUID == row.sop_instance_uid
        assert image.pixel_array.shape == make_pair(row.pair_index).image.shape
