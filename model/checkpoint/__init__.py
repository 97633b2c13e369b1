"""A model's folder on disk: config, weights, tokenizer."""
