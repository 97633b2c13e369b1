"""Holdings of image-report pairs as people have them, twelve patients each: published layouts, tables, archives, DICOM.

`make(root)` writes all of them below one folder, each as the page docs/data.md calls it, with the traps that the real
ones have. Images are noise of their own seed, so that none is like another.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.doubles.dicom_holdings import write_image, write_pages, write_report
from tests.doubles.noise import picture, save
from tests.doubles.stored_holdings import own_dataset, parquet, saved, webdataset

PATIENTS = 12
MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old with cough.

 FINDINGS:

 Heart {number} is normal. There is no effusion since ___.

 IMPRESSION:

 No acute process.
"""


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    content = stream.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def mimic_cxr(root: Path) -> None:
    """Two images a study and one report, in the other release; one study has an impression alone, one nothing."""
    images, reports = root / "mimic-cxr-jpg", root / "mimic-cxr"
    metadata, split = [], []
    for patient in range(PATIENTS):
        subject, study = f"1000{patient:04}", f"5000{patient:04}"
        folder = f"files/p{subject[:2]}/p{subject}"
        for number, view in enumerate(("LATERAL", "AP" if patient % 3 else "PA")):
            name = f"{patient:08x}-{number}"
            metadata.append({"dicom_id": name, "subject_id": subject, "study_id": study, "ViewPosition": view})
            split.append({"dicom_id": name, "split": ("train", "validate", "test")[patient % 3]})
            if (patient, number) != (11, 1):  # the one image that was not downloaded
                save(images / folder / f"s{study}" / f"{name}.jpg", 100 + 2 * patient + number)
        text = MIMIC.format(number=patient)
        if patient == 1:
            text = " FINAL REPORT\n IMPRESSION: Small left effusion.\n"
        if patient == 2:
            text = " WET READ: no change.\n"
        if patient != 3:  # the one report that was not downloaded
            (reports / folder).mkdir(parents=True, exist_ok=True)
            (reports / folder / f"s{study}.txt").write_text(text)
    write_csv(images / "mimic-cxr-2.0.0-metadata.csv.gz", metadata)
    write_csv(images / "mimic-cxr-2.0.0-split.csv.gz", split)


def chexpert_plus(root: Path) -> None:
    """The PNG release, whose suffix the table does not have; findings in three of twelve."""
    folder = root / "chexpert_plus"
    rows = []
    for patient in range(PATIENTS):
        path = f"train/patient{patient:05}/study1/view1_frontal.jpg"
        save(folder / path.replace(".jpg", ".png"), 200 + patient)
        findings = f"Clear lungs, heart {patient} normal." if patient % 4 == 0 else ""
        rows.append(
            {
                "path_to_image": path,
                "frontal_lateral": "Frontal",
                "ap_pa": "AP" if patient % 2 else "",
                "deid_patient_id": f"patient{patient:05}",
                "patient_report_date_order": 1,
                "report": f"1. Impression {patient}",
                "section_findings": findings,
                "section_impression": f"No acute change, case {patient}.",
                "split": "valid" if patient == 7 else "train",
            }
        )
    write_csv(folder / "df_chexpert_plus_240401.csv", rows)


