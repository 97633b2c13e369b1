"""The network: torch in, tensors out. Nothing here knows jobs, files of a dataset, or Ray."""
