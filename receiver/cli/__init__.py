"""The verbs of `nap`.

In: arguments. Out: requests to the receiver, and what it answers, as a person or as a program reads it.
Touched: nothing, but by `up`, `down`, `nodes` and `stack`, which work without a receiver too.
"""
