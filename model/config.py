"""MedimConfig: one frozen description of a model. The official size and the embedded one differ by numbers only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medim_forge.model import conventions
from medim_forge.model.bounds import misfit
from medim_forge.model.conventions import Conventions
from medim_forge.model.folders import CheckpointError
from medim_forge.model.layout import Codebook, ReportIds, TokenLayout
from medim_forge.model.strict_json import OPTIONAL, JsonError, built, parse_mapping, plain, read_text


class ConfigError(ValueError):
    """A model description that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The bidirectional Gemma backbone.

    Attributes:
        hidden_size: D.
        intermediate_size: width of the gated MLP.
        layers: decoder layers.
        heads: query heads; `kv_heads` key and value heads.
        head_dim: H.
        tied: whether the output head is the embedding.
        rope_theta: base of the rotary frequencies.
        norm_eps: RMSNorm epsilon.
        time_features: width of the sinusoidal features of sigma.
        learned_positions: length of a learned position table added to the embedding; 0 for none (official).
    """

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool = True
    rope_theta: float = 10000.0
    norm_eps: float = 1e-6
    time_features: int = 256
    learned_positions: int = 0


@dataclass(frozen=True, kw_only=True)
class VqganConfig:
    """An image tokenizer of the taming VQModel family.

    Attributes:
        domains: domains it serves.
        channels: image channels, 1 or 3.
        resolution: side of the square image, pixels.
        ch: base width; `ch_mult` multiplies it per level; each level but the last halves the grid.
        num_res_blocks: residual blocks per level (one more in the decoder).
        z_channels: encoder output width; `embed_dim` that of the codebook; `n_embed` codes.
        groups: GroupNorm groups.
        patch: side of pixel blocks folded into channels before the first convolution; 1 for none (official).
    """

    domains: tuple[str, ...]
    channels: int
    resolution: int
    ch: int
    ch_mult: tuple[int, ...]
    num_res_blocks: int
    z_channels: int
    embed_dim: int
    n_embed: int
    groups: int = 32
    patch: int = 1

    @property
    def factor(self) -> int:
        """Pixels per code along one side."""
        return int(self.patch * 2 ** (len(self.ch_mult) - 1))

    @property
    def codes(self) -> int:
        """Codes per image."""
        return int(self.resolution // self.factor) ** 2


@dataclass(frozen=True, kw_only=True)
class MedimConfig:
    """A whole model: layout, backbone, image tokenizers, and what it was trained to be given.

    Raises:
        ConfigError: the parts do not fit each other.
    """

    layout: TokenLayout
    backbone: BackboneConfig
    image_tokenizers: tuple[VqganConfig, ...]
    conventions: Conventions = field(default_factory=Conventions, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        """Check sizes, that tokenizers and codebooks agree, and that every image size that is stated is known."""
        if found := misfit(self):
            raise ConfigError(found)
        stated = {words.domain for words in self.conventions.domains}
        if self.conventions.conditioning and (silent := sorted(set(self.layout.domains) - stated)):
            raise ConfigError(
                f"conventions.domains has no entry for {silent[0]}, whose image size conventions.conditioning states"
            )
        for book, tokenizer in zip(self.layout.codebooks, self.image_tokenizers, strict=True):
            if (book.domains, book.size) != (tokenizer.domains, tokenizer.n_embed):
                raise ConfigError(
                    f"codebook {book} does not fit the image tokenizer of {tokenizer.domains} "
                    f"({tokenizer.n_embed} codes)"
                )
            if tokenizer.codes != self.layout.image_slots:
                raise ConfigError(
                    f"{tokenizer.domains}: {tokenizer.codes} codes per image, "
                    f"layout has {self.layout.image_slots} image slots"
                )

    def to_json(self) -> str:
        """The config as stable JSON text."""
        return json.dumps(plain(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str, *, where: str) -> MedimConfig:
        """The config that `to_json` wrote.

        Raises:
            ConfigError: not JSON, an unknown, missing or mistyped key; the message names `where`.
        """
        try:
            config = built(MedimConfig, parse_mapping(text, where), where)
        except JsonError as error:
            raise ConfigError(str(error)) from error
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        assert isinstance(config, MedimConfig)
        return config


def read_config(folder: Path) -> MedimConfig:
    """The sizes that a checkpoint folder states.

    Raises:
        CheckpointError: there is no config.json.
        ConfigError: it does not describe a model.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    try:
        text = read_text(path)
    except JsonError as error:
        raise ConfigError(str(error)) from error
    return MedimConfig.from_json(text, where=str(path))


def medim() -> MedimConfig:
    """The official sizes: 3,468,432,384 backbone parameters. Source: medim-spec sections 1-3 and 7."""
    domains = ("chest_xray", "pathology")
    return MedimConfig(
        layout=TokenLayout(
            report_slots=256,
            image_slots=1024,
            report_vocab=32003,
            codebooks=(Codebook(domains=domains, size=8192),),
            boi_id=32000,
            eoi_id=32001,
            eos_id=32002,
            # Llama's end of text, and its byte tokens of control characters (a byte's id is 3 more).
            unused_ids=(2, *range(3, 12), 14, 15, *range(17, 35), 130),
        ),
        conventions=conventions.official(domains),
        backbone=BackboneConfig(
            hidden_size=3072, intermediate_size=24576, layers=10, heads=16, kv_heads=16, head_dim=256
        ),
        image_tokenizers=(
            VqganConfig(
                domains=domains,
                channels=3,
                resolution=512,
                ch=128,
                ch_mult=(1, 1, 2, 2, 4),
                num_res_blocks=2,
                z_channels=256,
                embed_dim=256,
                n_embed=8192,
            ),
        ),
    )


def phantom(report_vocab: int, report_ids: Mapping[str, Sequence[int]] | None = None) -> MedimConfig:
    """The embedded size: 96 px, 144 codes of 512 per domain, a 4 M backbone.

    Args:
        report_vocab: size of the report tokenizer, specials included.
        report_ids: by domain, the ids its reports are made of; None leaves all of them to every domain.
    """
    books = (("chest_xray", 1), ("pathology", 3))
    layout = TokenLayout(
        report_slots=24,
        image_slots=144,
        report_vocab=report_vocab,
        codebooks=tuple(Codebook(domains=(domain,), size=512) for domain, _ in books),
        end_id=2,
        report_ids=tuple(
            ReportIds(domain=name, ids=tuple(sorted(ids))) for name, ids in sorted((report_ids or {}).items())
        ),
        boi_id=3,
        eoi_id=4,
        eos_id=5,
    )
    return MedimConfig(
        layout=layout,
        backbone=BackboneConfig(
            hidden_size=192,
            intermediate_size=384,
            layers=6,
            heads=3,
            kv_heads=3,
            head_dim=64,
            learned_positions=layout.length(),
        ),
        image_tokenizers=tuple(
            VqganConfig(
                domains=(domain,),
                channels=channels,
                resolution=96,
                ch=40,
                ch_mult=(1, 2),
                num_res_blocks=1,
                z_channels=40,
                embed_dim=3,
                n_embed=512,
                groups=8,
                patch=4,
            )
            for domain, channels in books
        ),
    )
