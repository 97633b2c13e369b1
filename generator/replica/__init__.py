"""A loaded model that carries out shards. `load.load_replica` is how a worker gets one."""
