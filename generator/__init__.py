"""The factory: job specs become committed datasets of synthetic image-report pairs. Importing it imports nothing."""
