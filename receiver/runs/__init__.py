"""Runs: from an accepted push to the recorded end.

In: an app, a commit, options. Out: a story in lines, and the run in the ledger. Touched: the run's folder,
its app's repository and images, and everything that the engine changes.
"""
