"""The common part of all runs with a runner: a folder, and a runner in it that outlives the receiver.

In: a run's folder with its units. Out: `output`, `units.log` and `exit` in it. Touched: that folder.
`runner.py` and its imports use only the standard library; `engine.py` is the daemon's side.
"""
