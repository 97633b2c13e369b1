"""A recorded model: its weights in our backbone, by the names and shapes that conversion reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from medim_forge.model.convert.names import HEAD, backbone_config, our_names
from medim_forge.model.convert.weights import open_weights
from medim_forge.model.layout import Codebook, TokenLayout
from medim_forge.model.network.backbone import Backbone


class Network:
    """A recorded model: its layout, our backbone with its weights, and the conditioning of the recordings."""

    def __init__(self, config: Path, model: Path, layout: TokenLayout, conditioning: torch.Tensor) -> None:
        source = open_weights(model, model.name)
        names = our_names(source.tensors, model.name)
        shapes = {ours: source.tensors[name].shape for ours, name in names.items()}
        given = json.loads(config.read_text())
        sizes = backbone_config(shapes, given, tied=HEAD not in names, what=model.name)
        self.layout, self.conditioning = layout, conditioning
        self.backbone = Backbone(sizes, shapes["embed_tokens.weight"][0])
        self.backbone.load_state_dict({ours: source.read(name) for ours, name in names.items()})
        self.backbone.eval().requires_grad_(False)

    def sequence(self, state_BS):
        return self.layout.sequence(state_BS, self.conditioning.expand(len(state_BS), -1))

    def raw_logits(self, state_BS, sigma_B):
        """Logits [B, S, V]."""
        hidden = self.backbone(*self.sequence(state_BS), sigma_B)
        return self.backbone.logits(hidden[:, self.layout.read_positions(len(self.conditioning))])

    def rows(self, seen=None):
        """The network as the official sampler takes it; the states it was shown are added to `seen`."""

        def logits_of(state_BS, sigma_B):
            if seen is not None:
                seen.append(state_BS.clone())
            logits_BSV = self.raw_logits(state_BS, sigma_B)
            return lambda row, slots_K: logits_BSV[row, slots_K]

        return logits_of


def tiny(config: Path, model: Path, meta: Path) -> Network:
    """A network of the sizes that meta.json states."""
    said = json.loads(meta.read_text())
    layout = TokenLayout(
        report_slots=said["sizes"]["txt_len"],
        image_slots=said["sizes"]["img_len"],
        report_vocab=said["mask_index"],
        codebooks=(Codebook(domains=("any",), size=said["sizes"]["img_vocab"]),),
        pad_id=said["pad"],
        bos_id=said["bos"],
        boi_id=said["boi"],
        eoi_id=said["eoi"],
        eos_id=said["eos"],
    )
    return Network(config, model, layout, torch.tensor(said["cond_ids"]))
