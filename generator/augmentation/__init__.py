"""Whether synthetic pairs help a classifier of few real ones. `job.run` is the experiment."""
