"""An accepted push becomes a run, from its turn to its end.

In: an app, a commit, options. Out: a story in lines, and the run in the ledger. Touched: the run's folder,
its app's repository and images, and whatever the engine does.
"""
