"""Questions asked of finished datasets and of the embedded checkpoint, answered by tables and plots."""
