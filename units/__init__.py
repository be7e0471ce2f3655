"""Run a job's units on an engine.

In: a `job.Job` (data only) and a folder for the run. Out: a `job.Handle` to find the run again, its
output as a file, a `job.Outcome`. Touched: that folder, and what the engine runs; never etcd, never
the ledger. This module imports nothing, so that a run's first process loads only its engine's files.
"""
