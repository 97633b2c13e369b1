"""The layers: backbone, image tokenizer, and what conditions them."""
