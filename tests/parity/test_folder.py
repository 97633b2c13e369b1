"""The runner takes any folder of golden files: what is there is checked, and what nobody would check is an error.

The folder of these tests holds the kinds that tests/golden lacks, answered by the slow oracle instead of the official
code: an untied model with grouped heads, a batch of three, a restored prompt, the unpatched sizes, a pickled tokenizer.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from medim_forge.model.config import BackboneConfig
from medim_forge.model.loss import corrupt, diffusion_loss
from medim_forge.model.network.backbone import Backbone
from medim_forge.model.sampling.schedule import arccos_counts, sigma, stratified_times
from medim_forge.model.sampling.subs import subs
from tests.doubles import official_oracle as oracle
from tests.parity.checks import CHECKS, full_layout
from tests.parity.folder import GoldenError, find_cases
from tests.parity.network import Network, tiny

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
META = json.loads((GOLDEN / "meta.json").read_text())


def write_model(folder, name, sizes, vocab, tied):
    """A random model under the official names."""
    generator = torch.Generator().manual_seed(5)
    state = Backbone(sizes, vocab).state_dict()
    tensors = {
        name if name == "lm_head.weight" else f"model.{name}": torch.randn(tensor.shape, generator=generator) * 0.3
        for name, tensor in state.items()
    }
    save_file(tensors, folder / f"{name}_model.safetensors")
    said = {"head_dim": sizes.head_dim, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": tied}
    (folder / f"{name}_config.json").write_text(json.dumps(said))


def write_trajectory(folder, name, network, *, rows, prompts, steps):
    """A run of the oracle with all that the official recordings hold."""
    layout = network.layout
    generator = torch.Generator().manual_seed(11)
    x0 = torch.randint(2, 200, (rows, layout.state_slots), generator=generator)
    x0[:, layout.report_slots :] += layout.image_offset - 200
    x0.clamp_(max=layout.vocab - 1)
    given = torch.arange(layout.state_slots) < torch.tensor(prompts)[:, None]
    exponential = torch.empty(steps, rows, layout.state_slots, layout.vocab).exponential_(generator=generator)
    uniform = torch.rand(steps, rows, layout.state_slots, generator=generator, dtype=torch.float64)
    stored = {"x0": x0, "x0_unmask": given, "exp_noise": exponential.flatten(1, 2), "gumbel": -(-uniform.log()).log()}
    shown: list[torch.Tensor] = []

    def recorded(states, level):
        state = torch.tensor(states)
        logits = network.raw_logits(state, torch.full((rows,), level))
        if torch.equal(state[given], x0[given]):
            shown.append(state)
            name = f"step{len(shown) - 1:03d}_call0"
            stored.update(
                {f"{name}_x": state, f"{name}_sigma": torch.full((rows,), level), f"{name}_rawlogits": logits}
            )
        return logits

    ids = oracle.Ids(
        text_slots=layout.report_slots, image_slots=layout.image_slots, mask=layout.mask_id, vocab=layout.vocab,
        boi=layout.boi_id, eoi=layout.eoi_id, eos=layout.eos_id,
    )  # fmt: skip
    out = oracle.sample(
        recorded, x0.tolist(), given.tolist(), ids, steps=steps, cfg=5.0,
        exponential=exponential, gumbel=stored["gumbel"],
    )  # fmt: skip
    masked = [layout.state_slots - prompt for prompt in prompts]
    stored |= {
        "out": torch.tensor(out),
        "schedule": arccos_counts(masked, steps).int(),
        "step_ran": torch.arange(steps),
        "step_x_in": torch.stack(shown[:steps]),
        "final_x_in": shown[steps].clone(),
    }
    save_file({key: value.contiguous() for key, value in stored.items()}, folder / f"traj_{name}.safetensors")


def write_loss(folder, name, network, *, rows, luck):
    """A training loss; with little luck the prompt was restored."""
    layout = network.layout
    generator = torch.Generator().manual_seed(13)
    ids = torch.randint(2, 200, (rows, layout.state_slots), generator=generator)
    ids[:, layout.report_slots :] = layout.image_offset + 3
    mask = (torch.arange(layout.report_slots) < 12).long().expand(rows, -1).contiguous()
    rand_t = torch.rand(rows, generator=generator)
    move, prompt = torch.rand(ids.shape, generator=generator), torch.full((rows,), 5)
    t = stratified_times(rand_t)
    kept = torch.arange(layout.state_slots) < prompt[:, None] if luck < 0.1 else None
    xt = corrupt(ids, t, move, layout, keep_BS=kept)
    counted = torch.cat([mask, torch.ones(rows, layout.image_slots)], dim=1)
    logits = network.raw_logits(xt, sigma(t))
    loss, _ = diffusion_loss(logits, ids, xt, t, counted, layout)
    _, terms = diffusion_loss(logits, ids, xt, t, torch.ones_like(counted), layout)
    save_file(
        {
            "input_ids": ids, "mask": mask, "rand_t": rand_t, "rand_move": move, "prompt_idx": prompt, "xt": xt,
            "python_random": torch.tensor(luck), "sigma": sigma(t)[:, None], "loss": loss, "nlls": terms,
        },
        folder / f"loss_{name}.safetensors",
    )  # fmt: skip


def write_full(folder):
    """The unpatched sizes: 256 and 1024 slots, 40,196 ids."""
    sizes = BackboneConfig(
        hidden_size=32, intermediate_size=48, layers=2, heads=2, kv_heads=2, head_dim=24, tied=True, time_features=32
    )
    write_model(folder, "full", sizes, 40196, tied=True)
    files = folder / "full_config.json", folder / "full_model.safetensors"
    network = Network(*files, full_layout(), torch.tensor([1, 40, 41, 42]))
    generator = torch.Generator().manual_seed(17)
    x0 = torch.cat(
        [
            torch.randint(3, 32000, (2, 256), generator=generator),
            torch.randint(32004, 40196, (2, 1024), generator=generator),
        ],
        1,
    )
    xt = torch.where(torch.rand(x0.shape, generator=generator) < 0.5, 32003, x0)
    level = torch.tensor([0.4, 2.0])
    raw = network.raw_logits(xt, level)
    logprobs, cols, top = subs(raw, network.layout, xt), torch.arange(0, 40196, 3000), raw.topk(8, -1)
    given = (torch.arange(1280) < 6).expand(2, -1)[:1].contiguous()
    stored = {
        "x0": x0, "xt": xt, "sigma": level, "cond": network.conditioning, "cols": cols, "raw_cols": raw[..., cols],
        "raw_logsumexp": raw.logsumexp(-1), "raw_top8": top.values, "raw_top8_idx": top.indices,
        "subs_cols": logprobs[..., cols], "subs_max": logprobs.max(-1).values, "subs_argmax": logprobs.argmax(-1),
        "samp_x0": x0[:1].clone(), "samp_x0_unmask": given, "samp_out": x0[:1].clone(),
    }  # fmt: skip
    save_file({name: value.contiguous() for name, value in stored.items()}, folder / "full_io.safetensors")


@pytest.fixture(scope="module")
@torch.inference_mode()
def kept_back(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    sizes = BackboneConfig(
        hidden_size=48, intermediate_size=96, layers=3, heads=4, kv_heads=2, head_dim=16, tied=False, time_features=32
    )
    write_model(folder, "tiny_b", sizes, META["vocab"], tied=False)
    facts = {"model": "tiny_b", "steps_requested": 6, "cfg": 5.0}
    names = ("batch3", "one_b", "absent")
    said = {**META, "trajectories": [{**facts, "name": name} for name in names]}
    (folder / "meta.json").write_text(json.dumps(said))
    (folder / "README.md").write_text("Notes.")
    network = tiny(folder / "tiny_b_config.json", folder / "tiny_b_model.safetensors", folder / "meta.json")
    write_trajectory(folder, "batch3", network, rows=3, prompts=[4, 6, 9], steps=6)
    write_trajectory(folder, "one_b", network, rows=1, prompts=[5], steps=6)
    write_loss(folder, "b", network, rows=1, luck=0.05)
    write_loss(folder, "c", network, rows=2, luck=0.7)
    tensors = load_file(GOLDEN / "vqgan_tiny.safetensors")
    torch.save({"state_dict": {**tensors, "loss.logvar": torch.zeros(1)}}, folder / "vqgan_tiny.ckpt")
    for name in ("vqgan_tiny.yaml", "vqgan_tiny_io.safetensors"):
        shutil.copy(GOLDEN / name, folder)
    return folder


@pytest.fixture(scope="module")
@torch.inference_mode()
def unpatched(kept_back, tmp_path_factory):
    """The same folder with a model of the unpatched sizes, whose logits alone are 400 MB."""
    folder = Path(shutil.copytree(kept_back, tmp_path_factory.mktemp("unpatched") / "golden"))
    write_full(folder)
    return folder


def named(cases):
    return sorted(f"{case.kind} {case.name}" for case in cases)


OTHERS = ["loss b", "loss c", "trajectory batch3", "trajectory one_b", "vqgan vqgan_tiny.ckpt"]


@torch.inference_mode()
def test_every_kind_that_the_given_folder_lacks_is_checked_and_passes(kept_back):
    cases = find_cases(kept_back)
    assert named(cases) == OTHERS
    for case in cases:
        CHECKS[case.kind](case)


@pytest.mark.slow
@torch.inference_mode()
def test_the_unpatched_sizes_are_checked_and_pass(unpatched):
    cases = find_cases(unpatched)
    assert named(cases) == ["full full", *OTHERS]
    (case,) = (case for case in cases if case.kind == "full")
    CHECKS[case.kind](case)


@pytest.mark.slow
@torch.inference_mode()
def test_other_frame_ids_are_not_those_of_the_unpatched_sizes(unpatched, monkeypatch):
    other = replace(full_layout(), eoi_id=1, eos_id=2)
    monkeypatch.setattr("tests.parity.checks.full_layout", lambda: other)
    (case,) = (case for case in find_cases(unpatched) if case.kind == "full")
    with pytest.raises(AssertionError, match="logits"):
        CHECKS[case.kind](case)


def fails_when_changed(folder, name, key, change):
    """The folder's answer under this key is changed, and the check of its file fails."""
    path = folder / f"{name}.safetensors"
    stored = load_file(path)
    save_file({**stored, key: change(stored[key]).contiguous()}, path)
    (case,) = (case for case in find_cases(folder) if path in case.files.values())
    with pytest.raises(AssertionError):
        CHECKS[case.kind](case)


