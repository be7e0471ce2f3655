"""What the receiver has to know of each engine: a file each, loaded by name (receiver/engine_choice.py).

In: the home and its settings. Out: an engine, its builder, its findings. Touched: nothing but what
`prepare` starts for `nap up`.
"""
