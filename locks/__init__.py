"""What is installed: per Python version the wheels of every tier with their hashes, and torch by version."""
