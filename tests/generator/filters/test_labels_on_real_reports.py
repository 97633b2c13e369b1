"""Labels and words of real reports, where torchxrayvision is installed, whose wheel holds reports and their codes.

It is no dependency: without it the tests are skipped. Nothing is written, and no text of the reports is shown.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.labeler import agreement, coded, contradictory, indiana, nonwords

LEAST = {
    # precision and recall; codes name doubtful findings too, and leave out what did not seem to matter
    "pneumothorax": (0.75, 0.75),
    "pleural_effusion": (0.85, 0.70),
    "edema": (0.80, 0.70),
    "cardiomegaly": (0.82, 0.82),
    "atelectasis": (0.82, 0.80),
    "consolidation": (0.60, 0.75),
}


@pytest.fixture(scope="module")
def reports():
    found = find_spec("torchxrayvision")
    if found is None or found.origin is None:
        pytest.skip("torchxrayvision is not installed")
    archive = Path(found.origin).parent / "data" / "NLMCXR_reports.tgz"
    if not archive.is_file():
        pytest.skip("this torchxrayvision holds no reports")
    return list(indiana(archive))


def test_labels_agree_with_the_codes(reports):
    figures = agreement(reports, coded)
    assert {
        name: (figures[name]["precision"], figures[name]["recall"])
        for name, (precision, recall) in LEAST.items()
        if figures[name]["precision"] < precision or figures[name]["recall"] < recall
    } == {}


def test_one_report_in_a_hundred_seems_to_contradict_itself_at_most(reports):
    assert contradictory(reports) <= 0.01


def test_one_word_in_a_hundred_is_called_none_at_most(reports):
    assert nonwords(reports) <= 0.01