@pytest.mark.parametrize(
    ("name", "key", "change"),
    [
        ("traj_batch3", "out", lambda x: x.roll(1, 0)),
        ("traj_one_b", "step_x_in", lambda x: x.roll(1, 0)),
        ("traj_one_b", "step002_call0_rawlogits", lambda x: x + 1e-3),
        ("traj_one_b", "schedule", lambda x: x + 1),
        ("loss_b", "loss", lambda x: x * 1.001),
        ("loss_b", "python_random", lambda x: x + 0.5),
        ("loss_c", "nlls", lambda x: x + 0.01),
        ("vqgan_tiny_io", "indices", lambda x: x.roll(1, -1)),
    ],
)
@torch.inference_mode()
def test_an_answer_that_was_changed_fails(kept_back, tmp_path, name, key, change):
    fails_when_changed(Path(shutil.copytree(kept_back, tmp_path / "golden")), name, key, change)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("raw_cols", lambda x: x + 1e-3),
        ("subs_argmax", lambda x: x.roll(1, -1)),
        ("samp_out", lambda x: x + 1),
    ],
)
@torch.inference_mode()
def test_an_answer_of_the_unpatched_sizes_that_was_changed_fails(unpatched, tmp_path, key, change):
    fails_when_changed(Path(shutil.copytree(unpatched, tmp_path / "golden")), "full_io", key, change)


