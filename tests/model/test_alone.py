"""`model/` works alone: torch, numpy, safetensors and tokenizers, and nothing that the generator needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALONE = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing} or name.startswith("medim_forge.generator"):
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
OF_THE_GENERATOR = {"ray", "pydantic", "pyarrow", "pydicom", "highdicom", "PIL", "sklearn", "matplotlib"}
MAKE_A_PAIR = """
from medim_forge.model import checkpoint, convert, loss
from medim_forge.model.medim import Given, Medim
from medim_forge.model.sampling import Sampling

model = Medim.load(checkpoint.resolve("phantom"))
sampling = Sampling(
    order="text_first", method="maskgit", text_reveal="random", image_reveal="random", steps=1, text_steps=1,
    guidance=0.0, text_guidance=0.0, text_temperature=1.0, image_temperature=1.0, confidence_noise=1.0,
)
(made,) = model.make([Given(domain="chest_xray", seed=1)], sampling, [""])
assert made.image.shape == (96, 96)
"""
PLAN = """
from medim_forge.generator.cli import main
from medim_forge.generator.jobspec import load_spec
from medim_forge.generator.plan.cost import estimate
from medim_forge.generator.plan.plan import make_plan

assert estimate(make_plan(load_spec("jobs/quickstart.yaml"))).hours > 0
assert "torch" not in sys.modules
"""


def run(repository, source):
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=repository, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_pair_is_made_where_nothing_of_the_generator_is_installed(repository):
    run(repository, ALONE.format(missing=OF_THE_GENERATOR) + MAKE_A_PAIR)


def test_a_plan_and_what_it_costs_need_no_torch(repository):
    run(repository, "import sys\n" + PLAN)
