"""Runs on nodes, whoever started their units: their output, their end, their results, what is left of them.

In: an allocation and links to its nodes. Out: outcomes, results. May be touched: the run's folder here, and
on a node what carries nap's names. No engine is imported.
"""
