"""What training data keep to: the range of held-out data, and how far others are beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from medim_forge.model.checkpoint import EMBEDDED
from medim_forge.model.familiarity import MARGIN, measured, read_ranges, reconstruction_error, write_ranges


@pytest.fixture
def known():
    rng = np.random.default_rng(1)
    return measured(rng.uniform(2, 6, 500), rng.normal(3, 2, (500, 8)), rng.normal(-2, 0.1, 500))


def test_data_of_the_training_kind_are_within_the_limit(known):
    rng = np.random.default_rng(2)
    rows = zip(rng.uniform(2, 6, 300), rng.normal(3, 2, (300, 8)), strict=True)
    images = [known.of_image(error, row) for error, row in rows]
    assert max(images) < 1
    assert max(known.of_report(value) for value in rng.normal(-2, 0.1, 300)) < 1


def test_each_quantity_alone_tells_what_is_beyond(known):
    middle = np.full(8, 3.0)
    assert known.of_image(6 * MARGIN * 2, middle) == pytest.approx(2, rel=0.02)
    assert known.of_image(2, middle + 40) > 2
    assert known.of_report(-9) > 2
    assert known.of_report(-1) == 0


def test_ranges_are_read_back_as_they_were_written(known, tmp_path):
    assert read_ranges(tmp_path) == {}
    write_ranges(tmp_path, {"chest_xray": known})
    assert read_ranges(tmp_path) == {"chest_xray": known}


def test_a_file_that_holds_no_ranges_is_named(tmp_path):
    (tmp_path / "familiarity.json").write_text('{"chest_xray": {"size": 1}}')
    with pytest.raises(ValueError, match=r"familiarity\.json: holds no ranges .*; measure them again or remove it"):
        read_ranges(tmp_path)


def test_the_embedded_checkpoint_knows_its_range():
    assert set(read_ranges(EMBEDDED["phantom"])) == {"chest_xray", "pathology"}


def test_a_reconstruction_error_is_in_grey_levels():
    image = np.full((4, 4), 100, np.uint8)
    assert reconstruction_error(image, image + 3) == reconstruction_error(image, image - 3) == 3
