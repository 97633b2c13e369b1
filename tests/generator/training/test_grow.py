"""A grown backbone keeps what the older one knows, row by row and answer by answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import SpecError
from medim_forge.generator.generate import run_job
from medim_forge.generator.phantoms import OPENING, draw
from medim_forge.generator.training.grow import grown
from medim_forge.generator.training.report_words import learn_report_tokenizer, unused_ids
from medim_forge.model import checkpoint
from medim_forge.model.config import MedimConfig
from medim_forge.model.layout import Codebook
from tests.doubles.pairs import make_spec
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint

KEPT = {"chest_xray": "chest_xray", "pathology": "pathology"}
OWN = learn_report_tokenizer(
    [(str(seed), draw("chest_xray", seed).report) for seed in range(30)], 600, [OPENING["chest_xray"]]
)


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> checkpoint.Checkpoint:
    return checkpoint.load(write_tiny_checkpoint(tmp_path_factory.mktemp("old")))


def sized(old: checkpoint.Checkpoint, **layout: object) -> MedimConfig:
    """The old sizes with another layout, and learned positions as long as that."""
    changed = replace(old.config.layout, **layout)
    tokenizers = tuple(
        replace(next((own for own in old.config.image_tokenizers if own.domains == book.domains),
                     old.config.image_tokenizers[0]), domains=book.domains, n_embed=book.size)
        for book in changed.codebooks
    )  # fmt: skip
    backbone = replace(old.config.backbone, learned_positions=changed.length())
    return replace(old.config, layout=changed, backbone=backbone, image_tokenizers=tokenizers)


def test_without_new_sizes_nothing_changes(old):
    new = grown(old, old.config, old.text, images_like=KEPT, seed=0)
    for name, value in old.backbone.state_dict().items():
        assert torch.equal(new.state_dict()[name], value), name


def test_with_another_domain_the_answers_about_old_ids_are_the_same_bits(old):
    books = (*old.config.layout.codebooks, Codebook(domains=("mammogram",), size=512))
    config = sized(old, codebooks=books)
    new = grown(old, config, old.text, images_like={**KEPT, "mammogram": "chest_xray"}, seed=0).eval()
    state = torch.randint(10, 100, (2, config.layout.state_slots), generator=torch.Generator().manual_seed(0))
    state[:, 24:] = config.layout.mask_id
    sigma = torch.tensor([0.3, 1.5])
    before = old.backbone.logits(old.backbone(*old.config.layout.sequence(state), sigma))
    after = new.logits(new(*config.layout.sequence(state), sigma))
    assert torch.equal(after[..., : before.shape[-1]], before)
    # The new codes begin as those of the tokenizer that they continue.
    start, stop = old.config.layout.code_range("chest_xray")
    assert torch.equal(after[..., slice(*config.layout.code_range("mammogram"))], before[..., start:stop])


def test_a_new_piece_is_the_mean_of_the_old_pieces_that_spell_it(old):
    config = sized(old, report_vocab=len(OWN), report_ids=(), unused_ids=(6,))
    new = grown(old, config, OWN, images_like=KEPT, seed=0)
    rows, before = new.embed_tokens.weight, old.backbone.embed_tokens.weight
    number = next(i for i in range(len(OWN)) if OWN.piece(i) == " heart")
    assert torch.allclose(rows[number], before[old.text.encode(" heart")[1:]].mean(0), atol=1e-7)
    opening = OWN.encode(OPENING["chest_xray"])[1]
    assert torch.equal(rows[opening], before[old.text.encode(OPENING["chest_xray"])[1]])
    for name in ("pad_id", "bos_id", "end_id", "boi_id", "eoi_id", "eos_id", "mask_id"):
        assert torch.equal(rows[getattr(config.layout, name)], before[getattr(old.config.layout, name)]), name
    start, stop = config.layout.code_range("pathology")
    assert torch.equal(rows[start:stop], before[slice(*old.config.layout.code_range("pathology"))])


def test_a_piece_that_the_old_words_cannot_spell_begins_in_their_middle(old):
    korean = learn_report_tokenizer([(str(row), "흉부 심장 정상") for row in range(5)], 400)
    config = sized(old, report_vocab=len(korean), report_ids=(), unused_ids=(6,))
    rows = grown(old, config, korean, images_like=KEPT, seed=0).embed_tokens.weight
    number = next(i for i in range(len(korean)) if korean.piece(i) == " 심장")
    middle = old.backbone.embed_tokens.weight[old.config.layout.report_content()].mean(0)
    assert torch.allclose(rows[number], middle, atol=1e-7)


def test_codes_that_nobody_knows_are_spread_like_the_known_ones_and_named_by_the_seed(old):
    books = (Codebook(domains=("mammogram",), size=1024),)
    config = sized(old, codebooks=books)
    rows, again, other = (
        grown(old, config, old.text, images_like={}, seed=seed).embed_tokens.weight for seed in (1, 1, 2)
    )
    assert torch.equal(rows, again)
    assert not torch.equal(rows, other)
    known = old.backbone.embed_tokens.weight.detach()[old.config.layout.image_offset :]
    drawn = rows.detach()[config.layout.image_offset :]
    assert abs(float(drawn.std() / known.std()) - 1) < 0.1


def test_positions_stay_where_they_were_and_the_last_one_is_repeated(old):
    config = sized(old, report_slots=40)
    new, before = grown(old, config, old.text, images_like=KEPT, seed=0).positions, old.backbone.positions
    assert torch.equal(new[: 146 + 24], before[: 146 + 24])
    assert all(torch.equal(row, before[146 + 23]) for row in new[146 + 24 : 146 + 40])
    assert torch.equal(new[-1], before[-1])


def test_a_larger_grid_has_the_old_one_between_its_places(old):
    tokenizers = tuple(replace(own, resolution=128) for own in old.config.image_tokenizers)
    layout = replace(old.config.layout, image_slots=256)
    config = replace(
        old.config,
        layout=layout,
        image_tokenizers=tokenizers,
        backbone=replace(old.config.backbone, learned_positions=layout.length()),
    )
    new, before = grown(old, config, old.text, images_like=KEPT, seed=0).positions, old.backbone.positions
    assert torch.allclose(new[1], before[1], atol=1e-6)
    assert torch.allclose(new[1:257].mean(0), before[1:145].mean(0), atol=0.02)


def test_other_widths_cannot_be_grown_into(old):
    wider = replace(old.config, backbone=replace(old.config.backbone, intermediate_size=128, layers=3))
    with pytest.raises(SpecError, match=r"more differs: intermediate_size 64 -> 128, layers 2 -> 3\. Keep the sizes"):
        grown(old, wider, old.text, images_like=KEPT, seed=0)


@pytest.mark.parametrize(
    ("images_like", "size", "match"),
    [
        ({"mammogram": "fundus"}, 512, "no image tokenizer of fundus; it has chest_xray, pathology"),
        ({"mammogram": "chest_xray"}, 256, "256 image codes cannot continue the 512 of chest_xray"),
    ],
)
def test_codes_that_cannot_be_continued_are_refused(old, images_like, size, match):
    config = sized(old, codebooks=(Codebook(domains=("mammogram",), size=size),))
    with pytest.raises(SpecError, match=match):
        grown(old, config, old.text, images_like=images_like, seed=0)


@pytest.mark.slow
def test_a_grown_checkpoint_makes_pairs_of_its_own_domain_in_its_own_words(old, tmp_path):
    reports = [(str(row), f"Beide Mammae unauffällig. Kein Herdbefund {row % 3}.") for row in range(30)]
    text = learn_report_tokenizer(reports, 420)
    books = (*old.config.layout.codebooks, Codebook(domains=("mammogram",), size=512))
    own = {"report_vocab": len(text), "report_slots": 40, "report_ids": (), "unused_ids": unused_ids(text)}
    config = sized(old, codebooks=books, **own)
    backbone = grown(old, config, text, images_like={**KEPT, "mammogram": "chest_xray"}, seed=0)
    tokenizers = (*old.image_tokenizers, old.image_tokenizers[0])
    made = checkpoint.Checkpoint(config=config, backbone=backbone, image_tokenizers=tokenizers, text=text)
    checkpoint.save(tmp_path / "own", made, card={"learned_from": "patients", "training_data_terms": ["ours"]})
    spec = make_spec(
        model={"checkpoint": str(tmp_path / "own")},
        prompts=[{"domain": "mammogram", "text": "Beide Mammae", "pairs": 3}],
        sampling={"steps": 4, "batch_size": 2},
        filters=[{"name": "report_form", "drop_below": 0.0}],
        output={"dir": str(tmp_path / "out"), "dicom": {}},
    )
    assert run_job(spec, local=True, on_event=lambda event: None).counts.kept == 3
    rows = list(open_dataset(tmp_path / "out").rows())
    assert {row.domain for row in rows} == {"mammogram"}
    assert all(row.report.startswith("Beide Mammae") and row.pixels().ndim == 2 for row in rows)
    assert verify(tmp_path / "out").problems == ()
    assert "ours" in (tmp_path / "out" / "README.md").read_text()
