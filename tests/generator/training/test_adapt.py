"""Adapters begin as nothing, merge exactly, are PEFT's own files, and hold on to the base they were trained on."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from medim_forge.generator.training.adapt import add_adapters, merged_state, save_adapter
from medim_forge.model import checkpoint
from medim_forge.model.checkpoint.adapter import BASE, CONFIG, WEIGHTS
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint

# Importing PEFT takes seconds.
pytestmark = pytest.mark.slow
PARTS = ("attention", "mlp", "adaln")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("base") / "base")


def hidden(backbone, layout):
    """What the backbone says of some state."""
    state = torch.randint(10, 700, (2, layout.state_slots), generator=torch.Generator().manual_seed(0))
    return backbone(*layout.sequence(state), torch.tensor([0.3, 2.0])).detach()


@pytest.fixture
def trained(base, tmp_path):
    """A backbone whose adapters have learned something, and the folder that they were saved to."""
    loaded = checkpoint.load(base)
    parameters = add_adapters(loaded.backbone, rank=4, alpha=8, parts=PARTS, norms=True, seed=1)
    for number, parameter in enumerate(parameters):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    folder = tmp_path / "adapter"
    card = {"learned_from": "patients", "training_data_terms": ["ours"]}
    save_adapter(folder, loaded.backbone, base, str(base), checkpoint.sha256(base), card)
    return loaded, folder


def test_adapters_that_have_not_learned_change_nothing(base):
    loaded = checkpoint.load(base)
    before = hidden(loaded.backbone, loaded.config.layout)
    parameters = add_adapters(loaded.backbone, rank=4, alpha=8, parts=PARTS)
    assert torch.equal(hidden(loaded.backbone, loaded.config.layout), before)
    named = {name for name, value in loaded.backbone.named_parameters() if value.requires_grad}
    assert len(named) == len(parameters) == 2 * 8 * 2
    assert all("lora_" in name for name in named)


def test_what_is_drawn_depends_on_seed_and_name_alone(base):
    def drawn(seed: int, parts: tuple[str, ...]) -> torch.Tensor:
        torch.manual_seed(int(torch.randint(1 << 30, ())))
        backbone = checkpoint.load(base).backbone
        add_adapters(backbone, rank=4, alpha=8, parts=parts, seed=seed)
        return backbone.state_dict()["layers.1.mlp.up_proj.lora_A.default.weight"]

    assert torch.equal(drawn(3, PARTS), drawn(3, ("mlp",)))
    assert not torch.equal(drawn(3, PARTS), drawn(4, PARTS))


def test_one_step_leaves_the_bits_of_the_base_as_they_are(base):
    loaded = checkpoint.load(base)
    before = {name: value.clone() for name, value in loaded.backbone.state_dict().items()}
    parameters = add_adapters(loaded.backbone, rank=4, alpha=8, parts=PARTS)
    optimiser = torch.optim.AdamW(parameters, lr=0.1)
    for _ in range(2):
        state = torch.full((1, loaded.config.layout.state_slots), 9)
        loaded.backbone(*loaded.config.layout.sequence(state), torch.tensor([0.5])).square().mean().backward()
        optimiser.step()
    after = {name.replace(".base_layer.", "."): value for name, value in loaded.backbone.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert any(bool(value.any()) for name, value in after.items() if "lora_B" in name)


def test_the_merged_weights_fit_strictly_and_answer_as_the_adapters_do(base, trained):
    loaded, _ = trained
    plain = checkpoint.load(base).backbone
    unchanged = hidden(plain, loaded.config.layout)
    plain.load_state_dict(merged_state(loaded.backbone), strict=True)
    wanted = hidden(loaded.backbone, loaded.config.layout)
    assert torch.allclose(hidden(plain, loaded.config.layout), wanted, atol=1e-4)
    assert not torch.allclose(unchanged, wanted, atol=0.1)


def test_the_folder_loads_as_a_checkpoint_with_the_same_answers(trained, base):
    loaded, folder = trained
    again = checkpoint.load(folder)
    merged = checkpoint.load(base).backbone
    merged.load_state_dict(merged_state(loaded.backbone), strict=True)
    for name, value in again.backbone.state_dict().items():
        assert torch.equal(value, merged.state_dict()[name]), name
    assert checkpoint.sha256(folder) != checkpoint.sha256(base)
    assert checkpoint.learned_from(folder) == "patients"
    assert checkpoint.training_data_terms(folder) == ("ours",)


def test_peft_itself_reads_the_folder(trained, base):
    from peft import PeftModel

    loaded, folder = trained
    theirs = PeftModel.from_pretrained(copy.deepcopy(checkpoint.load(base).backbone), str(folder))
    assert torch.equal(hidden(theirs, loaded.config.layout), hidden(loaded.backbone, loaded.config.layout))


def test_another_base_is_refused(trained, base, tmp_path):
    _, folder = trained
    other = write_tiny_checkpoint(tmp_path / "other", seed=5)
    (folder / BASE).write_text(json.dumps({"checkpoint": str(other), "sha256": checkpoint.sha256(base)}))
    with pytest.raises(checkpoint.CheckpointError, match=r"trained on the checkpoint .* Name the right one"):
        checkpoint.load(folder)
    with pytest.raises(checkpoint.CheckpointError, match="trained on the checkpoint"):
        checkpoint.sha256(folder)


def test_a_base_that_lies_beside_is_found(trained, base, tmp_path):
    _, folder = trained
    shutil.copytree(base, folder / "beneath")
    (folder / BASE).write_text(json.dumps({"checkpoint": "beneath", "sha256": checkpoint.sha256(base)}))
    checkpoint.load(folder)
    shutil.rmtree(folder / "beneath")
    with pytest.raises(checkpoint.CheckpointError, match="the adapter's base is not there"):
        checkpoint.load(folder)


def changed(folder, **values):
    """The adapter's configuration with other values."""
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"use_dora": True}, "use_dora is set, and only plain LoRA is read"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern is set"),
        ({"r": 8}, "has no B of rank 8 beside it"),
        ({"r": "4"}, "is not of a LoRA adapter"),
        ({"peft_type": "IA3"}, "is not of a LoRA adapter"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(trained, values, match):
    _, folder = trained
    changed(folder, **values)
    with pytest.raises(checkpoint.CheckpointError, match=match):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda stored: stored | {"base_model.model.layers.9.mlp.up_proj.lora_A.weight": torch.ones(4, 32),
                                  "base_model.model.layers.9.mlp.up_proj.lora_B.weight": torch.ones(64, 4)},
         "the adapter changes layers.9.mlp.up_proj.weight, which is not there"),
        (lambda stored: {name: value * float("nan") for name, value in stored.items()}, "not finite"),
        (lambda stored: {name: value for name, value in stored.items() if "lora_A" not in name}, "has no A beside it"),
        (lambda stored: stored | {"base_model.model.norm.weight": torch.ones(5)}, "norm.weight is of 5, not 32"),
        (lambda stored: {name: torch.ones(4, 7) if "up_proj.lora_A" in name else value
                         for name, value in stored.items()}, "up_proj.weight is of 64 x 7, not 64 x 32"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_named(trained, spoil, match):
    _, folder = trained
    save_file(spoil(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    with pytest.raises(checkpoint.CheckpointError, match=match):
        checkpoint.load(folder)


def test_a_damaged_file_is_named(trained):
    _, folder = trained
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])
    with pytest.raises(checkpoint.CheckpointError, match=r"adapter_model\.safetensors cannot be read"):
        checkpoint.load(folder)
    (folder / BASE).write_text("[]")
    with pytest.raises(checkpoint.CheckpointError, match=r"base\.json must be a mapping"):
        checkpoint.sha256(folder)
