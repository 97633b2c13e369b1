"""Which pairs a job makes, with which ids, seeds and costs, and what its folder says of that."""

from medim_forge.generator.plan.plan import Plan, make_plan, plan_record
from medim_forge.generator.plan.stored import begun_plan, claim_dataset, read_plan, read_spec, stored_plan

__all__ = ["Plan", "begun_plan", "claim_dataset", "make_plan", "plan_record", "read_plan", "read_spec", "stored_plan"]
