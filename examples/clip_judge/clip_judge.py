"""A judge that is no part of MeDiM Forge: cosine of image and report under a CLIP model that lies in a local folder.

pip install ./examples/clip_judge
filters:
  - {name: x_clip, drop_below: 0.2, options: {path: /models/biomedclip, threads: 1}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, CLIPModel

MEAN, STD = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)  # of CLIP's training images


def open_judge(options: Mapping[str, Any]) -> Callable[[Any], float]:
    """A function from a pair to its cosine in [-1, 1]; it depends on image and report alone.

    Args:
        options: `path`, the model's folder.
    """
    model = CLIPModel.from_pretrained(options["path"], local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(options["path"], local_files_only=True)
    side, length = model.config.vision_config.image_size, model.config.text_config.max_position_embeddings

    @torch.inference_mode()
    def judge(pair: Any) -> float:
        level = pair.image if pair.image.ndim == 3 else np.repeat(pair.image[..., None], 3, -1)
        image = torch.from_numpy(level.astype(np.float32)).permute(2, 0, 1)[None] / 255
        image = torch.nn.functional.interpolate(image, size=(side, side), mode="bilinear", antialias=True)
        image = (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
        text = tokenizer(pair.report, truncation=True, max_length=length, return_tensors="pt")
        out = model(pixel_values=image, input_ids=text["input_ids"], attention_mask=text["attention_mask"])
        return float(torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds)[0])

    return judge