def test_what_nobody_would_check_is_an_error(kept_back, tmp_path):
    folder = Path(shutil.copytree(kept_back, tmp_path / "golden"))
    # Which files belong together is read off their names.
    for name in ("full_io.safetensors", "full_model.safetensors", "full_config.json"):
        (folder / name).write_bytes(b"")
    for name in ("more.safetensors", "vqgan_tiny2.ckpt", "other_model.safetensors"):
        (folder / name).write_bytes(b"")
        with pytest.raises(GoldenError, match=f"nothing checks {name}"):
            find_cases(folder)
        (folder / name).unlink()
    shutil.copy(folder / "traj_one_b.safetensors", folder / "traj_other.safetensors")
    with pytest.raises(GoldenError, match=r"meta\.json says nothing about traj_other"):
        find_cases(folder)
    (folder / "traj_other.safetensors").unlink()
    for name, words in (
        ("vqgan_tiny.yaml", r"vqgan_tiny\.ckpt needs vqgan_tiny\.yaml"),
        ("full_config.json", r"full_io needs full_config\.json"),
        ("tiny_b_model.safetensors", r"traj_batch3 needs tiny_b_model\.safetensors"),
    ):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(GoldenError, match=words):
            find_cases(folder)
        (folder / name).write_bytes(content)
    (folder / "SHA256SUMS").write_text("0" * 64 + "  meta.json\n")
    with pytest.raises(GoldenError, match=r"not what SHA256SUMS says: .*meta\.json"):
        find_cases(folder)


def test_a_folder_with_nothing_in_it_is_an_error(tmp_path):
    with pytest.raises(GoldenError, match="holds no golden file of a known kind"):
        find_cases(tmp_path)
    with pytest.raises(GoldenError, match="is not a folder"):
        find_cases(tmp_path / "nowhere")


@pytest.mark.slow
def test_the_option_points_the_whole_suite_at_another_folder(tmp_path):
    shutil.copy(GOLDEN / "noise.safetensors", tmp_path)

    def run():
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/parity/test_golden.py"]
        return subprocess.run(
            [*command, "--golden", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
        )

    done = run()
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "skipped" not in done.stdout
    (tmp_path / "unknown.bin").write_bytes(b"")
    done = run()
    assert done.returncode != 0
    assert "nothing checks unknown.bin" in done.stdout + done.stderr
