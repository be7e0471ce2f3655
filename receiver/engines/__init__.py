"""What the receiver has to know of each engine: how it is opened, what builds for it, how it is rendered.

In: the home and its settings. Out: an engine. Touched: nothing.
"""
