"""Stacks as images.

In: a stack's name. Out: the stack's two images, built once, pushed, and on record.

Touched: `$NAP_HOME/stack-records`, and the runtime's and the registry's images of stacks.
"""
