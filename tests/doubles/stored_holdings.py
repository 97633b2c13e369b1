"""Holdings whose images stand in tables and archives; see `holdings.py`."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from tests.doubles.noise import picture, png

PATIENTS = 12


def parquet(root: Path) -> None:
    """Hugging Face: images as structs, tables that are named by their split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / "hf" / "data"
    folder.mkdir(parents=True)
    for name, patients in (("train", range(8)), ("validation", range(8, 10)), ("test", range(10, 12))):
        columns = {
            "image": [{"bytes": png(1000 + patient), "path": f"{patient}.png"} for patient in patients],
            "report": [f"Heart {patient} is normal." for patient in patients],
            "patient_id": [f"p{patient}" for patient in patients],
        }
        pq.write_table(pa.table(columns), folder / f"{name}-00000-of-00001.parquet", row_group_size=3)


def saved(root: Path) -> None:
    """What the library `datasets` writes with `save_to_disk`."""
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "report": datasets.Value("string"), "patient_id": datasets.Value("string")}
    )
    parts = {}
    for name, patients in (("train", range(9)), ("test", range(9, 12))):
        rows = {
            "image": [picture(1100 + patient) for patient in patients],
            "report": [f"Heart {patient} is normal." for patient in patients],
            "patient_id": [f"p{patient}" for patient in patients],
        }
        parts[name] = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(parts).save_to_disk(str(root / "saved"))


def webdataset(root: Path) -> None:
    """Two archives of `key.png`, `key.txt`, `key.json`."""
    (root / "tars").mkdir()
    for number, patients in enumerate((range(7), range(7, 12))):
        with tarfile.open(root / "tars" / f"shard-{number:05}.tar", "w") as archive:
            for patient in patients:
                fields = {"patient": f"p{patient}", "view": "PA"}
                _add(archive, f"{patient:05}.png", png(1200 + patient))
                _add(archive, f"{patient:05}.txt", f"Heart {patient} is normal.".encode())
                _add(archive, f"{patient:05}.json", json.dumps(fields).encode())


def own_dataset(root: Path) -> None:
    """A finished dataset of ours, as far as it is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (root / "out" / "cxr_pairs" / "data").mkdir(parents=True)
    columns = {
        "pair_id": [f"abc-{number}" for number in range(PATIENTS)],
        "image": [{"bytes": png(1300 + number), "path": None} for number in range(PATIENTS)],
        "report": [f"Heart {number} is normal." for number in range(PATIENTS)],
    }
    pq.write_table(pa.table(columns), root / "out" / "cxr_pairs" / "data" / "train-00000-of-00001.parquet")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
