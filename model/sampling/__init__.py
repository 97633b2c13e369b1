"""The reverse processes, their schedules and their randomness."""
