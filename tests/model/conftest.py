"""Sources for conversion."""

from __future__ import annotations

import pytest
import yaml

from medim_forge.model.convert import Request
from tests.doubles.official_files import CONFIG, write_official_files


@pytest.fixture
def files(tmp_path):
    return write_official_files(tmp_path / "official")


@pytest.fixture
def request_of(files):
    def make(**changes):
        path = files.vqgan / "vqgan.yaml"
        usual = {
            "backbone": files.backbone,
            "tokenizer": files.tokenizer,
            "vqgan": files.vqgan / "vqgan.ckpt",
            "vqgan_yaml": (path, yaml.safe_load(path.read_text())),
            "config": CONFIG,
        }
        return Request(**{**usual, **changes})

    return make
