"""The view that a report states, where it states one beyond doubt."""

from __future__ import annotations

import pytest

from medim_forge.generator.phantoms import draw
from medim_forge.generator.writers.dicom.view import stated_view


@pytest.mark.parametrize(
    ("report", "view"),
    [
        ("PA view. Clear lungs.", "PA"),
        ("Portable AP projection.", "AP"),
        ("A single AP radiograph was obtained.", "AP"),
        ("Upright posteroanterior radiograph.", "PA"),
        ("Antero-posterior chest film.", "AP"),
        ("AP view. The prior PA view showed an effusion.", "AP"),
        ("Compared with the previous PA radiograph, no change.", None),
        ("PA and lateral views of the chest.", None),
        ("PA view. A lateral radiograph shows the same.", None),
        ("Two views: PA view.", None),
        ("PA view. AP view.", None),
        ("The main PA is enlarged; the AP window is full.", None),
        ("The anteroposterior diameter is increased.", None),
        ("There is a left lateral effusion.", None),
        ("Clear lungs.", None),
        ("", None),
    ],
)
def test_the_view_is_the_one_that_the_report_states_beyond_doubt(report, view):
    assert stated_view(report) == view


def test_every_drawn_chest_report_states_the_view_that_was_drawn():
    drawn = [draw("chest_xray", seed) for seed in range(60)]
    assert {phantom.attributes["view"] for phantom in drawn} == {"PA", "AP"}
    assert [stated_view(phantom.report) for phantom in drawn] == [phantom.attributes["view"] for phantom in drawn]
