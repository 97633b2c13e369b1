"""What happens to one shard, and which shard goes next, whoever runs them."""

from medim_forge.generator.shards.schedule import Failure, Order, Schedule
from medim_forge.generator.shards.worker import Parts, Setup, ShardWorker, Worker, WorkerSetup

__all__ = ["Failure", "Order", "Parts", "Schedule", "Setup", "ShardWorker", "Worker", "WorkerSetup"]
