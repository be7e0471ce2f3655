"""Runs on nodes, for any engine that starts their units: output, end, results and cleanup.

In: an allocation and links to its nodes. Out: outcomes, results. May be touched: the run's folder here, and
on a node what carries nap's names. No engine is imported.
"""
