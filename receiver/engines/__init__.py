"""The receiver's side of each engine: one file each, loaded by name (receiver/engine_choice.py).

In: the home and its settings. Out: an engine, its builder, its findings. Touched: only what `prepare` starts
for `nap up`.
"""
