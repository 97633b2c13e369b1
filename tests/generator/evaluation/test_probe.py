"""The probe: learns, repeats itself, survives a file, and sees what the tokenizer lets through."""

import numpy as np
import pytest
import torch

from medim_forge.generator.evaluation.probe import (
    BATCH,
    CLEAN_EVERY,
    drawn,
    load_probe,
    reconstructed,
    train_probe,
    validate,
)
from medim_forge.generator.phantoms import FINDINGS


def clean(images):
    return images


def blank(images):
    return np.zeros_like(images)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("domain", FINDINGS)
def test_a_saved_probe_reads_the_same_findings(domain, tmp_path):
    probe = train_probe(domain, clean, seed=0, images=BATCH, passes=1)
    pixels, labels = drawn(domain, 0, 8)
    probe.save(tmp_path / "probe.safetensors")
    again = load_probe(tmp_path / "probe.safetensors")
    assert again.domain == domain
    assert np.array_equal(again.probabilities(pixels), probe.probabilities(pixels))
    assert probe.predict(pixels).shape == labels.shape == (8, len(FINDINGS[domain]))


def test_training_repeats_itself_and_depends_on_its_seed():
    pixels, _ = drawn("chest_xray", 0, 4)
    made = [
        train_probe("chest_xray", clean, seed=seed, images=BATCH, passes=1).probabilities(pixels) for seed in (0, 0, 1)
    ]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_most_training_images_go_through_the_tokenizer_and_some_do_not():
    seen = []
    train_probe("chest_xray", lambda images: seen.append(len(images)) or images, seed=0, images=2 * BATCH, passes=1)
    assert sum(seen) == 2 * BATCH * (CLEAN_EVERY - 1) // CLEAN_EVERY


def test_a_tokenizer_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match="it must keep both"):
        reconstructed(np.zeros((3, 8, 8), dtype=np.uint8), lambda images: images[:, :4])


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="at least one batch"):
        train_probe("chest_xray", clean, seed=0, images=BATCH - 1, passes=1)


def test_a_probe_of_other_findings_is_refused(tmp_path, monkeypatch):
    train_probe("chest_xray", clean, seed=0, images=BATCH, passes=1).save(tmp_path / "probe.safetensors")
    monkeypatch.setattr("medim_forge.generator.evaluation.probe.FINDINGS", {"chest_xray": ("wings",)})
    with pytest.raises(ValueError, match="train the probe again"):
        load_probe(tmp_path / "probe.safetensors")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("domain", "images"), [("chest_xray", 2000), ("pathology", 1250)])
def test_a_probe_reads_clean_phantoms_and_nothing_off_blank_images(domain, images):
    probe = train_probe(domain, clean, seed=0, images=images, passes=4)
    assert validate(probe, clean, images=300).macro_f1 > 0.9
    assert validate(probe, blank, images=300).macro_f1 < 0.5
