"""`medim convert`: what the command line gives becomes a request to `model.convert`, and errors become ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medim_forge.generator.cli.say import say
from medim_forge.generator.cli.text import table
from medim_forge.generator.errors import ConvertError

_WEIGHTS = (".ckpt", ".safetensors", ".pt", ".pth", ".bin")


def convert_text(
    *,
    backbone: Path,
    tokenizer: Path,
    vqgan: Path,
    out: Path,
    config: Path | None = None,
    dtype: str = "source",
    device_text: str = "",
    terms: tuple[str, ...] = (),
) -> str:
    """The checkpoint folder is there; what it is.

    Raises:
        ConvertError: the sources cannot become one.
    """
    from medim_forge.model.checkpoint import CheckpointError
    from medim_forge.model.config import ConfigError
    from medim_forge.model.convert import OFFICIAL_TERMS, Request, convert

    weights, sizes = _vqgan(vqgan)
    try:
        found = convert(
            Request(
                backbone=backbone,
                tokenizer=tokenizer,
                vqgan=weights,
                vqgan_yaml=None if sizes is None else (sizes, _mapping(sizes)),
                config={} if config is None else _mapping(config),
                dtype=dtype,
                device_text=f", device='{device_text}'" if device_text else "",
                terms=terms or OFFICIAL_TERMS,
            ),
            out,
            on_step=lambda name: say(f"wrote {name}", error=True),
        )
    except (CheckpointError, ConfigError, OSError) as error:
        raise ConvertError(str(error)) from error
    rows = [
        ("checkpoint", str(out)),
        ("sha256", found),
        ("card", str(out / "README.md")),
        ("use it", f"model: {{checkpoint: {out}}}"),
    ]
    return table(rows)


def _vqgan(path: Path) -> tuple[Path, Path | None]:
    """The weight file of the image tokenizer, and the yaml beside it.

    Raises:
        ConvertError: there is no such file, or more than one.
    """
    if path.is_dir():
        found = [file for file in sorted(path.iterdir()) if file.suffix in _WEIGHTS]
        if len(found) != 1:
            named = ", ".join(file.name for file in found) or "none"
            raise ConvertError(
                f"image tokenizer: {path} must hold one weight file (vqgan.ckpt), holds {named}; name it"
            )
        path = found[0]
    sizes = path.with_suffix(".yaml")
    return path, sizes if sizes.is_file() else None


def _mapping(path: Path) -> Mapping[str, Any]:
    """The content of a YAML or JSON file.

    Raises:
        ConvertError: it cannot be read, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConvertError(f"{path} cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ConvertError(f"{path} holds {type(content).__name__}, not a mapping")
    return content