def padchest(root: Path) -> None:
    """16-bit PNG with one hot pixel; reports in Spanish, stemmed."""
    folder, rows = root / "padchest", []
    for patient in range(PATIENTS):
        name = f"{patient:012}_scan.png"
        deep = np.asarray(picture(300 + patient), np.uint16) * 11 + 1000
        deep[0, 0] = 65535
        (folder / "images" / "0").mkdir(parents=True, exist_ok=True)
        Image.fromarray(deep).save(folder / "images" / "0" / name)
        view = ("PA", "L", "AP_horizontal")[patient % 3]
        report = f"sin hallazg patolog signific {patient}" if patient else "nan"
        rows.append(
            {
                "ImageID": name,
                "ImageDir": "0",
                "StudyID": f"s{patient}",
                "PatientID": f"p{patient}",
                "Projection": view,
                "Report": report,
                "Labels": "['normal']",
            }
        )
    write_csv(folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", rows)


def iu_xray(root: Path) -> None:
    """Two projections a study; XXXX where a word was removed; one report has no impression."""
    folder, reports, projections = root / "iu_xray", [], []
    for uid in range(1, PATIENTS + 1):
        impression = "" if uid == 5 else "No acute pulmonary XXXX."
        reports.append({"uid": uid, "MeSH": "normal", "findings": f"Heart {uid} is normal.", "impression": impression})
        for view in ("Frontal", "Lateral"):
            name = f"{uid}_IM-0001-{view}.dcm.png"
            projections.append({"uid": uid, "filename": name, "projection": view})
            save(folder / "images_normalized" / name, 400 + 2 * uid + (view == "Lateral"))
    write_csv(folder / "indiana_reports.csv", reports)
    write_csv(folder / "indiana_projections.csv", projections)


def pathgen(root: Path) -> None:
    """Two patches of each slide; the slides are no slides, for OpenSlide is not needed to know whose they are."""
    folder, rows = root / "pathgen", []
    for patient in range(PATIENTS):
        slide = f"TCGA-AA-{patient:04}-01Z-00-DX1.abc"
        path = folder / "tcga" / f"file-{patient}" / f"{slide}.svs"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no slide")
        for x in (0, 672):
            caption = f"Tissue {patient} with glands."
            rows.append({"wsi_id": slide, "position": [str(x), "0"], "caption": caption, "file_id": f"file-{patient}"})
        # The same as patches that somebody cut.
        patch = save(folder / "patches" / f"{slide}_0_0.png", 500 + patient)
        patch.with_suffix(".txt").write_text(f"Tissue {patient} with glands.")
    (folder / "PathGen-1.6M.json").write_text(json.dumps(rows, indent=1))


def pacs_csv(root: Path) -> None:
    """A German export with semicolons; a burned-in image, one without a row, a report with the patient's name."""
    rows = []
    for patient in range(PATIENTS):
        study = f"1.2.3.{patient}"
        burned = "YES" if patient == 4 else "NO"
        view = "LATERAL" if patient == 5 else "PA"
        write_image(
            root / "pacs" / "dicom" / f"{patient:02}",
            picture(600 + patient),
            study=study,
            instance=f"{study}.1",
            patient=f"P{patient:03}",
            name=f"Doe{patient}Marker^Jane",
            view=view,
            burned_in=burned,
        )
        text = f"Befund: Herz {patient} normal groß.\nBeurteilung: Kein Erguss."
        if patient == 6:
            text += " Frau Doe6Marker wurde informiert."
        if patient != 7:
            rows.append({"AccessionNumber": f"A{study}", "ReportText": text})
    write_csv(root / "pacs" / "export.csv", rows, ";")


def dicom_sr(root: Path) -> None:
    """Structured reports among the images; one study has a PDF, one no report, one an addendum that is later."""
    folder = root / "sr"
    for patient in range(PATIENTS):
        study = f"1.2.4.{patient}"
        write_image(
            folder / f"p{patient:02}" / "image.dcm",
            picture(700 + patient),
            study=study,
            instance=f"{study}.1",
            patient=f"P{patient:03}",
            name=f"Roe{patient}Marker^John",
            view="PA",
            burned_in="NO",
        )
        if patient == 8:
            write_pages(folder / "p08" / "report.dcm", study)
        elif patient != 9:
            write_report(folder / f"p{patient:02}" / "report.dcm", study, f"Heart {patient} is normal.", "No effusion.")
    write_report(folder / "p03" / "later.dcm", "1.2.4.3", "Heart 3 is enlarged.", "Cardiomegaly.", at="20260102")


def tables(root: Path) -> None:
    """One's own table, as CSV, JSON and JSON lines."""
    folder, rows = root / "own", []
    for patient in range(PATIENTS):
        save(folder / "images" / f"{patient}.png", 800 + patient)
        rows.append(
            {"file": f"images/{patient}.png", "text": f"Heart {patient} is normal, lungs clear.", "who": f"w{patient}"}
        )
    write_csv(folder / "pairs.csv", rows)
    (folder / "pairs.json").write_text(json.dumps(rows))
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))


def folder_of_images(root: Path) -> None:
    """`name.png` with `name.txt` beside it, a folder for each patient."""
    for patient in range(PATIENTS):
        path = save(root / "folder" / f"patient{patient:02}" / "scan.png", 900 + patient)
        path.with_suffix(".txt").write_text(f"Heart {patient} is normal.")
    (root / "folder" / "notes.docx").write_bytes(b"x")


ALL: tuple[Callable[[Path], None], ...] = (
    *(mimic_cxr, chexpert_plus, padchest, iu_xray, pathgen, pacs_csv, dicom_sr),
    *(tables, folder_of_images, parquet, saved, webdataset, own_dataset),
)


def make(root: Path, which: Iterable[Callable[[Path], None]] = ALL) -> Path:
    """The holdings are there, below the folder."""
    for write in which:
        write(root)
    return root
