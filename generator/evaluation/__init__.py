"""What a checkpoint can do, measured on the embedded domain. `job.run` is the job."""
