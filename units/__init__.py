"""A job comes in, units run on an engine.

In: a `job.Job` (data only) and a folder for the run. Out: a `job.Handle` to find the run again, its
output as a file, a `job.Outcome`. May be touched: that folder, and what the engine runs; never etcd,
never the ledger. Nothing is imported here: a run's first process loads its engine's files and no more.
"""
