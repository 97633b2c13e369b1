"""How a checkpoint is trained: data, image tokenizers, backbone, and the job that runs them in turn."""
