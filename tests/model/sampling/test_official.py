"""The official sampler against a slow oracle, on random tiny networks; and rows that do not feel their neighbours."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medim_forge.model.config import BackboneConfig
from medim_forge.model.layout import Codebook, TokenLayout
from medim_forge.model.network.backbone import Backbone
from medim_forge.model.sampling.noise import CounterDraws, InjectedDraws, Use
from medim_forge.model.sampling.official import OfficialSampling, sample_official
from medim_forge.model.sampling.schedule import arccos_counts
from tests.doubles import official_oracle as oracle


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@st.composite
def settings_of_a_run(draw):
    """Sizes, tokens and settings of a tiny official run."""
    text_vocab, codes = draw(st.integers(6, 12)), draw(st.integers(2, 9))
    slots = (draw(st.integers(2, 6)), draw(st.sampled_from([1, 4, 9])))
    rows = draw(st.integers(1, 3))
    layout = TokenLayout(
        report_slots=slots[0], image_slots=slots[1], report_vocab=text_vocab,
        codebooks=(Codebook(domains=("any",), size=codes),), boi_id=3, eoi_id=4, eos_id=5,
    )  # fmt: skip
    kept = draw(
        st.lists(
            st.lists(st.booleans(), min_size=sum(slots), max_size=sum(slots)).filter(lambda row: not all(row)),
            min_size=rows,
            max_size=rows,
        )
    )
    return {
        "layout": layout,
        "given": torch.tensor(kept),
        "steps": draw(st.integers(1, 18)),
        "cfg": draw(st.sampled_from([None, 0.0, 1.5, 5.0])),
        "scale": draw(st.sampled_from([0.5, 3.0, 40.0, 200.0])),
        "conditioning": draw(st.lists(st.integers(1, text_vocab - 1), max_size=4)),
        "sizes": BackboneConfig(
            hidden_size=8,
            intermediate_size=12,
            layers=draw(st.integers(1, 2)),
            heads=2,
            kv_heads=draw(st.sampled_from([1, 2])),
            head_dim=draw(st.sampled_from([4, 6])),
            tied=draw(st.booleans()),
            time_features=8,
        ),
        "seed": draw(st.integers(0, 2**32)),
    }


class Run:
    """A tiny network with its tokens and noise, as both samplers take them."""

    def __init__(self, *, layout, given, steps, cfg, scale, conditioning, sizes, seed):
        self.layout, self.given, self.steps, self.cfg = layout, given, steps, cfg
        self.conditioning = conditioning
        generator = torch.Generator().manual_seed(seed)
        self.backbone = Backbone(sizes, layout.vocab).requires_grad_(False)
        for parameter in self.backbone.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        # Large scales make raw exponentials overflow, and vanish, as half-trained networks do.
        self.backbone.norm.weight.add_(scale)
        rows, slots = given.shape
        self.x0 = torch.cat(
            [
                torch.randint(0, layout.report_vocab, (rows, layout.report_slots), generator=generator),
                torch.randint(layout.image_offset, layout.vocab, (rows, layout.image_slots), generator=generator),
            ],
            dim=1,
        )
        self.exponential = torch.empty(steps, rows, slots, layout.vocab).exponential_(generator=generator)
        uniform = torch.rand(steps, rows, slots, generator=generator, dtype=torch.float64)
        self.gumbel = -torch.log(-torch.log(uniform))

    def fast(self, batch="together"):
        def logits_of(state_BS, sigma_B):
            conditioning = torch.tensor(self.conditioning, dtype=torch.int64).expand(len(state_BS), -1)
            hidden = self.backbone(*self.layout.sequence(state_BS, conditioning), sigma_B)
            logits = self.backbone.logits(hidden[:, self.layout.read_positions(len(self.conditioning))])
            return lambda row, slots_K: logits[row, slots_K]

        draws = InjectedDraws(self.exponential.flatten(1, 2), self.gumbel, range(self.steps))
        sampling = OfficialSampling(steps=self.steps, guidance=self.cfg, batch=batch)
        return sample_official(logits_of, self.x0, self.given, self.layout, sampling, draws)

    def slow(self):
        layout = self.layout
        ids = oracle.Ids(
            text_slots=layout.report_slots, image_slots=layout.image_slots, mask=layout.mask_id, vocab=layout.vocab,
            boi=layout.boi_id, eoi=layout.eoi_id, eos=layout.eos_id,
        )  # fmt: skip

        def network(states, level):
            inputs = [oracle.network_input(state, self.conditioning, ids) for state in states]
            tokens, attended = (torch.tensor(part) for part in zip(*inputs, strict=True))
            outputs = self.backbone.logits(self.backbone(tokens, attended, torch.tensor([level] * len(states))))
            return torch.stack([oracle.read_logits(output, ids) for output in outputs])

        out = oracle.sample(
            network, self.x0.tolist(), self.given.tolist(), ids,
            steps=self.steps, cfg=self.cfg, exponential=self.exponential, gumbel=self.gumbel,
        )  # fmt: skip
        return torch.tensor(out)


# Weights of 0 are needed here, so that known slots are drawn with the others.
DRAWN_ANEW = {
    "layout": TokenLayout(
        report_slots=5,
        image_slots=4,
        report_vocab=10,
        codebooks=(Codebook(domains=("any",), size=8),),
        pad_id=0,
        bos_id=1,
        boi_id=3,
        eoi_id=4,
        eos_id=5,
    ),
    "given": torch.tensor([[1, 1, 1, 1, 0, 1, 1, 1, 0], [0] * 9, [1, 0, 0, 0, 1, 0, 0, 1, 1]]).bool(),
    "steps": 8,
    "cfg": None,
    "scale": 200.0,
    "conditioning": [1, 8, 1, 8],
    "sizes": BackboneConfig(
        hidden_size=8, intermediate_size=12, layers=1, heads=2, kv_heads=2, head_dim=6, tied=False, time_features=8
    ),
    "seed": 4238,
}


@given(settings_of_a_run())
@example(DRAWN_ANEW)
@settings(max_examples=40)
def test_the_fast_sampler_gives_the_tokens_of_the_slow_oracle(values):
    run = Run(**values)
    sampled = run.fast()
    assert torch.equal(sampled.state, run.slow())
    assert torch.equal(sampled.state[run.given], run.x0[run.given])
    assert not bool((sampled.state == run.layout.mask_id).any())
    assert bool((sampled.logprob[run.given] == 0).all())


@given(settings_of_a_run())
@settings(max_examples=20)
def test_a_row_apart_is_what_the_oracle_makes_of_it_alone(values):
    together = Run(**values)
    apart = together.fast("apart").state
    for row in range(len(together.x0)):
        alone = Run(**values)
        alone.x0, alone.given = together.x0[row : row + 1], together.given[row : row + 1]
        alone.exponential, alone.gumbel = together.exponential[:, row : row + 1], together.gumbel[:, row : row + 1]
        assert torch.equal(apart[row : row + 1], alone.slow())


@given(st.integers(1, 1280), st.integers(1, 200))
@settings(max_examples=200)
def test_the_reveal_schedule_is_that_of_the_oracle(masked, steps):
    steps = min(masked, steps)
    assert arccos_counts([masked], steps)[0].tolist() == oracle.schedule(masked, steps)


def test_what_no_job_file_says_is_as_published():
    sampling = OfficialSampling(steps=128, guidance=5.0)
    assert (sampling.confidence_noise, sampling.last_time) == (10.0, 1e-5)


BASE = {
    "layout": TokenLayout(
        report_slots=4, image_slots=4, report_vocab=8, codebooks=(Codebook(domains=("any",), size=6),),
        boi_id=3, eoi_id=4, eos_id=5,
    ),
    "given": torch.tensor([[True, True, False, False] + [False] * 4, [False] * 8]),
    "steps": 4,
    "cfg": 5.0,
    "scale": 0.5,
    "conditioning": [2, 6],
    "sizes": BackboneConfig(
        hidden_size=8, intermediate_size=12, layers=1, heads=2, kv_heads=2, head_dim=4, time_features=8
    ),
    "seed": 3,
}  # fmt: skip


class Recording:
    """A network whose logits are set by hand; it remembers what it was asked."""

    def __init__(self, layout, favourite, height=5.0):
        self.layout, self.favourite, self.height, self.asked = layout, favourite, height, []

    def __call__(self, state_BS, sigma_B):
        self.asked.append((state_BS.clone(), sigma_B.clone()))
        logits = torch.zeros(*state_BS.shape, self.layout.vocab)
        logits[..., self.favourite] = self.height
        return lambda row, slots_K: logits[row, slots_K]


def run_with(network, *, guidance=5.0, steps=4, rows=2, given=None):
    layout = BASE["layout"]
    given = BASE["given"][:rows] if given is None else given
    x0 = torch.full(given.shape, 6)
    x0[:, layout.report_slots :] = layout.image_offset
    draws = CounterDraws(range(len(given)), layout.state_slots)
    sampling = OfficialSampling(steps=steps, guidance=guidance)
    return sample_official(network, x0, given, layout, sampling, draws)


def test_guidance_starts_at_zero_and_grows_to_nearly_cfg_on_raw_logits():
    network = Recording(BASE["layout"], favourite=2)
    run_with(network, rows=1)
    states, levels = zip(*network.asked, strict=True)
    masked_prompt = [bool((state[0, :2] == BASE["layout"].mask_id).all()) for state in states]
    # Step 1 asks once, steps 2 to 4 twice.
    assert masked_prompt[:7] == [False, False, True, False, True, False, True]
    assert float(levels[0]) == pytest.approx(6.9078, abs=1e-4)
    assert [float(level) for level in levels[1:7:2]] == [float(level) for level in levels[2:7:2]]


def test_the_first_step_may_draw_the_other_modality_and_mask_and_the_last_pass_fills_what_is_left():
    layout = BASE["layout"]
    network = Recording(layout, favourite=layout.mask_id, height=60.0)
    out = run_with(network, guidance=None, steps=3).state
    # MASK is "revealed" at every step, so all of it is left to the final argmax, which stays in the modality.
    assert bool((network.asked[-1][0][~BASE["given"]] == layout.mask_id).all())
    assert float(network.asked[-1][1][0]) == pytest.approx(1e-5, rel=1e-2)
    assert bool((out[:, : layout.report_slots] < layout.mask_id).all())
    assert bool((out[:, layout.report_slots :] >= layout.image_offset).all())
    network = Recording(layout, favourite=2, height=60.0)
    out = run_with(network, guidance=None).state
    assert bool((out[:, layout.report_slots :] == 2).all()), "an image slot took a report id"


def test_raw_exponentials_that_overflow_count_as_nothing():
    layout = BASE["layout"]
    network = Recording(layout, favourite=2, height=90.0)
    out = run_with(network, guidance=None, given=BASE["given"][1:]).state
    assert not bool((out == 2).any()), "exp(90) is infinite in float32, so its token has weight 0"


def test_report_and_image_are_ranked_together():
    layout = BASE["layout"]
    network = Recording(layout, favourite=2, height=30.0)
    run_with(network, guidance=None, given=BASE["given"][1:])
    revealed = [(state[0] != layout.mask_id).nonzero()[:, 0].tolist() for state, _ in network.asked]
    counts = arccos_counts([8], 4)[0].cumsum(0).tolist()
    # One schedule for all eight slots, and the noise of this seed mixes the two sides.
    assert [len(slots) for slots in revealed[1:]] == counts[:3]
    assert any(slot < 4 for slot in revealed[2])
    assert any(slot >= 4 for slot in revealed[2])


def test_a_row_with_nothing_to_reveal_is_refused():
    with pytest.raises(ValueError, match=r"rows \[0\] have no masked slot"):
        run_with(Recording(BASE["layout"], 2), given=torch.ones(1, 8, dtype=torch.bool))


def test_draws_of_a_row_are_its_own_whoever_is_beside_it():
    weights = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    slots = torch.tensor([0, 2, 3, 6, 7])
    alone = CounterDraws([9], 8).pick(weights, 3, 0, slots)
    beside = CounterDraws([4, 9], 8).pick(weights, 3, 1, slots)
    assert torch.equal(alone, beside)
    u = CounterDraws([9], 8).uniform(Use.TOKEN, 3)[0]
    assert bool((u[slots] > 0).all())
