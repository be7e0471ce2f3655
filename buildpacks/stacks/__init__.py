"""Stacks, which compile and run trees: the machine's own MPI, one from a wheel, or images.

In: a stack's name, or a plan. Out: a `Stack`. Touched: only the caller's stack folder.
"""
