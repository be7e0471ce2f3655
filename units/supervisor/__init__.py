"""What every engine's runs have in common: a folder, and a runner in it that outlives the receiver.

In: a run's folder with its units. Out: `output`, `units.log` and `exit` in it. May be touched: that
folder. `runner.py` and what it imports is the standard library alone; `runs.py` is the daemon's side.
"""
