"""The layers: backbone, image tokenizer, and what conditions them."""

from medim_forge.model.network.backbone import Backbone
from medim_forge.model.network.conditioning import Conditioned, conditioning_ids, stated_size
from medim_forge.model.network.row_cache import RowCache
from medim_forge.model.network.vqgan import Vqgan, to_pixels, to_uint8

__all__ = [
    "Backbone",
    "Conditioned",
    "RowCache",
    "Vqgan",
    "conditioning_ids",
    "stated_size",
    "to_pixels",
    "to_uint8",
]
