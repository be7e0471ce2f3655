"""The fleet engine: fleet places, starts and removes units on nodes; nap sends a run's files there.

In: a `units.job.Job`. Out: what every engine returns. Touched: of fleet its HTTP API alone; of a node what
the systemd engine touches.
"""
