"""Where shards are run: in this process by `local`, or on Ray by `cluster`."""
